"""Scorers of rarity at 1,000, 10,000 and 100,000 vectors of 512, beside scikit-learn's and PyOD's, in one run.

The world: unit vectors in clusters of about 100 (centre √0.7, own direction √0.3) in twelve classes, of 40 % to 0.4 %.
All contenders get the same float32 vectors in memory. Each is timed once, in seconds of the clock and of all cores
together; ratios and exponents are of the latter, which other work on the machine disturbs least. The exponent p says
that time grew as N to the power of p since the size before. PyOD's KNN and LOF are scikit-learn's inside, and are
measured up to 10,000; its KNN searches twice.

The limit is what multiplying matrices reaches here, for the half of all products that one search needs. Run this file
to print the table; a number on the command line is the largest size.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from threadpoolctl import threadpool_limits

from mekiki.neighbours.shared_knn import knn_graph
from mekiki.neighbours.tables import to_unit_length
from mekiki.rarity.pile import Pile, score_all

SIZES = (1_000, 10_000, 100_000)
N_DIMS = 512
K, K_LOF = 10, 20
CLASS_SHARES = np.array([40, 20, 10, 8, 6, 5, 4, 3, 2, 1, 0.6, 0.4]) / 100
KNN_BASED = ("knn", "lof", "class-lof")


def draw_pile(n: int, seed: int = 0) -> Pile:
    """Return n things with vectors, classes and words for four common classes."""
    rng = np.random.default_rng(seed)
    centres = draw_directions(rng, max(n // 100, 4))
    chosen = centres[rng.integers(len(centres), size=n)]
    vectors = to_unit_length(np.float32(0.7**0.5) * chosen + np.float32(0.3**0.5) * draw_directions(rng, n))
    names = tuple(f"class {number}" for number in rng.choice(len(CLASS_SHARES), n, p=CLASS_SHARES).tolist())
    return Pile(vectors, names, common=centres[:4], map_method="pca")


def draw_directions(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    return to_unit_length(rng.standard_normal((n, N_DIMS), np.float32))


@dataclass(frozen=True)
class Contender:
    """One way, what of ours it stands beside, and up to how many vectors it is tried."""

    what: str
    beside: str
    run: Callable[[Pile], Any]
    max_n: int = 100_000


def scored(*names: str) -> Callable[[Pile], Any]:
    return lambda pile: score_all(replace(pile), names)  # a new pile, so that no neighbour is known yet


def by_faiss(pile: Pile) -> Any:
    import faiss

    index = faiss.IndexFlatL2(N_DIMS)
    index.add(pile.known_vectors)
    return index.search(pile.known_vectors, K + 1)


def by_pyod(name: str, **options: Any) -> Callable[[Pile], Any]:
    def fit(pile: Pile) -> Any:
        from importlib import import_module

        return getattr(import_module(f"pyod.models.{name.lower()}"), name)(**options).fit(pile.known_vectors)

    return fit


SEARCH = "mekiki, one exact search (k = 10)"

CONTENDERS = (
    Contender(SEARCH, SEARCH, lambda pile: knn_graph(pile.known_vectors, K)),
    Contender("mekiki knn + lof + class-lof, one search for all", SEARCH, scored(*KNN_BASED)),
    Contender("mekiki knn", SEARCH, scored("knn")),
    Contender("faiss IndexFlatL2", SEARCH, by_faiss),
    Contender(
        "scikit-learn NearestNeighbors, brute",
        SEARCH,
        lambda pile: NearestNeighbors(n_neighbors=K, algorithm="brute").fit(pile.known_vectors).kneighbors(),
    ),
    Contender("PyOD KNN", SEARCH, by_pyod("KNN", n_neighbors=K), 10_000),
    Contender("mekiki lof", "mekiki lof", scored("lof")),
    Contender(
        "scikit-learn LocalOutlierFactor",
        "mekiki lof",
        lambda pile: LocalOutlierFactor(n_neighbors=K_LOF).fit(pile.known_vectors),
    ),
    Contender("PyOD LOF", "mekiki lof", by_pyod("LOF", n_neighbors=K_LOF), 10_000),
    Contender("mekiki class-lof", "mekiki lof", scored("class-lof")),
    Contender("mekiki isolation", "mekiki isolation", scored("isolation")),
    Contender(
        "scikit-learn IsolationForest",
        "mekiki isolation",
        lambda pile: IsolationForest(random_state=42).fit(pile.known_vectors).score_samples(pile.known_vectors),
    ),
    Contender("PyOD IForest", "mekiki isolation", by_pyod("IForest", random_state=42)),
    Contender("mekiki frequency", "mekiki frequency", scored("frequency")),
    Contender("mekiki unlike-common", "mekiki unlike-common", scored("unlike-common")),
    Contender("mekiki map, on a PCA map", "mekiki map, on a PCA map", scored("map")),
)


def timed(function: Callable[[], Any]) -> tuple[float, float]:
    """Return seconds of the clock and of all cores together."""
    clock, cores = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - clock, time.process_time() - cores


def product_speed(n: int = 4096) -> float:
    """Return GFLOP per second of one core in a plain matrix product, the best of five."""
    left, right = draw_directions(np.random.default_rng(0), 2 * n).reshape(2, n, N_DIMS)
    with threadpool_limits(1, user_api="blas"):
        return float(2 * n**2 * N_DIMS / min(timed(lambda: left @ right.T)[1] for _ in range(5)) / 1e9)


def run(sizes: tuple[int, ...] = SIZES) -> Iterator[dict[str, Any]]:
    """Measure every way at every size, side by side, and yield what each took."""
    before: dict[str, tuple[int, float]] = {}
    warm_up = draw_pile(500)
    for contender in CONTENDERS:
        quietly(contender, warm_up)
    for n in sizes:
        pile = draw_pile(n)
        ours: dict[str, float] = {}
        for contender in CONTENDERS:
            if n > contender.max_n:
                continue
            clock_s, core_s = quietly(contender, pile)
            ours.setdefault(contender.what, core_s)
            yield {
                "what": contender.what,
                "n": n,
                "seconds": clock_s,
                "core_seconds": core_s,
                "ratio": core_s / ours[contender.beside],
                "exponent": exponent(before.get(contender.what), n, core_s),
            }
            before[contender.what] = n, core_s


def quietly(contender: Contender, pile: Pile) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return timed(lambda: contender.run(pile))


def exponent(before: tuple[int, float] | None, n: int, seconds: float) -> float | None:
    return None if before is None else math.log(seconds / before[1]) / math.log(n / before[0])


def limit_line(rows: list[dict[str, Any]], speed: float) -> str:
    """Return how near the largest search came to what matrix products allow."""
    largest = max((row for row in rows if row["what"] == SEARCH), key=lambda row: int(row["n"]))
    at_best = largest["n"] ** 2 * N_DIMS / speed / 1e9
    return (
        f"A matrix product reaches {speed:.0f} GFLOP per second and core here, so the half of all products that a "
        f"search of {largest['n']:,} vectors needs takes {at_best:.1f} core seconds at best; ours took "
        f"{largest['core_seconds'] / at_best:.2f} times that."
    )


def line(row: dict[str, Any]) -> str:
    power = "" if row["exponent"] is None else f"{row['exponent']:.1f}"
    return (
        f"| {row['what']} | {row['n']:,} | {row['seconds']:.2f} | {row['core_seconds']:.2f} | {row['ratio']:.2f} "
        f"| {power} |"
    )


def main() -> None:
    """Print the table in Markdown, and the limit."""
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    print("| What | Vectors | Seconds | of all cores | Times mekiki | Grows as N to the |")
    print("|---|---:|---:|---:|---:|---:|")
    rows = []
    for row in run((*(n for n in SIZES if n < largest), largest)):
        rows.append(row)
        print(line(row), flush=True)
    print(f"\n{limit_line(rows, product_speed())}")


if __name__ == "__main__":
    main()
