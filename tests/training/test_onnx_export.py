"""A model's graph gives PyTorch's scores: networks, ensembles, and members that are calibrated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.errors import BackendError, UnreadableError, UsageError
from mekiki.media.preprocessing import Preprocessing, at_hand
from mekiki.metrics.calibration import fit_isotonic
from mekiki.training.card import CARD_KEY, Calibration, ModelCard, parse_card
from mekiki.training.members import distinct_preprocessings
from networks import (
    CLASSES,
    USER_MODULE,
    make_card,
    open_torch,
    random_images,
    random_network,
    random_tensors,
    write_user_module,
)

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from mekiki.training.backbones import default_preprocessing  # noqa: E402
from mekiki.training.onnx_export import OPSET, export_onnx  # noqa: E402

torch.set_num_threads(1)
SMALLER = Preprocessing(resize_hw=(24, 24), crop_hw=(24, 24))


def scores_of(path: Path, inputs: list[np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["scores"], {one.name: given for one, given in zip(session.get_inputs(), inputs, strict=True)})[
        0
    ]


def check_same_scores(card: ModelCard, tensors: dict[str, Any], path: Path, *, allow_code: bool = False) -> None:
    classifier = open_torch(card, tensors, allow_code=allow_code)
    prepared = [classifier.prepare(at_hand(one)) for one in random_images(5, size_hw=(64, 80))]
    wanted = classifier.score(prepared)

    export_onnx(card, tensors, path, allow_code=allow_code)

    for n in (1, 5):
        inputs = [np.stack(arrays) for arrays in zip(*prepared[:n], strict=True)]
        np.testing.assert_allclose(scores_of(path, inputs), wanted[:n], atol=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_a_network_gives_the_same_scores_for_any_number_of_pictures(tmp_path: Path, activation: str) -> None:
    check_same_scores(make_card(activation=activation), random_tensors(), tmp_path / "m.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["resnet18", "efficientnet_v2_s", "vit_tiny_patch16_224", "convnext_atto"])
def test_larger_networks_give_the_same_scores(tmp_path: Path, arch: str) -> None:
    size = 224 if arch.startswith("vit") else 64
    card = make_card(arch=arch, arch_options={}, preprocessing=default_preprocessing(arch, size))

    check_same_scores(card, dict(random_network(arch).state_dict()), tmp_path / "m.onnx")


def test_a_network_of_the_users_gives_the_same_scores(tmp_path: Path) -> None:
    arch = write_user_module(tmp_path)
    card = make_card(arch=arch, arch_options={}, source_code=USER_MODULE)

    check_same_scores(card, dict(random_network(arch).state_dict()), tmp_path / "m.onnx", allow_code=True)
    with pytest.raises(UsageError, match="--allow-code"):
        export_onnx(card, dict(random_network(arch).state_dict()), tmp_path / "m.onnx")


def isotonic() -> Calibration:
    chance = np.random.default_rng(0)
    scores = chance.random((60, 3), np.float32)
    truth = (chance.random((60, 3)) < scores**2).astype(np.int8)
    truth[:, 2] = 0  # a class of which nothing can be learned
    return Calibration(method="isotonic", knots=fit_isotonic(scores, truth))


def ensemble(*calibrations: Calibration | None) -> tuple[ModelCard, dict[str, Any]]:
    ways = [make_card().preprocessing, SMALLER]
    members = tuple(
        make_card(name=str(n), preprocessing=ways[n % 2], calibration=one, activation=("sigmoid", "softmax")[n // 2])
        for n, one in enumerate(calibrations)
    )
    weights = tuple(np.arange(1, len(members) + 1) / np.arange(1, len(members) + 1).sum())
    card = ModelCard(name="all", kind="ensemble", class_names=CLASSES, members=members, weights=weights)
    return card, {f"{n}.{name}": one for n in range(len(members)) for name, one in random_tensors(n).items()}


@pytest.mark.parametrize(
    "calibrations",
    [
        pytest.param((None, None, None), id="plain"),
        pytest.param((Calibration(method="temperature", temperatures=(0.05, 1.5, 20.0)), None), id="temperature"),
        pytest.param((isotonic(), None, isotonic()), id="isotonic"),
        pytest.param((Calibration(method="isotonic", knots=(((0.5,), (0.3,)),) * 3), None), id="one-knot"),
    ],
)
def test_an_ensemble_gives_the_same_scores_with_its_members_calibrated(
    tmp_path: Path, calibrations: tuple[Calibration | None, ...]
) -> None:
    check_same_scores(*ensemble(*calibrations), tmp_path / "m.onnx")


def test_an_ensemble_has_an_input_for_each_way_to_prepare(tmp_path: Path) -> None:
    card, tensors = ensemble(None, None, None)

    graph = onnx.load(export_onnx(card, tensors, tmp_path / "m.onnx")).graph

    assert [one.name for one in graph.input] == ["pictures_0", "pictures_1"]
    sizes = [[one.dim_value for one in given.type.tensor_type.shape.dim[1:]] for given in graph.input]
    assert sizes == [[3, *one.crop_hw] for one in distinct_preprocessings(card)[0]]


@pytest.mark.parametrize("how", [isotonic(), Calibration(method="temperature", temperatures=(0.05, 1.0, 20.0))])
def test_calibration_in_the_graph_is_that_of_the_card_everywhere(how: Calibration) -> None:
    from mekiki.training.onnx_graph import _calibration

    knots = [x for one in how.knots for x in one[0]]
    rows = np.array([*np.linspace(0, 1, 101), 1e-9, 1 - 1e-7, *knots], np.float32)
    scores = np.repeat(rows[:, None], 3, axis=1)

    found = _calibration(how)(torch.from_numpy(scores).double()).numpy()

    np.testing.assert_allclose(found, make_card(calibration=how).finish(scores), atol=1e-6)


def test_a_models_own_calibration_stays_outside_and_its_card_is_in_the_file(tmp_path: Path) -> None:
    plain = make_card(scores_id="a" * 16)
    tuned = make_card(
        scores_id="a" * 16,
        calibration=Calibration(method="temperature", temperatures=(2.0, 2.0, 2.0)),
        thresholds=(0.2, 0.3, 0.4),
    )

    check_same_scores(tuned, random_tensors(), tmp_path / "tuned.onnx")
    export_onnx(plain, random_tensors(), tmp_path / "plain.onnx")

    graphs = [onnx.load(tmp_path / name) for name in ("tuned.onnx", "plain.onnx")]
    cards = [parse_card({one.key: one.value for one in graph.metadata_props}[CARD_KEY], tmp_path) for graph in graphs]
    assert cards == [tuned, plain]
    assert json.loads(cards[0].to_json())["thresholds"] == [0.2, 0.3, 0.4]
    assert graphs[0].graph == graphs[1].graph
    assert [one.version for one in graphs[0].opset_import if one.domain == ""] == [OPSET]


def test_the_same_model_gives_the_same_bytes_and_replaces_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"older")

    first = export_onnx(make_card(), random_tensors(), tmp_path / "a.onnx").read_bytes()

    assert export_onnx(make_card(), random_tensors(), tmp_path / "new" / "b.onnx").read_bytes() == first
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.onnx", "new"]


def test_weights_that_are_not_the_cards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="missing: stages"):
        export_onnx(make_card(), {}, tmp_path / "m.onnx")

    assert list(tmp_path.iterdir()) == []


def test_a_network_that_decides_by_its_numbers_is_refused_and_not_exported_wrongly(tmp_path: Path) -> None:
    text = USER_MODULE.replace("* self.scale", "* (self.scale if len(pictures) < 3 else -self.scale)")
    arch = write_user_module(tmp_path, text)
    card = make_card(arch=arch, arch_options={}, source_code=text)

    with pytest.raises(BackendError, match=r"does not survive the export. Use --runtime torch"):
        export_onnx(card, dict(random_network(arch).state_dict()), tmp_path / "m.onnx", allow_code=True)

    assert not (tmp_path / "m.onnx").exists()


def test_what_has_no_place_in_a_graph_is_refused_in_one_line(tmp_path: Path) -> None:
    text = USER_MODULE.replace("* self.scale", ".add(__import__('torch').linalg.svdvals(pictures[:, 0]).sum())")
    arch = write_user_module(tmp_path, text)
    card = make_card(arch=arch, arch_options={}, source_code=text)

    with pytest.raises(BackendError, match="model 'tiny' cannot be turned into an ONNX graph: ") as caught:
        export_onnx(card, dict(random_network(arch).state_dict()), tmp_path / "m.onnx", allow_code=True)

    assert "\n" not in str(caught.value)
