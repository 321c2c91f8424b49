"""What is hidden in a pile: odd pictures, their vectors in the space of the pile, and the pile with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.vectors import VectorRun
from mekiki.dataset.ids import hash_file
from mekiki.engine.queries import opening_of
from mekiki.engine.rarity_settings import RarityQuestion
from mekiki.errors import DataError, UnreadableError, UsageError, shown_path
from mekiki.media.finding import find_files
from mekiki.media.images import decode_image, read_picture_bytes
from mekiki.metrics.beside_chance import Figure
from mekiki.models.base import Embedder
from mekiki.models.embed import open_embedder
from mekiki.neighbours.tables import Vectors
from mekiki.rarity.pile import Pile
from mekiki.records import IMAGE_SUFFIXES, Estimate, Failure, Image
from mekiki.training.vector_space import check_same_space

BATCH = 32
TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Hidden:
    """Pictures that can be hidden, row i of ``vectors`` ``(F, D)`` for ``paths[i]``, and those that cannot be read.

    ``n_copies`` files with the content of another are left out.
    """

    paths: tuple[Path, ...]
    vectors: Vectors
    failures: tuple[Failure, ...]
    n_copies: int = 0


def find_pictures(folders: Sequence[Path]) -> tuple[list[Path], int]:
    """Return the pictures in folders and in the folders inside them, in a fixed order, and how many copies there are.

    Of equal files the first is returned; the others are the copies.

    Raises:
        UsageError: If one is no folder.
        DataError: If there is no picture.
    """
    for folder in folders:
        if not folder.expanduser().is_dir():
            raise UsageError(f"there is no folder {str(folder)!r} to take odd pictures from: check the path")
    found = find_files([str(folder) for folder in folders], suffixes=IMAGE_SUFFIXES).files
    if not found:
        raise DataError(f"no picture lies in {', '.join(map(str, folders))}")
    files = list({hash_file(Path(path)): Path(path) for path in reversed(list(found))}.values())[::-1]
    return files, len(found) - len(files)


def embed_files(catalog: Catalog, run: VectorRun, settings: RarityQuestion, files: Sequence[Path]) -> Hidden:
    """Return the vectors of pictures, in the space of the pile.

    Raises:
        DataError: If the embedder is not the one that made the pile's.
        BackendError: If it cannot be opened.
    """
    told = {name: getattr(settings, name) for name in ("device", "runtime", "allow_code")}
    weights = {"weights": settings.weights} if settings.weights else {}
    embedder = open_embedder(opening_of(catalog, run, {**told, **weights}))
    check_same_space(run.space, embedder.space, f"run {run.run_id}")
    paths: list[Path] = []
    blocks: list[NDArray[np.float32]] = []
    failures: list[Failure] = []
    for start in range(0, len(files), BATCH):
        images, read = [], []
        for path in files[start : start + BATCH]:
            try:
                images.append(_prepared(embedder, path))
                read.append(path)
            except UnreadableError as error:
                failures.append(Failure(shown_path(path), error.reason, "evaluate"))
        for path, vector in zip(read, embedder.embed(images), strict=True):
            if np.isfinite(vector).all() and vector.any():
                paths.append(path)
                blocks.append(vector)
            else:
                failures.append(Failure(shown_path(path), "its vector is all zeros or no numbers", "evaluate"))
    vectors = np.stack(blocks) if blocks else np.zeros((0, run.space.n_dims), np.float32)
    return Hidden(tuple(paths), vectors, tuple(failures))


def with_hidden(pile: Pile, vectors: Vectors, class_name: str = "") -> Pile:
    """Return a pile with further things behind its own.

    Args:
        pile: N things with vectors.
        vectors: ``(n, D)`` of the others.
        class_name: Of all of them, where the pile has classes.
    """
    names = (*pile.class_names, *[class_name] * len(vectors)) if pile.class_names else ()
    return replace(pile, vectors=np.concatenate([pile.known_vectors, vectors]), class_names=names, coordinates=None)


def over_draws(
    draws: Sequence[float],
    chance: float,
    n_files: int,
    *,
    is_reliable: bool,
    orders: tuple[float, float] = (float("nan"), float("nan")),
) -> Figure:
    """Return the mean of draws with the interval that 95 % of them lie in, beside chance.

    Draws cannot show what has not happened yet: with F pictures to draw from, the interval ends no nearer to 1 than
    ``0.025 ** (1 / F)`` and no nearer to 0 than one minus that, as in `mekiki.metrics.intervals.estimate`.

    The verdict is that of a single draw: both the interval and ``orders`` say how far one draw lies from the mean. The
    mean of R draws lies nearer to its own mean than that, so it is told from chance less often than it might be, and it
    speaks of these pictures only: other kinds may rank elsewhere, and pictures of one kind rank together.

    Args:
        draws: Recall of each, one or more.
        chance: The mean of a random order.
        n_files: F.
        is_reliable: Whether draws differ as much as other pictures of the kind would.
        orders: Between which two values 95 % of random orders of a draw lie.

    Example:
        >>> round(over_draws([1.0, 1.0, 1.0], 0.1, 12, is_reliable=True).found.low, 3)
        0.735
    """
    flawless = TAIL ** (1 / n_files)
    low, high = np.quantile(draws, [TAIL, 1 - TAIL])
    low, high, mean = min(float(low), flawless), max(float(high), 1 - flawless), float(np.mean(draws))
    gain = Estimate(mean - chance, low - chance, high - chance, is_reliable)
    return Figure(Estimate(mean, low, high, is_reliable), chance, gain, orders)


def _prepared(embedder: Embedder, path: Path) -> Image:
    content = read_picture_bytes(path)
    return embedder.prepare(lambda px: decode_image(content, path, at_least_px=px).pixels)
