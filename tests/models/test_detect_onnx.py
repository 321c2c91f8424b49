"""ONNX detectors: what is recognised, what comes out, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image as PillowImage

from detector_graphs import BLUE, LAYOUTS, NAMES, RED, cells, picture, spoil, write_detector
from mekiki.errors import BackendError, MekikiError, UsageError
from mekiki.media.detections import Detections
from mekiki.models.coco_classes import COCO_NAMES
from mekiki.models.detect import DetectorOpening, open_detector
from mekiki.models.detect_layouts import StrangeOutputError, count_cells, decode, recognise
from mekiki.models.detect_onnx import OnnxDetector, read_class_names
from mekiki.records import Image

SCENE = picture((32, 0, RED), (96, 32, BLUE))
BLUE_BOX, RED_BOX = [96, 32, 128, 64], [32, 0, 64, 32]
FAMILIES = {
    "yolox": ("YOLOX", True),
    "yolox-decoded": ("YOLOX", False),
    "yolov5": ("YOLOv5", False),
    "yolov6": ("YOLOv6", False),
    "yolov8": ("YOLOv8", False),
    "yolov8-turned": ("YOLOv8", False),
    "final": ("final boxes", False),
}


def open_file(path: Path, **options: Any) -> OnnxDetector:
    detector = open_detector(DetectorOpening(f"onnx:{path}", **options))
    assert isinstance(detector, OnnxDetector)
    return detector


def find(detector: OnnxDetector, image: Image = SCENE) -> Detections:
    return detector.detect([detector.prepare(image)])[0]


@pytest.mark.parametrize("is_half", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_recognised_and_finds_the_squares(layout: str, is_half: bool, tmp_path: Path) -> None:
    detector = open_file(write_detector(tmp_path / "net.onnx", layout, is_half=is_half, names=str(list(NAMES))))

    found = find(detector)

    assert (detector.layout.family, detector.layout.is_raw) == FAMILIES[layout]
    assert found.class_names == ("blue", "red")
    np.testing.assert_allclose(found.boxes, [BLUE_BOX, RED_BOX], atol=0.1)
    assert (found.scores > 0.85).all()


@pytest.mark.parametrize("layout", [one for one in LAYOUTS if one != "yolov8-turned"])
def test_a_layout_is_recognised_without_metadata(layout: str, tmp_path: Path) -> None:
    detector = open_file(write_detector(tmp_path / "net.onnx", layout))

    assert (detector.layout.family, detector.layout.is_raw) == FAMILIES[layout]
    assert find(detector).class_names == ("class_1", "class_0")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_frame_need_not_be_square(layout: str, tmp_path: Path) -> None:
    wide = {"shape": (1, 3, 32, 96), "frame_hw": (32, 96)}
    detector = open_file(write_detector(tmp_path / "net.onnx", layout, names=str(list(NAMES)), **wide))

    found = find(detector, picture((32, 32, RED), (160, 0, BLUE), size=(192, 64)))

    assert (detector.layout.family, detector.layout.is_raw) == FAMILIES[layout]
    assert found.class_names == ("blue", "red")
    np.testing.assert_allclose(found.boxes, [[160, 0, 192, 32], [32, 32, 64, 64]], atol=0.1)


@pytest.mark.parametrize(
    ("shape", "facts", "frame_hw"),
    [
        (("n", 3, "h", "w"), {"imgsz": "[64, 64]"}, (64, 64)),
        ((None, None, None, None), {"imgsz": "[64, 64]"}, (64, 64)),
        (("n", 3, "h", "w"), {"imgsz": "64"}, (64, 64)),
        (("n", 3, 64, 64), {}, (64, 64)),
        ((4, 3, 64, 64), {}, (64, 64)),
    ],
)
def test_open_sides_come_from_the_metadata(
    shape: tuple[Any, ...], facts: dict[str, str], frame_hw: tuple[int, int], tmp_path: Path
) -> None:
    detector = open_file(write_detector(tmp_path / "net.onnx", shape=shape, **facts))

    found = detector.detect([detector.prepare(SCENE)] * 6)

    assert detector.frame_hw == frame_hw
    assert [len(one) for one in found] == [2] * 6


def test_without_any_word_about_its_size_a_frame_has_640_pixels(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "net.onnx", shape=(1, 3, "h", "w"), frame_hw=(640, 640))

    assert open_file(path).frame_hw == (640, 640)


def test_boxes_without_objectness_lose_their_overlaps_and_final_ones_do_not(tmp_path: Path) -> None:
    v5 = write_detector(tmp_path / "v5.onnx", "yolov5")

    assert len(find(open_file(v5))) == 2
    assert len(find(open_file(v5, iou=1.0))) == 6  # three boxes a cell
    assert len(find(open_file(write_detector(tmp_path / "end.onnx", "final"), iou=0.0))) == 2


def test_metadata_decide_where_shapes_fit_two_layouts(tmp_path: Path) -> None:
    rows = np.zeros((1, 84, 6), np.float32)  # 84 cells of a frame of 64, or 84 final boxes
    rows[..., :4] = cells((64, 64))[0][:, [0, 1, 0, 1]]

    assert recognise([rows], (64, 64), 2, says_final=True, name="x").is_final
    assert recognise([rows], (64, 64), 2, says_final=False, name="x").family == "YOLOv8"
    assert recognise([rows], (64, 64), 1, says_final=False, name="x").has_objectness
    path = write_detector(tmp_path / "net.onnx", "final", end2end="True", names=str(list(NAMES)))
    assert open_file(path).layout.is_final


def test_eighty_classes_without_names_are_those_of_coco() -> None:
    assert len(COCO_NAMES) == 80
    layout = recognise([_v8(80)], (64, 64), None, says_final=False, name="x")

    assert layout.n_classes == 80
    from mekiki.models.detect_onnx import _usual_names

    assert _usual_names(layout) == COCO_NAMES


def _v8(n_classes: int, size: float = 8) -> np.ndarray:
    return np.concatenate([np.full((1, 4, 84), size), np.zeros((1, n_classes, 84))], axis=1).astype(np.float32)


UNKNOWN = [
    pytest.param([np.zeros((1, 1000))], None, r"gives \(1, 1000\) .*no detector of a known layout", id="classifier"),
    pytest.param([np.zeros((1, 99, 7))], None, r"gives \(1, 99, 7\) .*none of the layouts", id="odd numbers"),
    pytest.param([_v8(34), np.zeros((1, 32, 16, 16))], 2, "no detector of a known layout", id="segmentation"),
    pytest.param([_v8(53)], 1, "as YOLOv8 that is 53 classes, and its file names 1.*poses", id="pose"),
    pytest.param([_v8(3, 0.5)], 3, "shares of the frame, not pixels", id="shares of the frame"),
    pytest.param([np.full((1, 84, 8), 0.5)], None, "shares of the frame, not pixels", id="shares in rows"),
    pytest.param([_v8(3) + 5], 3, "gives scores from 0 to 5 and not in 0 to 1", id="no scores"),
    pytest.param([_v8(3) * np.nan], 3, "gives scores from nan to nan", id="no numbers"),
    pytest.param([np.zeros((1, 4, 84)), np.zeros((1, 84, 3))], 3, "no detector of a known layout", id="two outputs"),
    pytest.param([], 3, "gives  for a frame", id="nothing"),
]


@pytest.mark.parametrize(("outputs", "n_names", "message"), UNKNOWN)
def test_an_unknown_layout_is_refused_with_its_shapes(
    outputs: list[np.ndarray], n_names: int | None, message: str
) -> None:
    given = [one.astype(np.float32) for one in outputs]

    with pytest.raises(BackendError, match=message) as caught:
        recognise(given, (64, 64), n_names, says_final=False, name="onnx:net.onnx")

    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("onnx:net.onnx")


def test_rows_of_84_numbers_could_mean_two_things_and_need_the_names() -> None:
    rows = np.full((1, 168, 84), 9, np.float32)  # 168 cells
    rows[..., 4:] = 0

    with pytest.raises(BackendError, match=r"80 classes without objectness, or 79 with it. Export it with the names"):
        recognise([rows], (64, 128), None, says_final=False, name="x")
    assert recognise([rows], (64, 128), 80, says_final=False, name="x").family == "YOLOv8"


def test_the_raw_grids_of_yolov5_beside_its_boxes_do_not_disturb() -> None:
    rows = np.full((1, 3 * 84, 7), 9, np.float32)
    rows[..., 4:] = 0

    found = recognise([rows, np.zeros((1, 3, 8, 8, 7), np.float32)], (64, 64), 2, says_final=False, name="x")

    assert found.family == "YOLOv5"


def test_the_number_of_cells_is_that_of_published_networks() -> None:
    assert count_cells((416, 416), (8, 16, 32)) == 3549
    assert count_cells((640, 640), (8, 16, 32)) * 3 == 25200
    assert count_cells((1280, 1280), (8, 16, 32, 64)) * 3 == 102000


def test_a_box_that_is_no_number_is_an_error_and_never_left_out() -> None:
    layout = recognise([_v8(3)], (64, 64), 3, says_final=False, name="x")
    broken = _v8(3)[0]
    broken[4, 7], broken[0, 7] = 0.9, np.inf

    with pytest.raises(StrangeOutputError, match="boxes that are no numbers"):
        decode(broken, layout, (64, 64), 0.5)


@pytest.mark.parametrize("layout", ["yolov8", "final"])
def test_a_picture_for_which_the_network_gives_no_numbers_is_told_and_the_others_are_found(
    layout: str, tmp_path: Path
) -> None:
    path = spoil(write_detector(tmp_path / "net.onnx", layout, names=str(list(NAMES))), 0.6)
    detector = open_file(path)
    white = np.full_like(SCENE, 255)

    before, strange, after = detector.detect([detector.prepare(one) for one in (SCENE, white, SCENE)])

    assert (len(strange), strange.fault) == (0, "onnx:net.onnx gives scores from nan to nan and not in 0 to 1")
    assert len(before) == len(after) > 0
    assert before.fault == after.fault == ""


def test_sizes_of_yolox_beyond_any_number_stay_boxes() -> None:
    rows = np.zeros((84, 7), np.float32)
    rows[:, :2], rows[:, 2:4] = 0.5, -1
    layout = recognise([rows[None]], (64, 64), 2, says_final=False, name="x")
    rows[3, 2:4], rows[3, 4:] = 500, 1

    found = decode(rows, layout, (64, 64), 0.5)

    assert layout.is_raw
    assert np.isfinite(found.boxes).all()
    assert (found.boxes[0, :2] < 0).all()
    assert (found.boxes[0, 2:] > 64).all()


def no_onnx(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_off(path: Path) -> None:
    content = write_detector(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def text(path: Path) -> None:
    path.write_text("not a network at all\n")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 * 2**30)


def folder(path: Path) -> None:
    path.mkdir()


def gone(path: Path) -> None:
    pass


def _that_takes(path: Path, *shape: int) -> None:
    node = helper.make_node("Identity", ["images"], ["same"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("images", "same")]
    graph = helper.make_graph([node], "toy", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def enormous_input(path: Path) -> None:
    _that_takes(path, 1, 3, 100_000, 100_000)


def two_inputs(path: Path) -> None:
    graph = onnx.load(write_detector(path))
    graph.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, (1, 3, 64, 64)))
    onnx.save(graph, path)


def last_channel(path: Path) -> None:
    _that_takes(path, 1, 64, 64, 3)


def elsewhere(path: Path) -> None:
    graph = onnx.load(write_detector(path))
    onnx.save(graph, path, save_as_external_data=True, location="weights.bin", size_threshold=0)


def unknown_operator(path: Path) -> None:
    graph = onnx.load(write_detector(path))
    graph.graph.node[0].op_type = "Evil"
    onnx.save(graph, path)


def wrong_names(path: Path) -> None:
    write_detector(path, names="__import__('os').system('true')")


def of_masks(path: Path) -> None:
    write_detector(path, task="segment")


def fails_on_run(path: Path) -> None:
    write_detector(path, shape=("n", 3, "h", "w"), imgsz="[96, 96]")


def a_classifier(path: Path) -> None:
    write_detector(path, "classifier")


HOSTILE = [
    pytest.param(no_onnx, "no ONNX file", id="picture"),
    pytest.param(empty, "no ONNX file, or an empty one", id="empty"),
    pytest.param(cut_off, "no ONNX file|cannot run", id="cut off"),
    pytest.param(text, "no ONNX file", id="text"),
    pytest.param(huge, "3,221,225,472 bytes, and an ONNX file has 2 GB at most", id="huge"),
    pytest.param(folder, "no file", id="folder"),
    pytest.param(gone, "No such file", id="gone"),
    pytest.param(enormous_input, "takes 100000 x 100000 pixels: 32 to 4096 are supported", id="enormous input"),
    pytest.param(two_inputs, "a detector takes one float", id="two inputs"),
    pytest.param(last_channel, "a detector takes one float", id="channels last"),
    pytest.param(elsewhere, "the weights of .* lie in other files", id="weights elsewhere"),
    pytest.param(unknown_operator, "ONNX Runtime cannot run", id="unknown operator"),
    pytest.param(wrong_names, "names its classes in a form that is not known", id="names that are code"),
    pytest.param(of_masks, "for the task 'segment'", id="another task"),
    pytest.param(fails_on_run, "ONNX Runtime cannot run|for a frame of", id="fails on its run"),
    pytest.param(a_classifier, r"gives \(1, 2\) .* no detector", id="classifier"),
]


@pytest.mark.parametrize(("make", "message"), HOSTILE)
def test_a_bad_file_is_one_clear_line(make: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    make(path)

    with pytest.raises(BackendError, match=message) as caught:
        open_file(path)

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "onnx"}, "needs a file: --detector onnx:FILE"),
        ({"weights": Path("w.pt")}, "takes no file of weights. Leave out --weights"),
        ({"device": "tpu"}, "has no device 'tpu'"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_detector(tmp_path / "net.onnx")

    with pytest.raises(MekikiError, match=message):
        open_detector(DetectorOpening(**{"name": f"onnx:{path}", **options}))


def test_classes_of_final_boxes_without_names_cannot_be_chosen(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "net.onnx", "final")

    with pytest.raises(UsageError, match="does not say what its classes are called"):
        open_file(path, classes=("red",))


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("{0: 'a', 1: 'b'}", ("a", "b")),
        ("{1: 'b', 0: 'a'}", ("a", "b")),
        ("['タヌキ', 'traffic light']", ("タヌキ", "traffic light")),
        (None, None),
    ],
)
def test_names_are_read_as_python_writes_them(said: str | None, names: tuple[str, ...] | None) -> None:
    assert read_class_names({} if said is None else {"names": said}, "x") == names


@pytest.mark.parametrize(
    "said",
    ["", "{}", "[]", "{0: 'a', 2: 'b'}", "{0: 1}", "['']", "open('x')", "(" * 5000, "'abc'", "[" + "1," * 600_000],
)
def test_names_in_another_form_are_refused(said: str) -> None:
    with pytest.raises(BackendError, match="names its classes in a form that is not known"):
        read_class_names({"names": said}, "x")


STREET = {
    "yolov8n_int8.onnx": {"bus.jpg": {"bus": 1, "person": 4}, "zidane.jpg": {"person": 2, "tie": 1}},
    # a second tie is there, at 0.26; a lapel taken for one is not, at 0.36
    "yolox_nano.onnx": {"bus.jpg": {"bus": 1, "person": 4}, "zidane.jpg": {"person": 2, "tie": 3}},
}


@pytest.mark.parametrize("weights", STREET)
def test_real_weights_find_what_is_in_real_pictures(weights: str, shared_data: Path) -> None:
    detector = open_file(shared_data / "weights" / "detection" / weights)

    for name, wanted in STREET[weights].items():
        image = np.asarray(PillowImage.open(shared_data / "street" / "ultralytics" / name).convert("RGB"))
        found = find(detector, image)

        assert {one: found.class_names.count(one) for one in found.class_names} == wanted
        assert found.scores[0] > 0.8


def test_both_real_networks_agree_on_what_is_sure(shared_data: Path) -> None:
    from mekiki.media.boxes import box_iou

    image = np.asarray(PillowImage.open(shared_data / "street" / "ultralytics" / "bus.jpg").convert("RGB"))
    first, second = (
        find(open_file(shared_data / "weights" / "detection" / one, confidence=0.5), image) for one in STREET
    )

    assert len(first) == len(second) == 4
    overlap = box_iou(first.boxes, second.boxes)
    assert (overlap.max(axis=1) > 0.7).all()
    assert [second.class_names[row] for row in overlap.argmax(axis=1)] == list(first.class_names)
