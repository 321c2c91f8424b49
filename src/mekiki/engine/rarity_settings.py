"""What may be asked of rankings of rare things: settings of ``evaluate --rarity``."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import model_validator

from mekiki.errors import UsageError, unknown_name
from mekiki.metrics.rare_ranking import USUAL_CUTOFFS, Cutoff
from mekiki.models.opening import RuntimeName
from mekiki.settings import Field, Input, Settings, SpeedOnly
from mekiki.training.judging import check_metric

TRUTH_ONLY = ("truth_column", "truth_above", "root", "allow_outside")
INJECT_ONLY = (
    *("inject_class", "inject_count", "repeats", "scorers"),
    *("weights", "runtime"),
)
"""Beside these, ``device`` and ``allow_code``, which a recipe may be given for all of its steps."""


class RarityQuestion(Settings):
    """Measure how well ``mine`` ranks what is known to be rare; and what measuring models has in common with it."""

    gate: dict[str, float] = Field(
        {}, description="exit 4 unless the lower bound of METRIC (with --rarity also SCORER:METRIC) lies above VALUE"
    )
    resamples: int = Field(2000, ge=100, description="draws of atoms for intervals (not with --inject, see --repeats)")
    seed: int = Field(0, ge=0, description="of the draws")
    rarity: bool = Field(False, description="measure the rankings of mine, and no models")
    truth: Path | None = Input(
        None, description="with --rarity: table that says which pictures or boxes are rare, or list of rare pictures"
    )
    truth_column: str | None = Field(None, description="with --truth: column that says what is rare")
    truth_above: float | None = Field(None, description="with --truth: numbers above this are rare (default: above 0)")
    at: tuple[int, ...] = Field((), description="with --rarity: also look at so many first ones, beside n and 2n")
    inject: tuple[Path, ...] = Input(
        (), description="with --rarity: folder of odd pictures to hide in the pile, to see how many come back"
    )
    inject_class: str | None = Field(
        None, description="with --inject: class that they count as (default: none, and scorers by class are left out)"
    )
    inject_count: int | None = Field(None, ge=1, description="with --inject: how many a draw hides (default: 5 %)")
    repeats: int = Field(20, ge=1, description="with --inject: draws of what is hidden")
    scorers: tuple[str, ...] = Field((), description="with --inject: which to measure (default: all that can be)")
    mining: str | None = Input(None, description="with --rarity: run of mine to measure (default: the latest)")
    root: Path | None = Input(None, description="with --truth: folder that its paths start from, else the file's own")
    allow_outside: bool = Field(False, description="with --truth: let it name files outside its root")
    weights: Path | None = Input(None, description="with --inject: file of the embedder's weights, if embed had one")
    runtime: RuntimeName = Input("auto", description="with --inject: torch, onnx or openvino")
    device: str = SpeedOnly("auto", description="with --inject: auto, cpu, cuda, cuda:N or mps")
    allow_code: bool = Input(False, description="with --inject: run the program that a python:FILE:CLASS embedder is")

    @model_validator(mode="after")
    def _check_question(self) -> Self:
        given = self.model_fields_set
        if not self.rarity:
            for name in ("truth", "inject", "at", "mining", *TRUTH_ONLY, *INJECT_ONLY):
                _refuse(name in given, name, "goes with --rarity")
            for name in self.gate:
                check_metric(name)
            return self
        for name in sorted(given - set(RarityQuestion.model_fields)):
            _refuse(True, name, "is about models, and --rarity about rankings: leave it out")
        if (self.truth is None) == (not self.inject):
            raise UsageError("--rarity needs what is known to be rare: one of --truth FILE and --inject FOLDER")
        for name in (*TRUTH_ONLY, "resamples") if self.inject else INJECT_ONLY:
            _refuse(name in given, name, f"goes with {'--truth' if self.inject else '--inject'}")
        if any(count < 1 for count in self.at):
            raise UsageError(f"--at takes numbers from 1 on, got {min(self.at)}")
        for name in self.gate:
            metric = name.rpartition(":")[2]
            if metric not in self.figure_names():
                raise unknown_name("metric", metric, self.figure_names())
        return self

    def cutoffs(self) -> tuple[Cutoff, ...]:
        """Return where precision and recall are measured."""
        return (*USUAL_CUTOFFS, *(Cutoff(str(count), count=count) for count in dict.fromkeys(self.at)))

    def figure_names(self) -> list[str]:
        """Return the figures of each ranking; hidden pictures are only counted among the first ones."""
        kinds = ("recall",) if self.inject else ("precision", "recall")
        at = [f"{kind}_at_{one.name}" for one in self.cutoffs() for kind in kinds]
        return at if self.inject else ["average_precision", *at]


def _refuse(is_given: bool, name: str, why: str) -> None:
    if is_given:
        raise UsageError(f"--{name.replace('_', '-')} {why}")
