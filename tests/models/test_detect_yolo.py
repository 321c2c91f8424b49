"""Detectors of Ultralytics: its own boxes, no program without leave, no network, nothing in the home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.errors import BackendError, MissingExtraError, UsageError
from mekiki.models.detect import DetectorOpening, detector_identity, detector_notes, open_detector
from mekiki.models.detect_yolo import YoloDetector
from mekiki.training.optional import import_ultralytics

CHANCE = np.random.default_rng(0)
PICTURES = [CHANCE.integers(0, 256, (*hw, 3), np.uint8) for hw in ((60, 90), (90, 60), (60, 90), (100, 33))]
"""Noise: where a picture is flat, boxes are equally sure, and which of them stays is chance."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ultralytics", reason="the extra yolo (AGPL-3.0) is not installed")
    return make_weights(tmp_path_factory.mktemp("yolo") / "small.pt")


def make_weights(path: Path, config: str = "yolov8n.yaml", *, is_settled: bool = False) -> Path:
    """Save a small network with random weights, drawn so that no two scores are equal."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = import_ultralytics().YOLO(config)
    for layer in model.model.modules():  # so that its normalisations let through what they see
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    noise = torch.nn.functional.interpolate(torch.rand(2, 3, 60, 90), (448, 640), mode="bilinear")
    with torch.inference_mode():
        model.model.train()(noise)
    last = model.model.model[-1]
    for name, parameter in last.named_parameters():
        if name.endswith("2.weight") or ("cv3." in name and name.endswith("2.bias")):
            torch.nn.init.normal_(parameter, std=0.1)
    if is_settled:
        model.model.end2end = True
        model.model.eval().fuse(verbose=False)  # what the other way of finding boxes needs is gone
    model.save(path)
    return path


def opening(path: Path, **options: Any) -> DetectorOpening:
    return DetectorOpening(f"yolo:{path}", **{"allow_code": True, "confidence": 0.9, "device": "cpu", **options})


@pytest.mark.parametrize("iou", [0.2, 0.7])
def test_it_finds_what_ultralytics_finds(weights: Path, iou: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import ops
    from ultralytics.utils.nms import TorchNMS

    monkeypatch.setattr(ops, "nms", TorchNMS.nms)  # torchvision's own may be missing beside a CPU-only torch
    theirs = import_ultralytics().YOLO(weights)
    detector = open_detector(opening(weights, iou=iou, max_boxes=1000, confidence=0.9))
    for picture in PICTURES[1:]:
        found = detector.detect([detector.prepare(picture)])[0]
        bgr = np.ascontiguousarray(picture[..., ::-1])
        wanted = theirs.predict(bgr, conf=0.9, iou=iou, max_det=1000, device="cpu", verbose=False)[0].boxes
        # where two are equally sure but for the last digits, either may come first, and suppress the other
        apart_px = np.abs(found.boxes[:, None] - wanted.xyxy.numpy()).max(axis=2)
        is_same = (apart_px < 0.1) & (np.abs(found.scores[:, None] - wanted.conf.numpy()) < 1e-4)
        is_same &= np.array(found.class_names)[:, None] == [theirs.names[int(row)] for row in wanted.cls]

        assert len(found) > 10
        assert is_same.any(axis=1).mean() > 0.97
        assert is_same.any(axis=0).mean() > 0.97


def test_batches_and_order_change_nothing(weights: Path) -> None:
    detector = open_detector(opening(weights))
    seen = [detector.prepare(one) for one in PICTURES]
    for one, same, alone in zip(
        detector.detect(seen),
        detector.detect(seen[::-1])[::-1],
        [detector.detect([one])[0] for one in seen],
        strict=True,
    ):
        np.testing.assert_array_equal(one.boxes, same.boxes)
        np.testing.assert_array_equal(one.boxes, alone.boxes)
        assert one.class_names == same.class_names == alone.class_names
    assert detector.detect([]) == []


def test_networks_without_overlaps_of_their_own_settle_them_themselves(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_weights(tmp_path / "settled.pt", "yolov10n.yaml", is_settled=True)
    monkeypatch.setattr("mekiki.models.detect_yolo.suppress_overlaps", None)
    theirs = import_ultralytics().YOLO(path)
    detector = open_detector(opening(path, max_boxes=1000, confidence=0.1))

    found = detector.detect([detector.prepare(PICTURES[0])])[0]

    bgr = np.ascontiguousarray(PICTURES[0][..., ::-1])
    wanted = theirs.predict(bgr, conf=0.1, max_det=1000, nms=False, device="cpu", verbose=False)[0].boxes
    assert len(wanted) > 10
    np.testing.assert_allclose(found.scores, np.sort(wanted.conf.numpy())[::-1], atol=1e-4)


def test_a_picture_for_which_the_network_gives_no_numbers_is_told(weights: Path) -> None:
    detector = open_detector(opening(weights))
    seen = [detector.prepare(one) for one in PICTURES[:2]]
    network, n_seen = detector._network, []  # type: ignore[attr-defined]

    def spoilt(pixels: Any) -> Any:
        n_seen.append(1)
        given = network(pixels)
        given = given[0] if isinstance(given, (list, tuple)) else given
        return given * float("nan") if len(n_seen) == 1 else given

    detector._network = spoilt  # type: ignore[attr-defined]
    first, second = detector.detect(seen)

    assert (len(first), first.fault) == (0, f"yolo:{weights} gives scores or boxes that are no numbers")
    assert (len(second) > 0, second.fault) == (True, "")


def test_classes_and_at_most(weights: Path) -> None:
    detector = open_detector(opening(weights, max_boxes=1000))
    everything = detector.detect([detector.prepare(PICTURES[0])])[0]
    wanted = everything.class_names[0]
    chosen = open_detector(opening(weights, classes=(wanted,), max_boxes=2))
    found = chosen.detect([chosen.prepare(PICTURES[0])])[0]

    is_wanted = np.array([name == wanted for name in everything.class_names])
    np.testing.assert_array_equal(found.boxes, everything.boxes[is_wanted][:2])
    with pytest.raises(UsageError, match=r"no class of yolo:.* is called 'lorry'"):
        open_detector(opening(weights, classes=("lorry",)))


def test_identity_is_known_before_opening(weights: Path) -> None:
    assert detector_identity(opening(weights)) == open_detector(opening(weights)).identity


def test_a_damaged_file_is_one_line(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.pt"
    path.write_bytes(weights.read_bytes()[:5000])

    with pytest.raises(BackendError, match="Ultralytics cannot load it") as raised:
        open_detector(opening(path))
    assert "\n" not in str(raised.value)


def test_a_network_for_another_task_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="for the task 'classify', mekiki takes a YOLO for detect"):
        open_detector(opening(make_weights(tmp_path / "c.pt", "yolov8n-cls.yaml")))


WATCHED = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit("it asked for the network")
for name in ("create_connection", "getaddrinfo", "gethostbyname"):
    setattr(socket, name, refuse)
socket.socket.connect = refuse
import numpy as np
from mekiki.models.detect import DetectorOpening, open_detector
detector = open_detector(DetectorOpening(f"yolo:{sys.argv[1]}", allow_code=True, confidence=0.9, device="cpu"))
picture = np.random.default_rng(0).integers(0, 256, (90, 60, 3), np.uint8)
print(len(detector.detect([detector.prepare(picture)])))
import ultralytics
from ultralytics.utils.events import events
assert not ultralytics.settings["sync"] and not events.enabled
"""


@pytest.mark.slow
def test_it_asks_no_network_and_writes_nothing_at_home_or_here(weights: Path, tmp_path: Path) -> None:
    home, here, temporary = (tmp_path / name for name in ("home", "here", "tmp"))
    for folder in (home, here, temporary):
        folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("YOLO", "XDG", "PYTEST", "MPL"))}
    environment = kept | {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(one for one in sys.path if one)

    said = subprocess.run(
        [sys.executable, "-c", WATCHED, str(weights)],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert said.returncode == 0, said.stderr
    assert said.stdout.strip().isdecimal(), said.stdout
    assert said.stderr == ""
    for folder in (home, here, temporary):
        assert [str(path) for path in folder.rglob("*") if path.is_file()] == []


def test_a_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    (tmp_path / "mine.pt").write_bytes(b"")

    with pytest.raises(MissingExtraError, match=r'ultralytics is not installed. Type: pip install "mekiki\[yolo\]"'):
        YoloDetector(opening(tmp_path / "mine.pt"))


def test_a_program_is_run_only_with_leave(tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(b"")

    with pytest.raises(UsageError, match=r"is a pickle: a program that is run when it is read. .* add --allow-code"):
        YoloDetector(opening(tmp_path / "mine.pt", allow_code=False))


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("net.onnx", UsageError, r"is an ONNX graph, .*\. Type: onnx:net\.onnx"),
        ("net.engine", UsageError, r"weights of Ultralytics end in \.pt"),
        ("yolov8n.pt", BackendError, r"there is no file yolov8n\.pt; mekiki fetches none"),
    ],
)
def test_other_files_are_refused(name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        YoloDetector(opening(Path(name)))


def test_the_licence_is_told() -> None:
    assert any("AGPL-3.0" in note for note in detector_notes(DetectorOpening("yolo:mine.pt")))
    assert detector_notes(DetectorOpening("blobs")) == ()
