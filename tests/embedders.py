"""Small embedders of every kind, with random weights, saved to disk as users have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mekiki.media.preprocessing import Preprocessing, at_hand, prepare
from mekiki.models.embed import EmbedderOpening, open_embedder
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import save_model
from mekiki.training.packages import import_open_clip, import_timm, import_transformers
from mekiki.training.small_cnn import SmallCnn
from mekiki.training.vector_space import VectorSpace
from workspaces import scene

SIDE_PX = 32
WORDS = ("a", "photo", "of", "cat", "dog", "red", "blue", "the")
ARCH = "mekiki-tiny"
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": SIDE_PX, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
"""A CLIP of open_clip's with OpenAI's words."""

CLASSIFIER = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self, num_classes=5):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(32, num_classes)

    def forward(self, pictures):
        return self.head(self.body(pictures))

class Soft(Tiny):
    def forward(self, pictures):
        return super().forward(pictures).softmax(dim=1)

class Embeds(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 6, 8, 8)
        self.out = nn.Linear(6, 7)

    def forward(self, pictures):
        return self.out(self.body(pictures).mean(dim=(2, 3)))

class Fixed(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, pictures):
        return nn.functional.adaptive_avg_pool2d(pictures, 2)
"""


def clip_folder(folder: Path, seed: int = 0, **pixels: Any) -> Path:
    """Save a CLIP as open_clip's own folders are: configuration and weights."""
    open_clip = import_open_clip()
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    torch.save(open_clip.CLIP(**TINY).state_dict(), folder / "open_clip_pytorch_model.bin")
    pixels = {"mean": [0.48, 0.45, 0.4], "std": [0.26, 0.26, 0.27], **pixels}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": pixels}))
    return folder


def hf_folder(folder: Path, kind: str = "clip", seed: int = 0, **pixels: Any) -> Path:
    """Save a model of transformers with its image processor, and a tokenizer if it has a text side."""
    transformers = import_transformers()
    torch.manual_seed(seed)
    small = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**small, "image_size": SIDE_PX, "patch_size": 16}
    text = {**small, "vocab_size": len(WORDS) + 4, "max_position_embeddings": 10}
    square = {"height": SIDE_PX, "width": SIDE_PX}
    if kind == "clip":
        text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
        model = transformers.CLIPModel(
            transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
        )
        processor = transformers.CLIPImageProcessor(size={"shortest_edge": SIDE_PX}, crop_size=square, **pixels)
    elif kind == "siglip":
        model = transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision))
        processor = transformers.SiglipImageProcessor(size=square, **pixels)
    else:
        del vision["intermediate_size"]
        model = transformers.Dinov2Model(transformers.Dinov2Config(**vision))
        processor = transformers.BitImageProcessor(
            size={"shortest_edge": 37}, crop_size=square, do_center_crop=True, resample=3, **pixels
        )
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    if kind != "dinov2":
        word_tokenizer().save_pretrained(folder)
    return folder


def word_tokenizer() -> Any:
    """Return a tokenizer that knows `WORDS` and frames a text with a beginning and an end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    marks = {"<s>": 0, "</s>": 1, "<unk>": 2, "<pad>": 3}
    vocabulary = marks | {word: place + 4 for place, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return import_transformers().PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


def timm_weights(path: Path, seed: int = 0) -> Path:
    """Save weights of timm's smallest network, made for 10 classes."""
    torch.manual_seed(seed)
    torch.save(import_timm().create_model("test_vit", num_classes=10).state_dict(), path)
    return path


def onnx_file(path: Path, seed: int = 0, *, n_outputs: int = 1, sidecar: dict[str, Any] | None = None) -> Path:
    """Save a graph, and the file beside it."""
    torch.manual_seed(seed)

    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.line = torch.nn.Conv2d(3, 8, 8, 8), torch.nn.Linear(8, 5)

        def forward(self, pictures: Any) -> Any:
            features = self.conv(pictures).mean(dim=(2, 3))
            return (features, self.line(features))[:n_outputs]

    names = ["features", "line"][:n_outputs]
    torch.onnx.export(
        Net().eval(),
        (torch.zeros(1, 3, SIDE_PX, SIDE_PX),),
        str(path),
        input_names=["pictures"],
        output_names=names,
        dynamic_axes={"pictures": {0: "N"}, **{name: {0: "N"} for name in names}},
        dynamo=False,
    )
    said = {"resize_hw": [SIDE_PX, SIDE_PX], "crop_hw": [SIDE_PX, SIDE_PX], "mean": [0.5] * 3, "std": [0.25] * 3}
    path.with_name(f"{path.name}.json").write_text(json.dumps(said if sidecar is None else sidecar))
    return path


def python_file(folder: Path) -> Path:
    """Write a file with several modules of a user's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nets.py"
    path.write_text(CLASSIFIER)
    return path


def python_opening(folder: Path, seed: int = 0, name: str = "Tiny", **facts: Any) -> EmbedderOpening:
    """Return how a user's classifier for 4 classes, or another of the file's networks, is opened."""
    path = python_file(folder)
    namespace: dict[str, Any] = {}
    exec(compile(CLASSIFIER, "nets.py", "exec"), namespace)  # noqa: S102
    torch.manual_seed(seed)
    weights = folder / f"{name}{seed}.pth"
    torch.save(namespace[name](*([4] if name in ("Tiny", "Soft") else [])).state_dict(), weights)
    facts = {"image_size": SIDE_PX, **facts}
    return EmbedderOpening(f"python:{path}:{name}", weights, allow_code=True, **facts)


def own_model(folder: Path, seed: int = 0) -> Path:
    """Save a small network as our training does, and return its file."""
    torch.manual_seed(seed)
    card = ModelCard(
        name="mine",
        arch="small-cnn",
        class_names=("a", "b"),
        preprocessing=Preprocessing(crop_hw=(64, 64), resize_hw=(64, 64)),
    )
    return save_model(folder, card, SmallCnn(2).state_dict())[1]


def batch(space: VectorSpace) -> torch.Tensor:
    """Return three pictures as the network of a space takes them."""
    assert space.preprocessing is not None
    return torch.from_numpy(np.stack([prepare(scene(seed, 70, 50), space.preprocessing) for seed in range(3)]))


def vectors_of(opening: EmbedderOpening) -> np.ndarray:
    """Return the vectors of the same three pictures, by PyTorch."""
    found = open_embedder(replace(opening, runtime="torch", device="cpu"))
    return found.embed([found.prepare(at_hand(scene(seed, 70, 50))) for seed in range(3)])


def unit(vectors: Any) -> np.ndarray:
    """Return ``(N, D)`` scaled to unit length, in 64 bits."""
    found = np.asarray(vectors, np.float64)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


OPENINGS: dict[str, Callable[[Path, int], EmbedderOpening]] = {
    "clip": lambda folder, seed: EmbedderOpening(f"clip:{clip_folder(folder / 'clip', seed)}"),
    "colour-layout": lambda _folder, _seed: EmbedderOpening("colour-layout"),
    "hf": lambda folder, seed: EmbedderOpening(f"hf:{hf_folder(folder / 'hf', seed=seed)}"),
    "onnx": lambda folder, seed: EmbedderOpening(f"onnx:{onnx_file(folder / 'net.onnx', seed)}"),
    "python": lambda folder, seed: python_opening(folder / "code", seed),
    "timm": lambda folder, seed: EmbedderOpening("timm:test_vit", timm_weights(folder / "vit.pth", seed)),
    "torch": lambda folder, seed: EmbedderOpening(f"torch:{own_model(folder, seed)}"),
}
"""Kind to what saves one of its embedders into an empty folder, with weights drawn from a seed, and says how it opens.

All but ``vectors``, which embeds nothing.
"""
