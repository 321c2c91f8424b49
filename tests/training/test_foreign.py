"""Checkpoints of others as models: what they say is taken, what they do not say has to be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.errors import UnreadableError, UsageError
from networks import CLASSES, NO_RESIZE, make_card, random_network, random_tensors, write_user_module

torch = pytest.importorskip("torch")
from mekiki.media.images import read_image  # noqa: E402
from mekiki.media.preprocessing import at_hand  # noqa: E402
from mekiki.models.classify_torch import TorchClassifier  # noqa: E402
from mekiki.training.backbones import default_preprocessing  # noqa: E402
from mekiki.training.checkpoint import load_network, save_model  # noqa: E402
from mekiki.training.foreign import read_foreign  # noqa: E402

torch.set_num_threads(1)


def seed1(folder: Path, **changes: Any) -> Path:
    """Write a checkpoint as seed 1 does, with the six keys of `systems.md` 1.3."""
    saved = {
        "model_state_dict": random_network("resnet18").state_dict(),
        "class_names": list(CLASSES),
        "threshold": 0.4,
        "img_size": 192,
        "seed": 42,
        "arch": "resnet18",
    }
    path = folder / "multilabel_resnet18_best.pt"
    torch.save({key: value for key, value in {**saved, **changes}.items() if value is not None}, path)
    return path


def bare(folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(random_network("resnet18").state_dict(), path)
    return path


def test_seed_1s_checkpoint_says_all_that_is_needed(tmp_path: Path) -> None:
    card, tensors = read_foreign(seed1(tmp_path))

    assert card.name == "multilabel_resnet18_best"
    assert (card.arch, card.class_names, card.activation) == ("resnet18", CLASSES, "sigmoid")
    assert card.preprocessing == default_preprocessing("resnet18", 192)
    assert card.thresholds == (0.4, 0.4, 0.4)
    assert card.settings == {"seed": 42, "img_size": 192}
    pictures = torch.rand(2, 3, 64, 64)
    wanted = random_network("resnet18")(pictures)
    assert torch.allclose(load_network(card, tensors, allow_code=False)(pictures), wanted, atol=1e-6)


def test_arguments_go_before_what_the_file_says(tmp_path: Path) -> None:
    renamed = ("neko", "inu", "kitsune")

    card, _ = read_foreign(seed1(tmp_path), "resnet18", renamed, NO_RESIZE, "softmax")

    assert (card.class_names, card.preprocessing, card.activation) == (renamed, NO_RESIZE, "softmax")


def test_a_bare_state_dict_is_a_model_with_what_it_is_told(tmp_path: Path) -> None:
    card, tensors = read_foreign(bare(tmp_path), "resnet18", CLASSES, None, "softmax")

    assert card.preprocessing == default_preprocessing("resnet18", 224)
    assert card.thresholds is None
    assert load_network(card, tensors, allow_code=False)(torch.rand(1, 3, 64, 64)).shape == (1, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param((None, CLASSES, None, "sigmoid"), "what network it is. Add --arch", id="arch"),
        pytest.param(("resnet18", None, None, "sigmoid"), "what its classes are. .*--classes", id="classes"),
        pytest.param(("resnet18", CLASSES, None, None), "--activation sigmoid", id="activation"),
        pytest.param(("resnet18", (), None, "sigmoid"), "one or more different names, got none", id="no-class"),
        pytest.param(("resnet18", ("a", "a"), None, "sigmoid"), "different names, got a, a", id="class-twice"),
    ],
)
def test_what_is_neither_said_nor_given_is_asked_for(tmp_path: Path, arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_foreign(bare(tmp_path), *arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("resnet34",), "says that it is a resnet18, not a resnet34", id="arch"),
        pytest.param((None, ("a", "b")), r"has 3 classes \(cat, dog, fox\), but 2 were given", id="number"),
        pytest.param((None, ("dog", "cat", "fox")), "in another order: cat, dog, fox", id="order"),
    ],
)
def test_what_contradicts_the_file_is_refused(tmp_path: Path, arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_foreign(seed1(tmp_path), *arguments)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"class_names": "cat"}, "class_names are no list of names", id="classes"),
        pytest.param({"class_names": ["cat", "cat", "dog"]}, "a name twice", id="class-twice"),
        pytest.param({"threshold": "high"}, "threshold is 'high', no float", id="threshold"),
        pytest.param({"threshold": 40}, "threshold is 40, not within 0 and 1", id="threshold-range"),
        pytest.param({"img_size": 0}, "img_size is 0, not 1 or more", id="size"),
        pytest.param({"arch": 18}, "arch is 18, no str", id="arch"),
    ],
)
def test_what_makes_no_sense_in_a_checkpoint_is_unreadable(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UnreadableError, match=words):
        read_foreign(seed1(tmp_path, **changes))


def test_weights_of_another_backbone_show_when_they_are_loaded(tmp_path: Path) -> None:
    card, tensors = read_foreign(seed1(tmp_path, arch=None), "resnet34")

    with pytest.raises(UnreadableError, match=r"its weights are not those of resnet34: .* missing: layer1.2"):
        load_network(card, tensors, allow_code=False)


def test_a_model_of_ours_is_returned_as_it_is_and_takes_no_arguments(tmp_path: Path) -> None:
    _, path, saved = save_model(tmp_path, make_card(), random_tensors())

    card, tensors = read_foreign(path)

    assert card == saved
    assert set(tensors) == set(random_tensors())
    with pytest.raises(UsageError, match=r"says itself what it is. Leave out arch, class_names"):
        read_foreign(path, "resnet18", CLASSES)


def test_the_code_of_a_users_backbone_is_recorded(tmp_path: Path) -> None:
    arch = write_user_module(tmp_path)
    torch.save(random_network(arch).state_dict(), tmp_path / "w.pt")

    card, tensors = read_foreign(tmp_path / "w.pt", arch, CLASSES, NO_RESIZE, "softmax")

    assert card.source_code == (tmp_path / "nets.py").read_text()
    assert load_network(card, tensors, allow_code=True)(torch.rand(1, 3, 32, 32)).shape == (1, 3)


RESNET20 = '''
"""ResNet-20 for CIFAR-10 with shortcuts that pad (option A of He et al., 2015, section 4.2)."""

from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.stride, self.n_more = stride, n_out - n_in

    def forward(self, maps):
        found = self.bn2(self.conv2(self.bn1(self.conv1(maps)).relu()))
        half = self.n_more // 2
        kept = functional.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return (found + kept).relu()


class ResNet20(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, num_classes)

    def forward(self, pictures):
        maps = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(pictures)).relu())))
        return self.linear(maps.mean(dim=(2, 3)))
'''

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.mark.slow
def test_the_real_resnet_20_is_as_right_as_its_readme_says(shared_data: Path, tmp_path: Path) -> None:
    write_user_module(tmp_path, RESNET20, "resnet20.py")
    checkpoint = shared_data / "weights" / "cifar10" / "resnet20-12fca82f.th"
    arch = f"python:{tmp_path}/resnet20.py:ResNet20"
    card, tensors = read_foreign(checkpoint, arch, CIFAR10, NO_RESIZE, "softmax")
    _, path, card = save_model(tmp_path / "models", card, tensors)
    classifier = TorchClassifier(card, path, "cpu", allow_code=True)
    test = shared_data / "classification" / "cifar10" / "test"
    paths = sorted(test.rglob("*.jpg"))
    assert len(paths) == 1500

    is_right = []
    for start in range(0, len(paths), 250):
        chunk = paths[start : start + 250]
        scores = classifier.score([classifier.prepare(at_hand(read_image(one))) for one in chunk])
        wanted = [CIFAR10.index(one.parent.name) for one in chunk]
        is_right += (card.decide(scores).argmax(axis=1) == np.array(wanted)).tolist()

    assert np.mean(is_right) == pytest.approx(0.814, abs=0.002)
