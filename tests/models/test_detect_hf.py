"""Detectors of transformers: what they find is what transformers finds; words, classes, overlaps, refusals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf_models import CLASSES, DECODER, DETECTORS, EDGES, N_QUERIES, OPEN, detector_folder, tokenizer
from mekiki.errors import BackendError, UsageError
from mekiki.media.detections import Detections
from mekiki.models.detect import DetectorOpening, detector_identity, open_detector
from mekiki.models.detect_hf import HfDetector
from mekiki.training.packages import import_timm, import_transformers
from workspaces import scene

torch.set_num_threads(1)

PICTURES = [scene(1, 90, 60), scene(2, 60, 90), scene(3, 90, 60), scene(4, 33, 100)]
Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    made: dict[str, Path] = {}

    def find(family: str) -> Path:
        if family not in made:
            made[family] = detector_folder(tmp_path_factory.mktemp(family), family)
        return made[family]

    return find


def opening(folder: Path, **options: Any) -> DetectorOpening:
    """Return how a detector is opened that keeps all that it proposes."""
    return DetectorOpening(f"hf:{folder}", **{"confidence": 0.0, "iou": 1.0, "device": "cpu", **options})


def classes_of(family: str) -> tuple[str, ...]:
    return CLASSES if family in OPEN else ()


opened = cache(open_detector)


def detect(opening: DetectorOpening, pictures: list[Any] = PICTURES) -> list[Detections]:
    detector = opened(opening)
    return detector.detect([detector.prepare(one) for one in pictures])


@pytest.mark.parametrize("family", ["rt_detr", "rt_detr_v2", "d_fine", "detr", "conditional_detr", "yolos"])
def test_it_finds_what_transformers_finds(folder: Folder, family: str) -> None:
    transformers = import_transformers()
    model = transformers.AutoModelForObjectDetection.from_pretrained(folder(family)).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder(family))
    for picture, found in zip(PICTURES, detect(opening(folder(family))), strict=True):
        shown = processor(images=picture, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            theirs = processor.post_process_object_detection(
                model(**shown),
                threshold=0.0,
                target_sizes=[picture.shape[:2]],
                **({"top_k": N_QUERIES} if family == "conditional_detr" else {}),
            )[0]
        order = torch.argsort(theirs["scores"], descending=True, stable=True)
        boxes = theirs["boxes"][order].numpy().clip(0, np.tile(picture.shape[1::-1], 2))
        is_inside = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)

        assert len(found) == is_inside.sum() > 3
        np.testing.assert_allclose(found.boxes, boxes[is_inside], atol=0.1)
        np.testing.assert_allclose(found.scores, theirs["scores"][order][is_inside], atol=1e-4)
        assert found.class_names == tuple(CLASSES[row] for row in theirs["labels"][order][is_inside])


@pytest.mark.parametrize("family", ["owlv2", "owlvit"])
def test_owl_finds_what_transformers_finds_for_the_same_words(folder: Folder, family: str) -> None:
    transformers = import_transformers()
    model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(folder(family)).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder(family))
    words = tokenizer()(list(CLASSES), padding="max_length", max_length=8, return_tensors="pt")
    for picture, found in zip(PICTURES, detect(opening(folder(family), classes=CLASSES)), strict=True):
        shown = processor(images=picture, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            given = model(input_ids=words["input_ids"], attention_mask=words["attention_mask"], **shown)
        theirs = processor.post_process_object_detection(given, threshold=0.0, target_sizes=[picture.shape[:2]])[0]

        assert len(found) > 3
        assert set(np.round(found.scores, 5)) <= set(np.round(theirs["scores"].numpy(), 5))
        surest = int(theirs["scores"].argmax())
        if len(found) == len(theirs["scores"]):
            assert found.class_names[0] == CLASSES[theirs["labels"][surest]]


def test_grounding_dino_scores_as_transformers_and_names_only_what_was_asked(folder: Folder) -> None:
    transformers = import_transformers()
    path = folder("grounding-dino")
    model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(path).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(path)
    words = tokenizer()("car. traffic light. dog.", return_token_type_ids=True, return_tensors="pt")
    asked = ("Car", "traffic  light", "dog")
    found = [detect(opening(path, classes=asked), [picture])[0] for picture in PICTURES]
    for picture, one in zip(PICTURES, found, strict=True):
        shown = processor(images=picture, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            tokens = model(**shown, **words).logits[0].sigmoid()  # <s> car . traffic light . dog . </s>
        scores = torch.stack([tokens[:, 1], tokens[:, 3:5].amax(dim=1), tokens[:, 6]], dim=1)

        assert len(one) == N_QUERIES
        np.testing.assert_allclose(one.scores, scores.amax(dim=1).sort(descending=True).values, atol=1e-4)
        assert Counter(one.class_names) == Counter(asked[row] for row in scores.argmax(dim=1))
    assert len({name for one in found for name in one.class_names}) > 1


@pytest.mark.parametrize("family", sorted(DETECTORS))
def test_batches_and_order_change_nothing(folder: Folder, family: str) -> None:
    asked = opening(folder(family), classes=classes_of(family), iou=0.5)
    together, backwards = detect(asked), detect(asked, PICTURES[::-1])[::-1]
    alone = [detect(asked, [one])[0] for one in PICTURES]

    for other in (backwards, alone):
        for one, same in zip(together, other, strict=True):
            assert one.class_names == same.class_names
            np.testing.assert_allclose(one.boxes, same.boxes, atol=0.1)
            np.testing.assert_allclose(one.scores, same.scores, atol=1e-4)


@pytest.mark.parametrize(("family", "of_what"), [("detr", "logits"), ("rt_detr", "pred_boxes")])
def test_a_picture_for_which_the_network_gives_no_numbers_is_told(
    folder: Folder, family: str, of_what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = HfDetector(opening(folder(family)))
    proposals = detector._asking.proposals

    def spoilt(given: Any) -> Any:
        found = proposals(given)
        found[of_what][1, 2] = torch.nan
        return found

    monkeypatch.setattr(detector._asking, "proposals", spoilt)
    first, second = detector.detect([detector.prepare(one) for one in PICTURES[::2]])

    assert (len(first) > 3, first.fault) == (True, "")
    assert len(second) == 0
    assert second.fault.endswith("gives scores or boxes that are no numbers")


@pytest.mark.parametrize("family", sorted(DETECTORS))
def test_boxes_lie_in_the_picture_and_the_surest_come_first(folder: Folder, family: str) -> None:
    for picture, one in zip(PICTURES, detect(opening(folder(family), classes=classes_of(family))), strict=True):
        height, width = picture.shape[:2]
        assert one.boxes.dtype == one.scores.dtype == np.float32
        assert (one.boxes >= 0).all()
        assert (one.boxes <= np.array([width, height, width, height])).all()
        assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()
        assert (np.diff(one.scores) <= 0).all()


def test_no_pictures_give_none(folder: Folder) -> None:
    assert detect(opening(folder("rt_detr")), []) == []


def test_confidence_and_at_most_keep_the_surest(folder: Folder) -> None:
    everything = detect(opening(folder("rt_detr")))[0]
    middle = float(np.median(everything.scores))

    sure = detect(opening(folder("rt_detr"), confidence=middle))[0]
    best = detect(opening(folder("rt_detr"), max_boxes=2))[0]

    np.testing.assert_array_equal(sure.scores, everything.scores[everything.scores > middle])
    assert len(everything) == N_QUERIES
    np.testing.assert_array_equal(best.boxes, everything.boxes[:2])


def test_classes_leave_out_boxes_of_others(folder: Folder) -> None:
    everything = detect(opening(folder("rt_detr")))[0]
    wanted = everything.class_names[-1]

    found = detect(opening(folder("rt_detr"), classes=(wanted,)))[0]

    is_wanted = np.array([name == wanted for name in everything.class_names])
    assert 0 < is_wanted.sum() < len(everything)
    np.testing.assert_array_equal(found.boxes, everything.boxes[is_wanted])


def test_an_unknown_class_is_told_with_the_nearest(folder: Folder) -> None:
    with pytest.raises(UsageError, match=r"'trafic light'. Did you mean 'traffic light'"):
        open_detector(opening(folder("rt_detr"), classes=("trafic light",)))


def test_owl_drops_overlaps_and_others_repeat_no_box_anyway(folder: Folder) -> None:
    n_boxes = {
        (family, iou): sum(map(len, detect(opening(folder(family), classes=classes_of(family), iou=iou))))
        for family in ("owlv2", "rt_detr")
        for iou in (0.0, 1.0)
    }

    assert n_boxes["owlv2", 0.0] < n_boxes["owlv2", 1.0]
    assert n_boxes["rt_detr", 0.0] == n_boxes["rt_detr", 1.0]


@pytest.mark.parametrize("family", OPEN)
def test_who_looks_for_words_must_be_told_some(folder: Folder, family: str) -> None:
    with pytest.raises(UsageError, match=r"was told nothing. Type what, once for each: --classes car"):
        open_detector(opening(folder(family)))


@pytest.mark.parametrize(
    ("family", "classes", "said"),
    [
        ("owlv2", ("a red " * 5,), "12 tokens, hf:.* reads 8. Shorten it"),
        ("grounding-dino", ("car", "a. dog"), "'a. dog' cannot be told"),
        ("grounding-dino", ("",), "'' cannot be told"),
        ("grounding-dino", ("a red car",) * 9, "9 classes have 38 tokens, hf:.* reads 24"),
    ],
)
def test_words_that_cannot_be_read_are_refused(
    folder: Folder, family: str, classes: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        open_detector(opening(folder(family), classes=classes))


def test_identity_is_known_before_opening_and_counts_weights_words_and_processor(
    folder: Folder, tmp_path: Path
) -> None:
    asked = opening(folder("rt_detr"))
    first = detector_identity(asked)
    copy = detector_folder(tmp_path / "copy", "rt_detr")
    other = detector_folder(tmp_path / "other", "rt_detr", seed=1)

    assert open_detector(asked).identity == first
    assert detector_identity(opening(copy)) == first
    settings = copy / "preprocessor_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"size": {"height": 32, "width": 32}}))
    changed = {detector_identity(opening(copy)), detector_identity(opening(other))}
    changed |= {detector_identity(opening(folder("rt_detr"), **one)) for one in ({"iou": 0.4}, {"classes": ("car",)})}
    assert len(changed | {first}) == 5


def test_weights_that_are_programs_are_not_opened(folder: Folder, tmp_path: Path) -> None:
    model = import_transformers().AutoModelForObjectDetection.from_pretrained(folder("rt_detr"))
    path = detector_folder(tmp_path, "rt_detr")
    (path / "model.safetensors").unlink()
    torch.save(model.state_dict(), path / "pytorch_model.bin")

    with pytest.raises(BackendError, match=r"no \*.safetensors file; weights of other kinds are programs"):
        open_detector(opening(path))


def test_a_model_without_some_of_its_tensors_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = detector_folder(tmp_path, "yolos") / "model.safetensors"
    tensors = load_file(path)
    del tensors["bbox_predictor.layers.0.weight"]
    save_file(tensors, path, metadata={"format": "pt"})

    with pytest.raises(BackendError, match=r"lacks 1 of its model's tensors, such as bbox_predictor.layers.0.weight"):
        open_detector(opening(tmp_path))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "vit"}, "family 'vit', no detector that mekiki knows. Known: conditional_detr"),
        (
            {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}},
            "family is 'mine'; what comes as a program",
        ),
    ],
)
def test_other_models_and_programs_are_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    path = detector_folder(tmp_path, "yolos")
    (path / "mine.py").write_text("raise SystemExit('it was run')")
    (path / "config.json").write_text(json.dumps(config))

    with pytest.raises(BackendError, match=said):
        open_detector(opening(path))


@pytest.mark.parametrize("name", ["no/such/folder", "./there", "plain"])
def test_a_name_that_is_neither_folder_nor_repository_is_told(name: str) -> None:
    with pytest.raises(BackendError, match="is neither a folder nor OWNER/NAME"):
        HfDetector(DetectorOpening(f"hf:{name}"))


def test_a_repository_that_cannot_be_had_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(BackendError) as raised:
        open_detector(DetectorOpening("hf:nobody/no-detector"))

    said = str(raised.value)
    assert "\n" not in said
    assert "HF_HUB_OFFLINE is set" in said
    assert said.endswith(
        "--detector FILE.onnx with a graph that you have (in mekiki run: --set detect.detector=onnx:FILE)"
    )


def test_a_backbone_of_timm_is_made_without_asking_the_hub(tmp_path: Path) -> None:
    transformers = import_transformers()
    import_timm()
    options = {"in_chans": 3, "out_indices": [1, 2, 3, 4]}
    timm = {"model_type": "timm_backbone", "backbone": "resnet18", **options}
    config = transformers.DetrConfig(backbone_config=timm, d_model=16, num_queries=N_QUERIES, **DECODER)
    transformers.DetrForObjectDetection(config).save_pretrained(tmp_path)
    transformers.DetrImageProcessor(size=EDGES).save_pretrained(tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    del said["backbone_config"]
    said |= {"backbone": "resnet18", "backbone_kwargs": options, "use_timm_backbone": True}
    (tmp_path / "config.json").write_text(json.dumps(said))

    assert len(detect(opening(tmp_path), PICTURES[:1])[0]) == N_QUERIES


def test_a_file_of_weights_is_refused(folder: Folder) -> None:
    with pytest.raises(UsageError, match="takes no file of weights"):
        HfDetector(opening(folder("rt_detr"), weights=Path("mine.pt")))
