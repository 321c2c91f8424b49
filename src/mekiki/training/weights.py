"""Files of weights, ours or anybody's: read without running anything, put into a network whole or not at all."""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from mekiki.errors import UnreadableError, UsageError
from mekiki.training.card import CARD_KEY, ModelCard, parse_card
from mekiki.training.packages import import_safetensors, import_torch

if TYPE_CHECKING:
    from torch import Tensor, nn

SAFETENSORS = ".safetensors"
PICKLED = (".pt", ".pth", ".th")
STATE_KEYS = ("model_state_dict", "state_dict", "model")
"""Keys under which training programs save a state dict: seed 1's, Lightning's and most papers', timm's."""

WRAPPERS = ("module.", "_orig_mod.")
"""What ``DataParallel`` and ``torch.compile`` put before every name."""

COUNTER = ".num_batches_tracked"

N_SHOWN = 3
"""Tensors that a message names."""

_DAMAGE = (
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ImportError),
    *(EOFError, OSError, OverflowError, MemoryError, struct.error, UnpicklingError),
)
"""What `torch.load` was seen to raise, or may raise, at bytes that are not what they should be."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """What a file of weights holds.

    Attributes:
        path: The file.
        tensors: A network's state dict, on the CPU, without wrappers' prefixes.
        card: Of a model file of ours.
        facts: What else a checkpoint says beside its tensors: text, numbers, lists.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    card: ModelCard | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_weights(path: Path) -> WeightsFile:
    """Read a ``.safetensors`` file or a PyTorch checkpoint with nothing but tensors and plain values in it.

    A checkpoint is a state dict, or a dictionary that has one under one of `STATE_KEYS`.

    Raises:
        UsageError: If its name ends in none of the known ways.
        UnreadableError: If it cannot be read, is damaged, holds objects that would run code, or no state dict.
    """
    suffix = path.suffix.lower()
    if suffix not in (SAFETENSORS, *PICKLED):
        raise UsageError(f"a file of weights ends in {', '.join(PICKLED)} or {SAFETENSORS}, got {path}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from error
    return _read_safetensors(path, content) if suffix == SAFETENSORS else _read_pickled(path, content)


def _read_safetensors(path: Path, content: bytes) -> WeightsFile:
    torch_files = import_safetensors()
    from safetensors import SafetensorError, safe_open

    try:
        tensors = torch_files.load(content)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise UnreadableError(path, f"no whole safetensors file: {error}") from error
    card = parse_card(metadata[CARD_KEY], path) if CARD_KEY in metadata else None
    return WeightsFile(path, tensors if card else unwrap(tensors), card, dict(metadata) if card is None else {})


def _read_pickled(path: Path, content: bytes) -> WeightsFile:
    torch = import_torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle protocol that it may not know in full; then it raises
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"more than tensors ({named[1]})" if named else "more than tensors and plain values"
        raise UnreadableError(path, f"it holds {reason}, which only running it would show; nothing was run") from error
    except _DAMAGE as error:
        raise UnreadableError(path, f"no PyTorch checkpoint, or a damaged one ({type(error).__name__})") from error
    facts: Mapping[str, Any] = {}
    state = loaded
    if isinstance(loaded, Mapping) and not _is_state(loaded):
        key = next((key for key in STATE_KEYS if key in loaded), None)
        state = None if key is None else loaded[key]
        facts = {name: value for name, value in loaded.items() if name != key}
    if not isinstance(state, Mapping) or not _is_state(state):
        keys = f": its keys are {', '.join(map(str, list(loaded)[:N_SHOWN]))}" if isinstance(loaded, Mapping) else ""
        raise UnreadableError(path, f"it holds no state dict, neither as it is nor under {', '.join(STATE_KEYS)}{keys}")
    for name, tensor in state.items():
        if not _is_plain(tensor, len(content)):
            raise UnreadableError(path, f"its tensor {name!r} is no plain array of numbers that lie in the file")
    return WeightsFile(path, unwrap({name: tensor.detach() for name, tensor in state.items()}), None, facts)


def _is_state(loaded: Mapping[Any, Any]) -> bool:
    torch = import_torch()
    return bool(loaded) and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in loaded.items())


def _is_plain(tensor: Tensor, n_bytes: int) -> bool:
    """Return whether a tensor's numbers all lie in a file of so many bytes: it is not sparse, nested or expanded."""
    is_dense = tensor.layout is import_torch().strided and not tensor.is_nested and not tensor.is_quantized
    return is_dense and tensor.device.type == "cpu" and tensor.numel() * tensor.element_size() <= n_bytes


def unwrap(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors without what wrappers of the network put before every name.

    Example:
        >>> list(unwrap({"module._orig_mod.fc.weight": 0, "module._orig_mod.fc.bias": 0}))
        ['fc.weight', 'fc.bias']
    """
    bare = dict(tensors)
    while prefix := next((one for one in WRAPPERS if bare and all(name.startswith(one) for name in bare)), None):
        bare = {name.removeprefix(prefix): tensor for name, tensor in bare.items()}
    return bare


def load_exactly(network: nn.Module, tensors: Mapping[str, Tensor], *, without: Collection[str] = ()) -> str:
    """Load tensors into a network, if they are exactly its own; return what is wrong, empty if nothing.

    Files from before PyTorch 0.4.1 do not count the batches that a normalisation has seen; those counters, which
    decide no score, start at 0 then.

    Args:
        network: Changed only if nothing is wrong.
        tensors: Names as in its state dict.
        without: Names of the network's tensors that stay as they are.
    """
    own = {name: tensor for name, tensor in network.state_dict().items() if name not in without}
    if not any(name.endswith(COUNTER) for name in tensors):
        own = {name: tensor for name, tensor in own.items() if not name.endswith(COUNTER)}
    trouble = differences(own, tensors)
    if not trouble:
        network.load_state_dict(dict(tensors), strict=not without)
    return trouble


def differences(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Return in words how two sets of tensors differ in names or shapes; empty if they do not."""
    missing = [name for name in wanted if name not in found]
    left_over = [name for name in found if name not in wanted]
    other = [
        f"{name} is {list(found[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    parts = [
        f"{len(names)} {words}: {', '.join(names[:N_SHOWN])}{', …' if len(names) > N_SHOWN else ''}"
        for names, words in ((missing, "missing"), (left_over, "unexpected"), (other, "of another shape"))
        if names
    ]
    return "; ".join(parts)
