"""Make torchvision importable beside a CPU-only torch.

A registry's torchvision is built against the torch with CUDA. Beside a CPU-only torch its compiled operators do not
load, and its import fails at the first place that refers to one: ``operator torchvision::nms does not exist``.
Declaring the schemas of the two that are referred to at import is enough for models, transforms v2 and the packages
built on them. The operators themselves stay missing: calling ``torchvision.ops.nms`` raises, and nothing of ours does.
"""

from __future__ import annotations

from typing import Any

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")
_declared: list[Any] = []  # a library's declarations last as long as the object does


def declare_torchvision_ops() -> list[str]:
    """Declare what is missing and return its names; nothing is done where torchvision's operators load.

    Call before the first import of torchvision or of a package that imports it. Calling again does nothing.
    """
    import torch

    if _declared or _has_own_operators():
        return []
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _OPERATORS:
        library.define(f"{name}{_SCHEMA}")
    _declared.append(library)
    return list(_OPERATORS)


def _has_own_operators() -> bool:
    """Return whether torchvision's compiled operators load, or have been loaded."""
    import importlib.util
    from pathlib import Path

    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return True
    found = importlib.util.find_spec("torchvision")
    if found is None or not found.submodule_search_locations:
        return True
    for library in Path(next(iter(found.submodule_search_locations))).glob("_C*"):
        if library.suffix in (".so", ".pyd", ".dll"):
            try:
                torch.ops.load_library(str(library))
            except OSError:
                return False
    return hasattr(torch.ops.torchvision, "nms")
