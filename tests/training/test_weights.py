"""Files of weights: every usual form is read, and none is run."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest

from mekiki.errors import UnreadableError, UsageError
from mekiki.training.weights import load_exactly, read_weights
from networks import make_card, random_tensors

torch = pytest.importorskip("torch")
from mekiki.training.checkpoint import save_model  # noqa: E402

TENSORS = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    ("saved", "facts"),
    [
        pytest.param(TENSORS, {}, id="bare"),
        pytest.param(OrderedDict(TENSORS), {}, id="ordered"),
        pytest.param({name: torch.nn.Parameter(one) for name, one in TENSORS.items()}, {}, id="parameters"),
        pytest.param({"state_dict": TENSORS, "epoch": 3}, {"epoch": 3}, id="state-dict"),
        pytest.param({"model_state_dict": TENSORS, "class_names": ["x"]}, {"class_names": ["x"]}, id="seed1"),
        pytest.param({"model": TENSORS, "best": 0.5}, {"best": 0.5}, id="model"),
        pytest.param({"state_dict": {f"module.{k}": v for k, v in TENSORS.items()}}, {}, id="data-parallel"),
        pytest.param({f"_orig_mod.module.{k}": v for k, v in TENSORS.items()}, {}, id="compiled"),
    ],
)
def test_usual_checkpoints_give_their_tensors_and_what_they_say(
    tmp_path: Path, saved: object, facts: dict[str, object]
) -> None:
    torch.save(saved, tmp_path / "weights.PTH")

    read = read_weights(tmp_path / "weights.PTH")

    assert dict(read.facts) == facts
    assert list(read.tensors) == list(TENSORS)
    assert all(
        torch.equal(read.tensors[name], one) and not read.tensors[name].requires_grad for name, one in TENSORS.items()
    )


def test_safetensors_are_read_with_and_without_a_card(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({f"module.{k}": v for k, v in TENSORS.items()}, tmp_path / "bare.safetensors", metadata={"format": "pt"})
    _, own, card = save_model(tmp_path, make_card(), random_tensors())

    assert set(read_weights(tmp_path / "bare.safetensors").tensors) == set(TENSORS)
    assert read_weights(tmp_path / "bare.safetensors").card is None
    assert read_weights(own).card == card


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "older"])
def test_a_hostile_pickle_is_refused_in_one_line_and_runs_nothing(tmp_path: Path, is_zip: bool) -> None:
    content = {**TENSORS, "x": Hostile(tmp_path / "ran")}
    torch.save(content, tmp_path / "evil.pt", _use_new_zipfile_serialization=is_zip)
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Hostile(tmp_path / "ran")))

    with pytest.raises(UnreadableError, match=r"more than tensors \(\w+.system\).*nothing was run") as caught:
        read_weights(tmp_path / "evil.pt")
    with pytest.raises(UnreadableError):
        read_weights(tmp_path / "bare.pt")

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        pytest.param({}, "holds no state dict", id="empty"),
        pytest.param([1, 2], "holds no state dict", id="list"),
        pytest.param({"net": TENSORS, "lr": 1.0}, "its keys are net, lr", id="other-keys"),
        pytest.param({"state_dict": {"a": 3}}, "its keys are state_dict", id="no-tensors"),
        pytest.param({1: torch.zeros(1)}, "holds no state dict", id="names-that-are-none"),
    ],
)
def test_a_file_without_state_dict_is_refused(tmp_path: Path, saved: object, words: str) -> None:
    torch.save(saved, tmp_path / "weights.pt")

    with pytest.raises(UnreadableError, match=words):
        read_weights(tmp_path / "weights.pt")


def test_damaged_files_are_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    for is_zip in (True, False):
        torch.save({"state_dict": TENSORS, "n": 3}, tmp_path / "whole.pt", _use_new_zipfile_serialization=is_zip)
        whole = (tmp_path / "whole.pt").read_bytes()
        for cut in range(0, len(whole) - 30, max(1, len(whole) // 25)):
            (tmp_path / "cut.pt").write_bytes(whole[:cut])
            with pytest.raises(UnreadableError, match=r"cut.pt: "):
                read_weights(tmp_path / "cut.pt")
        for place in range(0, len(whole), 7):
            (tmp_path / "changed.pt").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            try:
                read_weights(tmp_path / "changed.pt")
            except UnreadableError as error:
                assert "\n" not in str(error)  # noqa: PT017  # that some damage shows nowhere is no failure


def test_a_file_of_another_kind_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in .pt, .pth, .th or .safetensors, got .*model.onnx"):
        read_weights(tmp_path / "model.onnx")
    with pytest.raises(UnreadableError, match="No such file"):
        read_weights(tmp_path / "gone.pt")


def test_counters_that_old_files_lack_are_not_missed(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2))
    network[1].num_batches_tracked += 5
    tensors = {name: one * 2 for name, one in network.state_dict().items() if "num_batches" not in name}

    assert load_exactly(network, tensors) == ""
    assert torch.equal(network[0].weight, tensors["0.weight"])
    assert "1 missing: 1.running_var" in load_exactly(network, {k: v for k, v in tensors.items() if "var" not in k})


def test_a_real_model_that_holds_code_is_refused(shared_data: Path) -> None:
    with pytest.raises(UnreadableError, match=r"models.yolo.Model"):
        read_weights(shared_data / "weights" / "detection" / "yolov5n.pt")
