"""Embedders of transformers: CLIP and SigLIP, with their text side, DINOv2 and other vision models with a pooler."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mekiki.errors import BackendError
from mekiki.media.preprocessing import Interpolation, Preprocessing
from mekiki.models.base import TextEmbedder
from mekiki.models.embed_hub import hub_access
from mekiki.models.embed_opening import EmbedderOpening
from mekiki.models.embed_source import LoadedTower, NetworkSource, loaded_module
from mekiki.models.embed_text import in_batches
from mekiki.models.hf_files import loading, refuse_missing
from mekiki.training.embedder_names import OutputName
from mekiki.training.packages import import_torch, import_transformers
from mekiki.training.pretrained import is_offline
from mekiki.training.vector_space import VectorSpace

PROCESSORS = frozenset({"Bit", "CLIP", "DeiT", "Siglip", "ViT"})
"""Image processors that resize, crop the middle, scale and normalise, and do nothing else."""

RESAMPLING: Mapping[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers to ours."""

FIXED_LENGTH = ("siglip", "siglip2")
"""Models whose text side was trained on texts filled up to its full length, and looks at what fills them too."""


class HfSource(NetworkSource):
    """``hf:OWNER/NAME`` from the hub or its cache, or ``hf:FOLDER``; programs that come with a model are never run."""

    def load(self, opening: EmbedderOpening) -> LoadedTower:
        """Load the picture side."""
        model, config = _load_model(opening)
        loaded = _loaded(opening, model, config)
        if _has_text(model):
            model.text_model = None  # half of the memory, for nothing
        return loaded

    def text(self, opening: EmbedderOpening) -> TextEmbedder:
        """Return the text side; what is longer than the model reads is cut, as its tokenizer does."""
        model, config = _load_model(opening)
        if not _has_text(model):
            return super().text(opening)
        loaded = _loaded(opening, model, config)
        if loaded.space.embedder != opening.full_name("projected", "projected"):
            raise BackendError(f"{opening.name}: pictures before the projection share no space with words")
        with _loading(opening, "tokenizer"):
            tokenizer = import_transformers().AutoTokenizer.from_pretrained(opening.what, **_from_where(opening))
        return HfText(loaded.space, model, tokenizer)


class HfText:
    """See `mekiki.models.base.TextEmbedder`."""

    def __init__(self, space: VectorSpace, model: Any, tokenizer: Any) -> None:
        self.space = space
        self._model = model
        self._tokenizer = tokenizer
        self._is_filled = model.config.model_type in FIXED_LENGTH
        self._length = model.config.text_config.max_position_embeddings

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return ``(N, D)`` vectors."""
        return in_batches(texts, self.space.n_dims, self._embed)

    def _embed(self, texts: list[str]) -> Any:
        tokens = self._tokenizer(
            texts,
            padding="max_length" if self._is_filled else True,
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
        )
        mask = None if self._is_filled else tokens["attention_mask"]
        found = self._model.get_text_features(input_ids=tokens["input_ids"], attention_mask=mask)
        return found if isinstance(found, import_torch().Tensor) else found.pooler_output


def _has_text(model: Any) -> bool:
    return hasattr(model, "get_text_features")


def _loaded(opening: EmbedderOpening, model: Any, config: Mapping[str, Any]) -> LoadedTower:
    from mekiki.models.embed_networks import HfPooler, HfProjected

    how = _preprocessing(opening)
    has_projection = hasattr(model, "get_image_features")
    usual: OutputName = "projected" if has_projection else "pooler"
    output = opening.chosen_output(("projected", "pooler") if has_projection else ("pooler",), usual)
    facts = {"config": config, "tensors": model.state_dict(), "output": output}
    module = HfProjected(model) if output == "projected" else HfPooler(getattr(model, "vision_model", model))
    return loaded_module(opening, module, how, facts, usual)


def _load_model(opening: EmbedderOpening) -> tuple[Any, Mapping[str, Any]]:
    """Return the model in fp32 on the CPU, and its configuration as it stands in its file."""
    opening.refuse_weights()
    opening.refuse_preprocessing("in its preprocessor_config.json")
    transformers, torch = import_transformers(), import_torch()
    where = _from_where(opening)
    with _loading(opening, "model"), torch.random.fork_rng(devices=[]):
        config, _ = transformers.PreTrainedConfig.get_config_dict(opening.what, **where)
        model, report = transformers.AutoModel.from_pretrained(
            opening.what, dtype=torch.float32, output_loading_info=True, **where
        )
    refuse_missing(opening.name, report)
    logging.getLogger("transformers.modeling_utils").addFilter(_says_nothing_of_loss)
    told = {name: value for name, value in config.items() if name not in ("transformers_version", "_name_or_path")}
    return model.eval(), told


def _says_nothing_of_loss(record: logging.LogRecord) -> bool:
    """Leave out that a model has no loss, which transformers says when whoever traces it asks for all it has."""
    return "`loss_type=" not in record.getMessage()


def _from_where(opening: EmbedderOpening) -> dict[str, Any]:
    """Return how transformers looks for a file.

    Raises:
        BackendError: If the name is that of a folder which does not exist.
    """
    is_folder = Path(opening.what).is_dir()
    if not is_folder and (opening.what.count("/") != 1 or opening.what.startswith((".", "/", "~"))):
        raise BackendError(f"{opening.what!r} is neither a folder nor OWNER/NAME of a repository on the hub")
    return {"local_files_only": is_folder or is_offline(), "trust_remote_code": False}


@contextmanager
def _loading(opening: EmbedderOpening, what: str) -> Iterator[None]:
    """Let transformers look in a folder, the hub's cache or the hub; what it raises becomes one line of ours."""
    is_folder = Path(opening.what).is_dir()
    with loading(opening.name, what), nullcontext() if is_folder else hub_access(opening, opening.what, what):
        yield


def _preprocessing(opening: EmbedderOpening) -> Preprocessing:
    transformers = import_transformers()
    with _loading(opening, "image processor"):
        found = transformers.AutoImageProcessor.from_pretrained(opening.what, backend="pil", **_from_where(opening))
    kind = type(found).__name__.removesuffix("Pil").removesuffix("Fast").removesuffix("ImageProcessor")
    if kind not in PROCESSORS:
        raise BackendError(
            f"{opening.name} prepares its pictures with {type(found).__name__}, which mekiki cannot do. "
            f"Known: those of {', '.join(sorted(PROCESSORS))}"
        )
    return hf_preprocessing(opening.name, found.to_dict())


def hf_preprocessing(name: str, said: Mapping[str, Any]) -> Preprocessing:
    """Return an image processor's settings as ours.

    Args:
        name: Of the embedder, for messages.
        said: As ``preprocessor_config.json`` has them, complete.

    Raises:
        BackendError: If they ask for what ours cannot do, naming it.
    """
    size, crop = dict(said.get("size") or {}), dict(said.get("crop_size") or {})
    size = {key: value for key, value in size.items() if value is not None}
    is_squashed = set(size) == {"height", "width"}
    troubles = {
        "do_resize is false": not said.get("do_resize"),
        "do_rescale is false": not said.get("do_rescale"),
        "do_pad is true": bool(said.get("do_pad")),
        f"rescale_factor is {said.get('rescale_factor')}": abs(said.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-6,
        f"resample is {said.get('resample')}": said.get("resample") not in RESAMPLING,
        f"size is {size}": not is_squashed and set(size) != {"shortest_edge"},
        "pictures keep their shape and are not cropped": not is_squashed and not said.get("do_center_crop"),
    }
    trouble = next((words for words, is_so in troubles.items() if is_so), None)
    if trouble:
        raise BackendError(f"{name} prepares its pictures in a way that mekiki cannot: {trouble}")
    resized = (size["height"], size["width"]) if is_squashed else (size["shortest_edge"],) * 2
    normalises = bool(said.get("do_normalize"))
    try:
        return Preprocessing(
            resize="squash" if is_squashed else "short-side",
            resize_hw=resized,
            crop_hw=(crop["height"], crop["width"]) if said.get("do_center_crop") else resized,
            interpolation=RESAMPLING[int(said["resample"])],
            mean=tuple(said["image_mean"]) if normalises else (0.0, 0.0, 0.0),
            std=tuple(said["image_std"]) if normalises else (1.0, 1.0, 1.0),
            crop_start="floor",
        )
    except (ValidationError, KeyError, TypeError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else f"it lacks {error}"
        raise BackendError(f"{name} prepares its pictures in a way that mekiki cannot: {why}") from error
