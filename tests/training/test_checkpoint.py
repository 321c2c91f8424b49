"""Model files: the same model is the same bytes, and nothing but a whole and fitting one is loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mekiki.errors import DataError, UnreadableError, UsageError
from mekiki.training.card import CARD_KEY, Calibration, ModelCard, read_card
from mekiki.training.members import distinct_preprocessings, split_members
from networks import CLASSES, NO_RESIZE, make_card, random_images, random_network, random_tensors, write_user_module

torch = pytest.importorskip("torch")
from mekiki.training.checkpoint import load_network, read_tensors, save_model, scores_id_of  # noqa: E402


def test_a_model_file_holds_its_card_and_its_weights(tmp_path: Path) -> None:
    network = random_network()

    model_id, path, card = save_model(tmp_path / "models", make_card(), network.state_dict())

    assert path == tmp_path / "models" / f"{model_id}.safetensors"
    assert read_card(path) == card
    assert card == make_card(scores_id=card.scores_id)
    loaded = load_network(read_card(path), read_tensors(path), allow_code=False)
    assert not loaded.training
    pictures = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(loaded(pictures), network(pictures))


def test_the_same_model_is_the_same_bytes_and_another_weight_another_id(tmp_path: Path) -> None:
    first, path, _ = save_model(tmp_path / "a", make_card(), random_tensors())
    second, again, _ = save_model(tmp_path / "b", make_card(), dict(reversed(random_tensors().items())))
    other, _, _ = save_model(tmp_path / "c", make_card(), random_tensors(seed=1))

    assert first == second != other
    assert path.read_bytes() == again.read_bytes()
    assert len(first) == 16


def test_tensors_that_share_memory_or_lie_otherwise_in_it_are_saved_as_they_read(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    tensors = {"a": whole, "b": whole, "turned": whole.T, "half": whole.bfloat16(), "one": torch.tensor(3)}

    _, path, _ = save_model(tmp_path, make_card(), tensors)

    read = read_tensors(path)
    assert set(read) == set(tensors)
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in tensors)


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        pytest.param({"name": "other"}, True, id="name"),
        pytest.param({"thresholds": (0.1, 0.2, 0.3)}, True, id="thresholds"),
        pytest.param({"settings": {"lr": 1}, "metrics": {"f1": 1}, "parents": ("a" * 16,)}, True, id="history"),
        pytest.param(
            {"calibration": Calibration(method="temperature", temperatures=(1, 2, 3))}, True, id="own-calibration"
        ),
        pytest.param({"preprocessing": NO_RESIZE}, False, id="preprocessing"),
        pytest.param({"activation": "softmax"}, False, id="activation"),
        pytest.param({"class_names": tuple(reversed(CLASSES))}, False, id="class-order"),
        pytest.param({"arch_options": {"width": 4, "dropout": 0.5}}, False, id="options"),
        pytest.param({"source_code": "pass"}, False, id="code"),
    ],
)
def test_the_id_of_scores_changes_with_what_decides_scores_and_nothing_else(
    changes: dict[str, object], is_same: bool
) -> None:
    tensors = random_tensors()

    assert (scores_id_of(make_card(), tensors) == scores_id_of(make_card(**changes), tensors)) is is_same


def ensemble(*members: ModelCard, weights: tuple[float, ...] = (0.5, 0.5)) -> ModelCard:
    return ModelCard(name="both", kind="ensemble", class_names=CLASSES, members=members, weights=weights)


def test_the_id_of_an_ensembles_scores_covers_weights_and_its_members_calibration() -> None:
    first, second = make_card(scores_id="a" * 16), make_card(scores_id="b" * 16)
    calibrated = second.model_copy(update={"calibration": Calibration(method="temperature", temperatures=(1, 2, 3))})

    ids = {
        scores_id_of(ensemble(first, second), {}),
        scores_id_of(ensemble(first, second, weights=(0.25, 0.75)), {}),
        scores_id_of(ensemble(first, calibrated), {}),
        scores_id_of(ensemble(first, second.model_copy(update={"scores_id": "c" * 16})), {}),
    }

    assert len(ids) == 4
    renamed = second.model_copy(update={"name": "other", "thresholds": (0.1, 0.2, 0.3)})
    assert scores_id_of(ensemble(first, renamed), {}) in ids


def test_members_get_their_own_tensors_and_each_way_to_prepare_is_listed_once() -> None:
    first, second, third = make_card(name="a"), make_card(name="b", preprocessing=NO_RESIZE), make_card(name="c")
    card = ensemble(first, second, third, weights=(0.2, 0.3, 0.5))

    members = split_members(card, {"0.fc.weight": 1, "1.fc.weight": 2, "2.x": 3, "7.stray": 4, "nobody": 5})

    assert members == [(first, {"fc.weight": 1}), (second, {"fc.weight": 2}), (third, {"x": 3})]
    assert distinct_preprocessings(card) == ([first.preprocessing, NO_RESIZE], [0, 1, 0])
    assert split_members(first, {"0.x": 1}) == [(first, {"0.x": 1})]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda t: t.pop("head.bias"), "1 missing: head.bias", id="missing"),
        pytest.param(lambda t: t.update(stray=torch.zeros(1)), "1 unexpected: stray", id="unexpected"),
        pytest.param(
            lambda t: t.update({"head.bias": torch.zeros(9)}), r"head.bias is \[9\] instead of \[3\]", id="other-shape"
        ),
    ],
)
def test_weights_that_are_not_the_cards_are_refused_in_one_line(change: object, words: str) -> None:
    tensors = random_tensors()
    change(tensors)  # type: ignore[operator]

    with pytest.raises(UnreadableError, match=words) as caught:
        load_network(make_card(), tensors, allow_code=False)

    assert "\n" not in str(caught.value)


def test_an_ensemble_is_no_network() -> None:
    with pytest.raises(ValueError, match="card must be that of a network"):
        load_network(ensemble(make_card(), make_card()), {}, allow_code=False)


def test_loading_moves_nobody_elses_chance() -> None:
    tensors = random_tensors()
    torch.manual_seed(7)
    wanted = torch.rand(1)

    torch.manual_seed(7)
    load_network(make_card(), tensors, allow_code=False)

    assert torch.equal(torch.rand(1), wanted)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x80\x02]q\x00.", id="pickle"),
        pytest.param(b"\xff" * 200, id="huge-header"),
    ],
)
def test_what_is_no_safetensors_file_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)

    with pytest.raises(UnreadableError, match="no whole safetensors file"):
        read_tensors(path)


def test_a_cut_off_or_missing_file_is_unreadable(tmp_path: Path) -> None:
    _, path, _ = save_model(tmp_path, make_card(), random_tensors())
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(UnreadableError, match="no whole safetensors file"):
        read_tensors(path)
    with pytest.raises(UnreadableError, match="No such file"):
        read_tensors(tmp_path / "gone.safetensors")


def test_code_of_a_model_runs_only_if_allowed_and_unchanged(tmp_path: Path) -> None:
    arch = write_user_module(tmp_path)
    tensors = random_network(arch).state_dict()
    card = make_card(arch=arch, arch_options={}, source_code=(tmp_path / "nets.py").read_text())

    assert load_network(card, tensors, allow_code=True)(torch.rand(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(UsageError, match="--allow-code"):
        load_network(card, tensors, allow_code=False)
    (tmp_path / "nets.py").write_text("raise RuntimeError('this ran')")
    with pytest.raises(DataError, match="not the file that the model was trained with"):
        load_network(card, tensors, allow_code=True)


WRITE_FOREVER = """
import sys, torch
from pathlib import Path
from mekiki.training.checkpoint import save_model
from networks import make_card
n = 0
while True:
    save_model(Path(sys.argv[1]), make_card(), {"a": torch.full((2_000_000,), float(n))})
    n += 1
    print(n, flush=True)
"""


@pytest.mark.slow
def test_a_killed_program_leaves_no_half_model(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    command = [sys.executable, "-c", WRITE_FOREVER, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)

    written = sorted(folder.glob("*.safetensors"))

    assert len(written) >= 5
    assert all(read_card(path).name == "tiny" and read_tensors(path)["a"].shape == (2_000_000,) for path in written)
    assert {path.suffix for path in folder.iterdir()} <= {".safetensors", ".part"}


def test_the_card_lies_where_other_readers_look_for_it(tmp_path: Path) -> None:
    from safetensors import safe_open

    _, path, card = save_model(tmp_path, make_card(), random_tensors())

    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {CARD_KEY: card.to_json()}


def test_a_picture_gives_different_scores_with_different_weights() -> None:
    pictures = torch.from_numpy(random_images(1)[0]).permute(2, 0, 1)[None].float() / 255

    assert not torch.equal(random_network(seed=0)(pictures), random_network(seed=1)(pictures))
