"""Batches of pictures: decoded once, kept in memory as far as allowed, augmented and normalised in threads.

Threads and not worker processes: decoding, resizing and Pillow's colour functions let other threads run meanwhile
(two threads gave 1.8 times the pictures of one, on two cores), all see the same memory, and nothing is started anew.
What a batch holds depends on seed and epoch alone, never on threads, memory or what was read before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import InterruptedRunError, UnreadableError
from mekiki.media.preprocessing import Preprocessing, crop_middle, normalise, prepare, resize_for
from mekiki.records import Image
from mekiki.training.augment import Augmentation, augment
from mekiki.training.sampling import Sampling, epoch_order, split_batches

Given = TypeVar("Given")
Made = TypeVar("Made")

BYTES_PER_GB = 1e9
N_AHEAD = 2
"""Batches that are prepared ahead, beside one per thread."""


class Pictures:
    """Pictures by row, resized but not cropped; kept as uint8 while there is room and read again where there is none.

    Args:
        read: Reads the picture of a row as ``(H, W, 3)`` RGB uint8; called from several threads.
        how: The network's preprocessing.
        cache_gb: Most memory to keep pictures in, in 1e9 bytes.
    """

    def __init__(self, read: Callable[[int], Image], how: Preprocessing, cache_gb: float) -> None:
        self.read = read
        self.how = how
        self.cache_gb = cache_gb
        self._kept: dict[int, Image] = {}
        self._n_bytes_left = cache_gb * BYTES_PER_GB
        self._lock = Lock()

    def __getitem__(self, row: int) -> Image:
        """Return a picture that may not be changed.

        Raises:
            UnreadableError: As ``read``.
        """
        kept = self._kept.get(row)
        if kept is not None:
            return kept
        image = resize_for(self.read(row), self.how)
        with self._lock:
            if row not in self._kept and image.nbytes <= self._n_bytes_left:
                self._n_bytes_left -= image.nbytes
                self._kept[row] = image
        return image

    def clear(self) -> None:
        """Keep nothing in memory any more."""
        with self._lock:
            self._kept.clear()
            self._n_bytes_left = self.cache_gb * BYTES_PER_GB

    def check(self, rows: Sequence[int], n_threads: int) -> Iterator[tuple[int, UnreadableError | None]]:
        """Read every picture once, which fills the memory, and yield each row with why it cannot be used, if so.

        Args:
            rows: Which pictures.
            n_threads: How many to read at once; 0 reads in this thread.
        """

        def look(row: int) -> tuple[int, UnreadableError | None]:
            try:
                crop_middle(self[row], self.how.crop_hw, self.how.crop_start)
            except UnreadableError as error:
                return row, error
            except ValueError as error:  # smaller than what is cut from its middle
                return row, UnreadableError(f"row {row}", str(error))
            return row, None

        return ordered_map(look, rows, n_threads, N_AHEAD)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some pictures with their labels.

    Attributes:
        rows: ``(B,)`` int64.
        images: ``(B, 3, H, W)`` float32, normalised.
        truth: ``(B, C)`` int8: 1 present, 0 absent, -1 masked.
        n_known: Known cells of the whole batch, of which another process may have a share.
    """

    rows: NDArray[np.int64]
    images: NDArray[np.float32]
    truth: NDArray[np.int8]
    n_known: int


@dataclass(frozen=True, slots=True)
class Batches:
    """The pictures of one part, batch by batch.

    Attributes:
        pictures: Where pixels come from.
        rows: ``(N,)`` int64 rows of ``pictures``.
        keys: One number per row of ``rows`` that stands for the picture wherever it is, from its id.
        truth: ``(N, C)`` int8.
        batch_size: Pictures of one batch, over all processes.
        n_threads: Threads that prepare; 0 prepares in the calling thread.
        augmentation: How training pictures are changed; None prepares them as for evaluation.
        sampling: See `mekiki.training.sampling.epoch_order`.
        seed: Of the training.
        share: This process and how many there are: it gets every n-th row of each batch.
        advance: Told how many pictures of an epoch have been taken, when the next are asked for.
    """

    pictures: Pictures
    rows: NDArray[np.int64]
    keys: Sequence[int]
    truth: NDArray[np.int8]
    batch_size: int
    n_threads: int = 0
    augmentation: Augmentation | None = None
    sampling: Sampling = "uniform"
    seed: int = 0
    share: tuple[int, int] = (0, 1)
    advance: Callable[[int], None] = lambda _n_pictures: None

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self._cut(np.arange(len(self.rows))))

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of one epoch of training: shuffled and augmented by seed and ``number``."""
        order = epoch_order(self.truth, self.sampling, self.seed, number)

        def picture(row: int, copy: int) -> NDArray[np.float32]:
            if self.augmentation is None:
                return prepare(self.pictures[int(self.rows[row])], self.pictures.how)
            generator = np.random.default_rng((self.seed, number, self.keys[row], copy))
            how = self.pictures.how
            image = self.pictures[int(self.rows[row])]
            changed = augment(image, self.augmentation, how.crop_hw, generator, how.interpolation)
            return normalise(changed, how)

        for batch in self._batches(order, picture):
            yield batch
            self.advance(len(batch.rows))

    def in_order(self, n_batches: int | None = None) -> Iterator[Batch]:
        """Yield all batches, or the first few, in the order of the rows and as evaluation sees them."""

        def picture(row: int, _copy: int) -> NDArray[np.float32]:
            return prepare(self.pictures[int(self.rows[row])], self.pictures.how)

        order = np.arange(len(self.rows))
        return self._batches(order if n_batches is None else order[: n_batches * self.batch_size], picture)

    def _batches(self, order: NDArray[np.int64], picture: Callable[[int, int], NDArray[np.float32]]) -> Iterator[Batch]:
        copies = _count_copies(order)
        first, every = self.share

        def make(place: NDArray[np.int64]) -> Batch:
            mine = place[first::every]
            height_px, width_px = self.pictures.how.crop_hw
            images = np.empty((len(mine), 3, height_px, width_px), np.float32)
            for number, at in enumerate(mine):
                images[number] = picture(int(order[at]), int(copies[at]))
            rows = order[mine]
            n_known = int((self.truth[order[place]] >= 0).sum())
            return Batch(rows, images, self.truth[rows], n_known)

        return ordered_map(make, self._cut(np.arange(len(order))), self.n_threads, N_AHEAD)

    def _cut(self, places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return split_batches(places, self.batch_size, at_least=2 * self.share[1])


def ordered_map(
    function: Callable[[Given], Made], inputs: Sequence[Given], n_threads: int, n_ahead: int
) -> Iterator[Made]:
    """Yield a function's results in the order of its inputs, computed in threads that are a little ahead.

    Args:
        function: Called in threads.
        inputs: What it is called with.
        n_threads: 0 calls it here.
        n_ahead: Results that may wait, beside one per thread.
    """
    if n_threads == 0:
        yield from map(function, inputs)
        return
    left = iter(inputs)
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="mekiki-batches")
    try:
        waiting: deque[Future[Made]] = deque()
        waiting.extend(pool.submit(function, one) for one in islice(left, n_threads + n_ahead))
        while waiting:
            made = waiting.popleft().result()
            waiting.extend(pool.submit(function, one) for one in islice(left, 1))
            yield made
    finally:
        pool.shutdown(cancel_futures=True)


def until(batches: Iterator[Batch], should_stop: Callable[[], bool], what: str) -> Iterator[Batch]:
    """Yield batches until the user stops.

    Raises:
        InterruptedRunError: When ``should_stop`` says yes.
    """
    for batch in batches:
        yield batch
        if should_stop():
            raise InterruptedRunError(f"{what} interrupted. The same command starts again")


def _count_copies(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``(N,)``: how often each row stood before in the order, so that its copies are changed differently."""
    seen: dict[int, int] = {}
    copies = np.zeros(len(order), np.int64)
    for place, row in enumerate(order.tolist()):
        copies[place] = seen.get(row, 0)
        seen[row] = copies[place] + 1
    return copies
