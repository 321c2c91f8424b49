"""A search for a head's design by Optuna: seed 5's space, TPE, pruning by the median; a killed one goes on.

What a trial tries follows from the seed, its number among finished trials, and what those came to, so a search that
was killed tries what an undisturbed one tries. The trial that was under way is marked failed and tried again.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mekiki.errors import InterruptedRunError
from mekiki.training.head_plan import HeadPlan
from mekiki.training.history import TENSORBOARD_NAME, add_scalars, open_events
from mekiki.training.optional import import_optuna

if TYPE_CHECKING:
    from mekiki.training.head_fit import Fitted

DATABASE_NAME = "search.db"
OBJECTIVE = "val_pr_auc"
N_RANDOM = 10
"""Trials whose designs are drawn by chance before TPE has something to go by; Optuna's own number."""

N_UNPRUNED, N_WARM_EPOCHS = 5, 5
"""A trial is stopped when it is worse than the median of earlier ones at its epoch, but not among the first trials, nor
in its first epochs."""

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What to search.

    Attributes:
        head: ``mlp``, or ``linear``, which has a learning rate only.
        n_trials: That end by themselves or are pruned.
        seed: Of the designs.
        folder: ``runs/<run_id>``; its name is the study's.
    """

    head: Literal["mlp", "linear"]
    n_trials: int
    seed: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it: the best design, and the content of ``search.json``."""

    plan: HeadPlan
    content: dict[str, Any]


def search_plan(
    options: SearchOptions,
    fit: Callable[[HeadPlan], Iterator[Fitted]],
    say: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> Found:
    """Try designs until there are enough finished trials, and return the one with the highest `OBJECTIVE`.

    Args:
        options: What to search.
        fit: Trains a design and yields its record after each epoch; it ends early when ``should_stop`` says yes.
        say: Takes a line after each trial.
        should_stop: Asked after each trial and epoch.

    Raises:
        MissingExtraError: If Optuna or TensorBoard is not installed.
        InterruptedRunError: If the user stopped it.
    """
    optuna = import_optuna()
    with _quiet(optuna), _study(optuna, options, say) as study:
        _bury(study, optuna, options)
        while (n_done := len(_finished(study, optuna))) < options.n_trials:
            study.sampler = optuna.samplers.TPESampler(
                seed=options.seed * 100_003 + n_done, n_startup_trials=N_RANDOM, constant_liar=False
            )
            trial = study.ask()
            plan = suggest_plan(trial, options.head)
            ended = _try(trial, fit(plan), _events_of(options, trial.number), should_stop)
            if ended is None:
                raise InterruptedRunError(f"train interrupted after {n_done} trials. The same command goes on")
            state = optuna.trial.TrialState.PRUNED if ended == "pruned" else optuna.trial.TrialState.COMPLETE
            study.tell(trial, values=None if ended == "pruned" else _highest(study, trial.number), state=state)
            say(_in_words(study.trials[trial.number], n_done + 1, options.n_trials))
        content = _describe(study)
        best = next(one for one in study.trials if one.number == content["best"])
        plan = suggest_plan(optuna.trial.FixedTrial(best.params), options.head)
    return Found(plan, content)


def suggest_plan(trial: Any, head: Literal["mlp", "linear"]) -> HeadPlan:
    """Return the design that a trial stands for, out of seed 5's space."""
    lr = trial.suggest_float("lr", 1e-4, 1e-2, log=True)
    if head == "linear":
        return HeadPlan((), lr=lr)
    init = trial.suggest_categorical("init", ["he", "glorot"])
    hidden = trial.suggest_categorical("hidden", ["tanh", "gelu"])
    layers = trial.suggest_int("layers", 1, 2)
    units = trial.suggest_categorical("units", [128, 256])
    dropout = trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
    return HeadPlan((units,) * layers, hidden, dropout, init, lr)


def _try(
    trial: Any, epochs: Iterator[Fitted], events_folder: Path, should_stop: Callable[[], bool]
) -> Literal["complete", "pruned"] | None:
    """Train one design; None if the user stopped it."""
    shutil.rmtree(events_folder, ignore_errors=True)
    events = open_events(events_folder)
    try:
        for fitted in epochs:
            row = fitted.history[-1]
            add_scalars(events, row)
            trial.report(row[OBJECTIVE], int(row["epoch"]))
            if trial.should_prune():
                return "pruned"
    finally:
        events.close()
    return None if should_stop() else "complete"


def _describe(study: Any) -> dict[str, Any]:
    trials = [
        {
            "number": one.number,
            "state": STATES[one.state.name],
            "value": max(one.intermediate_values.values(), default=None),
            "parameters": one.params,
            "seconds": one.duration.total_seconds() if one.state.name != "FAIL" else None,
        }
        for one in study.trials
    ]
    complete = [one for one in trials if one["state"] == "complete"]
    best = max(complete, key=lambda one: (one["value"], -one["number"]))
    return {"objective": OBJECTIVE, "direction": "maximize", "trials": trials, "best": best["number"]}


def _highest(study: Any, number: int) -> float:
    return float(max(study.trials[number].intermediate_values.values()))


def _finished(study: Any, optuna: Any) -> list[Any]:
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    found: list[Any] = study.get_trials(deepcopy=False, states=states)
    return found


def _bury(study: Any, optuna: Any, options: SearchOptions) -> None:
    """Mark the trials of a process that is no more as failed; a workspace has one writer at a time."""
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        shutil.rmtree(_events_of(options, trial.number), ignore_errors=True)


def _events_of(options: SearchOptions, number: int) -> Path:
    return options.folder / TENSORBOARD_NAME / f"trial-{number + 1:03d}"


def _in_words(trial: Any, n_done: int, n_trials: int) -> str:
    shown = ", ".join(f"{name} {value:.3g}" if name == "lr" else f"{name} {value}" for name, value in _sorted(trial))
    value = max(trial.intermediate_values.values())
    done = f"{n_done} of {n_trials} done"  # a killed trial has a number and is tried again under the next
    return f"trial {trial.number + 1} ({done}): {STATES[trial.state.name]}, PR-AUC {value:.4f} with {shown}"


def _sorted(trial: Any) -> list[tuple[str, Any]]:
    return sorted((name, round(value, 6) if name == "dropout" else value) for name, value in trial.params.items())


@contextmanager
def _study(optuna: Any, options: SearchOptions, say: Callable[[str], None]) -> Iterator[Any]:
    """Open the study, or a new one where a power cut, another Optuna or a hand has left one that cannot be used."""
    from sqlalchemy.exc import SQLAlchemyError

    path = options.folder / DATABASE_NAME
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        storage, study = _open_study(optuna, path)
        _check_study(optuna, study, options.head)
    except (SQLAlchemyError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        say(f"the search starts anew, since {path} cannot be read: {reason}")
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        storage, study = _open_study(optuna, path)
    try:
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _open_study(optuna: Any, path: Path) -> tuple[Any, Any]:
    def connect() -> sqlite3.Connection:
        # The path is not put into an address, where a blank, ? or { in it would mean something.
        connection = sqlite3.connect(path, check_same_thread=False)
        # Each epoch is a transaction: waiting for the disk would take longer than training. A killed process loses
        # nothing by it.
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    storage = optuna.storages.RDBStorage(f"sqlite:///{DATABASE_NAME}", engine_kwargs={"creator": connect})
    study = optuna.create_study(
        storage=storage,
        study_name=path.parent.name,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=N_UNPRUNED, n_warmup_steps=N_WARM_EPOCHS),
        direction="maximize",
        load_if_exists=True,
    )
    return storage, study


def _check_study(optuna: Any, study: Any, head: Literal["mlp", "linear"]) -> None:
    """Check that a study holds what a search could have left.

    Raises:
        ValueError: If it does not. Optuna raises much else at content that it cannot decode.
    """
    if study.direction.name != "MAXIMIZE":
        raise ValueError(f"its direction is {study.direction.name.lower()}")
    trials = study.get_trials(deepcopy=False)
    if [one.number for one in trials] != list(range(len(trials))):
        raise ValueError("its trials are not numbered one by one")
    for one in trials:
        if one.state.name not in (*STATES, "RUNNING") or not _is_sane(optuna, one, head):
            raise ValueError(f"its trial {one.number + 1} is none of this search")
    finished = [one.state.name for one in trials if one.state.name in ("COMPLETE", "PRUNED")]
    if finished and "COMPLETE" not in finished:
        raise ValueError("all of its trials are pruned")


def _is_sane(optuna: Any, trial: Any, head: Literal["mlp", "linear"]) -> bool:
    """Return whether a trial's parameters lie in the space, and what it came to in [0, 1]."""
    values = list(trial.intermediate_values.values())
    if not all(one != one or 0 <= one <= 1 for one in values):
        return False
    if not all(_is_within(one, trial.distributions[name]) for name, one in trial.params.items()):
        return False
    if trial.state.name not in ("COMPLETE", "PRUNED"):  # it may have been killed between two parameters
        return True
    fixed = optuna.trial.FixedTrial(trial.params)
    suggest_plan(fixed, head)
    is_measured = bool(values) and trial.duration is not None
    is_valued = trial.state.name == "PRUNED" or 0 <= trial.value <= 1
    return bool(is_measured and is_valued and trial.distributions == fixed.distributions)


def _is_within(value: Any, distribution: Any) -> bool:
    if hasattr(distribution, "choices"):
        return value in distribution.choices
    return bool(distribution.low <= value <= distribution.high)


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Let Optuna say nothing; what there is to say, we say."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
