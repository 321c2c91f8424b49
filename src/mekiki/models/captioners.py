"""Who puts pictures into words, by name: the seam between ``caption`` and whoever it asks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from mekiki.errors import UsageError
from mekiki.records import Image
from mekiki.registry import Registry

AUTO, VLM, LOCAL, CLASS_NAME = "auto", "vlm", "qwen-vl", "class-name"


class Describer(Protocol):
    """A model on this machine that is shown pictures, each with a question, and answers in words."""

    identity: str
    """All that decides its texts: its kind, weights and decoding."""

    device: str
    """What it runs on, in words."""

    def describe(self, images: Sequence[Image], prompts: Sequence[str]) -> list[str]:
        """Return one text per picture, in the same order; no pictures give none."""
        ...


class ClassName:
    """Nobody: what the detector took a thing for stands in, under its mapped name."""


CAPTIONERS: Registry[Any] = Registry(
    "captioner",
    {
        AUTO: "mekiki.models.captioners:ClassName",
        VLM: "mekiki.models.describe_vlm:DescribeTopic",
        LOCAL: "mekiki.models.describe_qwen:QwenDescriber",
        CLASS_NAME: "mekiki.models.captioners:ClassName",
    },
)
"""``vlm:MODEL`` and ``qwen-vl:REPO_OR_FOLDER`` say more; `resolve_captioner` says what ``auto`` is."""

ABOUT_CAPTIONERS = {
    "auto": "vlm where OPENAI_BASE_URL is set, or OPENAI_API_KEY and --max-cost are; else class-name",
    "vlm:MODEL": "a vision-language model behind an OpenAI-compatible server, as annotate asks it",
    "qwen-vl:REPO": "Qwen2-VL and newer on this machine through transformers, from the hub or a folder",
    "class-name": "no model: the detector's class, under its mapped name",
}


def check_captioner(name: str) -> str:
    """Return the name of a captioner as it is.

    Raises:
        UsageError: If there is none of that name, or it lacks a part, or has one too many.
    """
    CAPTIONERS.check(name)
    base, colon, what = name.partition(":")
    if base in (AUTO, CLASS_NAME) and colon:
        raise UsageError(f"captioner {base} takes no name behind it, got {name!r}: --captioner {base}")
    if base == LOCAL and not what.strip():
        raise UsageError(
            "captioner qwen-vl needs a model: --captioner qwen-vl:Qwen/Qwen2-VL-2B-Instruct, or a folder in its place"
        )
    return name


def resolve_captioner(name: str, *, has_cap: bool) -> tuple[str, str]:
    """Return a real captioner in the place of ``auto``, and why it was taken; else the name as it is, and "".

    A key alone is not enough: it may belong to something else, and pictures would be sent and paid for unasked.

    Args:
        name: As the user gave it.
        has_cap: Whether the user has said what asking may cost.
    """
    if name != AUTO:
        return name, ""
    told = "captioner class-name, so that texts are the names of classes"
    has_server, has_key = bool(os.environ.get("OPENAI_BASE_URL")), bool(os.environ.get("OPENAI_API_KEY"))
    if not has_server and not has_key:
        return CLASS_NAME, f"{told}: no server is named (OPENAI_BASE_URL) and no key is set (OPENAI_API_KEY)"
    if find_spec("openai") is None:
        return CLASS_NAME, f"{told}: the package openai is missing"
    if has_server:
        return VLM, "captioner vlm: OPENAI_BASE_URL names a server"
    if not has_cap:
        return CLASS_NAME, f"{told}: OPENAI_API_KEY is set; to ask for money, add --captioner vlm or --max-cost DOLLARS"
    return VLM, "captioner vlm: OPENAI_API_KEY and --max-cost are set"
