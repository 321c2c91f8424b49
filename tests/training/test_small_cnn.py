"""The small network: sizes it takes, options it checks, and that it learns what is small in a picture."""

from __future__ import annotations

import pytest

from mekiki.errors import UsageError

torch = pytest.importorskip("torch")
from mekiki.training.small_cnn import SmallCnn  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.parametrize("size_hw", [(16, 16), (72, 96), (224, 224), (97, 33)])
def test_pictures_of_any_size_give_a_logit_per_class(size_hw: tuple[int, int]) -> None:
    network = SmallCnn(4, width=4).eval()

    with torch.inference_mode():
        assert network(torch.rand(2, 3, *size_hw)).shape == (2, 4)
        assert network(torch.rand(0, 3, *size_hw)).shape == (0, 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"width": 3}, "width must be 4 or more, got 3", id="width"),
        pytest.param({"width": 7.5}, "width must be a whole number, got 7.5", id="whole"),
        pytest.param({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0", id="dropout"),
        pytest.param({"dropout": "a"}, "dropout must be a number, got 'a'", id="number"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SmallCnn(2, **options)


def marks(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return plain pictures of any grey with patches of 4 x 4 px: upright stripes, lying ones, both or none."""
    chance = torch.Generator().manual_seed(seed)
    pictures = torch.rand(n, 1, 32, 32, generator=chance).expand(n, 3, 32, 32) * 0.5
    truth = torch.randint(0, 2, (n, 2), generator=chance).float()
    stripes = torch.tensor([1.0, 0.0, 1.0, 0.0]).repeat(4, 1)
    pictures = pictures.clone()
    for row in range(n):
        for column, mark in enumerate((stripes, stripes.T)):
            if truth[row, column]:
                top, left = torch.randint(0, 28, (2,), generator=chance).tolist()
                pictures[row, :, top : top + 4, left : left + 4] = mark
    return pictures - 0.25, truth


@pytest.mark.slow
def test_it_learns_marks_that_fill_a_sixtieth_of_the_picture() -> None:
    torch.manual_seed(0)
    network = SmallCnn(2, width=8)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    pictures, truth = marks(384, seed=0)

    for _ in range(10):
        for rows in torch.randperm(384).split(32):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(pictures[rows]), truth[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    others, wanted = marks(256, seed=1)
    with torch.inference_mode():
        is_right = (network.eval()(others) > 0) == (wanted > 0)
    assert is_right.float().mean(dim=0).min() > 0.9


def test_the_same_seed_gives_the_same_training() -> None:
    def train() -> torch.Tensor:
        torch.manual_seed(3)
        network = SmallCnn(2, width=4)
        optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
        pictures, truth = marks(64, seed=0)
        for rows in torch.randperm(64).split(16):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(pictures[rows]), truth[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return torch.cat([one.detach().flatten() for one in network.parameters()])

    assert torch.equal(train(), train())
