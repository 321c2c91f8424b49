"""Detectors by name: what a name stands for, and what is refused before anything is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mekiki.errors import BackendError, UsageError
from mekiki.models.coco_classes import COCO_IDS, COCO_NAMES
from mekiki.models.detect import (
    DetectorOpening,
    detector_identity,
    hash_weights,
    identity_of,
    open_detector,
    resolve_detector,
)


def test_the_default_is_said_with_its_licence() -> None:
    opening, note = resolve_detector(DetectorOpening("auto"))

    assert opening.name == "hf:PekingU/rtdetr_v2_r18vd"
    assert note == "detector hf:PekingU/rtdetr_v2_r18vd (Apache-2.0)"


def test_a_bare_onnx_file_means_an_onnx_detector_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.onnx").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)

    for name in ("net.onnx", "onnx:net.onnx", "./net.onnx"):
        assert resolve_detector(DetectorOpening(name)) == (DetectorOpening(f"onnx:{tmp_path / 'net.onnx'}"), "")


@pytest.mark.parametrize("name", ["blobs", "hf:some/repo", "yolo:yolo11n.pt", "onnx:gone.onnx", "import"])
def test_what_is_no_file_here_keeps_its_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert resolve_detector(DetectorOpening(name)) == (DetectorOpening(name), "")


def test_files_folders_and_weights_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "detr").mkdir()
    (tmp_path / "own.pt").write_bytes(b"x")

    assert resolve_detector(DetectorOpening("hf:detr"))[0].name == f"hf:{tmp_path / 'detr'}"
    assert resolve_detector(DetectorOpening("yolo:own.pt"))[0].name == f"yolo:{tmp_path / 'own.pt'}"
    assert resolve_detector(DetectorOpening("blobs", weights=Path("w")))[0].weights == tmp_path / "w"


@pytest.mark.parametrize("do", [resolve_detector, open_detector, detector_identity])
def test_an_unknown_detector_is_refused_with_the_nearest(do: object) -> None:
    with pytest.raises(UsageError, match=r"no detector is called 'blob'. Did you mean 'blobs'"):
        do(DetectorOpening("blob"))  # type: ignore[operator]


@pytest.mark.parametrize("wrong", [{"confidence": 1.1}, {"iou": -0.1}, {"max_boxes": 0}, {"n_workers": 0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        DetectorOpening("blobs", **wrong)  # type: ignore[arg-type]


def test_an_identity_does_not_depend_on_where_the_weights_lie() -> None:
    here, there = DetectorOpening("onnx:/a/net.onnx"), DetectorOpening("onnx:/b/net.onnx", device="cpu", n_workers=8)

    assert identity_of(here, "0123") == identity_of(there, "0123") != identity_of(here, "4567")


def test_several_files_of_weights_are_hashed_by_name_and_content(tmp_path: Path) -> None:
    one, two = tmp_path / "a", tmp_path / "b"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    both = hash_weights([one, two], "x")

    assert both == hash_weights([two, one], "x")
    assert hash_weights([one], "x") not in (both, hash_weights([two], "x"))
    two.write_bytes(b"3")
    assert hash_weights([one, two], "x") != both
    with pytest.raises(BackendError, match=r"no weights of x can be read from .*c: No such file"):
        hash_weights([tmp_path / "c"], "x")


def test_weights_are_files_and_nothing_that_never_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")

    for path in (tmp_path / "pipe.onnx", Path("/dev/zero"), tmp_path):
        with pytest.raises(BackendError, match="it is no file"):
            hash_weights([path], "x")
        with pytest.raises(BackendError, match="it is no file"):
            detector_identity(DetectorOpening(f"onnx:{path}"))
    with pytest.raises(BackendError, match="no weights of onnx:a"):
        detector_identity(DetectorOpening(f"onnx:{'a' * 5000}"))


def test_the_wanted_classes_have_places() -> None:
    assert DetectorOpening("x").wanted_rows(["a", "b"]) == {0, 1}
    assert DetectorOpening("x", classes=("b",)).wanted_rows(["a", "b", "b"]) == {1, 2}


def test_coco_has_eighty_classes_with_ids_that_rise() -> None:
    assert len(COCO_NAMES) == 80
    assert list(COCO_IDS.values()) == sorted(set(COCO_IDS.values()))
    assert (COCO_NAMES[0], COCO_NAMES[-1], COCO_IDS["toothbrush"]) == ("person", "toothbrush", 90)
