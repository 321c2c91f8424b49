"""Embedders by name: the seam between those who want vectors of pictures or words and whoever makes them."""

from __future__ import annotations

from dataclasses import replace

from mekiki.errors import BackendError
from mekiki.models.base import Embedder, TextEmbedder
from mekiki.models.embed_opening import EmbedderOpening
from mekiki.models.embed_source import NetworkSource, Source, Tower
from mekiki.registry import Registry
from mekiki.training.vector_space import VectorSpace

__all__ = [
    "ABOUT_EMBEDDERS",
    "AUTO",
    "EMBEDDERS",
    "EmbedderOpening",
    "Tower",
    "has_network",
    "open_embedder",
    "open_space",
    "open_text_embedder",
    "open_tower",
    "resolve_embedder",
]

EMBEDDERS: Registry[Source] = Registry(
    "embedder",
    {
        "clip": "mekiki.models.embed_clip:ClipSource",
        "colour-layout": "mekiki.models.embed_layout:LayoutSource",
        "hf": "mekiki.models.embed_hf:HfSource",
        "onnx": "mekiki.models.embed_onnx:OnnxSource",
        "python": "mekiki.models.embed_python:PythonSource",
        "timm": "mekiki.models.embed_timm:TimmSource",
        "torch": "mekiki.models.embed_torch:TorchSource",
        "vectors": "mekiki.models.embed_layout:VectorsSource",
    },
)
"""Kinds of embedders."""

ABOUT_EMBEDDERS = {
    "auto": "clip:ViT-B-32/openai where its weights can be had, else colour-layout",
    "clip:ARCH/TAG": "open_clip: OpenAI, LAION, SigLIP …, pictures and words; clip:ARCH with --weights FILE",
    "clip:FOLDER": "a folder with open_clip_config.json and weights beside it",
    "colour-layout": "colour, edges and texture on a grid, without any weights",
    "hf:REPO": "transformers: CLIP, SigLIP (pictures and words), DINOv2 …, from the hub or a folder",
    "onnx:FILE": "an ONNX graph, with FILE.json that says how pictures are prepared",
    "python:FILE:CLASS": "a torch module of your own, with --weights FILE",
    "timm:NAME": "any model of timm, without its classifier",
    "torch:MODEL": "a trained model of yours, without its last layer",
    "vectors:NAME": "vectors that were imported, not made here",
}

AUTO = "auto"
PREFERRED, WITHOUT_WEIGHTS = "clip:ViT-B-32/openai", "colour-layout"


def resolve_embedder(opening: EmbedderOpening) -> tuple[EmbedderOpening, str]:
    """Return the opening with a real embedder in the place of ``auto``, and why it was taken; else as it is, and "".

    ``auto`` fetches weights if they are not here and may be fetched.

    Raises:
        UsageError: If there is no such embedder.
    """
    if opening.name != AUTO:
        EMBEDDERS.check(opening.name)
        return opening, ""
    from mekiki.models.embed_clip import fetch_tag

    wanted = replace(opening, name=PREFERRED)
    try:
        if opening.weights is None:
            fetch_tag(wanted)
    except BackendError as error:
        return replace(
            opening, name=WITHOUT_WEIGHTS
        ), f"embedder {WITHOUT_WEIGHTS}: {str(error).partition('. Ways out')[0]}"
    return wanted, f"embedder {PREFERRED}"


def has_network(opening: EmbedderOpening) -> bool:
    """Return whether an embedder is a network, for which runtimes and precisions exist.

    Raises:
        UsageError: If there is no such embedder.
    """
    return isinstance(_source(opening), NetworkSource)


def open_space(opening: EmbedderOpening) -> VectorSpace:
    """Return what an embedder's vectors are; its weights are read for that.

    Raises:
        UsageError: If there is no such embedder, it does not go with what else is asked for, or is code that is not
            allowed.
        BackendError: If a package is missing, or weights cannot be had, read or fitted into the network.
    """
    resolved, _ = resolve_embedder(opening)
    return _source(resolved).space(resolved)


def open_tower(opening: EmbedderOpening) -> Tower:
    """Return an embedder's network before a runtime runs it.

    Raises:
        UsageError: As `open_space`.
        BackendError: As `open_space`, and if it has none.
    """
    resolved, _ = resolve_embedder(opening)
    return _source(resolved).tower(resolved)


def open_embedder(opening: EmbedderOpening) -> Embedder:
    """Return an embedder ready to embed.

    Raises:
        UsageError: As `open_space`, and if the runtime has no such device or precision.
        BackendError: As `open_space`, and if the runtime cannot run it.
    """
    resolved, _ = resolve_embedder(opening)
    return _source(resolved).embedder(resolved)


def open_text_embedder(opening: EmbedderOpening) -> TextEmbedder:
    """Return the text side of an embedder, in PyTorch on the CPU.

    Raises:
        UsageError: As `open_space`.
        BackendError: As `open_space`, and if it has no text side.
    """
    resolved, _ = resolve_embedder(opening)
    return _source(resolved).text(resolved)


def _source(opening: EmbedderOpening) -> Source:
    return EMBEDDERS.load(opening.name)()
