"""The training loop, in the open: network, batches and loss are passed in, and each finished epoch is handed out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mekiki.errors import DataError, UsageError
from mekiki.training.data import Batch, Batches
from mekiki.training.ema import Average
from mekiki.training.losses import SumLoss
from mekiki.training.optimising import FitOptions, make_optimiser, set_rates, stages_of, start_training
from mekiki.training.scoring import f1_scores, macro_average_precision
from mekiki.training.state import State

if TYPE_CHECKING:
    from accelerate import Accelerator

N_CHECKED = 2
"""Validation batches that are tried before the first epoch, so that wrong settings fail in seconds."""

SLOWER = "try a lower --lr, or --clip-norm 1"


class Parts(NamedTuple):
    """The pictures to learn from, and those to choose the best epoch by."""

    train: Batches
    val: Batches


def fit(
    network: nn.Module,
    parts: Parts,
    loss: SumLoss,
    options: FitOptions,
    accelerator: Accelerator,
    state: State,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[State]:
    """Train a network and yield the state after every epoch.

    Each epoch depends on the state before it and on ``options`` alone, so that a training that goes on from a stored
    state ends with the same weights as one that was never interrupted.

    Args:
        network: Changed in place; gives ``(B, C)`` logits.
        parts: What to learn from and to measure on.
        loss: Of `mekiki.training.losses.make_loss`.
        options: How.
        accelerator: Device, precision and the other processes.
        state: A new one, or that of an earlier training to go on from.
        should_stop: Asked after every batch; when it says yes, the epoch is given up and nothing more is yielded.

    Raises:
        UsageError: If the network does not give one number per picture and class.
        DataError: If the loss is no number.
    """
    if state.is_finished:
        return
    network.to(accelerator.device)
    if state.history:
        network.load_state_dict(state.network)
        _resume_scaler(accelerator, state)
    average = _resume_average(network, options.ema, state)
    check_network(network, parts.val, loss, accelerator)
    for stage in stages_of(options):
        if len(state.history) >= stage.end:
            continue
        model, optimiser = accelerator.prepare(network, make_optimiser(network, stage))
        if len(state.history) > stage.first:
            _resume_optimiser(optimiser, state)
        for epoch in range(len(state.history), stage.end):
            started = time.monotonic()
            torch.manual_seed(epoch_seed(options.seed, epoch, accelerator.process_index))
            start_training(network)
            seen = Tally()
            val_losses = [row["val_loss"] for row in state.history]
            for step, batch in enumerate(parts.train.epoch(epoch)):
                rate = set_rates(optimiser, stage.factor(epoch + (step + 0.5) / len(parts.train), val_losses))
                images, truth = _to_device(batch, accelerator)
                logits = model(images)
                total = loss(logits, truth)
                optimiser.zero_grad()
                # Processes average their gradients; times their number it is the mean over the whole batch's cells.
                accelerator.backward(total * accelerator.num_processes / max(batch.n_known, 1))
                if options.clip_norm is not None:
                    accelerator.clip_grad_norm_(network.parameters(), options.clip_norm)
                optimiser.step()
                if average is not None:
                    average.update(network)
                seen.add(total, logits, truth)
                if _any_process(should_stop(), accelerator):
                    return
            _share_statistics(network, accelerator)
            trained = seen.measure(accelerator, f"in epoch {epoch + 1}: {SLOWER}")
            with averaged(network, average):
                measured = validate(network, parts.val.in_order(), loss, accelerator)
                _add_row(state, trained, measured, rate, time.monotonic() - started)
                if _is_best(state, options):
                    state.best_epoch = len(state.history)
                    state.best = {name: one.detach().cpu().clone() for name, one in network.state_dict().items()}
            _remember(state, network, optimiser, average, accelerator)
            n_waited = len(state.history) - max(state.best_epoch, options.head_epochs)
            is_tired = options.patience is not None and n_waited >= options.patience
            state.is_finished = is_tired or len(state.history) == options.head_epochs + options.epochs
            yield state
            if state.is_finished:
                return
        network = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        accelerator.free_memory()


def validate(network: nn.Module, batches: Iterator[Batch], loss: SumLoss, accelerator: Accelerator) -> dict[str, float]:
    """Return ``loss``, ``micro_f1``, ``macro_f1`` (decided at 0.5) and ``macro_ap`` over batches.

    Raises:
        DataError: If the loss is no number.
    """
    seen = Tally()
    network.eval()
    with torch.no_grad():
        for batch in batches:
            if len(batch.rows):  # of a small batch, a process may have no share
                images, truth = _to_device(batch, accelerator)
                logits = network(images)
                seen.add(loss(logits, truth), logits, truth)
    return seen.measure(accelerator, f"on validation: {SLOWER}")


def check_network(network: nn.Module, batches: Batches, loss: SumLoss, accelerator: Accelerator) -> None:
    """Try a network on two batches, as they come to evaluation.

    Raises:
        UsageError: If it does not give one number per picture and class.
        DataError: If the loss is no number.
    """
    network.eval()
    with torch.no_grad():
        for batch in batches.in_order(N_CHECKED):
            if not len(batch.rows):  # as in `validate`
                continue
            images, truth = _to_device(batch, accelerator)
            logits = network(images)
            if not isinstance(logits, Tensor) or logits.shape != truth.shape:
                gives = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
                raise UsageError(
                    f"the network gives {gives} for {truth.shape[0]} pictures and {truth.shape[1]} classes, and must "
                    f"give {tuple(truth.shape)}: see --arch and --classes"
                )
            _check_finite(float(loss(logits, truth)), "before the first epoch: see --weights and --normalise")


class Tally:
    """Logits, truth and loss of what was seen so far, on the device until they are measured."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._truth: list[Tensor] = []

    def add(self, total_loss: Tensor, logits: Tensor, truth: Tensor) -> None:
        """Take one batch into account."""
        self._losses.append(total_loss.detach())
        self._logits.append(logits.detach().float())
        self._truth.append(truth)

    def gather(self, accelerator: Accelerator) -> tuple[float, NDArray[np.float32], NDArray[np.int8]]:
        """Return the sum of losses, ``(N, C)`` logits and ``(N, C)`` truth of all processes together."""
        shares = [self._own()] if self._logits else []  # of a part with few pictures, a process may have none
        if accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            shares = gather_object(shares)
        losses, logits, truth = zip(*shares, strict=True)
        return float(sum(losses)), np.concatenate(logits), np.concatenate(truth)

    def _own(self) -> tuple[float, NDArray[np.float32], NDArray[np.int8]]:
        return (
            float(torch.stack(self._losses).double().sum()),
            torch.cat(self._logits).cpu().numpy(),
            torch.cat(self._truth).cpu().numpy(),
        )

    def measure(self, accelerator: Accelerator, when: str) -> dict[str, float]:
        """Return ``loss`` (the mean over known cells), ``micro_f1``, ``macro_f1`` and ``macro_ap``.

        Raises:
            DataError: If the loss is no number; ``when`` ends the message.
        """
        total, logits, truth = self.gather(accelerator)
        _check_finite(total, when)
        micro, macro = f1_scores(logits >= 0, truth)  # a sigmoid of 0.5
        mean = total / max(int((truth >= 0).sum()), 1)
        return {"loss": mean, "micro_f1": micro, "macro_f1": macro, "macro_ap": macro_average_precision(logits, truth)}


@contextmanager
def averaged(network: nn.Module, average: Average | None) -> Iterator[None]:
    """Let a network have its averaged weights for a while, if there is an average."""
    if average is None:
        yield
        return
    own = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(average.tensors)
    yield
    network.load_state_dict(own)


def epoch_seed(seed: int, epoch: int, process: int) -> int:
    """Return what PyTorch's generator, which decides dropout, starts an epoch from."""
    return int(np.random.SeedSequence((seed, epoch, process)).generate_state(1, np.uint64)[0] >> 1)


def _to_device(batch: Batch, accelerator: Accelerator) -> tuple[Tensor, Tensor]:
    device = accelerator.device
    return torch.from_numpy(batch.images).to(device), torch.from_numpy(batch.truth).to(device)


def _share_statistics(network: nn.Module, accelerator: Accelerator) -> None:
    """Give all processes the running statistics of the first, which is the one that writes."""
    if accelerator.num_processes > 1:
        from accelerate.utils import broadcast

        for buffer in network.buffers():
            buffer.copy_(broadcast(buffer))


def _any_process(is_told: bool, accelerator: Accelerator) -> bool:
    """Return whether any process was told to stop, so that all of them stop at the same batch."""
    if accelerator.num_processes == 1:
        return is_told
    told: Any = accelerator.reduce(torch.tensor(float(is_told), device=accelerator.device), "sum")
    return bool(told > 0)


def _check_finite(value: float, when: str) -> None:
    if not math.isfinite(value):
        raise DataError(f"the loss is no number {when}")


def _add_row(state: State, trained: dict[str, float], measured: dict[str, float], rate: float, seconds: float) -> None:
    epoch = len(state.history) + 1
    row: dict[str, float] = {"epoch": epoch}
    row.update({f"train_{name}": trained[name] for name in ("loss", "micro_f1", "macro_f1")})
    row.update({f"val_{name}": measured[name] for name in ("loss", "micro_f1", "macro_f1")})
    row.update({"lr": rate, "val_macro_ap": measured["macro_ap"], "seconds": seconds})
    state.history.append(row)


def _is_best(state: State, options: FitOptions) -> bool:
    """Return whether the last epoch is strictly better than the best before; the first is, whatever it measured."""
    if not state.best_epoch:
        return True
    last, best = state.history[-1][options.best_by], state.history[state.best_epoch - 1][options.best_by]
    return last < best if options.best_by == "val_loss" else last > best


def _remember(
    state: State, network: nn.Module, optimiser: Any, average: Average | None, accelerator: Accelerator
) -> None:
    """Put the tensors that the next epoch starts from into the state; they are those in use, not copies."""
    state.network = dict(network.state_dict())
    state.optimiser = optimiser.state_dict()["state"]
    state.scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
    if average is not None:
        state.average, state.n_averaged = average.tensors, average.n_steps


def _resume_average(network: nn.Module, decay: float, state: State) -> Average | None:
    if not decay:
        return None
    average = Average(network, decay)
    if state.history:
        average.restore(state.average, state.n_averaged)
    return average


def _resume_optimiser(optimiser: Any, state: State) -> None:
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state.optimiser, "param_groups": groups})


def _resume_scaler(accelerator: Accelerator, state: State) -> None:
    """Go on with the loss scale of fp16, which lasts from one stage to the next, as the optimiser does not."""
    if accelerator.scaler is not None and state.scaler:
        accelerator.scaler.load_state_dict(state.scaler)
