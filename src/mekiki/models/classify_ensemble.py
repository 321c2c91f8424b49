"""Ensembles: the weighted mean of what their members say, whatever these run on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mekiki.media.preprocessing import ReadPicture, prepare_each
from mekiki.metrics.ensembles import combine
from mekiki.models.base import Classifier, Prepared
from mekiki.training.card import ModelCard
from mekiki.training.members import distinct_preprocessings


class EnsembleClassifier:
    """Several networks that are one model; see `mekiki.models.base.Classifier`.

    A picture is prepared once for each different preprocessing, not once per member; each sees what it sees alone.

    Args:
        card: Of an ensemble.
        members: A classifier for each of ``card.members``, in their order.
    """

    def __init__(self, card: ModelCard, members: Sequence[Classifier]) -> None:
        if [member.card for member in members] != list(card.members):
            raise ValueError(f"members must be those of the card, got {[member.card.name for member in members]}")
        self.card = card
        self.members = tuple(members)
        self.device = ", ".join(dict.fromkeys(member.device for member in members))
        self._distinct, self._wanted = distinct_preprocessings(card)

    def prepare(self, read: ReadPicture) -> Prepared:
        """Return a picture as `score` takes it: one array per different preprocessing."""
        return prepare_each(read, self._distinct)

    def score(self, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        """Return ``(N, C)`` scores in [0, 1]: the weighted mean of the members' finished ones."""
        scores = [
            member.card.finish(member.score([(one[wanted],) for one in batch]))
            for member, wanted in zip(self.members, self._wanted, strict=True)
        ]
        return combine(np.stack(scores), self.card.weights)
