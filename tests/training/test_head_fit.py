"""How heads learn: planted problems, weights of classes, masks, order, and the epoch that is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mekiki.errors import DataError
from mekiki.training.head_plan import HeadPlan

torch = pytest.importorskip("torch")
from mekiki.training.head_fit import (  # noqa: E402
    Fitted,
    HeadOptions,
    Learnable,
    Part,
    batches,
    fit_head,
    new_head,
    rank_figures,
    scores_of,
)
from mekiki.training.head_loss import class_weights, make_head_loss  # noqa: E402

D = 64


def planted(
    n: int = 300, activation: Any = "sigmoid", n_classes: int = 1, seed: int = 0, gap: float = 1.0
) -> Learnable:
    """Return clusters in 64 dimensions, one direction per class; the last third is validation."""
    chance = np.random.default_rng(seed)
    if activation == "softmax":
        truth = np.eye(n_classes, dtype=np.int8)[chance.integers(0, n_classes, n)]
    else:
        truth = chance.integers(0, 2, (n, n_classes)).astype(np.int8)
    directions = np.random.default_rng(99).normal(0, gap, (n_classes, D))
    vectors = (chance.normal(size=(n, D)) + truth @ directions).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    n_train = n * 2 // 3
    return Learnable(Part(vectors[:n_train], truth[:n_train]), Part(vectors[n_train:], truth[n_train:]), activation)


def fit(learnable: Learnable, plan: HeadPlan | None = None, **options: Any) -> Fitted:
    plan = plan or HeadPlan((32,))
    how = HeadOptions(**{"epochs": 12, "patience": 12, **options})
    head = new_head(plan, learnable.train.truth.shape[1], {"n_inputs": D}, how.seed)
    fitted = Fitted()
    for fitted in fit_head(head, learnable, plan.lr, how, lambda: False):  # noqa: B007
        pass
    return fitted


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("activation", "n_classes", "plan"),
    [
        pytest.param("sigmoid", 1, HeadPlan((32,)), id="binary"),
        pytest.param("sigmoid", 3, HeadPlan((64, 64), "gelu", 0.2, "glorot", 3e-3), id="multi-label"),
        pytest.param("softmax", 4, HeadPlan((64,), "relu", lr=3e-3), id="multi-class"),
        pytest.param("sigmoid", 1, HeadPlan((), lr=3e-2), id="linear"),
    ],
)
def test_planted_classes_are_learned(activation: str, n_classes: int, plan: HeadPlan) -> None:
    learnable, unseen = (planted(600, activation, n_classes, seed, gap=1.5) for seed in (0, 1))
    head = new_head(plan, n_classes, {"n_inputs": D}, 42)

    fitted = fit(learnable, plan, epochs=40)
    head.load_state_dict(fitted.best)
    logits = head.eval().classify(torch.from_numpy(unseen.val.vectors)).detach()

    assert rank_figures(scores_of(logits, activation), unseen.val.truth)["pr_auc"] > 0.99


@pytest.mark.parametrize(
    ("init", "bound"), [("he", np.sqrt(6 / D)), ("glorot", np.sqrt(6 / (D + 256)))], ids=["he", "glorot"]
)
def test_first_weights_are_uniform_within_the_rule(init: Any, bound: float) -> None:
    weight = new_head(HeadPlan((256,), init=init), 1, {"n_inputs": D}, 0).blocks[0].dense.weight.detach().numpy()

    assert 0.99 * bound < np.abs(weight).max() <= bound
    assert abs(weight.std() - bound / np.sqrt(3)) < 0.02 * bound


def test_a_linear_head_begins_at_nothing_and_stays_a_linear_map() -> None:
    learnable = planted(90)
    begun = new_head(HeadPlan(()), 1, {"n_inputs": D}, 0)
    assert not begun.output.weight.any()

    begun.load_state_dict(fit(learnable, HeadPlan(()), epochs=5).best)
    one, other = torch.from_numpy(learnable.val.vectors[:2])
    logits = begun.eval().classify(torch.stack([one, other, (one + other) / 2])).detach()[:, 0]

    torch.testing.assert_close(logits[2], (logits[0] + logits[1]) / 2)
    assert logits[0] != logits[1]


def test_class_weights_are_seed_5s() -> None:
    truth = np.array([[1, 1], [0, 1], [0, -1], [0, 1]], np.int8)

    found = class_weights(truth, "sigmoid")

    np.testing.assert_allclose(found[:, 0], [4 / (2 * 3), 4 / (2 * 1)])
    np.testing.assert_allclose(found[:, 1], [1, 3 / (2 * 3)])  # nothing is absent, so nothing to weigh


def test_class_weights_of_softmax_make_classes_weigh_the_same() -> None:
    truth = np.eye(3, dtype=np.int8)[[0, 0, 0, 1, 1, 2]]

    weights = class_weights(truth, "softmax")

    np.testing.assert_allclose(weights * truth.sum(axis=0), [2, 2, 2])


def test_the_weighted_loss_is_the_mean_of_weighted_cells() -> None:
    truth = np.array([[1], [0], [0], [0]], np.int8)
    loss = make_head_loss(truth, "sigmoid", True)
    logits = np.array([0.3, -1.0, 2.0, 0.1])
    chance = 1 / (1 + np.exp(-logits))

    total, n_known = loss(torch.tensor(logits).float()[:, None], torch.from_numpy(truth))

    wanted = -2 * np.log(chance[0]) - 4 / 6 * np.log(1 - chance[1:]).sum()
    assert float(total) == pytest.approx(wanted, rel=1e-5)
    assert n_known == 4


def test_masked_cells_have_no_effect() -> None:
    learnable = planted(180, n_classes=2)
    truth = learnable.train.truth.copy()
    truth[::3, 1] = -1
    loss = make_head_loss(truth, "sigmoid", False)
    logits = torch.randn(120, 2, generator=torch.Generator().manual_seed(0))
    other = logits.clone()
    other[::3, 1] = 50.0

    assert loss(logits, torch.from_numpy(truth)) == loss(other, torch.from_numpy(truth))
    assert loss(logits, torch.from_numpy(truth))[1] == 200


def test_masked_rows_have_no_effect_on_softmax() -> None:
    learnable = planted(90, "softmax", 3)
    truth = learnable.train.truth.copy()
    truth[::3] = -1
    loss = make_head_loss(truth, "softmax", True)
    logits = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))

    total, n_known = loss(logits, torch.from_numpy(truth))
    alone, _ = loss(logits[truth[:, 0] >= 0], torch.from_numpy(truth[truth[:, 0] >= 0]))

    assert n_known == 40
    torch.testing.assert_close(total, alone)


def test_the_same_seed_gives_the_same_weights_whatever_the_threads() -> None:
    learnable, plan = planted(200), HeadPlan((32,), dropout=0.3)
    before = torch.get_num_threads()

    found = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        found.append(fit(learnable, plan, epochs=3).best)
        assert torch.get_num_threads() == n_threads
    torch.set_num_threads(before)

    assert same(*found)
    assert not same(found[0], fit(learnable, plan, epochs=3, seed=1).best)


def test_training_leaves_chance_as_it_was() -> None:
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)

    fit(planted(60), HeadPlan((8,), dropout=0.5), epochs=2)

    assert torch.equal(torch.rand(3), wanted)


def test_fewer_vectors_than_a_batch_are_learned_from() -> None:
    """Seed 5 makes no step at all then."""
    learnable = planted(30)

    fitted = fit(learnable, epochs=1, batch_size=64)
    untouched = new_head(HeadPlan((32,)), 1, {"n_inputs": D}, 42).state_dict()

    assert not torch.equal(fitted.best["output.weight"], untouched["output.weight"])


def test_a_short_training_is_measured_with_figures_of_its_vectors() -> None:
    """At Keras' momentum alone, variances of 1/64 would still be taken for 0.8 after these steps."""
    learnable = planted(90, gap=2.0)

    fitted = fit(learnable, epochs=20, batch_size=64)

    variances = learnable.train.vectors.var(axis=0)
    np.testing.assert_allclose(fitted.best["blocks.0.norm.running_var"], variances, rtol=0.1)
    assert fitted.best_row["val_loss"] < 0.5


def test_no_vector_is_left_out_and_no_batch_is_of_one() -> None:
    for n in range(2, 20):
        cut = batches(torch.arange(n), 4)
        assert torch.cat(cut).tolist() == list(range(n))
        assert min(len(one) for one in cut) >= 2


def test_the_best_epoch_is_kept_with_its_normalisation() -> None:
    learnable = planted(200, gap=0.3)
    fitted = fit(learnable, HeadPlan((32,), lr=1e-2), epochs=25, patience=25)
    head = new_head(HeadPlan((32,)), 1, {"n_inputs": D}, 42)

    head.load_state_dict(fitted.best)
    logits = head.eval().classify(torch.from_numpy(learnable.val.vectors)).detach()

    pr_auc = rank_figures(scores_of(logits, "sigmoid"), learnable.val.truth)["pr_auc"]
    assert fitted.best_epoch < 25  # else the last weights would do
    assert pr_auc == pytest.approx(fitted.best_row["val_pr_auc"], abs=1e-6)
    assert pr_auc == max(row["val_pr_auc"] for row in fitted.history)


def test_of_epochs_that_rank_alike_the_one_with_the_lowest_loss_is_kept() -> None:
    fitted = fit(planted(300, gap=2.0), epochs=30, patience=30)
    first_perfect = next(row["epoch"] for row in fitted.history if row["val_pr_auc"] == 1)

    assert fitted.best_epoch > first_perfect
    assert fitted.best_row["val_loss"] == min(row["val_loss"] for row in fitted.history if row["val_pr_auc"] == 1)


def test_patience_stops_it() -> None:
    learnable = planted(200, gap=0.3)

    fitted = fit(learnable, HeadPlan((32,), lr=1e-2), epochs=60, patience=4)

    assert len(fitted.history) == fitted.best_epoch + 4 < 60


def test_a_stop_gives_up_the_epoch() -> None:
    learnable = planted(100)
    head = new_head(HeadPlan((8,)), 1, {"n_inputs": D}, 0)

    assert list(fit_head(head, learnable, 1e-3, HeadOptions(), lambda: True)) == []


def test_rank_figures_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import auc, precision_recall_curve

    chance = np.random.default_rng(0)
    truth = chance.integers(0, 2, (80, 1)).astype(np.int8)
    scores = (chance.random((80, 1)) * 0.7 + truth * 0.3).astype(np.float32)
    precision, recall, _ = precision_recall_curve(truth[:, 0], scores[:, 0])

    assert rank_figures(scores, truth)["pr_auc"] == pytest.approx(auc(recall, precision))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param("vectors", "the loss is no number in epoch 1", id="not finite"),
        pytest.param("truth", "both present and absent in validation", id="one answer"),
    ],
)
def test_what_cannot_be_learned_is_refused(change: str, told: str) -> None:
    made = planted(60)
    vectors, truth = made.train.vectors.copy(), made.val.truth.copy()
    if change == "vectors":
        vectors[0] = np.nan
    else:
        truth[:] = 1

    with pytest.raises(DataError, match=told):
        fit(Learnable(Part(vectors, made.train.truth), Part(made.val.vectors, truth)))
