"""The search for a design: seed 5's space, the same suggestions after any stop, what is written down."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mekiki.errors import InterruptedRunError
from mekiki.training.head_plan import HeadPlan

torch = pytest.importorskip("torch")
optuna = pytest.importorskip("optuna")
pytest.importorskip("tensorboard")
from mekiki.training.head_fit import Fitted  # noqa: E402
from mekiki.training.search import DATABASE_NAME, Found, SearchOptions, search_plan, suggest_plan  # noqa: E402

N_EPOCHS = 7


def worth(plan: HeadPlan) -> float:
    """Return how good a design is in this made-up world: best at a rate of 1e-3, with gelu."""
    import math

    return 0.9 - 0.2 * abs(math.log10(plan.lr) + 3) - 0.1 * (plan.hidden != "gelu") - 0.1 * plan.dropout


def pretend(plan: HeadPlan, seen: list[HeadPlan] | None = None) -> Iterator[Fitted]:
    """Yield what a fit would: a value that rises to the design's worth."""
    if seen is not None:
        seen.append(plan)
    fitted = Fitted()
    for epoch in range(1, N_EPOCHS + 1):
        fitted.history.append({"epoch": float(epoch), "val_pr_auc": worth(plan) * epoch / N_EPOCHS, "val_loss": 1.0})
        yield fitted


def search(
    folder: Path,
    n_trials: int = 12,
    fit: Callable[[HeadPlan], Iterator[Fitted]] = pretend,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _line: None,
    **options: Any,
) -> Found:
    how = {"head": "mlp", "n_trials": n_trials, "seed": 7, "folder": folder, **options}
    return search_plan(SearchOptions(**how), fit, say, should_stop)


def tried(found: Found) -> list[tuple[Any, ...]]:
    ended = [one for one in found.content["trials"] if one["state"] != "failed"]
    return [(one["state"], one["value"], one["parameters"]) for one in ended]


def test_the_space_is_seed_5s(tmp_path: Path) -> None:
    seen: list[HeadPlan] = []

    search(tmp_path / "run", 24, lambda plan: pretend(plan, seen))

    assert {one.hidden for one in seen} == {"tanh", "gelu"}
    assert {one.init for one in seen} == {"he", "glorot"}
    assert {len(one.layers) for one in seen} == {1, 2}
    assert {width for one in seen for width in one.layers} == {128, 256}
    assert all(1e-4 <= one.lr <= 1e-2 for one in seen)
    assert {round(one.dropout, 6) for one in seen} <= {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}


def test_a_linear_head_has_a_rate_only(tmp_path: Path) -> None:
    found = search(tmp_path / "run", 3, head="linear")

    assert found.plan.layers == ()
    assert set(found.content["trials"][0]["parameters"]) == {"lr"}


def test_the_best_complete_trial_is_the_one_that_is_returned(tmp_path: Path) -> None:
    found = search(tmp_path / "run", 25)

    complete = [one for one in found.content["trials"] if one["state"] == "complete"]
    best = max(complete, key=lambda one: one["value"])
    assert found.content["best"] == best["number"]
    assert found.plan == suggest_plan(optuna.trial.FixedTrial(best["parameters"]), "mlp")
    assert worth(found.plan) > 0.85  # of chance alone, the median is under 0.7
    assert found.content["objective"] == "val_pr_auc"
    assert found.content["direction"] == "maximize"
    assert {one["state"] for one in found.content["trials"]} == {"complete", "pruned"}


def test_poor_trials_are_pruned_early(tmp_path: Path) -> None:
    lengths: list[int] = []

    def counted(plan: HeadPlan) -> Iterator[Fitted]:
        lengths.append(0)
        for fitted in pretend(plan):
            lengths[-1] += 1
            yield fitted

    search(tmp_path / "run", 15, counted)

    assert set(lengths[:5]) == {N_EPOCHS}
    assert min(lengths[5:]) < N_EPOCHS


def test_the_same_seed_tries_the_same_and_another_tries_others(tmp_path: Path) -> None:
    first, again, other = (search(tmp_path / str(n), seed=seed) for n, seed in enumerate((7, 7, 8)))

    assert tried(first) == tried(again)
    assert tried(first) != tried(other)


@pytest.mark.parametrize("n_before", [1, 6, 11])
def test_a_stopped_search_goes_on_as_if_nothing_had_been(tmp_path: Path, n_before: int) -> None:
    n_begun = 0

    def until(plan: HeadPlan) -> Iterator[Fitted]:
        nonlocal n_begun
        n_begun += 1
        return iter(()) if n_begun > n_before else pretend(plan)

    with pytest.raises(InterruptedRunError, match=f"interrupted after {n_before} trials"):
        search(tmp_path / "stopped", 12, until, lambda: n_begun > n_before)
    said: list[str] = []
    found = search(tmp_path / "stopped", 12, say=said.append)

    shown = [one["number"] + 1 for one in found.content["trials"][n_before + 1 :]]
    assert [line.partition(":")[0] for line in said] == [
        f"trial {number} ({number - 1} of 12 done)" for number in shown
    ]

    assert tried(found) == tried(search(tmp_path / "whole", 12))
    assert [one["state"] for one in found.content["trials"]].count("failed") == 1


def test_a_finished_search_tries_nothing_more(tmp_path: Path) -> None:
    first = search(tmp_path / "run", 4)

    assert search(tmp_path / "run", 4, lambda _plan: pytest.fail("it tried again")).content == first.content


def test_a_study_that_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole", 3)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / DATABASE_NAME).write_bytes(b"no database at all" * 100)
    said: list[str] = []

    found = search_plan(SearchOptions("mlp", 3, 7, tmp_path / "torn"), pretend, said.append, lambda: False)

    assert tried(found) == tried(whole)
    assert "the search starts anew" in said[0]


TAMPERED = {
    "no values": "DELETE FROM trial_intermediate_values",
    "a value beyond all": "UPDATE trial_values SET value = NULL, value_type = 'INF_POS'",
    "no parameters": "DELETE FROM trial_params",
    "parameters out of range": "UPDATE trial_params SET param_value = 99",
    "a rate out of range": "UPDATE trial_params SET param_value = 99 WHERE param_name = 'lr'",
    "another space": 'UPDATE trial_params SET distribution_json = \'{"name": "X"}\'',
    "a wider space": "UPDATE trial_params SET distribution_json = replace(distribution_json, '0.01', '0.5')",
    "all pruned": "UPDATE trials SET state = 'PRUNED'",
    "none begun": "UPDATE trials SET state = 'WAITING'",
    "no state": "UPDATE trials SET state = 'ODD'",
    "no time": "UPDATE trials SET datetime_complete = NULL",
    "downwards": "UPDATE study_directions SET direction = 'MINIMIZE'",
    "no table": "DROP TABLE trial_params",
}


@pytest.mark.parametrize("sql", TAMPERED.values(), ids=TAMPERED)
def test_a_study_that_no_search_could_have_left_is_begun_anew(
    tmp_path: Path, undisturbed: list[tuple[Any, ...]], sql: str
) -> None:
    search(tmp_path / "run", 2)
    with closing(sqlite3.connect(tmp_path / "run" / DATABASE_NAME)) as connection:
        connection.execute(sql)
        connection.commit()
    said: list[str] = []

    found = search_plan(SearchOptions("mlp", 3, 7, tmp_path / "run"), pretend, said.append, lambda: False)

    assert "the search starts anew" in said[0]
    assert tried(found) == undisturbed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    return tried(search(tmp_path_factory.mktemp("whole"), 3))


def test_each_trial_has_its_events_and_the_study_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "a name? with {odd} signs"

    search(folder, 3)

    assert sorted(path.name for path in (folder / "tensorboard").iterdir()) == ["trial-001", "trial-002", "trial-003"]
    assert (folder / DATABASE_NAME).is_file()
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
