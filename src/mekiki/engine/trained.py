"""What trainings have in common: pictures that can be read, and what is left beside the model for a later call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.model_files import CODE_PLACE, TRAINED_NAME
from mekiki.catalog.models import model_path
from mekiki.catalog.scored import Examples
from mekiki.catalog.trainable import Wanted, check_readable, failure_of
from mekiki.engine.run import Progress
from mekiki.errors import InterruptedRunError
from mekiki.intake.files import unchanged_path
from mekiki.media.images import read_image
from mekiki.records import Failure, Image, Item
from mekiki.training.data import Pictures
from mekiki.training.history import HISTORY_NAME


@dataclass(frozen=True, slots=True)
class ReadItem:
    """Reads the picture of a row."""

    items: tuple[Item, ...]
    at_least_px: int | None

    def __call__(self, row: int) -> Image:
        """Return it; one that was ingested although its end is missing is taken as far as it goes."""
        return read_image(unchanged_path(self.items[row]), at_least_px=self.at_least_px, allow_truncated=True)


@dataclass(frozen=True, slots=True)
class CheckPictures:
    """Reads every picture once, before anything is learned."""

    examples: Examples
    wanted: Wanted
    workers: int
    max_failed_share: float

    def run(
        self, pictures: Pictures, progress: Progress, device: str, should_stop: Callable[[], bool]
    ) -> dict[int, Failure]:
        """Return row to failure of those that cannot be used.

        Raises:
            InterruptedRunError: If the user stopped it.
            DataError: If too many fail.
        """
        progress.begin("train: reading", len(self.examples), device)
        failures = {}
        for row, error in pictures.check(range(len(self.examples)), self.workers):
            progress.advance(1, int(error is not None))
            if error is not None:
                failures[row] = failure_of(self.examples.items[row], error.reason)
            if should_stop():
                raise InterruptedRunError("train interrupted while reading pictures. The same command starts again")
        check_readable(self.examples, failures, self.wanted, self.max_failed_share)
        return failures


def find_trained(folder: Path, key: str, catalog: Catalog) -> dict[str, Any] | None:
    """Return what a finished training came to, so that items which failed do not make it all happen again.

    Args:
        folder: ``runs/<run_id>``.
        key: Stands for the items that it was trained on; None is returned for others.
        catalog: Whose models count.
    """
    path = folder / TRAINED_NAME
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    is_whole = known.get("key") == key and model_path(catalog, known["model_id"]).exists()
    if not is_whole or (known["best_epoch"] and not (folder / HISTORY_NAME).exists()):
        return None
    return {name: value for name, value in known.items() if name not in ("key", CODE_PLACE)}


def trained_in_words(extra: Mapping[str, Any]) -> str:
    """Return a line on the model that a training came to."""
    measured = ", ".join(f"{name} {value:.4f}" for name, value in extra["metrics"].items() if value == value)
    return f"model {extra['model']!r} ({extra['model_id']}), best epoch {extra['best_epoch']}: {measured}"
