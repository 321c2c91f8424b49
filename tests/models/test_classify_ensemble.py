"""Ensembles say the weighted mean of what their members say, and prepare each picture no more often than needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.media.preprocessing import Preprocessing, ReadPicture, at_hand, prepare
from mekiki.models.base import Prepared
from mekiki.models.classify_ensemble import EnsembleClassifier
from mekiki.records import Image
from mekiki.training.card import Calibration, ModelCard
from networks import CLASSES, make_card, open_torch, random_images, random_tensors

SMALLER = Preprocessing(resize_hw=(24, 24), crop_hw=(24, 24))


class MeanColour:
    """A classifier of three colours, which needs no network: the mean of each, squeezed into [0, 1]."""

    def __init__(self, card: ModelCard, device: str = "cpu") -> None:
        self.card = card
        self.device = device

    def prepare(self, read: ReadPicture) -> Prepared:
        raise AssertionError("the ensemble prepares for its members")

    def score(self, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        return np.stack([1 / (1 + np.exp(-pixels.mean(axis=(1, 2)))) for (pixels,) in batch]).astype(np.float32)


def ensemble(*cards: ModelCard, weights: tuple[float, ...]) -> ModelCard:
    return ModelCard(name="all", kind="ensemble", class_names=CLASSES, members=cards, weights=weights)


def member(name: str, how: Preprocessing, calibration: Calibration | None = None) -> ModelCard:
    return make_card(name=name, preprocessing=how, calibration=calibration, scores_id=name * 16)


PLAIN = make_card().preprocessing
assert PLAIN is not None


def test_scores_are_the_weighted_mean_of_the_members_finished_ones() -> None:
    half = Calibration(method="temperature", temperatures=(2.0, 2.0, 2.0))
    cards = member("a", PLAIN), member("b", SMALLER, half), member("c", PLAIN)
    classifier = EnsembleClassifier(ensemble(*cards, weights=(0.5, 0.3, 0.2)), [MeanColour(card) for card in cards])
    images = random_images(4)

    scores = classifier.score([classifier.prepare(at_hand(one)) for one in images])

    wanted = np.zeros((4, 3))
    for card, weight in zip(cards, (0.5, 0.3, 0.2), strict=True):
        raw = MeanColour(card).score([(prepare(one, card.preprocessing),) for one in images])  # type: ignore[arg-type]
        wanted += weight * card.finish(raw)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, wanted, atol=1e-6)


def test_a_picture_is_prepared_once_for_each_different_preprocessing() -> None:
    cards = [member("a", PLAIN), member("b", SMALLER), member("c", PLAIN)]
    classifier = EnsembleClassifier(ensemble(*cards, weights=(0.5, 0.3, 0.2)), [MeanColour(card) for card in cards])

    prepared = classifier.prepare(at_hand(random_images(1)[0]))

    assert [one.shape for one in prepared] == [(3, 32, 32), (3, 24, 24)]


def test_no_pictures_give_no_rows() -> None:
    card = member("a", PLAIN)

    class Empty(MeanColour):
        def score(self, batch: Sequence[Prepared]) -> NDArray[np.float32]:
            return np.zeros((0, 3), np.float32)

    assert EnsembleClassifier(ensemble(card, weights=(1.0,)), [Empty(card)]).score([]).shape == (0, 3)


def test_a_picture_is_decoded_once_for_each_size_and_each_member_sees_its_own() -> None:
    half = Calibration(method="temperature", temperatures=(2.0, 2.0, 2.0))
    whole = Preprocessing(resize="none", resize_hw=(32, 32), crop_hw=(32, 32))
    cards = member("a", SMALLER), member("b", PLAIN), member("c", whole), member("d", PLAIN, half)
    classifier = EnsembleClassifier(ensemble(*cards, weights=(0.25,) * 4), [MeanColour(one) for one in cards])
    pictures: dict[int | None, Image] = dict(zip((48, 64, None), random_images(3), strict=True))
    asked = []

    def read(px: int | None) -> Image:
        asked.append(px)
        return pictures[px]

    prepared = classifier.prepare(read)

    assert asked == [48, 64, None]
    for array, px, how in zip(prepared, pictures, (SMALLER, PLAIN, whole), strict=True):
        assert (array == prepare(pictures[px], how)).all()


def test_members_must_be_those_of_the_card_and_devices_are_named_once() -> None:
    first, second = member("a", PLAIN), member("b", PLAIN)
    card = ensemble(first, second, weights=(0.5, 0.5))

    assert EnsembleClassifier(card, [MeanColour(first), MeanColour(second)]).device == "cpu"
    assert EnsembleClassifier(card, [MeanColour(first), MeanColour(second, "cuda:0")]).device == "cpu, cuda:0"
    for members in ([first], [second, first]):
        with pytest.raises(ValueError, match="members must be those of the card"):
            EnsembleClassifier(card, [MeanColour(one) for one in members])


def test_an_ensembles_file_is_one_model_on_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from mekiki.training.checkpoint import read_tensors, save_model

    cards = [make_card(name="a"), make_card(name="b", preprocessing=SMALLER)]
    singles = [open_torch(card, random_tensors(seed)) for seed, card in enumerate(cards)]
    tensors = {f"{n}.{name}": one for n in (0, 1) for name, one in random_tensors(n).items()}
    _, path, card = save_model(tmp_path, ensemble(*cards, weights=(0.25, 0.75)), tensors)
    images = random_images()

    both = open_torch(card, read_tensors(path))

    first, second = (one.score([one.prepare(at_hand(image)) for image in images]) for one in singles)
    scores = both.score([both.prepare(at_hand(image)) for image in images])
    np.testing.assert_allclose(scores, 0.25 * first + 0.75 * second, atol=1e-6)
