"""What a model file says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.errors import DataError, UnreadableError
from mekiki.media.preprocessing import Preprocessing
from mekiki.training.card import (
    CARD_KEY,
    Calibration,
    Decisions,
    ModelCard,
    check_model_name,
    check_same_classes,
    parse_card,
    read_card,
)


def card(**values: Any) -> ModelCard:
    return ModelCard(
        **{"name": "m", "arch": "small-cnn", "class_names": ("a", "b"), "preprocessing": Preprocessing(), **values}
    )


def ensemble(**values: Any) -> ModelCard:
    both = {"preprocessing": None, "kind": "ensemble", "members": (card(), card()), "weights": (0.5, 0.5)}
    return card(**{**both, **values})


def write_header(path: Path, header: object) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return path


def test_comes_back_as_it_was_written(tmp_path: Path) -> None:
    whole = ensemble(
        thresholds=(0.25, 0.75),
        decisions=Decisions(objective="micro-f1", is_joint=False, facts={"a": {"n_positives": 3}}),
        calibration=Calibration(method="temperature", temperatures=(1.5, 0.5)),
        parents=("0123",),
    )
    path = write_header(tmp_path / "m.safetensors", {"__metadata__": {CARD_KEY: whole.to_json()}})
    assert read_card(path) == whole


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no safetensors file"),
        (b"PK\x03\x04" + b"x" * 100, "no safetensors file"),
        ((10).to_bytes(8, "little") + b"not json!!", "its header is no JSON"),
        ((2).to_bytes(8, "little") + b"[]", "no model that mekiki wrote"),
        ((2).to_bytes(8, "little") + b"{}", "no model that mekiki wrote"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "no safetensors file"),
    ],
)
def test_a_file_of_something_else_is_unreadable(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=reason):
        read_card(path)


def test_deep_json_is_refused_and_not_followed(tmp_path: Path) -> None:
    text = b"[" * 100_000 + b"]" * 100_000
    path = tmp_path / "deep.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(UnreadableError, match="its header is no JSON"):
        read_card(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"class_names": ()}, "one or more different names"),
        ({"class_names": ("a", "a")}, "one or more different names"),
        ({"thresholds": (0.5,)}, "thresholds must be 2, got 1"),
        ({"preprocessing": None}, "a network has preprocessing"),
        ({"kind": "ensemble", "preprocessing": None}, "an ensemble has members"),
        ({"version": 2}, "1"),
        ({"made_up": 1}, "Extra inputs"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        card(**values)


def test_members_have_the_classes_of_the_ensemble() -> None:
    with pytest.raises(ValueError, match="an ensemble's members have its classes, in its order"):
        ensemble(members=(card(), card(class_names=("b", "a"))))


def test_a_card_of_a_newer_mekiki_names_what_is_not_understood() -> None:
    text = json.dumps({**json.loads(card().to_json()), "version": 2})
    with pytest.raises(UnreadableError, match="its card is none that this mekiki understands: version"):
        parse_card(text, Path("m"))


def test_decides_at_half_unless_it_has_thresholds_of_its_own() -> None:
    scores = np.array([[0.5, 0.49], [0.8, 0.2]], np.float32)
    assert card().decide(scores).tolist() == [[True, False], [True, False]]
    assert card(thresholds=(0.8, 0.2)).decide(scores).tolist() == [[False, True], [True, True]]


def test_a_threshold_is_compared_as_scores_are_stored() -> None:
    score = np.float32(0.1)  # float32 0.1 is above the float64 one
    assert card(thresholds=(float(score), 0.1)).decide(np.array([[score, score]])).all()


def test_softmax_says_the_likeliest_class_and_of_equals_the_first() -> None:
    scores = np.array([[0.3, 0.7], [0.5, 0.5]], np.float32)
    assert card(activation="softmax").decide(scores).tolist() == [[False, True], [True, False]]


def test_calibrated_scores_are_finished_and_others_left_alone() -> None:
    scores = np.array([[0.9, 0.1]], np.float32)
    assert card().finish(scores) is scores
    hot = card(calibration=Calibration(method="temperature", temperatures=(2.0, 1.0))).finish(scores)
    assert hot[0, 0] == pytest.approx(0.75, abs=1e-6)
    assert hot[0, 1] == pytest.approx(0.1, abs=1e-6)


def test_models_that_are_joined_have_the_same_classes_in_the_same_order() -> None:
    assert check_same_classes({"x": card(), "y": card()}) == ("a", "b")
    with pytest.raises(DataError, match="'x' and 'y' have other classes, or in another order: a, b; b, a"):
        check_same_classes({"x": card(), "y": card(class_names=("b", "a"))})


@pytest.mark.parametrize("name", ["", "a/b", "../../x", "a\\b", " a", "a ", "a\nb", "a\x1b[31m"])
def test_a_name_that_could_be_a_path_or_cannot_be_typed_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no slash, blank end or control character"):
        check_model_name(name)


def test_any_other_name_is_taken() -> None:
    assert [check_model_name(name) for name in ("resnet50", "秋の モデル", "v1.2 (new)")]


def test_a_network_has_preprocessing_and_an_ensemble_says_whom_to_ask() -> None:
    assert card().own_preprocessing == Preprocessing()
    with pytest.raises(ValueError, match="is an ensemble: ask its members"):
        ensemble().own_preprocessing  # noqa: B018
