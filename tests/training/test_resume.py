"""A training's state in a file: all of it comes back, and a damaged or foreign file is not gone on from."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mekiki.training.resume import read_state, write_state
from mekiki.training.state import State

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")


def full_state() -> State:
    weights = {"a.weight": torch.randn(3, 2), "a.n": torch.tensor(7), "b.c.bias": torch.ones(4, dtype=torch.float64)}
    return State(
        history=[{"epoch": 1, "val_loss": 0.1 + 0.2, "val_macro_ap": math.nan, "lr": 1e-5}],
        network=weights,
        optimiser={0: {"step": torch.tensor(5.0), "exp_avg": torch.randn(3, 2)}, 11: {"exp_avg": torch.zeros(2)}},
        average={name: one.clone() for name, one in weights.items()},
        n_averaged=5,
        scaler={"scale": 65536.0, "_growth_tracker": 3},
        best={name: one.clone() for name, one in weights.items()},
        best_epoch=1,
        is_finished=True,
    )


def test_all_of_a_state_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    state = full_state()
    write_state(tmp_path / "run" / "resume.safetensors", state, "key")

    found, why = read_state(tmp_path / "run" / "resume.safetensors", "key")

    assert why == ""
    assert found is not None
    for part in ("network", "average", "best"):
        ours, theirs = getattr(state, part), getattr(found, part)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours)
    assert found.optimiser.keys() == state.optimiser.keys()
    assert torch.equal(found.optimiser[0]["exp_avg"], state.optimiser[0]["exp_avg"])
    assert torch.equal(found.optimiser[0]["step"], state.optimiser[0]["step"])
    assert math.isnan(found.history[0].pop("val_macro_ap"))
    assert found.history == [{"epoch": 1, "val_loss": 0.1 + 0.2, "lr": 1e-5}]
    rest = (found.n_averaged, found.scaler, found.best_epoch, found.is_finished)
    assert rest == (5, {"scale": 65536.0, "_growth_tracker": 3}, 1, True)


def test_an_empty_state_comes_back(tmp_path: Path) -> None:
    write_state(tmp_path / "resume", State(), "key")

    assert read_state(tmp_path / "resume", "key") == (State(), "")


def test_no_file_is_no_reason_to_say_anything(tmp_path: Path) -> None:
    assert read_state(tmp_path / "resume", "key") == (None, "")


def test_a_state_of_other_pictures_is_not_gone_on_from(tmp_path: Path) -> None:
    write_state(tmp_path / "resume", full_state(), "key")

    state, why = read_state(tmp_path / "resume", "another key")

    assert state is None
    assert "other pictures" in why


@pytest.mark.parametrize("damage", ["cut", "empty", "bit in the tensors", "bit in the header", "other file"])
def test_a_damaged_file_is_not_gone_on_from(damage: str, tmp_path: Path) -> None:
    path = write_state(tmp_path / "resume.safetensors", full_state(), "key")
    content = bytearray(path.read_bytes())
    if damage == "bit in the tensors":
        content[-3] ^= 1
    elif damage == "bit in the header":
        content[200] ^= 1
    changed = {"cut": content[:-10], "empty": b"", "other file": b"x" * 1000}.get(damage, content)
    path.write_bytes(bytes(changed))

    state, why = read_state(path, "key")

    assert state is None
    assert why == "resume.safetensors is damaged"


def test_the_same_state_gives_the_same_bytes_and_no_other_file(tmp_path: Path) -> None:
    state = full_state()

    first = write_state(tmp_path / "resume", state, "key").read_bytes()
    second = write_state(tmp_path / "resume", state, "key").read_bytes()

    assert first == second
    assert [one.name for one in tmp_path.iterdir()] == ["resume"]


def test_tensors_that_share_memory_are_kept(tmp_path: Path) -> None:
    shared = torch.ones(3)
    state = State(history=[{"epoch": 1}], network={"first": shared, "second": shared}, best={"first": shared})

    write_state(tmp_path / "resume", state, "key")

    found, _ = read_state(tmp_path / "resume", "key")
    assert found is not None
    assert torch.equal(found.network["second"], shared)
