"""A precision is taken only where the user's own pictures keep their vectors; what was measured is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.errors import DataError, UsageError
from mekiki.models import precision as module
from mekiki.models.precision import (
    AUTO_FROM,
    N_CALIBRATION,
    Precisions,
    cosines_between,
)
from mekiki.models.precision_check import MIN_COSINE
from mekiki.models.precision_sample import N_CHECKED, Sample
from towers import ToyTower, pixels

MANY = max(AUTO_FROM.values())


class FakeRunner:
    """Gives vectors that are off those in fp32 by an angle of its precision's own."""

    def __init__(self, precision: str, cosine: float, log: list[str]) -> None:
        self.precision, self.device = precision, "cpu"
        self._cosine, self._log = cosine, log

    def run(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._log += [self.precision] * len(pictures)
        sine = np.sqrt(1 - self._cosine**2)
        return np.tile(np.array([[self._cosine, sine]], np.float32), (len(pictures), 1))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every picture that a runner was given, by precision; the processor has all precisions."""
    seen: list[str] = []
    monkeypatch.setattr("mekiki.models.runners.has_bf16", lambda: True)
    _plant(monkeypatch, seen, bf16=0.9999, int8=0.9995)
    return seen


def _plant(monkeypatch: pytest.MonkeyPatch, seen: list[str], **cosines: float) -> None:
    exact = {"fp32": 1.0, **cosines}

    def fake_runner(_tower: Any, _runtime: str, _device: str, precision: str, _graph: Path | None) -> FakeRunner:
        return FakeRunner(precision, exact[precision], seen)

    def fake_int8(_tower: Any, given: NDArray[np.uint8], path: Path) -> str:
        path.write_text("graph")
        path.with_suffix(".bin").write_text(f"{len(seen)}")
        seen.extend(["calibrated"] * len(given))
        return "00ff00ff00ff00ff"

    monkeypatch.setattr(module, "open_runner", fake_runner)
    monkeypatch.setattr(module, "write_int8", fake_int8)


def sample_of(n_there: int) -> Callable[[int], Sample]:
    def read(n_wanted: int) -> Sample:
        n_read = min(n_there, n_wanted)
        return Sample([f"{one:04d}" for one in range(n_read)], pixels(n_read))

    return read


def make(folder: Path, n_there: int = 400, embedder_id: str = "00112233aabbccdd") -> Precisions:
    tower = ToyTower(None, embedder_id)
    return Precisions(tower, "openvino", "cpu", folder, sample=sample_of(n_there))


def test_auto_takes_the_fastest_that_passes(tmp_path: Path, log: list[str]) -> None:
    settled = make(tmp_path).settle("auto", MANY)

    assert settled is not None
    assert settled.check is not None
    assert settled.precision == "int8"
    assert settled.check.mean_cosine == pytest.approx(0.9995, abs=1e-5)
    assert settled.graph == tmp_path / "00112233aabbccdd-int8" / "graph.xml"
    assert "mean cosine of 0.99950" in settled.why


def test_auto_passes_over_what_changes_the_vectors(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(monkeypatch, log, bf16=0.9999, int8=0.998)
    settled = make(tmp_path).settle("auto", MANY)
    assert settled is not None
    assert settled.precision == "bf16"
    assert "int8 vectors of 100 of your pictures have a mean cosine of 0.99800" in settled.why

    _plant(monkeypatch, log, bf16=0.99, int8=0.998)
    settled = make(tmp_path / "other").settle("auto", MANY)
    assert settled is not None
    assert (settled.precision, settled.check) == ("fp32", None)


def test_it_is_refused_when_asked_for_with_the_figure_and_what_to_type(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(monkeypatch, log, int8=0.998)

    with pytest.raises(DataError, match=r"mean cosine of 0\.99800.* 0\.999 is the least\. Type: --precision auto"):
        make(tmp_path).settle("int8", 400)


@pytest.mark.parametrize(("cosine", "is_taken"), [(MIN_COSINE + 2e-5, True), (MIN_COSINE - 2e-5, False)])
def test_the_limit_is_where_it_is_said_to_be(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch, cosine: float, is_taken: bool
) -> None:
    _plant(monkeypatch, log, bf16=cosine)
    if is_taken:
        settled = make(tmp_path).settle("bf16", 400)
        assert settled is not None
        assert settled.precision == "bf16"
    else:
        with pytest.raises(DataError):
            make(tmp_path).settle("bf16", 400)


def test_what_is_checked_was_not_calibrated_on(tmp_path: Path, log: list[str]) -> None:
    calibration, checked = sample_of(400)(N_CALIBRATION + N_CHECKED).halves()
    assert set(calibration.ids).isdisjoint(checked.ids)
    assert (len(calibration), len(checked)) == (N_CALIBRATION, N_CHECKED)

    make(tmp_path).settle("int8", 400)

    assert {one: log.count(one) for one in set(log)} == {
        "calibrated": N_CALIBRATION,
        "int8": N_CHECKED,
        "fp32": N_CHECKED,
    }


def test_few_pictures_are_halved_and_fewer_check_nothing(tmp_path: Path, log: list[str]) -> None:
    settled = make(tmp_path, 20).settle("int8", 20)
    assert settled is not None
    assert settled.check is not None
    assert (settled.check.n_calibrated, settled.check.n_checked) == (10, 10)

    with pytest.raises(
        DataError, match=r"int8 is checked on 20 pictures or more, and 19 can be read.*--precision fp32"
    ):
        make(tmp_path / "few", 19).settle("int8", 19)
    few = make(tmp_path / "few", 19).settle("auto", MANY)
    assert few is not None
    assert few.precision == "fp32"
    assert "fewer than 20 pictures can be read" in few.why


def test_auto_makes_nothing_that_takes_longer_than_it_saves(tmp_path: Path, log: list[str]) -> None:
    precision_of = {}
    for n_pictures in (AUTO_FROM["bf16"] - 1, AUTO_FROM["bf16"], AUTO_FROM["int8"] - 1, AUTO_FROM["int8"]):
        settled = make(tmp_path / str(n_pictures)).settle("auto", n_pictures)
        assert settled is not None
        precision_of[n_pictures] = settled.precision

    assert list(precision_of.values()) == ["fp32", "bf16", "bf16", "int8"]


def test_what_was_made_is_kept_whatever_pictures_come(tmp_path: Path, log: list[str]) -> None:
    first = make(tmp_path).settle("int8", 400)
    log.clear()

    again = make(tmp_path, 5000).settle("int8", 5000)
    by_itself = make(tmp_path, 30).settle("auto", 30)

    assert log == []
    assert first == again == by_itself
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("earlier", ["fp32", "bf16", "int8"])
def test_auto_keeps_the_precision_of_the_vectors_that_are_there(tmp_path: Path, log: list[str], earlier: str) -> None:
    for n_pictures in (30, AUTO_FROM["bf16"], MANY):
        settled = make(tmp_path / f"{earlier}{n_pictures}").settle("auto", n_pictures, earlier=earlier)
        assert settled is not None
        assert settled.precision == earlier
        assert "as the vectors that are there" in settled.why


def test_a_precision_that_is_not_to_be_had_any_more_is_not_kept(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(monkeypatch, log, bf16=0.9999, int8=0.99)
    settled = make(tmp_path).settle("auto", AUTO_FROM["bf16"], earlier="int8")

    assert settled is not None
    assert settled.precision == "bf16"
    assert "as the vectors that are there" not in settled.why


@pytest.mark.parametrize("file", ["graph.xml", "graph.bin"])
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_graph_that_is_not_what_was_checked_is_made_anew(
    tmp_path: Path, log: list[str], file: str, is_gone: bool
) -> None:
    first = make(tmp_path).settle("int8", 400)
    log.clear()
    path = tmp_path / "00112233aabbccdd-int8" / file
    path.unlink() if is_gone else path.write_text("spoilt")

    assert make(tmp_path).settle("int8", 400, may_check=False) is None
    second = make(tmp_path).settle("int8", 400)

    assert first is not None
    assert second is not None
    assert log.count("calibrated") == N_CALIBRATION
    assert "no longer what was checked, and was made anew" in second.why
    assert "made anew" not in first.why
    assert path.read_text() != "spoilt"


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_a_newer_runtime_is_checked_with_the_graph_that_is_there(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    first = make(tmp_path).settle(precision, 400)
    log.clear()
    monkeypatch.setattr(module, "version", lambda _package: "9999.1")

    second = make(tmp_path).settle(precision, 400)

    assert {one: log.count(one) for one in set(log)} == {precision: N_CHECKED, "fp32": N_CHECKED}
    assert first is not None
    assert second is not None
    assert first.check is not None
    assert second.check is not None
    assert first.check.graph_id == second.check.graph_id
    assert second.check.version == "9999.1"
    log.clear()
    assert make(tmp_path).settle(precision, 400) == second
    assert log == []


def test_another_network_has_its_own(tmp_path: Path, log: list[str]) -> None:
    make(tmp_path).settle("int8", 400)
    log.clear()

    make(tmp_path, embedder_id="ffffffffffffffff").settle("int8", 400)

    assert "calibrated" in log


def test_what_did_not_pass_is_remembered_by_auto_and_tried_again_when_asked_for(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(monkeypatch, log, bf16=0.9999, int8=0.99)
    make(tmp_path).settle("auto", MANY)
    log.clear()
    make(tmp_path).settle("auto", MANY)
    assert log == []

    _plant(monkeypatch, log, int8=0.9999)
    settled = make(tmp_path).settle("int8", 400)
    assert settled is not None
    assert settled.precision == "int8"


def test_a_killed_making_leaves_nothing_that_is_taken_for_made(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_given: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_int8", killed)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path).settle("int8", 400)
    assert make(tmp_path).settle("int8", 400, may_check=False) is None

    _plant(monkeypatch, log, int8=0.9999)
    settled = make(tmp_path).settle("int8", 400)
    assert settled is not None
    assert settled.graph is not None
    assert settled.graph.read_text() == "graph"


def test_without_leave_to_check_nothing_is_read(tmp_path: Path, log: list[str]) -> None:
    assert make(tmp_path).settle("auto", MANY, may_check=False) is None
    assert make(tmp_path).settle("int8", MANY, may_check=False) is None
    exact = make(tmp_path).settle("fp32", MANY, may_check=False)
    assert exact is not None
    assert exact.precision == "fp32"
    assert log == []


def test_a_precision_that_the_runtime_has_not_is_wrong_usage(tmp_path: Path) -> None:
    precisions = Precisions(ToyTower(None), "torch", "cpu", tmp_path, sample=sample_of(400))

    with pytest.raises(UsageError, match="computes in fp32, not in int8"):
        precisions.settle("int8", 400)
    settled = precisions.settle("auto", MANY)
    assert settled is not None
    assert settled.why == "fp32: all that torch computes in on this machine's cpu"


@pytest.mark.parametrize(
    "change",
    [{"more": 1}, {"mean_cosine": "x"}, {"mean_cosine": 0.9999}, {"mean_cosine": 2}, {"precision": "bf16"}, None],
    ids=str,
)
def test_a_note_that_somebody_changed_is_measured_anew(
    tmp_path: Path, log: list[str], change: dict[str, object] | None
) -> None:
    first = make(tmp_path).settle("int8", 400)
    note = tmp_path / "00112233aabbccdd-int8" / "check.json"
    written = note.read_text()
    note.write_text("[" * 100_000 if change is None else json.dumps({**json.loads(written), **change}))

    assert make(tmp_path).settle("int8", 400, may_check=False) is None
    second = make(tmp_path).settle("int8", 400)

    assert first is not None
    assert second is not None
    assert second.check == first.check.model_copy(update={"graph_id": second.check.graph_id})
    assert log.count("calibrated") == 2 * N_CALIBRATION
    assert "no longer what was checked, and was made anew" in second.why
    assert "made anew" not in first.why


def test_cosines_are_those_of_the_rows_and_nothing_has_none() -> None:
    left = np.array([[3, 4], [0, 0], [np.nan, 1], [1, 0]], np.float32)
    right = np.array([[30, 40], [1, 0], [1, 0], [-2, 0]], np.float32)

    np.testing.assert_allclose(cosines_between(left, right), [1, 0, 0, -1])
