"""What thresholds are to be good for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Objective = Literal["macro-f1", "micro-f1", "precision-at-recall", "recall-at-precision", "cost"]

PROMISES = ("precision-at-recall", "recall-at-precision")


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What thresholds are to be good for.

    Attributes:
        objective: ``macro-f1``: F1 of each class. ``micro-f1``: F1 over all cells together.
            ``precision-at-recall``: the highest precision while recall is promised. ``recall-at-precision``: the other
            way round. ``cost``: the lowest cost.
        per_class: One threshold per class; otherwise one for all.
        at_least: The promised recall or precision, between 0 and 1; only where one is promised.
        costs: Of a false alarm and of a miss, 0 or more.
        prevalence: Column to the share of pictures with the class where the thresholds will be used. Present and absent
            cells of the column are weighted so that they have it; other columns stay as they are. Recall does not
            depend on it: there each present cell counts once, in the joint threshold's pool of all classes too.
        min_positives: A class with fewer present cells uses the joint threshold,
        min_atoms: and so does one that is present in fewer atoms.
        level: Of one-sided bounds and of intervals of thresholds.
        n_resamples: Draws of atoms for the intervals of thresholds.
        seed: Of these draws.
    """

    objective: Objective = "macro-f1"
    per_class: bool = True
    at_least: float | None = None
    costs: tuple[float, float] = (1.0, 1.0)
    prevalence: Mapping[int, float] | None = None
    min_positives: int = 20
    min_atoms: int = 10
    level: float = 0.95
    n_resamples: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            raise ValueError(f"objective must be one of {', '.join(get_args(Objective))}, got {self.objective!r}")
        if self.objective in PROMISES:
            if self.at_least is None or not 0 < self.at_least < 1:
                raise ValueError(f"at_least must be between 0 and 1 for {self.objective}, got {self.at_least}")
        elif self.at_least is not None:
            raise ValueError(f"at_least must be None for {self.objective}, which promises nothing, got {self.at_least}")
        if min(self.costs) < 0 or max(self.costs) <= 0:
            raise ValueError(f"costs must be 0 or more and not both 0, got {self.costs}")
        for column, share in (self.prevalence or {}).items():
            if not 0 < share < 1:
                raise ValueError(f"prevalence must be between 0 and 1, got {share} for column {column}")
        if not 0 < self.level < 1:
            raise ValueError(f"level must be between 0 and 1, got {self.level}")
