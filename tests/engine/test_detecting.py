"""Detecting as work for an engine: how many at once, which pictures, and what is kept of what is found."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.catalog.db import Catalog
from mekiki.catalog.items import select_pictures
from mekiki.catalog.results import read_boxes
from mekiki.engine.detecting import DetectWork, Keeping, Sampled, keep_boxes
from mekiki.engine.local import LocalEngine
from mekiki.media.detections import Detections
from mekiki.models.base import Detector
from mekiki.models.detect import DetectorOpening
from mekiki.records import Item, RunSummary
from mekiki.stages.detect import DetectSettings
from objects import Fixed, Meeting, make_scenes
from workspaces import counts, ingest

HERE = Item("a" * 32, "image", Path("/photos/a.jpg"), width_px=200, height_px=100)


def detections(*rows: tuple[float, ...]) -> Detections:
    found = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(found[:, :4], found[:, 4], tuple(f"class{number}" for number in range(len(found))))


def run_with(workspace: Path, detector: Detector, n_workers: int, keeping: Keeping | None = None) -> RunSummary:
    opening = DetectorOpening("toy", n_workers=n_workers)
    work = DetectWork(opening, detector.identity, "cpu", 1280, keeping or Keeping(), lambda _opening: detector)
    with Catalog(workspace) as catalog:
        settings = DetectSettings(workers=n_workers)
        return LocalEngine().map(catalog, "detect", settings, work, select_pictures(catalog, ""))


def test_nothing_found_keeps_nothing() -> None:
    kept = keep_boxes(HERE, Detections.none(), Keeping())

    assert (kept.boxes, kept.crops, kept.n_dropped) == ((), (), 0)


def test_the_surest_boxes_are_kept_and_the_others_counted() -> None:
    kept = keep_boxes(HERE, detections((0, 0, 10, 10, 0.3), (0, 0, 20, 20, 0.9), (0, 0, 30, 30, 0.6)), Keeping(2))

    assert [(one.position, one.class_name, round(one.score, 2)) for one in kept.boxes] == [
        (0, "class1", 0.9),
        (1, "class2", 0.6),
    ]
    assert kept.n_dropped == 1


def test_boxes_without_a_pixel_are_dropped_before_the_surest_are_chosen() -> None:
    nowhere = [(250, 10, 300, 20, 0.99), (50, 50, 50, 80, 0.98), (60, 60, 20, 80, 0.97), (30, 30, 30.01, 60, 0.96)]

    kept = keep_boxes(HERE, detections(*nowhere, (10, 10, 20, 20, 0.5)), Keeping(1))

    assert [one.class_name for one in kept.boxes] == ["class4"]
    assert kept.n_dropped == 4


def test_boxes_are_clipped_and_rounded_and_cuts_are_padded() -> None:
    kept = keep_boxes(HERE, detections((-5, 10.01, 40, 50.03, 0.9)), Keeping(padding=0.05))

    assert kept.boxes[0].xyxy == (0, 10, 40, 50)
    assert (kept.crops[0].width_px, kept.crops[0].height_px) == (42, 44)  # x to 42; y from 8 to 52
    assert kept.boxes[0].crop_id == kept.crops[0].item_id


def test_boxes_that_are_cut_at_the_same_place_share_a_crop() -> None:
    kept = keep_boxes(HERE, detections((0, 0, 10, 10, 0.9), (0.01, 0, 10, 10, 0.8)), Keeping())

    assert len(kept.boxes) == 2
    assert len({one.crop_id for one in kept.boxes}) == 1


def test_both_sides_are_scaled_by_their_own_factor(tmp_path: Path) -> None:
    stream = io.BytesIO()
    PillowImage.new("RGB", (2600, 3), (90, 90, 90)).save(stream, "png")  # shrunk to 1280 x 1: not by the same factor
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "flat.png").write_bytes(stream.getvalue())
    ingest(tmp_path, tmp_path / "in")
    detector = Fixed([[0.25, 0, 0.5, 1, 0.9]])

    run_with(tmp_path, detector, 1)

    with Catalog(tmp_path) as catalog:
        (boxes,) = read_boxes(catalog).values()
    assert detector.seen_hw == [(1, 1280)]
    assert boxes[0].xyxy == (650, 0, 1300, 3)


def test_two_pictures_are_looked_at_at_the_same_time(tmp_path: Path) -> None:
    make_scenes(tmp_path, 6)

    summary = run_with(tmp_path, Meeting(2), 2)

    assert counts(summary) == (6, 6, 0, 0)


def test_a_single_worker_never_looks_at_two_at_once(tmp_path: Path) -> None:
    make_scenes(tmp_path, 2)

    with pytest.raises(threading.BrokenBarrierError):
        run_with(tmp_path, Meeting(2, timeout_s=0.3), 1)


def test_no_more_calls_are_in_flight_than_the_detector_wants(tmp_path: Path) -> None:
    class Counting(Fixed):
        in_flight = most = 0
        lock = threading.Lock()

        def detect(self, batch: list[np.ndarray]) -> list[Detections]:  # type: ignore[override, type-arg]
            with self.lock:
                self.in_flight += 1
                self.most = max(self.most, self.in_flight)
            threading.Event().wait(0.02)
            with self.lock:
                self.in_flight -= 1
            return super().detect(batch)

    make_scenes(tmp_path, 12)
    detector = Counting([[0.1, 0.1, 0.5, 0.5, 0.9]], n_at_once=2)

    run_with(tmp_path, detector, 4)

    assert detector.most == 2


def test_a_detector_that_wants_one_call_at_a_time_gets_several_pictures_in_each(tmp_path: Path) -> None:
    class Sizes(Fixed):
        sizes: list[int] = []  # noqa: RUF012 - of this one detector

        def detect(self, batch: list[np.ndarray]) -> list[Detections]:  # type: ignore[override, type-arg]
            self.sizes.append(len(batch))
            return super().detect(batch)

    make_scenes(tmp_path, 11)
    detector = Sizes([[0.1, 0.1, 0.5, 0.5, 0.9]])

    summary = run_with(tmp_path, detector, 2)

    assert summary.n_rows == 22
    assert detector.sizes == [8, 3]


def items(n: int, first: int = 0) -> list[Item]:
    return [Item(f"{number:032x}", "image", None, 10, 10) for number in range(first, first + n)]


@pytest.mark.parametrize(
    ("n", "share", "expected"),
    [
        pytest.param(0, 0.2, 0, id="nothing"),
        pytest.param(1, 0.01, 1, id="at least one"),
        pytest.param(200, 0.2, 40, id="an exact share"),
        pytest.param(7, 0.5, 4, id="rounded, halves to the even number"),
        pytest.param(5, 1.0, 5, id="all"),
    ],
)
def test_a_share_is_an_exact_number(n: int, share: float, expected: int) -> None:
    sampled = Sampled(items(n), share, seed=42)

    assert (len(sampled), len(list(sampled))) == (expected, expected)


def test_the_same_seed_takes_the_same_items_in_whatever_order_they_come() -> None:
    forth, back = Sampled(items(50), 0.3, 1), Sampled(items(50)[::-1], 0.3, 1)
    other = Sampled(items(50), 0.3, 2)

    assert {one.item_id for one in forth} == {one.item_id for one in back}
    assert {one.item_id for one in forth} != {one.item_id for one in other}


def test_items_that_come_later_replace_none_that_were_taken() -> None:
    before = {one.item_id for one in Sampled(items(50), 0.3, 1)}

    after = {one.item_id for one in Sampled(items(500), 0.3, 1, before)}

    assert before < after
    assert len(after) == 150
