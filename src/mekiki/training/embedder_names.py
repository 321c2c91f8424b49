"""Names of embedders: files and folders in them, which mean the same from every folder once they are absolute."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mekiki.dataset.formats.base import plain_path

CLIP_CONFIG = "open_clip_config.json"
"""What makes a folder one of open_clip's."""

OutputName = Literal["projected", "pooler"]

OUTPUTS: tuple[OutputName, ...] = ("projected", "pooler")
"""What a network can give, as ``#projected`` or ``#pooler`` behind its name says."""


def lasting_name(embedder: str) -> str:
    """Return the name of an embedder with the absolute path of what it is, where it is a file or a folder that exists.

    Args:
        embedder: As ``embed --embedder`` takes it. Names of published models, and of what is not there, stay.

    Example:
        >>> lasting_name("clip:ViT-B-32/openai")
        'clip:ViT-B-32/openai'
    """
    kind, _, what = embedder.partition(":")
    if kind == "vectors" and what:
        return f"{kind}:{lasting_name(what)}"
    end = next((f"#{one}" for one in OUTPUTS if what.endswith(f"#{one}")), "")
    what = what.removesuffix(end)
    if kind == "python":
        what, colon, name = what.rpartition(":")
        end = f"{colon}{name}{end}"
    path = Path(what)
    is_there = {
        "clip": (path / CLIP_CONFIG).is_file,
        "hf": path.is_dir,
        "onnx": path.is_file,
        "python": path.is_file,
        "torch": path.is_file,
    }
    return f"{kind}:{plain_path(path)}{end}" if kind in is_there and what and is_there[kind]() else embedder
