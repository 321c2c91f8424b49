"""Trained networks and ensembles in PyTorch: scores pictures with a model file of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError, UsageError, unknown_name
from mekiki.media.preprocessing import ReadPicture, prepare_each
from mekiki.models.base import Prepared
from mekiki.training.accelerating import Precision
from mekiki.training.arithmetic import full_float32
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import load_network, read_tensors
from mekiki.training.packages import import_torch

if TYPE_CHECKING:
    from torch import Tensor

DEVICES = ("auto", "cpu", "cuda", "cuda:N", "mps")


def torch_device(name: str) -> str:
    """Return the device that a name stands for: ``cpu``, ``cuda:N`` or ``mps``.

    Args:
        name: One of these, ``cuda`` for the first GPU, or ``auto`` for a GPU where there is one.

    Raises:
        UsageError: If there is no device of such a name.
        BackendError: If this machine has none, or PyTorch is not installed.
    """
    check_device_name(name)
    torch = import_torch()
    n_gpus: int = torch.cuda.device_count() if torch.cuda.is_available() else 0
    has_mps: bool = torch.backends.mps.is_available()
    kind, _, number = name.partition(":")
    if kind == "auto":
        return "cuda:0" if n_gpus else "mps" if has_mps else "cpu"
    if kind == "cuda":
        if int(number or 0) >= n_gpus:
            raise BackendError(f"this machine has no {name}: PyTorch sees {n_gpus} GPUs. Type: --device auto")
        return f"cuda:{int(number or 0)}"
    if kind == "mps" and not has_mps:
        raise BackendError("this machine has no mps: PyTorch sees no Apple GPU. Type: --device auto")
    return kind


def check_device_name(name: str) -> None:
    """Refuse what is the name of no device, on whatever machine.

    Raises:
        UsageError: With the nearest name.
    """
    kind, colon, number = name.partition(":")
    if kind not in DEVICES or (colon and not (kind == "cuda" and number.isdecimal())):
        raise unknown_name("device", name, DEVICES)


class TorchClassifier:
    """One trained network in PyTorch; see `mekiki.models.base.Classifier`.

    Args:
        card: Of a network.
        tensors: Its weights, or its file.
        device: As `torch_device` takes it.
        precision: Of the arithmetic on a GPU; on a CPU only ``fp32``.
        allow_code: Whether code of the user's may be run.

    Raises:
        UsageError: If the device or precision is unknown or they do not go together, or code is not allowed.
        BackendError: If this machine lacks the device.
        UnreadableError: If the weights cannot be read, or are not those of the card.
        DataError: If the user's code is no longer what the network was trained with.
    """

    def __init__(
        self,
        card: ModelCard,
        tensors: Mapping[str, Tensor] | Path,
        device: str = "auto",
        precision: Precision = "fp32",
        allow_code: bool = False,
    ) -> None:
        torch = import_torch()
        self.card = card
        self.device = torch_device(device)
        self._type = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self._is_cuda = self.device.startswith("cuda")
        if precision != "fp32" and not self._is_cuda:
            raise UsageError(f"precision {precision} needs a GPU, the device is {self.device}. Type: --precision fp32")
        weights = read_tensors(tensors) if isinstance(tensors, Path) else tensors
        self._network = load_network(card, weights, allow_code=allow_code).to(self.device)
        if self._is_cuda:
            self._network = self._network.to(memory_format=torch.channels_last)
        self._preprocessing = card.own_preprocessing

    def prepare(self, read: ReadPicture) -> Prepared:
        """Return a picture as `score` takes it."""
        return prepare_each(read, (self._preprocessing,))

    def score(self, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        """Return ``(N, C)`` scores in [0, 1], not calibrated."""
        n_classes = len(self.card.class_names)
        if not batch:
            return np.zeros((0, n_classes), np.float32)
        torch = import_torch()
        pictures = torch.from_numpy(np.stack([one[0] for one in batch])).to(self.device)
        if self._is_cuda:
            pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), self._arithmetic():
            logits = self._network(pictures).float()
            if tuple(logits.shape) != (len(batch), n_classes):
                raise BackendError(
                    f"model {self.card.name!r} gives {tuple(logits.shape)} for {len(batch)} pictures and {n_classes} "
                    "classes: its code and its card do not belong together"
                )
            scores = logits.sigmoid() if self.card.activation == "sigmoid" else logits.softmax(dim=1)
        return np.asarray(scores.cpu().numpy(), np.float32)

    def _arithmetic(self) -> AbstractContextManager[None]:
        torch = import_torch()
        if not self._is_cuda:
            return nullcontext()
        context: AbstractContextManager[None] = (
            full_float32() if self._type == torch.float32 else torch.autocast("cuda", dtype=self._type)
        )
        return context
