"""Learning rates as functions of time: those of PyTorch's own schedulers, without their state."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.training.schedules import plateau_factor, rate_factor


@pytest.mark.parametrize("seed", range(5))
def test_plateau_is_what_pytorch_makes_of_the_same_losses(seed: int) -> None:
    torch = pytest.importorskip("torch")
    losses = (1 / (1 + np.arange(30)) ** 0.2 + np.random.default_rng(seed).normal(0, 0.1, 30)).tolist()
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, mode="min", factor=0.5, patience=2)

    for n_done, loss in enumerate(losses, start=1):
        theirs.step(loss)

        assert plateau_factor(losses[:n_done]) == optimiser.param_groups[0]["lr"]
    assert plateau_factor(losses) < 1


def test_plateau_waits_for_the_third_bad_epoch() -> None:
    assert plateau_factor([]) == 1
    assert plateau_factor([1.0, 2.0, 2.0]) == 1
    assert plateau_factor([1.0, 2.0, 2.0, 2.0]) == 0.5
    assert plateau_factor([1.0, 2.0, 2.0, 2.0, 2.0, 2.0]) == 0.5
    assert plateau_factor([1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]) == 0.25


def test_a_loss_that_is_hardly_lower_is_no_better() -> None:
    assert plateau_factor([1.0, 0.99999, 0.99998, 0.99997]) == 0.5
    assert plateau_factor([1.0, 0.9998, 0.9996, 0.9994]) == 1


def test_cosine_falls_from_one_to_zero() -> None:
    factors = [rate_factor("cosine", at, 10, 0, []) for at in np.linspace(0, 10, 50)]

    assert factors[0] == 1
    assert factors[-1] == pytest.approx(0, abs=1e-12)
    assert (np.diff(factors) < 0).all()


def test_warm_up_rises_linearly_before_any_schedule() -> None:
    for name in ("plateau", "cosine", "constant"):
        assert [rate_factor(name, at, 10, 2, []) for at in (0, 0.5, 1, 2)] == [0, 0.25, 0.5, 1]


def test_constant_stays() -> None:
    assert {rate_factor("constant", at, 10, 0, [1.0, 2.0, 3.0, 4.0, 5.0]) for at in range(10)} == {1.0}
