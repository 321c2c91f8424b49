"""Small models of transformers with random weights, saved to disk as users have them: detectors, a chat model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mekiki.training.packages import import_transformers

CLASSES = ("car", "bus", "person", "dog", "traffic light")
WORDS = ("a", "red", "car", "bus", "person", "dog", "traffic", "light", ".", "what", "is", "this", "name", "it")
MARKS = ("<pad>", "<s>", "</s>", "<unk>")
CHAT_MARKS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
N_QUERIES = 12
SQUARE = {"height": 64, "width": 64}
EDGES = {"shortest_edge": 48, "longest_edge": 80}
DECODER = {
    "decoder_layers": 2,
    "decoder_ffn_dim": 16,
    "decoder_attention_heads": 2,
    "encoder_layers": 1,
    "encoder_ffn_dim": 16,
    "encoder_attention_heads": 2,
}


def _residual(kind: str) -> Any:
    return getattr(import_transformers(), kind)(
        embedding_size=8,
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"] if kind == "RTDetrResNetConfig" else ["stage4"],
    )


def _hgnet() -> Any:
    return import_transformers().HGNetV2Config(
        embedding_size=8,
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        stem_channels=[3, 8, 8],
        out_features=["stage2", "stage3", "stage4"],
        stage_in_channels=[8, 8, 8, 16],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[8, 8, 16, 16],
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[2, 2, 2, 2],
    )


def _rt_detr(kind: str, backbone: Any, n_points: Any = 2) -> Any:
    transformers = import_transformers()
    config = getattr(transformers, f"{kind}Config")(
        backbone_config=backbone,
        **DECODER,
        encoder_hidden_dim=16,
        encoder_in_channels=[8, 16, 16],
        decoder_in_channels=[16, 16, 16],
        d_model=16,
        num_queries=N_QUERIES,
        decoder_n_points=n_points,
        **_labels(),
    )
    return getattr(transformers, f"{kind}ForObjectDetection")(config), transformers.RTDetrImageProcessor(size=SQUARE)


def _detr() -> Any:
    transformers = import_transformers()
    config = transformers.DetrConfig(
        backbone_config=_residual("ResNetConfig"),
        use_timm_backbone=False,
        **DECODER,
        d_model=16,
        num_queries=N_QUERIES,
        **_labels(),
    )
    return transformers.DetrForObjectDetection(config), transformers.DetrImageProcessor(size=EDGES)


def _conditional_detr() -> Any:
    transformers = import_transformers()
    config = transformers.ConditionalDetrConfig(
        backbone_config=_residual("ResNetConfig"),
        use_timm_backbone=False,
        **DECODER,
        d_model=16,
        num_queries=N_QUERIES,
        **_labels(),
    )
    model = transformers.ConditionalDetrForObjectDetection(config)
    return model, transformers.ConditionalDetrImageProcessor(size=EDGES)


def _yolos() -> Any:
    transformers = import_transformers()
    config = transformers.YolosConfig(
        **_tower(), image_size=[48, 64], patch_size=16, num_detection_tokens=N_QUERIES, **_labels()
    )
    processor = transformers.YolosImageProcessor(size={"shortest_edge": 48, "longest_edge": 64})
    return transformers.YolosForObjectDetection(config), processor


def _owl(kind: str) -> Any:
    transformers = import_transformers()
    text = _tower() | {"vocab_size": 40, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2}
    config = getattr(transformers, f"{kind}Config")(
        text_config=text, vision_config=_tower() | {"image_size": 64, "patch_size": 16}, projection_dim=16
    )
    processor = getattr(transformers, f"{kind}ImageProcessor")(size=SQUARE)
    return getattr(transformers, f"{kind}ForObjectDetection")(config), processor


def _grounding_dino() -> Any:
    transformers = import_transformers()
    swin = transformers.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )
    config = transformers.GroundingDinoConfig(
        backbone_config=swin,
        text_config=_tower() | {"model_type": "bert", "vocab_size": 40, "max_position_embeddings": 32},
        **DECODER,
        d_model=32,  # its normalisation has 32 groups
        num_queries=N_QUERIES,
        max_text_len=24,
    )
    model = transformers.GroundingDinoForObjectDetection(config)
    return model, transformers.GroundingDinoImageProcessor(size=EDGES)


DETECTORS: Mapping[str, Callable[[], Any]] = {
    "conditional_detr": _conditional_detr,
    "d_fine": lambda: _rt_detr("DFine", _hgnet(), [2, 2, 2]),
    "detr": _detr,
    "grounding-dino": _grounding_dino,
    "owlv2": lambda: _owl("Owlv2"),
    "owlvit": lambda: _owl("OwlViT"),
    "rt_detr": lambda: _rt_detr("RTDetr", _residual("RTDetrResNetConfig")),
    "rt_detr_v2": lambda: _rt_detr("RTDetrV2", _residual("RTDetrResNetConfig")),
    "yolos": _yolos,
}
"""Family to what makes one of its models and its image processor."""

OPEN = ("grounding-dino", "owlv2", "owlvit")
"""Families that look for words."""


def detector_folder(folder: Path, family: str, seed: int = 0) -> Path:
    """Save a detector with its image processor, and a tokenizer if it looks for words."""
    torch.manual_seed(seed)
    model, processor = DETECTORS[family]()
    for parameter in model.parameters():  # as they are drawn, boxes and scores hardly differ from each other
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1 if family in ("grounding-dino", "d_fine") else 0.3)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    if family in OPEN:
        tokenizer().save_pretrained(folder)
    return folder


def tokenizer(marks: tuple[str, ...] = ()) -> Any:
    """Return a tokenizer that knows `WORDS`, `MARKS` and further marks; it frames a text if there are none of these."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: place for place, word in enumerate((*MARKS, *WORDS, *marks))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if not marks:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    return import_transformers().PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        additional_special_tokens=list(marks),
    )


def _labels() -> dict[str, Any]:
    return {"id2label": dict(enumerate(CLASSES)), "label2id": {name: place for place, name in enumerate(CLASSES)}}


def _tower() -> dict[str, int]:
    return {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


CHAT = (
    "{% for message in messages %}<|im_start|>{% for part in message.content %}{% if part.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)


def qwen_folder(folder: Path, family: str = "qwen2_vl", seed: int = 0, chat: str | None = CHAT) -> Path:
    """Save a chat model that sees, with its processor; ``qwen2_vl``, ``qwen2_5_vl`` or ``qwen3_vl``."""
    transformers = import_transformers()
    torch.manual_seed(seed)
    words = tokenizer(CHAT_MARKS)
    ids = {name: words.convert_tokens_to_ids(mark) for name, mark in zip(CHAT_IDS, CHAT_MARKS[2:], strict=True)}
    text = {
        **_tower(),
        **{"vocab_size": len(words), "num_key_value_heads": 2, "max_position_embeddings": 512},
        **{"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
    }
    kind = {"qwen2_vl": "Qwen2VL", "qwen2_5_vl": "Qwen2_5_VL", "qwen3_vl": "Qwen3VL"}[family]
    vision = {"depth": 2, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2}
    if family == "qwen2_vl":
        vision |= {"embed_dim": 16, "hidden_size": 16, "mlp_ratio": 2}
    else:
        vision |= {"hidden_size": 16, "out_hidden_size": 16, "intermediate_size": 16}
    if family == "qwen2_5_vl":
        vision |= {"fullatt_block_indexes": [1], "window_size": 16}
    if family == "qwen3_vl":
        vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
        text |= {"head_dim": 8}
    config = getattr(transformers, f"{kind}Config")(text_config=text, vision_config=vision, **ids)
    model = getattr(transformers, f"{kind}ForConditionalGeneration")(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():  # it never says that there is a picture where there is none
        model.get_output_embeddings().weight[words.convert_tokens_to_ids(CHAT_MARKS[0]) :] = 0
    # as the published ones say how they are usually asked
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, temperature=0.7, top_k=20, repetition_penalty=1.05, bos_token_id=1, eos_token_id=[2, 0]
    )
    sizes = {"patch_size": 4, "merge_size": 2, "size": {"shortest_edge": 256, "longest_edge": 1024}}
    processor = getattr(transformers, "Qwen2VLProcessor" if family == "qwen2_vl" else f"{kind}Processor")(
        image_processor=transformers.Qwen2VLImageProcessor(**sizes),
        tokenizer=words,
        video_processor=getattr(transformers, "Qwen3VLVideoProcessor" if family == "qwen3_vl" else VIDEO)(**sizes),
        chat_template=chat,
    )
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


CHAT_IDS = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
VIDEO = "Qwen2VLVideoProcessor"
