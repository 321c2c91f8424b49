"""Going on with a training that was stopped: its whole state in one file, written anew after each epoch.

The file is safetensors with the numbers in its header: no code runs when it is read. It is written whole, and its
checksum is over all that is in it, so that a damaged file is told from a sound one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mekiki.training.packages import import_safetensors
from mekiki.training.state import State
from mekiki.wholefiles import write_whole

if TYPE_CHECKING:
    from torch import Tensor

RESUME_NAME = "resume.safetensors"
_KEY = "mekiki-training"
_LENGTH = 8  # bytes of the length with which a safetensors file begins
_DIGEST = 64  # hex digits


def write_state(path: Path, state: State, key: str) -> Path:
    """Write a training's state.

    Args:
        path: Replaced if it exists.
        state: After an epoch.
        key: What the training is about; only the same can go on from here.
    """
    tensors: dict[str, Tensor] = {}
    for part in ("network", "average", "best"):
        tensors.update({f"{part}.{name}": one for name, one in getattr(state, part).items()})
    for number, moments in state.optimiser.items():
        tensors.update({f"optimiser.{number}.{name}": one for name, one in moments.items()})
    # Copies, since safetensors refuses tensors that share memory, as those of tied weights do.
    own = {name: one.detach().to("cpu", copy=True).contiguous() for name, one in tensors.items()}
    facts = {
        "key": key,
        "history": state.history,
        "n_averaged": state.n_averaged,
        "scaler": state.scaler,
        "best_epoch": state.best_epoch,
        "is_finished": state.is_finished,
    }
    content: bytes = import_safetensors().save(own, metadata={_KEY: json.dumps(facts)})
    return write_whole(path, hashlib.sha256(content).hexdigest().encode() + content)


def read_state(path: Path, key: str) -> tuple[State | None, str]:
    """Return the state of an earlier training to go on from, and why there is none although there is a file.

    Args:
        path: Need not exist.
        key: As it was written with.

    Returns:
        The state, with tensors on the CPU, and an empty text; or None and a reason, empty where there is no file.
    """
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None, ""
    content = stored[_DIGEST:]
    if hashlib.sha256(content).hexdigest().encode() != stored[:_DIGEST]:
        return None, f"{path.name} is damaged"
    facts = _facts_of(content)
    if facts["key"] != key:
        return None, "other pictures can be read than when it was stopped"
    state = State(
        history=facts["history"],
        n_averaged=facts["n_averaged"],
        scaler=facts["scaler"],
        best_epoch=facts["best_epoch"],
        is_finished=facts["is_finished"],
    )
    tensors: dict[str, Tensor] = import_safetensors().load(content)
    for place, tensor in tensors.items():
        part, _, name = place.partition(".")
        if part == "optimiser":
            number, _, name = name.partition(".")
            state.optimiser.setdefault(int(number), {})[name] = tensor
        else:
            getattr(state, part)[name] = tensor
    return state, ""


def _facts_of(content: bytes) -> dict[str, Any]:
    """Return what `write_state` put into the header."""
    size = int.from_bytes(content[:_LENGTH], "little")
    header = json.loads(content[_LENGTH : _LENGTH + size])
    facts: dict[str, Any] = json.loads(header["__metadata__"][_KEY])
    return facts
