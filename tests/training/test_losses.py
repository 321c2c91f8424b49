"""Losses: by hand, masked, in parts, and by name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mekiki.training.losses import asymmetric, bce, focal, make_loss, positive_weights

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

NAMES = ("bce", "asymmetric", "focal")


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_positive_weights_are_seed_1s_rule() -> None:
    truth = np.array([[1] * 1 + [0] * 39, [1] * 30 + [0] * 10, [0] * 40, [-1] * 20 + [1] * 5 + [0] * 15], np.int8).T

    weights = positive_weights(truth, 20.0)

    assert weights.tolist() == [20.0, 1.0, 20.0, 3.0]  # clipped from above, from below, no positive at all, masked
    assert weights.dtype == np.float32
    assert positive_weights(np.empty((0, 2), np.int8), 20.0).tolist() == [1.0, 1.0]


def test_bce_by_hand() -> None:
    logits, truth = torch.tensor([[2.0, -1.0], [0.5, 3.0]]), torch.tensor([[1, 0], [0, 1]])

    total = bce(logits, truth, torch.tensor([4.0, 1.5]))

    by_hand = -4 * math.log(sigmoid(2)) - math.log(1 - sigmoid(-1)) - math.log(1 - sigmoid(0.5))
    by_hand += -1.5 * math.log(sigmoid(3))
    assert total.item() == pytest.approx(by_hand, rel=1e-6)


def test_focal_by_hand() -> None:
    logits, truth = torch.tensor([[2.0, -1.0]]), torch.tensor([[1, 0]])

    total = focal(logits, truth)

    present = -0.25 * (1 - sigmoid(2)) ** 2 * math.log(sigmoid(2))
    absent = -0.75 * sigmoid(-1) ** 2 * math.log(1 - sigmoid(-1))
    assert total.item() == pytest.approx(present + absent, rel=1e-6)


def test_asymmetric_by_hand() -> None:
    logits, truth = torch.tensor([[2.0, -1.0, -4.0]]), torch.tensor([[1, 0, 0]])

    total = asymmetric(logits, truth)

    shifted = sigmoid(-1) - 0.05
    assert sigmoid(-4) < 0.05  # so easy that it counts for nothing
    assert total.item() == pytest.approx(-math.log(sigmoid(2)) - shifted**4 * math.log(1 - shifted), rel=1e-6)


def test_without_focusing_both_are_plain_cross_entropy() -> None:
    logits, truth = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.randint(0, 2, (5, 3))
    plain = bce(logits, truth, torch.ones(3)).item()

    assert focal(logits, truth, gamma=0, alpha=0.5).item() == pytest.approx(plain / 2, rel=1e-5)
    assert asymmetric(logits, truth, 0, 0, 0).item() == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_masked_cells_change_neither_loss_nor_gradient(name: str) -> None:
    loss = make_loss(name, np.array([2.0, 3.0], np.float32))
    logits = torch.tensor([[0.3, -0.4], [1.0, 9.0]], requires_grad=True)

    total = loss(logits, torch.tensor([[1, 0], [-1, -1]]))
    total.backward()

    assert total.item() == pytest.approx(loss(logits[:1], torch.tensor([[1, 0]])).item())
    assert logits.grad[1].tolist() == [0, 0]
    assert (logits.grad[0] != 0).all()
    assert loss(logits, torch.full((2, 2), -1)).item() == 0


@pytest.mark.parametrize("name", NAMES)
def test_parts_of_a_batch_add_up(name: str) -> None:
    loss = make_loss(name, np.array([2.0, 3.0, 1.0], np.float32))
    logits, truth = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.randint(-1, 2, (6, 3))

    assert (loss(logits[:2], truth[:2]) + loss(logits[2:], truth[2:])).item() == pytest.approx(
        loss(logits, truth).item(), rel=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_stay_finite(name: str) -> None:
    loss = make_loss(name, np.ones(2, np.float32))
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)

    total = loss(logits, torch.tensor([[1, 1], [0, 0]]))
    total.backward()

    assert math.isfinite(total.item())
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_step_down_the_gradient_decides_better(name: str) -> None:
    loss = make_loss(name, np.ones(2, np.float32))
    logits = torch.zeros(1, 2, requires_grad=True)

    loss(logits, torch.tensor([[1, 0]])).backward()

    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


def test_asymmetric_does_not_differentiate_its_weights() -> None:
    logits = torch.tensor([[1.0]], requires_grad=True)

    asymmetric(logits, torch.tensor([[0]])).backward()

    p = sigmoid(1)
    slope = (p - 0.05) ** 4 * p * (1 - p) / (1 - (p - 0.05))  # of the logarithm alone
    assert logits.grad.item() == pytest.approx(slope, rel=1e-5)
