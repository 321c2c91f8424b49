"""Find thresholds for scores of any model, and say whether tuning gained anything, with plain functions.

Usage: python examples/thresholds_for_my_scores.py SCORES.csv [RECALL]

SCORES.csv has one row a picture: a column ``group`` (pictures with the same word belong together: a clip, a burst, a
site), and for each class two columns, ``score_NAME`` (0 to 1) and ``true_NAME`` (1 present, 0 absent, empty: nobody
knows). With RECALL, such as 0.9, thresholds promise at least that recall; without, they are for macro-F1.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from mekiki.metrics.classification import Scored, compare, measure
from mekiki.metrics.thresholds import TuneOptions, cross_fit, tune
from mekiki.records import Estimate


def read_scores(path: Path) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Return class names, scores ``(N, C)`` float32, truth ``(N, C)`` int8 and groups ``(N,)``."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    names = [column.removeprefix("score_") for column in rows[0] if column.startswith("score_")]
    scores = np.array([[row[f"score_{name}"] for name in names] for row in rows], np.float32)
    truth = np.array([[int(row[f"true_{name}"] or -1) for name in names] for row in rows], np.int8)
    return names, scores, truth, np.unique([row["group"] for row in rows], return_inverse=True)[1].astype(np.int64)


def shown(one: Estimate, sign: str = "") -> str:
    """Return a figure with its interval; a figure from too few groups is marked."""
    ends = f"[{one.low:{sign}.3f}, {one.high:{sign}.3f}]"
    return f"{one.value:{sign}.3f} {ends}{'' if one.is_reliable else ' (too few groups)'}"


def main(path: Path, recall: float | None) -> int:
    """Print a line for each class, then what tuning is worth on pictures that it has not seen."""
    names, scores, truth, groups = read_scores(path)
    options = TuneOptions() if recall is None else TuneOptions("precision-at-recall", at_least=recall)
    tuned = tune(scores, truth, groups, options)
    for name, threshold, facts in zip(names, tuned.thresholds, tuned.facts, strict=True):
        line = f"{name}: {threshold:.3f}, between {facts['threshold_low']:.3f} and {facts['threshold_high']:.3f}"
        if facts["used_joint"]:
            line += f"; {facts['n_positives']} pictures in {facts['n_atoms']} groups are too few for one of its own"
        if facts["promised"]:
            line += f"; recall is {'' if facts['is_met'] else 'NOT '}promised, precision {facts['precision']:.3f}"
        print(line)
    half = Scored(scores, truth, scores >= np.float32(0.5), groups)
    honest = Scored(scores, truth, cross_fit(scores, truth, groups, options), groups)
    print(f"macro-F1 at 0.5: {shown(measure(half, names).value('macro_f1'))}")
    print(f"gained, cross-fitted: {shown(compare(half, honest, 'macro_f1'), '+')}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) == 3 else None))
