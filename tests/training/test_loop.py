"""The loop: it learns, keeps the best, stops early, goes on exactly where it was, and fails in seconds if it must."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mekiki.errors import DataError, UsageError
from mekiki.torchvision_ops import declare_torchvision_ops
from mekiki.training.augment import Augmentation
from mekiki.training.losses import make_loss, positive_weights
from mekiki.training.optimising import FitOptions, make_optimiser, set_rates, stages_of, start_training
from mekiki.training.state import State
from toys import N_CLASSES, toy_batches, toy_network, toy_truth

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
declare_torchvision_ops()
from mekiki.training.accelerating import open_accelerator  # noqa: E402
from mekiki.training.loop import Parts, epoch_seed, fit, validate  # noqa: E402

torch.set_num_threads(1)

TRUTH = toy_truth(120)
TRAIN, VAL = np.arange(80), np.arange(80, 120)
FAST = FitOptions(epochs=6, lr=0.003, schedule="constant")
LOSS = make_loss("bce", positive_weights(TRUTH, 20))


def toy_parts(truth: np.ndarray = TRUTH, **options: Any) -> Parts:
    return Parts(toy_batches(truth, TRAIN, Augmentation(), **options), toy_batches(truth, VAL, **options))


def train(
    options: FitOptions = FAST,
    state: State | None = None,
    parts: Parts | None = None,
    network: Any = None,
    loss: Any = LOSS,
    **others: Any,
) -> list[State]:
    """Return copies of the states after each epoch."""
    accelerator = open_accelerator("cpu", others.pop("precision", "fp32"))
    network = network or toy_network()
    states = fit(network, parts or toy_parts(), loss, options, accelerator, state or State(), **others)
    return [copy.deepcopy(one) for one in states]


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    assert first.keys() == second.keys()
    return bool(first) and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def undisturbed() -> list[State]:
    return train()


# ---- learning ------------------------------------------------------------------------------------------------------


def test_a_toy_set_is_learned(undisturbed: list[State]) -> None:
    last = undisturbed[-1]

    assert len(undisturbed) == len(last.history) == 6
    assert [row["epoch"] for row in last.history] == [1, 2, 3, 4, 5, 6]
    assert last.history[-1]["val_micro_f1"] > 0.95
    assert last.history[-1]["train_micro_f1"] > 0.9
    assert last.history[-1]["val_macro_ap"] > 0.99
    assert last.history[-1]["train_loss"] < last.history[0]["train_loss"] / 1.3
    assert [one.is_finished for one in undisturbed] == [False] * 5 + [True]


@pytest.mark.parametrize("name", ["asymmetric", "focal"])
def test_the_other_losses_learn_it_too(name: str) -> None:
    states = train(replace(FAST, epochs=10), loss=make_loss(name, np.ones(N_CLASSES, np.float32)))

    assert states[-1].history[-1]["val_macro_ap"] > 0.95


def test_a_class_that_is_masked_everywhere_is_left_as_it_was() -> None:
    """Its head has no gradient; weight decay is off."""
    truth = TRUTH.copy()
    truth[:, 1] = -1
    network = toy_network()
    before = copy.deepcopy(network[-1].weight.detach())

    states = train(replace(FAST, epochs=2, weight_decay=0), parts=toy_parts(truth), network=network)

    weight = states[-1].network["6.weight"]
    assert torch.equal(weight[1], before[1])
    assert not torch.equal(weight[0], before[0])
    assert states[-1].history[-1]["val_macro_ap"] > 0.6  # of the two others


def test_the_best_epoch_is_kept_and_not_the_last() -> None:
    states = train(replace(FAST, epochs=8, lr=0.02))

    for state in states:
        measured = [row["val_micro_f1"] for row in state.history]
        assert state.best_epoch == 1 + int(np.argmax(measured))  # the first of equal ones: strictly greater
    last = states[-1]
    assert same(last.best, states[last.best_epoch - 1].network)


def test_by_loss_the_best_is_the_least() -> None:
    last = train(replace(FAST, epochs=5, lr=0.03, best_by="val_loss"))[-1]

    assert last.best_epoch == 1 + int(np.argmin([row["val_loss"] for row in last.history]))


def test_patience_stops_after_so_many_epochs_without_a_better_one() -> None:
    states = train(replace(FAST, epochs=50, patience=3))

    last = states[-1]
    assert last.is_finished
    assert len(last.history) == last.best_epoch + 3 < 50


def test_validation_is_a_pure_function_of_the_weights(undisturbed: list[State]) -> None:
    network = toy_network()
    network.load_state_dict(undisturbed[-1].best)
    parts = toy_parts()

    measured = validate(network, parts.val.in_order(), LOSS, open_accelerator("cpu", "fp32"))

    row = undisturbed[-1].history[undisturbed[-1].best_epoch - 1]
    assert measured == {name: row[f"val_{name}"] for name in ("loss", "micro_f1", "macro_f1", "macro_ap")}


# ---- the same seed gives the same weights ---------------------------------------------------------------------------


@pytest.mark.parametrize(("n_threads", "cache_gb"), [(0, 0.0), (2, 1.0), (3, 3e-5)])
def test_neither_threads_nor_memory_change_the_weights(
    n_threads: int, cache_gb: float, undisturbed: list[State]
) -> None:
    other = train(parts=toy_parts(n_threads=n_threads, cache_gb=cache_gb))

    assert same(undisturbed[-1].network, other[-1].network)
    assert same(undisturbed[-1].best, other[-1].best)


def test_another_seed_gives_other_weights(undisturbed: list[State]) -> None:
    other_order = train(parts=toy_parts(seed=1))
    other_dropout = train(replace(FAST, seed=1))

    assert not same(undisturbed[-1].network, other_order[-1].network)
    assert not same(undisturbed[-1].network, other_dropout[-1].network)


def test_what_ran_before_does_not_matter(undisturbed: list[State]) -> None:
    torch.rand(1000)

    assert same(undisturbed[-1].network, train()[-1].network)
    assert epoch_seed(1, 0, 0) != epoch_seed(0, 1, 0) != epoch_seed(0, 0, 1)


ALL_AT_ONCE = FitOptions(
    epochs=4,
    lr=0.003,
    head_epochs=2,
    head_lr=0.01,
    layer_decay=0.5,
    schedule="cosine",
    warmup_epochs=1.0,
    clip_norm=1.0,
    ema=0.9,
)


@pytest.mark.parametrize("options", [pytest.param(FAST, id="plain"), pytest.param(ALL_AT_ONCE, id="all at once")])
def test_going_on_from_any_epoch_ends_with_the_same_weights(options: FitOptions) -> None:
    whole = train(options)

    for state in whole[:-1]:
        rest = train(options, copy.deepcopy(state), network=toy_network(seed=9))

        assert len(rest) == len(whole) - len(state.history)
        for name in ("network", "best", "average") if options.ema else ("network", "best"):
            assert same(getattr(rest[-1], name), getattr(whole[-1], name)), name
        assert rest[-1].best_epoch == whole[-1].best_epoch
        for row, other in zip(rest[-1].history, whole[-1].history, strict=True):
            assert {**row, "seconds": 0} == {**other, "seconds": 0}


def test_a_finished_training_is_left_alone(undisturbed: list[State]) -> None:
    assert train(state=copy.deepcopy(undisturbed[-1])) == []


# ---- stopping, and failing early ------------------------------------------------------------------------------------


def test_it_stops_after_the_batch_and_gives_up_the_epoch() -> None:
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) == 8  # five batches in an epoch

    states = train(should_stop=should_stop)

    assert len(states) == 1
    assert len(asked) == 8
    assert not states[0].is_finished


def test_two_validation_batches_come_before_the_first_epoch() -> None:
    """A network for other classes fails before any picture to train on is read."""
    read: list[int] = []
    parts = toy_parts(advance=read.append)
    five = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 5))

    with pytest.raises(UsageError, match=r"gives \(16, 5\) for 16 pictures and 3 classes.*must give \(16, 3\)"):
        train(parts=parts, network=five)

    assert read == []


def test_weights_that_are_no_numbers_fail_before_the_first_epoch() -> None:
    network = toy_network()
    with torch.no_grad():
        network[-1].weight.fill_(float("nan"))

    with pytest.raises(DataError, match="no number before the first epoch"):
        train(network=network)


def test_a_loss_that_runs_away_says_what_to_try() -> None:
    with pytest.raises(DataError, match=r"no number in epoch 1: try a lower --lr, or --clip-norm 1"):
        train(replace(FAST, lr=1e30, weight_decay=0))


# ---- stages, rates, averages ----------------------------------------------------------------------------------------


def test_the_head_learns_alone_first() -> None:
    network = toy_network()
    begun = copy.deepcopy(network.state_dict())

    states = train(replace(FAST, head_epochs=2, epochs=1, head_lr=0.01), network=network)

    head = {"6.weight", "6.bias"}
    for state in states[:2]:
        changed = {name for name in begun if not torch.equal(state.network[name], begun[name])}
        assert changed == head  # running statistics of the frozen part stay too
        assert state.history[-1]["lr"] == 0.01
    assert not torch.equal(states[2].network["0.weight"], begun["0.weight"])
    assert states[2].history[-1]["lr"] == 0.003


def test_layers_have_rates_that_fall_towards_the_input() -> None:
    from mekiki.training.backbones import layer_groups

    network = toy_network()
    (stage,) = stages_of(replace(FAST, lr=0.1, layer_decay=0.5))
    optimiser = make_optimiser(network, stage)

    rates = {id(one): group["lr"] for group in optimiser.param_groups for one in group["params"]}

    layers = layer_groups(network)
    assert len(layers) > 1
    for depth, parameters in enumerate(layers):
        expected = 0.1 * 0.5 ** (len(layers) - 1 - depth)
        assert [rates[id(one)] for one in parameters] == pytest.approx([expected] * len(parameters))
    assert len(rates) == sum(1 for _ in network.parameters())
    assert set_rates(optimiser, 0.5) == pytest.approx(0.05)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.05 * 0.5 ** (len(layers) - 1))


def test_the_optimiser_is_adamw_with_seed_1s_numbers() -> None:
    (stage,) = stages_of(FitOptions())

    optimiser = make_optimiser(toy_network(), stage)

    assert isinstance(optimiser, torch.optim.AdamW)
    assert {(group["lr"], group["weight_decay"]) for group in optimiser.param_groups} == {(1e-4, 1e-4)}
    assert (stage.first, stage.end) == (0, 12)


def test_plateau_halves_the_rate_by_validation_loss() -> None:
    last = train(replace(FAST, epochs=8, lr=0.05, schedule="plateau"))[-1]

    from mekiki.training.schedules import plateau_factor

    losses = [row["val_loss"] for row in last.history]
    assert [row["lr"] for row in last.history] == [0.05 * plateau_factor(losses[:done]) for done in range(8)]


def test_frozen_layers_are_in_evaluation_mode() -> None:
    network = toy_network()
    for parameter in network[1].parameters():
        parameter.requires_grad_(False)

    start_training(network)

    assert not network[1].training
    assert network[0].training
    assert network[3].training  # dropout has no weights


def test_the_averaged_network_is_what_is_validated_and_kept() -> None:
    plain, averaged = train(), train(replace(FAST, ema=0.95))

    assert same(plain[-1].network, averaged[-1].network)  # averaging does not change training
    assert not same(averaged[-1].best, averaged[averaged[-1].best_epoch - 1].network)
    assert same(averaged[-1].best, averaged[averaged[-1].best_epoch - 1].average)


def test_clipping_bounds_what_a_step_sees() -> None:
    network = toy_network()
    seen: list[float] = []
    for parameter in network.parameters():
        parameter.register_post_accumulate_grad_hook(lambda one: seen.append(float(one.grad.norm())))
    free, clipped = train(replace(FAST, epochs=1)), train(replace(FAST, epochs=1, clip_norm=1e-6), network=network)

    assert max(seen) > 1e-3  # before clipping
    moved = max(float((clipped[0].network[n] - toy_network().state_dict()[n]).abs().max()) for n in ("0.weight",))
    assert moved < float((free[0].network["0.weight"] - toy_network().state_dict()["0.weight"]).abs().max())


def test_bf16_learns_it_too_with_weights_in_32_bits() -> None:
    states = train(replace(FAST, head_epochs=1), precision="bf16")

    assert states[-1].history[-1]["val_micro_f1"] > 0.9
    assert states[-1].network["0.weight"].dtype == torch.float32
    assert not same(states[-1].network, train()[-1].network)


def test_the_scale_of_fp16s_loss_is_gone_on_from_at_the_border_of_stages_too() -> None:
    options = replace(FAST, head_epochs=1, epochs=1)

    def states_from(state: State) -> list[State]:
        accelerator = open_accelerator("cpu", "fp32")
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
        states = fit(toy_network(), toy_parts(), LOSS, options, accelerator, state)
        return [copy.deepcopy(one) for one in states]

    after_head, last = states_from(State())

    assert after_head.scaler["scale"] > 4
    assert [one.scaler for one in states_from(after_head)] == [last.scaler]


def test_fp16_without_a_gpu_is_refused() -> None:
    with pytest.raises(UsageError, match="fp16 needs a GPU and this is cpu: try --precision bf16 or fp32"):
        open_accelerator("cpu", "fp16")


def test_an_accelerator_is_what_was_asked_for_whatever_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")

    found = [open_accelerator("cpu", precision).mixed_precision for precision in ("fp32", "bf16", "fp32")]

    assert found == ["no", "bf16", "no"]
    assert os.environ["ACCELERATE_MIXED_PRECISION"] == "bf16"  # the user's, for the user
