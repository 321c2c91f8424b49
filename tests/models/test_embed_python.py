"""A user's own network as an embedder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from embedders import CLASSIFIER, SIDE_PX, python_file, python_opening, unit, vectors_of
from mekiki.errors import BackendError, DataError, UsageError
from mekiki.media.images import read_image
from mekiki.media.preprocessing import at_hand
from mekiki.models.embed import EmbedderOpening, open_embedder, open_space
from mekiki.training.vector_space import check_same_space

torch.set_num_threads(1)


def test_a_users_classifier_gives_what_goes_into_its_last_layer(tmp_path: Path) -> None:
    opening = python_opening(tmp_path)
    tensors = torch.load(opening.weights)

    features, logits = vectors_of(opening), vectors_of(replace(opening, output="projected"))

    assert (features.shape, logits.shape) == ((3, 32), (3, 4))
    wanted = features @ tensors["head.weight"].numpy().T + tensors["head.bias"].numpy()
    np.testing.assert_allclose(logits, wanted, atol=1e-5)
    assert open_space(replace(opening, output="projected")).embedder == f"{opening.name}#projected"


def test_a_users_embedder_gives_what_it_gives(tmp_path: Path) -> None:
    opening = python_opening(tmp_path, name="Embeds")

    assert open_space(opening).embedder == opening.name
    assert open_space(opening).n_dims == 7
    assert open_space(replace(opening, output="pooler")).n_dims == 6


def test_a_layer_that_is_followed_by_another_step_cannot_be_left_out(tmp_path: Path) -> None:
    opening = python_opening(tmp_path, name="Soft")

    with pytest.raises(UsageError, match=r"does something with what its last layer 'head' gives.* --output projected"):
        open_space(opening)
    assert open_space(replace(opening, output="projected")).n_dims == 4


def test_random_weights_are_refused_and_a_network_without_any_is_not(tmp_path: Path) -> None:
    path = python_file(tmp_path)
    with pytest.raises(UsageError, match=r"are random. Say which it has: --weights FILE"):
        open_space(EmbedderOpening(f"python:{path}:Embeds", allow_code=True))

    space = open_space(EmbedderOpening(f"python:{path}:Fixed", allow_code=True, image_size=SIDE_PX))

    assert space.n_dims == 12


def test_the_text_of_the_program_and_its_pixels_count_in_the_id(tmp_path: Path) -> None:
    opening = python_opening(tmp_path)
    before = open_space(opening)
    larger = open_space(replace(opening, image_size=40))
    python_file(tmp_path).write_text(CLASSIFIER + "\n# another\n")

    after = open_space(opening)

    assert len({before.embedder_id, larger.embedder_id, after.embedder_id}) == 3
    with pytest.raises(DataError, match="of the same embedder with other preprocessing"):
        check_same_space(before, larger, "model 'm'")


def test_weights_that_do_not_fit_the_program_are_refused(tmp_path: Path) -> None:
    opening = replace(python_opening(tmp_path), weights=python_opening(tmp_path, name="Embeds").weights)

    with pytest.raises(BackendError, match=r"Embeds0.pth does not fit python:.*: \d missing"):
        open_space(opening)


def test_pictures_that_the_network_cannot_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cannot take pictures of 4 x 4 px: "):
        open_space(python_opening(tmp_path, name="Embeds", image_size=4))


RESNET20 = """
from torch import nn

class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.stride, self.pad = stride, (n_out - n_in) // 2

    def forward(self, x):
        out = self.bn2(self.conv2(nn.functional.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1:
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return nn.functional.relu(out + x)

class ResNet20(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for number, (n_in, n_out, stride) in enumerate([(16, 16, 1), (16, 32, 2), (32, 64, 2)], start=1):
            blocks = [Block(n_in, n_out, stride), Block(n_out, n_out, 1), Block(n_out, n_out, 1)]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x):
        x = nn.functional.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean(dim=(2, 3)))
"""


@pytest.mark.slow
def test_the_real_resnet_20_puts_pictures_of_a_class_together(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(RESNET20)
    checkpoint = shared_data / "weights" / "cifar10" / "resnet20-12fca82f.th"
    embedder = open_embedder(
        EmbedderOpening(f"python:{tmp_path}/net.py:ResNet20", checkpoint, allow_code=True, image_size=32)
    )
    paths = sorted((shared_data / "classification" / "cifar10" / "test").rglob("*.jpg"))[::5]
    truth = np.array([path.parent.name for path in paths])

    vectors = unit(embedder.embed([embedder.prepare(at_hand(read_image(path))) for path in paths]))

    near = vectors @ vectors.T
    np.fill_diagonal(near, -2)
    assert embedder.space.n_dims == 64
    assert (truth[near.argmax(axis=1)] == truth).mean() > 0.65
