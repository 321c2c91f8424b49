"""A training over several processes, one per GPU: they share each batch, and the first of them writes.

Each has a copy of the network; gradients are averaged by PyTorch's DistributedDataParallel, which Accelerate sets up.
The state file is how the result comes back.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty
from typing import TYPE_CHECKING, Any

from mekiki.errors import BackendError, MekikiError, UsageError
from mekiki.media.preprocessing import Preprocessing
from mekiki.records import Image
from mekiki.training.data import Pictures
from mekiki.training.job import Job, Told, run_job
from mekiki.training.packages import import_torch
from mekiki.training.resume import RESUME_NAME, read_state
from mekiki.training.state import State

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

POLL_S = 0.1
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Copy:
    """What each process needs, besides its number; picklable if ``read`` is."""

    job: Job
    read: Callable[[int], Image]
    how: Preprocessing
    cache_gb: float
    n_processes: int
    port: int
    parent: int  # its process id


def check_processes(n_processes: int, device: str, wanted_device: str) -> None:
    """Refuse what cannot work.

    Args:
        n_processes: How many are asked for.
        device: What was found.
        wanted_device: What the user asked for.

    Raises:
        UsageError: If a launcher has started this process, or one GPU is asked for by number.
        BackendError: If there are fewer GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("mekiki starts its own processes: run it without a launcher, and with --processes N")
    if n_processes == 1 or device == "cpu":
        return
    if ":" in wanted_device or device == "mps":
        raise UsageError(f"--processes {n_processes} takes the first {n_processes} GPUs: give --device cuda, or cpu")
    n_gpus = import_torch().cuda.device_count()
    if n_gpus < n_processes:
        raise BackendError(f"--processes {n_processes} takes as many GPUs, and this PyTorch sees {n_gpus}")


def run_processes(job: Job, pictures: Pictures, n_processes: int, told: Told) -> State:
    """Train like `mekiki.training.job.run_job`, in several processes unless one is asked for.

    Raises:
        RuntimeError: If a process ended without saying why.
    """
    if n_processes == 1:
        return run_job(job, pictures, told)
    context = import_torch().multiprocessing.get_context("spawn")  # a fork of a process that has threads may hang
    pictures.clear()  # each process keeps its own
    news, stop = context.Queue(), context.Event()
    copy = Copy(
        job, pictures.read, pictures.how, pictures.cache_gb / n_processes, n_processes, _free_port(), os.getpid()
    )
    processes = [context.Process(target=_run_copy, args=(copy, number, news, stop)) for number in range(n_processes)]
    for process in processes:
        process.start()
    try:
        _listen(processes, news, stop, told)
    finally:
        for process in processes:
            process.kill()
            process.join()
    state, _ = read_state(job.folder / RESUME_NAME, job.key)
    return state or State()


def _listen(processes: list[Any], news: Any, stop: Event, told: Told) -> None:
    """Pass on what the processes say until all of them are done."""
    n_left = len(processes)
    while n_left:
        if told.should_stop():
            stop.set()
        try:
            kind, content = news.get(timeout=POLL_S)
        except Empty:
            if any(process.exitcode not in (None, 0) for process in processes):
                raise RuntimeError("a process of the training ended without saying why; was it killed?") from None
            continue
        if kind == "say":
            told.say(content)
        elif kind == "advance":
            told.advance(content)
        elif kind == "error":
            raise content
        else:
            n_left -= 1


def _run_copy(copy: Copy, number: int, news: Any, stop: Event) -> None:
    """Train in a new process; the first one says what there is to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a Ctrl-C the parent tells all, so that they stop at one batch
    n_cores = os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, n_cores // copy.n_processes)))
    os.environ.update(
        MASTER_ADDR=HOST,
        MASTER_PORT=str(copy.port),
        WORLD_SIZE=str(copy.n_processes),
        LOCAL_WORLD_SIZE=str(copy.n_processes),
        RANK=str(number),
        LOCAL_RANK=str(number),
    )
    told = Told(
        say=(lambda line: news.put(("say", line))) if number == 0 else lambda _line: None,
        advance=lambda n_pictures: news.put(("advance", n_pictures)),
        should_stop=lambda: stop.is_set() or os.getppid() != copy.parent,  # it may have been killed
    )
    try:
        run_job(copy.job, Pictures(copy.read, copy.how, copy.cache_gb), told)
    except MekikiError as error:
        news.put(("error", error))
    except BaseException:  # noqa: BLE001 - raised again in the parent: a bug is never silent
        news.put(("error", RuntimeError(f"in process {number} of the training:\n{traceback.format_exc()}")))
    else:
        news.put(("end", number))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
