"""Opening models: the same scores from every runtime on real photos; foreign checkpoints; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers import Saved, make_ensemble, make_model
from mekiki.errors import BackendError, UsageError
from mekiki.media.images import read_image
from mekiki.media.preprocessing import Preprocessing, prepare
from mekiki.models.classify import CLASSIFIERS, open_classifier
from mekiki.models.opening import ForeignFacts, Opening, load_card, scores_identity
from mekiki.records import Image
from mekiki.training.backbones import BackboneSpec, make_network
from mekiki.training.checkpoint import read_tensors
from mekiki.training.onnx_export import export_onnx
from workspaces import scene, write_text

TOLERANCE = 1e-4
MONKEYS = "wildlife/monkeys10"
NET = """
import torch

class Mean(torch.nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = torch.nn.Linear(3, num_classes)

    def forward(self, pictures):
        return self.fc(pictures.mean(dim=(2, 3)))
"""

torch.set_num_threads(1)


def scores_of(opening: Opening, images: list[Image]) -> Any:
    classifier = open_classifier(opening)
    return classifier.score([classifier.prepare(image) for image in images])


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> list[Image]:
    paths = sorted((shared_data / MONKEYS).glob("*/*.jpg"))[::25]
    return [read_image(path, at_least_px=512) for path in paths]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Saved]:
    folder = tmp_path_factory.mktemp("models")
    deep, small = make_model(folder, "resnet18", image_size=224), make_model(folder, image_size=64)
    return {"resnet18": deep, "small-cnn": small, "ensemble": make_ensemble(folder, [deep, small], [0.4, 0.6])}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "small-cnn", "ensemble"])
@pytest.mark.parametrize("runtime", [name for name in CLASSIFIERS.names() if name != "torch"])
def test_runtimes_agree_on_real_photos(models: dict[str, Saved], photos: list[Image], name: str, runtime: Any) -> None:
    expected = scores_of(Opening(models[name].path, "torch", "cpu"), photos)

    scores = scores_of(Opening(models[name].path, runtime, "cpu"), photos)

    assert len(photos) >= 12
    assert expected.std(axis=0).max() > 0.05
    assert np.abs(scores - expected).max() < TOLERANCE


@pytest.mark.parametrize("runtime", ["auto", "onnx", "openvino"])
def test_an_exported_model_gives_the_same_scores(tmp_path: Path, runtime: Any) -> None:
    model = make_model(tmp_path)
    graph = export_onnx(model.card, read_tensors(model.path), tmp_path / "m.onnx")
    images = [scene(seed) for seed in range(4)]

    scores = scores_of(Opening(graph, runtime, "cpu"), images)

    assert load_card(Opening(graph)) == model.card
    assert np.abs(scores - scores_of(Opening(model.path, "torch", "cpu"), images)).max() < TOLERANCE


def test_auto_is_torch_but_for_graphs() -> None:
    assert Opening(Path("m.safetensors"), device="cpu").resolved().runtime == "torch"
    assert Opening(Path("m.onnx"), device="cpu").resolved().runtime == "onnx"
    assert Opening(Path("m.onnx"), "openvino", "cpu").resolved().runtime == "openvino"


def test_the_identity_names_scores_runtime_and_precision(tmp_path: Path) -> None:
    card = make_model(tmp_path).card

    auto = scores_identity(card, Opening(tmp_path / "m.safetensors", "auto", "cpu"))

    assert auto == f"{card.scores_id} torch fp32"
    assert auto == scores_identity(card, Opening(tmp_path / "m.safetensors", "torch", "cpu"))
    assert auto != scores_identity(card, Opening(tmp_path / "m.safetensors", "openvino", "cpu", "bf16"))


def foreign_file(folder: Path, n_classes: int = 2) -> Path:
    torch.manual_seed(5)
    network = make_network(BackboneSpec("small-cnn", n_classes), pretrained=False, weights=None, allow_code=False)
    torch.save(network.state_dict(), folder / "theirs.pt")
    return folder / "theirs.pt"


def test_a_foreign_checkpoint_is_prepared_as_it_is_told(tmp_path: Path) -> None:
    path = foreign_file(tmp_path)
    facts = ForeignFacts(
        arch="small-cnn",
        class_names=("a", "b"),
        activation="softmax",
        image_size=32,
        resize_px=40,
        resize="short-side",
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.6, 0.7),
    )

    classifier = open_classifier(Opening(path, device="cpu", foreign=facts))

    how = Preprocessing(
        resize="short-side", resize_hw=(40, 40), crop_hw=(32, 32), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)
    )
    assert classifier.card.preprocessing == how
    assert classifier.card.class_names == ("a", "b")
    image = scene(1)
    network = make_network(BackboneSpec("small-cnn", 2), pretrained=False, weights=None, allow_code=False)
    network.load_state_dict(torch.load(path, weights_only=True))
    expected = network.eval()(torch.from_numpy(prepare(image, how))[None]).softmax(dim=1)
    assert np.abs(classifier.score([classifier.prepare(image)]) - expected.detach().numpy()).max() < 1e-6


def test_what_a_foreign_checkpoint_is_told_is_part_of_its_scores_id(tmp_path: Path) -> None:
    path = foreign_file(tmp_path)
    facts = ForeignFacts(arch="small-cnn", class_names=("a", "b"), activation="sigmoid", image_size=32)
    other = ForeignFacts(arch="small-cnn", class_names=("a", "b"), activation="sigmoid", image_size=32, mean=(0, 0, 0))

    ids = [load_card(Opening(path, foreign=one)).scores_id for one in (facts, facts, other)]

    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) == 16


@pytest.mark.parametrize("runtime", CLASSIFIERS.names())
def test_a_users_program_runs_only_when_it_is_allowed(tmp_path: Path, runtime: Any) -> None:
    source = write_text(tmp_path / "net.py", NET)
    torch.save({"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2)}, tmp_path / "net.pt")
    facts = ForeignFacts(
        arch=f"python:{source}:Mean", class_names=("a", "b"), activation="sigmoid", image_size=8, resize_px=8
    )
    opening = Opening(tmp_path / "net.pt", runtime, "cpu", foreign=facts)

    with pytest.raises(UsageError, match="--allow-code"):
        open_classifier(opening)

    allowed = Opening(tmp_path / "net.pt", runtime, "cpu", allow_code=True, foreign=facts)
    assert scores_of(allowed, [scene(0)]).shape == (1, 2)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        pytest.param({}, "Add --arch", id="no backbone"),
        pytest.param({"arch": "small-cnn"}, "--classes", id="no classes"),
        pytest.param({"arch": "small-cnn", "class_names": ("a", "b")}, "--activation", id="no activation"),
        pytest.param(
            {"arch": "small-cnn", "class_names": ("a", "b"), "activation": "sigmoid", "image_size": 64, "resize": 32},
            r"pictures cannot be prepared like that: .*crop_hw \(64, 64\) must not exceed",
            id="crop beyond",
        ),
    ],
)
def test_a_foreign_checkpoint_that_is_told_too_little_is_refused(
    tmp_path: Path, facts: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        load_card(Opening(foreign_file(tmp_path), foreign=ForeignFacts(**facts)))


def test_facts_about_a_model_of_ours_are_refused(tmp_path: Path) -> None:
    model = make_model(tmp_path)

    with pytest.raises(UsageError, match=r"says itself what it is\. Leave out --image-size, --mean"):
        load_card(Opening(model.path, foreign=ForeignFacts(image_size=32, mean=(0, 0, 0))))


def test_torch_does_not_run_graphs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is an ONNX graph, which torch does not run\. Type: --runtime onnx"):
        open_classifier(Opening(tmp_path / "m.onnx", "torch", "cpu"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("m.onnx", "no graph", "no ONNX file|none that mekiki exported", id="no graph"),
        pytest.param("m.safetensors", "no tensors", "no whole safetensors file", id="no tensors"),
        pytest.param("m.pt", "no pickle", "nothing was run|no PyTorch checkpoint", id="no checkpoint"),
    ],
)
def test_a_file_that_is_no_model_is_a_missing_backend(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = write_text(tmp_path / name, content)

    with pytest.raises(BackendError, match=message):
        load_card(Opening(path, device="cpu"))


def test_a_graph_of_somebody_elses_is_refused(tmp_path: Path) -> None:
    import onnx

    model = make_model(tmp_path)
    graph = onnx.load(export_onnx(model.card, read_tensors(model.path), tmp_path / "m.onnx"))
    del graph.metadata_props[:]
    onnx.save(graph, tmp_path / "theirs.onnx")

    with pytest.raises(BackendError, match="none that mekiki exported: it has no card"):
        load_card(Opening(tmp_path / "theirs.onnx"))


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_graph_that_is_not_its_cards_is_refused(tmp_path: Path, runtime: Any) -> None:
    import onnx

    first, second = make_model(tmp_path), make_model(tmp_path, image_size=48, seed=1)
    ensemble = make_ensemble(tmp_path, [first, second], [1, 1])
    graph = onnx.load(export_onnx(first.card, read_tensors(first.path), tmp_path / "m.onnx"))
    graph.metadata_props[0].value = ensemble.card.to_json()
    onnx.save(graph, tmp_path / "mixed.onnx")

    with pytest.raises(BackendError, match="a graph with 1 inputs and 1 outputs, its card says 2 and 1"):
        open_classifier(Opening(tmp_path / "mixed.onnx", runtime, "cpu"))
