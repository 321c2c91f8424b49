"""How a head learns: all vectors in memory, Adam, and the epoch that ranks another part best.

N vectors, P numbers each, C classes. Arithmetic is done by one thread, so that the same seed gives the same weights
whatever the machine's number of cores; products this small gain little from more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mekiki.errors import DataError
from mekiki.metrics.ranking import RankFigures
from mekiki.training.arithmetic import full_float32
from mekiki.training.head_loss import Activation, HeadLoss, make_head_loss
from mekiki.training.head_plan import HeadPlan
from mekiki.training.heads import BATCH_NORM_MOMENTUM, Head, make_head
from mekiki.training.loop import epoch_seed
from mekiki.training.scoring import f1_scores

BETAS, EPS = (0.9, 0.999), 1e-8
"""Of Adam, as seed 5 has them."""

N_AT_ONCE = 16_384
"""Vectors that are measured together."""


class Part(NamedTuple):
    """Items of one part, as the layers that learn see them."""

    vectors: NDArray[np.float32]  # (N, P), as `mekiki.training.heads.Head.prepare` gives them
    truth: NDArray[np.int8]  # (N, C): 1 present, 0 absent, -1 masked


@dataclass(frozen=True, slots=True)
class Learnable:
    """What a head learns from.

    Attributes:
        train: Two items or more to learn from.
        val: To choose the epoch by; some class is present in one of them and absent in another.
        activation: ``softmax`` means that an item has one class, or is masked in all.
    """

    train: Part
    val: Part
    activation: Activation = "sigmoid"


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """How it learns; the defaults are seed 5's.

    Attributes:
        epochs: At most.
        batch_size: Vectors of one step. A last batch of one joins the one before it: no figures over a batch can be
            had of one vector.
        patience: Stop after so many epochs without a better one.
        has_class_weights: See `mekiki.training.head_loss.class_weights`.
        seed: Of first weights, order and dropout.
        device: ``cpu``, ``cuda:N`` or ``mps``.
    """

    epochs: int = 40
    batch_size: int = 64
    patience: int = 5
    has_class_weights: bool = False
    seed: int = 42
    device: str = "cpu"


@dataclass(slots=True)
class Fitted:
    """Where a fit stands.

    Attributes:
        history: One row per epoch; ``val_pr_auc`` is the area under straight lines from point to point of precision
            over recall, its mean over classes that are present and absent in validation.
        best: State dict of the best epoch's head, the figures of its batch normalisations among it; on the CPU.
        best_epoch: From 1: the highest ``val_pr_auc``, of equal ones the lowest ``val_loss``.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0

    @property
    def best_row(self) -> dict[str, float]:
        """The best epoch's row."""
        return self.history[self.best_epoch - 1]


def new_head(plan: HeadPlan, n_classes: int, options: Mapping[str, Any], seed: int) -> Head:
    """Return a head with first weights that follow from the seed.

    Args:
        plan: Its design.
        n_classes: C.
        options: The rest of its ``arch_options``: ``n_inputs``, and the projection's.
        seed: Of the weights.
    """
    chance = torch.Generator().manual_seed(seed)
    draw = nn.init.kaiming_uniform_ if plan.init == "he" else nn.init.xavier_uniform_
    extra = {"nonlinearity": "relu"} if plan.init == "he" else {}
    with torch.random.fork_rng(devices=[]):
        head = make_head(plan.arch, n_classes, {**options, **plan.to_options()})
    for part in head.modules():
        if isinstance(part, nn.Linear):
            draw(part.weight, generator=chance, **extra)
            nn.init.zeros_(part.bias)
    if not plan.layers:
        nn.init.zeros_(head.output.weight)
    return head


def fit_head(
    head: Head, learnable: Learnable, lr: float, options: HeadOptions, should_stop: Callable[[], bool]
) -> Iterator[Fitted]:
    """Train a head and yield the same record after each epoch; nothing more comes after the last.

    Running figures of batch normalisations are means over all batches at first and follow Keras' momentum from the
    hundredth on: a short training would else be measured, and used, with the zeros and ones that they begin as.

    Args:
        head: Changed by training.
        learnable: What from.
        lr: Learning rate.
        options: How.
        should_stop: Asked after every batch; when it says yes, the epoch is given up and nothing more is yielded.

    Raises:
        DataError: If the loss is no number, or validation cannot rank anything.
    """
    device = torch.device(options.device)
    head.to(device)
    vectors, truth = (torch.from_numpy(one).to(device) for one in learnable.train)
    val = torch.from_numpy(learnable.val.vectors).to(device)
    loss = make_head_loss(learnable.train.truth, learnable.activation, options.has_class_weights)
    optimiser = torch.optim.Adam(head.parameters(), lr=lr, betas=BETAS, eps=EPS)
    norms = [part for part in head.modules() if isinstance(part, nn.BatchNorm1d)]
    fitted, n_steps = Fitted(), 0
    for epoch in range(options.epochs):
        started = time.monotonic()
        with _steady(device):
            torch.manual_seed(epoch_seed(options.seed, epoch, 0))
            head.train()
            logits = torch.empty(truth.shape, device=device)
            total = torch.zeros((), device=device)
            order = np.random.default_rng((options.seed, epoch)).permutation(len(truth))
            for rows in batches(torch.from_numpy(order).to(device), options.batch_size):
                n_steps += 1
                for norm in norms:
                    norm.momentum = max(BATCH_NORM_MOMENTUM, 1 / n_steps)
                found = head.classify(vectors[rows])
                batch_loss, n_known = loss(found, truth[rows])
                optimiser.zero_grad()
                (batch_loss / max(n_known, 1)).backward()
                optimiser.step()
                total += batch_loss.detach()
                logits[rows] = found.detach()
                if should_stop():
                    return
            n_known = loss(logits, truth)[1]
            trained = {"loss": float(total) / max(n_known, 1), **_f1_of(logits, truth, learnable.activation)}
            measured = _measure(head, val, learnable, loss)
        row = {"epoch": float(epoch + 1), **{f"train_{name}": value for name, value in trained.items()}}
        row |= {f"val_{name}": value for name, value in measured.items()}
        fitted.history.append({**row, "lr": lr, "seconds": time.monotonic() - started})
        _check_row(row)
        if _is_better(row, fitted):
            fitted.best_epoch = epoch + 1
            fitted.best = {name: one.detach().cpu().clone() for name, one in head.state_dict().items()}
        yield fitted
        if epoch + 1 - fitted.best_epoch >= options.patience:
            return


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Return rows in batches of a size; a last one of one row joins the one before.

    Example:
        >>> [len(one) for one in batches(torch.arange(9), 4)]
        [4, 5]
    """
    cut = list(order.split(size))
    return [*cut[:-2], torch.cat(cut[-2:])] if len(cut) > 1 and len(cut[-1]) == 1 else cut


def scores_of(logits: Tensor, activation: str) -> NDArray[np.float32]:
    """Return ``(N, C)`` scores in [0, 1]."""
    shares = logits.softmax(dim=1) if activation == "softmax" else logits.sigmoid()
    found: NDArray[np.float32] = shares.float().cpu().numpy()
    return found


def rank_figures(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> dict[str, float]:
    """Return ``pr_auc``, ``macro_ap`` and ``roc_auc``: means over classes that are both present and absent."""
    figures = RankFigures(scores, truth, np.zeros(len(truth), np.int64), 1)
    found = dict(zip(figures.names, figures(np.ones((1, 1)))[:, 0].tolist(), strict=True))
    return {"pr_auc": found["macro_pr_auc"], "macro_ap": found["macro_ap"], "roc_auc": found["macro_roc_auc"]}


def _measure(head: Head, vectors: Tensor, learnable: Learnable, loss: HeadLoss) -> dict[str, float]:
    head.eval()
    truth = learnable.val.truth
    with torch.no_grad():
        logits = torch.cat([head.classify(one) for one in vectors.split(N_AT_ONCE)])
        on_device = torch.from_numpy(truth).to(logits.device)
        total, n_known = loss(logits, on_device)
    decided = _f1_of(logits, on_device, learnable.activation)
    ranked = rank_figures(scores_of(logits, learnable.activation), truth)
    return {"loss": float(total) / max(n_known, 1), **decided, **ranked}


def _f1_of(logits: Tensor, truth: Tensor, activation: str) -> dict[str, float]:
    if activation == "softmax":
        decided = functional.one_hot(logits.argmax(dim=1), logits.shape[1]).bool()
    else:
        decided = logits >= 0
    micro, macro = f1_scores(decided.cpu().numpy(), truth.cpu().numpy())
    return {"micro_f1": micro, "macro_f1": macro}


def _is_better(row: Mapping[str, float], fitted: Fitted) -> bool:
    if not fitted.best_epoch:
        return True
    best = fitted.best_row
    return (row["val_pr_auc"], -row["val_loss"]) > (best["val_pr_auc"], -best["val_loss"])


def _check_row(row: Mapping[str, float]) -> None:
    if not math.isfinite(row["train_loss"]) or not math.isfinite(row["val_loss"]):
        raise DataError(f"the loss is no number in epoch {int(row['epoch'])}: give a smaller --lr than the one used")
    if math.isnan(row["val_pr_auc"]):
        raise DataError("no class is both present and absent in validation, so no epoch is better than another")


@contextmanager
def _steady(device: torch.device) -> Iterator[None]:
    """Compute with one thread in full float32, and leave PyTorch's threads and generators as they were."""
    n_threads = torch.get_num_threads()
    gpus = [device.index or 0] if device.type == "cuda" else []
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=gpus), full_float32():
            yield
    finally:
        torch.set_num_threads(n_threads)
