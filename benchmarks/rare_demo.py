"""How many of the rare things of drawn streets come back among the first, over ten seeds, beside chance.

Each world has 240 scenes, one of them broken, and 20 rare things of five kinds. The detector ``blobs`` finds what is in
them, ``colour-layout`` makes the vectors, and every scorer that needs nothing else ranks the crops. A rare thing came
back if a crop that overlaps it by half (IoU) is among the first n or 2n, n being how many rare things there are; one
that was never detected counts as not found. Run this file to print the table; ``--seeds N`` for fewer.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mekiki.api.verbs import run_stage
from mekiki.demo.street import StreetSettings, make_street_world

SCORERS = ("knn", "lof", "isolation", "map")
N_SEEDS, WANTED = 10, 0.8


def judge_seed(seed: int) -> dict[str, Any]:
    """Return what ``evaluate --rarity`` says of one world."""
    with TemporaryDirectory() as folder:
        world = make_street_world(Path(folder) / "world", StreetSettings(seed=seed))
        workspace = Path(folder) / "ws"
        run_stage("ingest", workspace, {"paths": [str(world.photos)]})
        run_stage("detect", workspace, {"detector": "blobs"})
        run_stage("embed", workspace, {"embedder": "colour-layout", "kind": ["crop"]})
        run_stage("mine", workspace, {"scorers": list(SCORERS), "map_method": "pca"})
        settings = {"rarity": True, "truth": str(world.truth_path), "truth_column": "rare"}
        return cast("dict[str, Any]", run_stage("evaluate", workspace, settings).extra["metrics"])


def run(n_seeds: int = N_SEEDS) -> str:
    """Return the table."""
    found = [judge_seed(seed) for seed in range(n_seeds)]
    rows = [
        "| scorer | recall at n: mean (least, most) | recall at 2n: mean (least, most) | seeds with 80 % in 2n |",
        "|---|---|---|---|",
    ]
    for name in SCORERS:
        first, twice = (np.array([one[name][key]["value"] for one in found]) for key in ("recall_at_n", "recall_at_2n"))
        rows.append(f"| {name} | {spread(first)} | {spread(twice)} | {int((twice >= WANTED).sum())} of {n_seeds} |")
    chances = [np.mean([one["knn"][key]["chance"] for one in found]) for key in ("recall_at_n", "recall_at_2n")]
    return "\n".join([*rows, f"| chance | {chances[0]:.2f} | {chances[1]:.2f} | |"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    print(run(parser.parse_args().seeds))


def spread(values: NDArray[np.float64]) -> str:
    """Return mean, least and most."""
    return f"{values.mean():.2f} ({values.min():.2f}, {values.max():.2f})"


if __name__ == "__main__":
    main()
