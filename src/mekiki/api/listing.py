"""The names that can be given elsewhere: recipes, formats, stages, annotators, detectors, embedders and so on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import yaml

from mekiki.api.recipes import shipped_recipes
from mekiki.api.verbs import STAGES
from mekiki.dataset.formats.registry import READERS, WRITERS
from mekiki.engine.rare_export import SEED2 as RARE_OBJECTS
from mekiki.errors import UsageError, unknown_name
from mekiki.models.captioners import ABOUT_CAPTIONERS
from mekiki.models.detect import ABOUT_DETECTORS
from mekiki.models.embed import ABOUT_EMBEDDERS
from mekiki.stages.export import MODEL_FORMATS
from mekiki.training.pretrained import TORCHVISION

ABOUT_ANNOTATORS = {
    "vlm:MODEL": "a vision-language model behind an OpenAI-compatible server",
    "import:NAME": "label files of another tool or model",
    "human:NAME": "label files that a person has filled in",
    "zero-shot:EMBEDDER": "stored vectors beside the names of the classes; needs an embedder with words",
}
ABOUT_SCORERS = {
    "knn": "far from its nearest neighbours (the default)",
    "isolation": "quickly cut off by random cuts: isolation forest",
    "lof": "in a thinner place than its neighbours: local outlier factor",
    "class-lof": "the same among things of its own class",
    "frequency": "its class is rare, or is called by a keyword",
    "map": "in a thin place of a map of two dimensions",
    "unlike-common": "unlike the words for all common classes; needs an embedder with words",
}
ABOUT_RUNTIMES = {
    "torch": "PyTorch, on a processor or a GPU",
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO, on a processor",
}


def known_names(what: str | None = None) -> dict[str, dict[str, str]]:
    """Return topic to name to a few words about it.

    Args:
        what: One topic; None for all.

    Raises:
        UsageError: If there is no such topic, with the nearest.
    """
    topics: dict[str, Callable[[], Mapping[str, str]]] = {
        "recipes": _recipes,
        "formats": _formats,
        "stages": _stages,
        "annotators": lambda: ABOUT_ANNOTATORS,
        "detectors": lambda: ABOUT_DETECTORS,
        "embedders": lambda: ABOUT_EMBEDDERS,
        "scorers": lambda: ABOUT_SCORERS,
        "captioners": lambda: ABOUT_CAPTIONERS,
        "backbones": _backbones,
        "runtimes": lambda: ABOUT_RUNTIMES,
    }
    if what is not None and what not in topics:
        raise unknown_name("topic", what, topics)
    return {name: dict(find()) for name, find in topics.items() if what in (None, name)}


def copy_recipes(folder: Path) -> list[Path]:
    """Copy the shipped recipes and their example lists, to be changed; files that are there are left alone.

    Returns:
        The files that were written.

    Raises:
        UsageError: If nothing can be written there.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in files("mekiki").joinpath("recipes").iterdir():
            path = folder / entry.name
            if entry.is_file() and not path.exists():
                path.write_text(entry.read_text(encoding="utf-8"), encoding="utf-8")
                written.append(path)
    except OSError as error:
        raise UsageError(f"cannot write recipes to {folder} ({error.strerror}): give a folder") from error
    return sorted(written)


def _recipes() -> dict[str, str]:
    folder = files("mekiki").joinpath("recipes")
    texts = {name: folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8") for name in shipped_recipes()}
    return {name: str(yaml.safe_load(text)["description"]) for name, text in texts.items()}


def _formats() -> dict[str, str]:
    read, written = set(READERS.names()), set(WRITERS.names())
    ways = {(True, True): "read and written", (True, False): "read", (False, True): "written"}
    of_items = {name: ways[name in read, name in written] for name in sorted(read | written)}
    of_others = dict.fromkeys(MODEL_FORMATS, "written, of a model") | {RARE_OBJECTS: "written, of what mine has ranked"}
    return of_items | of_others


def _backbones() -> dict[str, str]:
    """Return what ``train --arch`` takes; timm's many are not counted one by one."""
    return {
        "small-cnn": "a tiny network for machines without GPU or weights",
        **{name: f"of torchvision, pretrained on ImageNet ({weights})" for name, weights in TORCHVISION.items()},
        "timm:NAME": "any model of timm, also by its bare name",
        "python:FILE:CLASS": "a torch module of your own",
    }


def _stages() -> dict[str, str]:
    found = {}
    for name in STAGES.names():
        module = import_module(STAGES.load(name).__module__)
        found[name] = (module.__doc__ or "").strip().splitlines()[0].partition(": ")[2]
    return found
