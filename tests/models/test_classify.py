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
from mekiki.media.preprocessing import Preprocessing, at_hand, prepare
from mekiki.models.classify import CLASSIFIERS, open_classifier
from mekiki.models.opening import ForeignFacts, Opening, id_of_file, load_card, scores_identity
from mekiki.records import Image
from mekiki.training.backbones import BackboneSpec, make_network
from mekiki.training.card import CARD_KEY
from mekiki.training.checkpoint import read_tensors
from mekiki.training.onnx_export import export_onnx
from networks import changed_graph
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
    return classifier.score([classifier.prepare(at_hand(image)) for image in images])


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


def test_a_graph_with_other_weights_and_the_same_card_is_another_model(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    graph = export_onnx(model.card, read_tensors(model.path), tmp_path / "m.onnx")
    other = changed_graph(graph, tmp_path / "other.onnx")
    cards = [load_card(Opening(path)) for path in (graph, other)]

    ours, theirs = (scores_identity(cards[0], Opening(path, device="cpu")) for path in (graph, other))

    assert cards[0] == cards[1]
    assert ours == f"{id_of_file(graph)} onnx fp32"
    assert ours != theirs


def test_a_graph_that_keeps_weights_in_another_file_is_refused(tmp_path: Path) -> None:
    import onnx

    model = make_model(tmp_path)
    graph = onnx.load(export_onnx(model.card, read_tensors(model.path), tmp_path / "m.onnx"))
    onnx.save(graph, tmp_path / "parted.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)

    for use in (load_card, open_classifier):
        with pytest.raises(BackendError, match=r"parted\.onnx: an ONNX file whose weights lie in other files"):
            use(Opening(tmp_path / "parted.onnx", device="cpu"))


def test_weights_in_another_file_are_found_inside_branches_too(tmp_path: Path) -> None:
    import onnx

    model = make_model(tmp_path)
    graph = onnx.load(export_onnx(model.card, read_tensors(model.path), tmp_path / "m.onnx"))
    hidden = onnx.helper.make_tensor("hidden", onnx.TensorProto.FLOAT, [1], bytes(4), raw=True)
    onnx.external_data_helper.set_external_data(hidden, "/etc/hostname")
    branch = onnx.helper.make_graph([], "branch", [], [], [hidden])
    graph.graph.node.append(onnx.helper.make_node("If", [], ["x"], then_branch=branch, else_branch=branch))
    (tmp_path / "parted.onnx").write_bytes(graph.SerializeToString())

    with pytest.raises(BackendError, match="whose weights lie in other files"):
        load_card(Opening(tmp_path / "parted.onnx"))


def rewritten(model: Saved, to: Path, prefix: str = "", **card: Any) -> Path:
    """Write a model's file with tensors halved whose names begin with ``prefix``, or with another card."""
    from safetensors.torch import save_file

    tensors = {
        name: tensor / 2 if tensor.is_floating_point() and name.startswith(prefix) and not card else tensor
        for name, tensor in read_tensors(model.path).items()
    }
    save_file(tensors, to, {CARD_KEY: model.card.model_copy(update=card).to_json()})
    return to


@pytest.mark.parametrize("runtime", CLASSIFIERS.names())
def test_a_file_of_ours_that_was_changed_is_refused(tmp_path: Path, runtime: Any) -> None:
    model = make_model(tmp_path)
    how = model.card.preprocessing
    assert how is not None
    files = [
        rewritten(model, tmp_path / "weights.safetensors"),
        rewritten(model, tmp_path / "id.safetensors", scores_id="0" * 16),
        rewritten(model, tmp_path / "no-id.safetensors", scores_id=""),
        rewritten(model, tmp_path / "card.safetensors", preprocessing=how.model_copy(update={"mean": (0, 0, 0)})),
    ]

    for path in files:
        with pytest.raises(BackendError, match=rf"{path.name}: its weights or its card were changed after"):
            open_classifier(Opening(path, runtime, "cpu"))
    renamed = rewritten(model, tmp_path / "renamed.safetensors", name="else", thresholds=(0.1, 0.2, 0.3))
    assert open_classifier(Opening(renamed, runtime, "cpu")).card.name == "else"


def test_an_ensemble_with_a_changed_member_is_refused_before_stored_scores_are_joined(tmp_path: Path) -> None:
    from mekiki.training.checkpoint import save_model

    first, second = make_model(tmp_path), make_model(tmp_path, seed=1)
    both = make_ensemble(tmp_path, [first, second], [1, 1])
    lying = first.card.model_copy(update={"scores_id": second.card.scores_id})
    forged = both.card.model_copy(update={"members": (lying, second.card)})
    _, path, _ = save_model(tmp_path, forged, read_tensors(both.path))

    assert load_card(Opening(both.path)) == both.card
    with pytest.raises(BackendError, match=r"model 'small-cnn-0' has scores_id"):
        load_card(Opening(path))
    with pytest.raises(BackendError, match=r"model 'both' has scores_id"):
        load_card(Opening(rewritten(both, tmp_path / "half.safetensors", prefix="1.")))


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
    assert np.abs(classifier.score([classifier.prepare(at_hand(image))]) - expected.detach().numpy()).max() < 1e-6


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
            {
                "arch": "small-cnn",
                "class_names": ("a", "b"),
                "activation": "sigmoid",
                "image_size": 64,
                "resize_px": 32,
            },
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
