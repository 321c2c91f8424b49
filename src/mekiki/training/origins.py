"""Which pictures a model comes from: those it was trained on, and those its thresholds and weights were found on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from mekiki.dataset.ids import MODEL_ID_LENGTH, hash_file
from mekiki.errors import UnreadableError
from mekiki.training.card import ModelCard, read_card

ORIGINS_KEY = "origins"
"""Of a card's settings: what the weights that its training started from had been trained on."""

SEARCHED_KEY = "searched_on"
"""Of an ensemble's settings: what its weights were searched on."""

TRAINING_PART, TEST_PART = "train", "test"
"""What is learned from unless another part is named, and what nothing is tuned, searched or chosen on."""


class Source(NamedTuple):
    """A part of a split, by the split's run; a run of None stands for pictures that nobody knows."""

    split: str | None
    part: str


UNKNOWN_SOURCE = Source(None, "")


def trained_on(card: ModelCard) -> tuple[Source, ...]:
    """Return what a model, its members, and the weights that each of them started from, were trained on."""
    if card.members:
        return _unique(one for member in card.members for one in trained_on(member))
    before = _recorded(card, ORIGINS_KEY)
    if _is_taken_over(card):
        return before or (UNKNOWN_SOURCE,)
    part = str(card.settings.get("train_part", TRAINING_PART))
    own = Source(str(card.split["run_id"]), part) if "run_id" in card.split else UNKNOWN_SOURCE
    return _unique((own, *before))


def tuned_on(card: ModelCard) -> tuple[Source, ...]:
    """Return what a model's own thresholds and calibration were found on."""
    facts = {} if card.decisions is None else card.decisions.facts
    return tuple(Source(facts.get("split"), part) for part in facts.get("parts", ()))


def calibrated_on(card: ModelCard) -> tuple[Source, ...]:
    """Return what the calibrations of an ensemble's members were found on; thresholds of theirs do not count in it."""
    return _unique(one for member in card.members if member.calibration is not None for one in tuned_on(member))


def searched_on(card: ModelCard) -> tuple[Source, ...]:
    """Return what the weights of an ensemble, or of ensembles that it was joined from, were searched on."""
    return _recorded(card, SEARCHED_KEY)


def origins_of(weights: Path) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """Return what a file of weights was trained on, and its id if it is a model of ours; of others nobody knows."""
    try:
        card = read_card(weights)
    except UnreadableError:
        return (UNKNOWN_SOURCE,), ()
    return trained_on(card), (hash_file(weights)[:MODEL_ID_LENGTH],)


def as_setting(sources: Iterable[Source]) -> list[dict[str, Any]]:
    """Return sources as a card's settings have them."""
    return [one._asdict() for one in _unique(sources)]


def _recorded(card: ModelCard, key: str) -> tuple[Source, ...]:
    return tuple(Source(one["split"], one["part"]) for one in card.settings.get(key, ()))


def _is_taken_over(card: ModelCard) -> bool:
    """Return whether a network's weights came as they are from elsewhere; see `mekiki.stages.train`."""
    return card.settings.get("epochs") == 0 and not card.settings.get("head_epochs")


def _unique(sources: Iterable[Source]) -> tuple[Source, ...]:
    return tuple(dict.fromkeys(sources))
