"""One training from beginning to end: network, batches, loop, and the state that is kept after each epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mekiki.training.accelerating import Precision, open_accelerator
from mekiki.training.augment import AUGMENTATIONS, Augmenting
from mekiki.training.backbones import BackboneSpec, start_network
from mekiki.training.data import Batches, Pictures
from mekiki.training.history import Recorder, WandbProject
from mekiki.training.losses import LossName, make_loss, positive_weights
from mekiki.training.optimising import FitOptions
from mekiki.training.packages import import_torch
from mekiki.training.picture_size import check_output
from mekiki.training.resume import RESUME_NAME, read_state, write_state
from mekiki.training.sampling import Sampling
from mekiki.training.state import State
from mekiki.training.user_code import is_user_code

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn


@dataclass(frozen=True, slots=True)
class Origin:
    """What a network begins as; see `mekiki.training.backbones.start_network`."""

    spec: BackboneSpec
    pretrained: bool = False
    weights: Path | None = None
    allow_code: bool = False


@dataclass(frozen=True, slots=True)
class Labelled:
    """What is learned from and measured on; rows are those of `mekiki.training.data.Pictures`.

    Attributes:
        truth: ``(N, C)`` int8, of all rows.
        keys: A number for each row that follows from its picture's id.
        train: ``(T,)`` int64 rows.
        val: ``(V,)`` int64 rows.
    """

    truth: NDArray[np.int8]
    keys: Sequence[int]
    train: NDArray[np.int64]
    val: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Job:
    """How to train.

    Attributes:
        origin: The network.
        labelled: The pictures.
        options: Of the loop.
        folder: ``runs/<run_id>``, where history and state go.
        key: What decides beside settings, such as which pictures could be read: a state that was stored under another
            key is not gone on from.
        loss: By name.
        max_positive_weight: See `mekiki.training.losses.positive_weights`.
        augment: By name.
        sampling: See `mekiki.training.sampling.epoch_order`.
        batch_size: Pictures of one step, over all processes.
        precision: Of forward passes.
        device: ``cpu``, ``cuda:N`` or ``mps``.
        workers: Threads that prepare batches; 0 for none.
        wandb: Where else to log.
    """

    origin: Origin
    labelled: Labelled
    options: FitOptions
    folder: Path
    key: str
    loss: LossName = "bce"
    max_positive_weight: float = 20.0
    augment: Augmenting = "seed1"
    sampling: Sampling = "uniform"
    batch_size: int = 32
    precision: Precision = "fp32"
    device: str = "cpu"
    workers: int = 2
    wandb: WandbProject | None = None


class Told(NamedTuple):
    """Whom a training tells how far it is, and asks whether to stop."""

    say: Callable[[str], None] = lambda _line: None
    advance: Callable[[int], None] = lambda _n_pictures: None
    should_stop: Callable[[], bool] = lambda: False


def run_job(job: Job, pictures: Pictures, told: Told) -> State:
    """Train, going on from where an earlier call was stopped, and return where it stands then.

    The state's ``is_finished`` is off if ``told.should_stop`` said yes; the same call goes on from there. The state's
    file stays, to be deleted when what came of it is safe.
    """
    import_torch()
    from mekiki.training.loop import Parts, fit

    with random_numbers(job):
        network = begin_network(job, pictures.how.crop_hw, told.say)
        state = stored_state(job, network, told.say)
        n_before = len(state.history)
        accelerator = open_accelerator(job.device, job.precision)
        if accelerator.is_main_process:
            told.advance(n_before * len(job.labelled.train))
        parts = Parts(
            batches_of(job, pictures, job.labelled.train, accelerator, told.advance),
            batches_of(job, pictures, job.labelled.val, accelerator),
        )
        loss = make_loss(job.loss, positive_weights(parts.train.truth, job.max_positive_weight))
        states = fit(network, parts, loss, job.options, accelerator, state, told.should_stop)
        if not accelerator.is_main_process:
            deque(states, maxlen=0)
            return state
        with Recorder(job.folder, n_before, job.wandb) as recorder:
            if n_before:
                recorder.say(f"goes on after epoch {n_before}")
            for reached in states:
                write_state(job.folder / RESUME_NAME, reached, job.key)
                told.say(recorder.record(reached.history))
    return state


def begin_network(job: Job, crop_hw: tuple[int, int], say: Callable[[str], None]) -> nn.Module:
    """Return the network before its first epoch; the seed decides what is drawn by chance.

    Raises:
        UsageError: If it cannot take pictures of this size, or does not give one number for each class.
    """
    torch = import_torch()
    origin = job.origin
    torch.manual_seed(job.options.seed)
    start = start_network(
        origin.spec, pretrained=origin.pretrained, weights=origin.weights, allow_code=origin.allow_code
    )
    if start.left_out:
        say(f"the head of {origin.weights} is for other classes and begins anew: {', '.join(start.left_out)}")
    check_output(start.network, origin.spec, crop_hw)
    if is_user_code(origin.spec.arch):  # which may look at the memory of what a convolution gives, as `view` does
        return start.network
    # Convolutions are up to three times as fast on CPUs, and faster with tensor cores.
    return start.network.to(memory_format=torch.channels_last)


def stored_state(job: Job, network: nn.Module, say: Callable[[str], None]) -> State:
    """Return where an earlier call stopped, or a new state; says which, and why a stored one is of no use."""
    state, why = read_state(job.folder / RESUME_NAME, job.key)
    if state is not None:
        own = {name: tensor.shape for name, tensor in network.state_dict().items()}
        if own != {name: tensor.shape for name, tensor in state.network.items()}:
            state, why = None, f"what is stored is of another {job.origin.spec.arch}; its package has changed since"
    if why:
        say(f"training starts anew: {why}")
    elif state is not None:
        say(f"training goes on after epoch {len(state.history)}")
    return state or State()


def batches_of(
    job: Job,
    pictures: Pictures,
    rows: NDArray[np.int64],
    accelerator: Accelerator,
    advance: Callable[[int], None] = lambda _n_pictures: None,
) -> Batches:
    """Return this process's batches of some rows."""
    return Batches(
        pictures=pictures,
        rows=rows,
        keys=[job.labelled.keys[row] for row in rows],
        truth=job.labelled.truth[rows],
        batch_size=job.batch_size,
        n_threads=job.workers,
        augmentation=AUGMENTATIONS[job.augment],
        sampling=job.sampling,
        seed=job.options.seed,
        share=(accelerator.process_index, accelerator.num_processes),
        advance=advance,
    )


@contextmanager
def random_numbers(job: Job) -> Iterator[None]:
    """Leave PyTorch's generators as they were, since training sets their seeds."""
    torch = import_torch()
    gpus = [int(job.device.removeprefix("cuda:"))] if job.device.startswith("cuda:") else []
    with torch.random.fork_rng(devices=gpus):
        yield
