"""Embedders of open_clip: OpenAI's CLIP, LAION's, SigLIP and others, pictures and words in one space."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError, UsageError, unknown_name
from mekiki.media.preprocessing import Preprocessing
from mekiki.models.base import TextEmbedder
from mekiki.models.embed_hub import first_line, hub_access
from mekiki.models.embed_opening import EmbedderOpening
from mekiki.models.embed_source import LoadedTower, NetworkSource, loaded_module
from mekiki.models.embed_text import in_batches
from mekiki.training.embedder_names import CLIP_CONFIG, OUTPUTS
from mekiki.training.packages import import_open_clip, import_torch
from mekiki.training.vector_space import VectorSpace

if TYPE_CHECKING:
    from torch import nn

LOCAL = "local-dir:"
"""What open_clip puts before a folder."""

_DAMAGE = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, OSError, EOFError)
"""What open_clip was seen to raise, or may raise, at a file that is no checkpoint of the network."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which model of open_clip's: ``arch`` as open_clip names it, ``tag`` of its weights, ``config`` of its layers."""

    arch: str
    tag: str
    config: Mapping[str, Any]

    @property
    def is_local(self) -> bool:
        return self.arch.startswith(LOCAL)

    @property
    def name(self) -> str:
        return f"clip:{self.arch.removeprefix(LOCAL)}{'/' if self.tag else ''}{self.tag}"

    @property
    def is_quick(self) -> bool:
        """Whether its activation is OpenAI's approximation, QuickGELU; the weights' word goes before the network's."""
        return bool((self.published() or self.config).get("quick_gelu"))

    def published(self) -> Mapping[str, Any]:
        """Return what open_clip says of the weights: where they are, their pixels, their activation."""
        return import_open_clip().get_pretrained_cfg(self.arch, self.tag) if self.tag else {}


class ClipSource(NetworkSource):
    """``clip:ARCH/TAG``, ``clip:ARCH`` with a file of weights, or ``clip:FOLDER`` with open_clip's configuration.

    With a tag and a file, the file holds the tensors, and the tag says how pictures are prepared and which activation
    the network has: OpenAI's are QuickGELU networks, whether or not ``ARCH`` says so.
    """

    def load(self, opening: EmbedderOpening) -> LoadedTower:
        """Load the picture side."""
        choice = _choose(opening)
        return _loaded(opening, choice, _load_model(opening, choice))

    def text(self, opening: EmbedderOpening) -> TextEmbedder:
        """Return the text side; what is longer than the model reads is cut, as its tokenizer does."""
        if opening.chosen_output(OUTPUTS, "projected") == "pooler":
            raise BackendError(f"{opening.name}: pictures before the projection share no space with words")
        choice = _choose(opening)
        model = _load_model(opening, choice)
        tokens_from = "" if choice.is_local else choice.config["text_cfg"].get("hf_tokenizer_name", "")
        try:
            with hub_access(opening, tokens_from, "tokenizer") if tokens_from else nullcontext():
                tokenize = import_open_clip().get_tokenizer(choice.arch)
        except (OSError, ValueError, RuntimeError) as error:
            raise BackendError(f"{opening.name} has no tokenizer that can be read: {first_line(error)}") from error
        return ClipText(_loaded(opening, choice, model).space, model, tokenize)


class ClipText:
    """See `mekiki.models.base.TextEmbedder`."""

    def __init__(self, space: VectorSpace, model: Any, tokenize: Any) -> None:
        self.space = space
        self._model = model
        self._tokenize = tokenize

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return ``(N, D)`` vectors."""
        return in_batches(texts, self.space.n_dims, lambda some: self._model.encode_text(self._tokenize(some)))


def fetch_tag(opening: EmbedderOpening) -> Path:
    """Return the file of published weights, out of the cache or fetched into it.

    Raises:
        MissingExtraError: If open_clip is not installed.
        UsageError: If there is no such model or no such weights.
        BackendError: If they are not in the cache and cannot be fetched.
    """
    choice = _choose(opening)
    published, open_clip = choice.published(), import_open_clip()
    if not published:
        tags = open_clip.list_pretrained_tags_by_model(choice.arch)
        example = f"clip:{choice.arch}/{'openai' if 'openai' in tags else tags[0]}, or " if tags else ""
        raise UsageError(f"{opening.name} does not say which weights. Type: {example}--weights FILE")
    with hub_access(opening, str(published.get("hf_hub", "")).rpartition("/")[0]):
        return Path(open_clip.download_pretrained(published))


def _loaded(opening: EmbedderOpening, choice: _Choice, model: Any) -> LoadedTower:
    """Return the picture side of a model, which is changed if its projection is left out."""
    visual, how = model.visual, clip_preprocessing(opening.name, model.visual.preprocess_cfg)
    output = opening.chosen_output(OUTPUTS if _has_projection(visual) else ("projected",), "projected")
    facts = {"arch": choice.config, "quick": choice.is_quick, "tensors": model.state_dict(), "output": output}
    if output == "pooler":
        visual.proj = None
    if isinstance(model, import_open_clip().CoCa):
        from mekiki.models.embed_networks import FirstOutput

        visual = FirstOutput(visual)
    return loaded_module(replace(opening, name=choice.name, output=output), visual, how, facts, "projected")


def _choose(opening: EmbedderOpening) -> _Choice:
    opening.refuse_preprocessing("by its architecture and weights")
    open_clip = import_open_clip()
    if (Path(opening.what) / CLIP_CONFIG).is_file():
        opening.refuse_weights()
        return _Choice(f"{LOCAL}{opening.what}", "", _read_config(Path(opening.what) / CLIP_CONFIG))
    if opening.what.startswith((".", "/", "~")):
        raise BackendError(f"there is no {CLIP_CONFIG} in a folder {opening.what}")
    arch, tag = opening.what.replace("/", "-"), ""  # OpenAI writes ViT-B/32, open_clip ViT-B-32
    config = open_clip.get_model_config(arch)
    if config is None and "/" in opening.what:
        before, _, tag = opening.what.rpartition("/")
        arch = before.replace("/", "-")
        config = open_clip.get_model_config(arch)
    if config is None:
        raise unknown_name("model of open_clip", arch, open_clip.list_models())
    if tag and not open_clip.is_pretrained_cfg(arch, tag):
        raise unknown_name(f"tag of {arch}", tag, open_clip.list_pretrained_tags_by_model(arch))
    return _Choice(arch, tag, config)


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BackendError(f"{path} is no configuration of open_clip's: {first_line(error)}") from error
    if not isinstance(config, dict) or not all(isinstance(config.get(f"{part}_cfg"), dict) for part in _SIDES):
        raise BackendError(f"{path} is no configuration of open_clip's: model_cfg is no object with two sides in it")
    return config


def _load_model(opening: EmbedderOpening, choice: _Choice) -> Any:
    """Return open_clip's model in fp32 on the CPU, ready for evaluation."""
    open_clip, torch = import_open_clip(), import_torch()
    options: dict[str, Any] = {}
    file = None
    if not choice.is_local:
        file = opening.weights or fetch_tag(opening)
        published = choice.published()
        if published:
            pixels = {name: published[name] for name in _PIXELS if published.get(name) is not None}
            options = {"force_preprocess_cfg": pixels, "quick_gelu": choice.is_quick}
        if not file.is_file():
            raise BackendError(f"there is no file of weights {file.absolute()}. Say where it is: --weights FILE")
    text_from = choice.config.get("text_cfg", {}).get("hf_model_name", "")  # its configuration is on the hub
    guard = hub_access(opening, text_from, "text side") if text_from else nullcontext()
    try:
        with guard, warnings.catch_warnings(), torch.random.fork_rng(devices=[]):  # its first weights are replaced
            warnings.simplefilter("ignore")
            model = open_clip.create_model(
                choice.arch, pretrained=None if file is None else str(file), require_pretrained=True, **options
            )
    except UnpicklingError as error:
        raise BackendError(f"{file or opening.what} is no PyTorch checkpoint of nothing but tensors") from error
    except _DAMAGE as error:
        if "TorchScript" in str(error):
            raise BackendError(
                f"{file} is a program (TorchScript), as OpenAI published CLIP, and is not run. Take the same tensors "
                f"as open_clip keeps them, with {opening.name}{'' if choice.tag else '/openai'} and without --weights"
            ) from error
        raise BackendError(f"{file or opening.what} does not hold {choice.name}: {first_line(error)}") from error
    return model.eval()


_SIDES = ("vision", "text")
_PIXELS = ("mean", "std", "interpolation", "resize_mode")


def _has_projection(visual: nn.Module) -> bool:
    from torch import nn

    return isinstance(getattr(visual, "proj", None), nn.Parameter)


def clip_preprocessing(name: str, said: Mapping[str, Any]) -> Preprocessing:
    """Return what open_clip says of a model's pixels as ours.

    Raises:
        BackendError: If it wants what ours cannot do.
    """
    size = said["size"]
    height, width = (size, size) if isinstance(size, int) else size
    mode = said["resize_mode"] or "shortest"
    if mode not in ("shortest", "squash") or (mode == "shortest" and height != width):
        raise BackendError(
            f"{name} wants pictures resized by their {mode} side to {width} x {height} px with a margin: "
            "mekiki does not"
        )
    return Preprocessing(
        resize="squash" if mode == "squash" else "short-side",
        resize_hw=(height, width),
        crop_hw=(height, width),
        interpolation="bilinear" if said["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(said["mean"]),
        std=tuple(said["std"]),
    )
