"""What makes vectors of pictures for a head, and which vectors a head scores, as settings of ``predict``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mekiki.errors import UsageError
from mekiki.models.opening import EmbedderFacts, Opening, RuntimeName
from mekiki.settings import Input, Settings

ON_PICTURES = ("embedder", "weights")
"""Settings that mean something only where a head is to look at pictures."""


class HeadUseSettings(Settings):
    """Only for models that look at vectors; see `mekiki.models.classify_head`."""

    embedder: str | None = Input(
        None, min_length=1, description="with a head and pictures: what makes their vectors (default: the head's own)"
    )
    weights: Path | None = Input(None, description="with a head and pictures: the embedder's file of weights")
    projection: Path | None = Input(
        None, description="with a head: what its vectors go through first; of ours, it must be its own"
    )
    vectors: str | None = Input(
        None,
        min_length=1,
        description="with a head and no PATHS: whose stored vectors, an embedder's name or the beginning of a run's id",
    )

    def for_head(self, opening: Opening, runtime: RuntimeName) -> Opening:
        """Return how a model is opened, with what is said of a head.

        Args:
            opening: How it is opened if it is none.
            runtime: What the user wants pictures to run on.
        """
        facts = EmbedderFacts(self.embedder or "", self.weights, runtime)
        return replace(opening, embedder=facts, projection=self.projection)

    def refuse(self, names: tuple[str, ...], why: str) -> None:
        """Raise `UsageError` if one of these settings is given.

        Args:
            names: Of settings.
            why: When they do something: ``goes with pictures``.
        """
        for name in names:
            if getattr(self, name) is not None:
                raise UsageError(f"--{name} {why}: leave it out")
