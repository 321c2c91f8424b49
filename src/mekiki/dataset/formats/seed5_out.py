"""Predictions as seed 5 writes them: a summary and a list of one class, called ``nsfw``, and its absence, ``sfw``.

Facts of the seed's ``src/inference.py``, so that what reads its files reads these.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mekiki.dataset.formats.predictions_out import DIGITS, Prediction
from mekiki.errors import UsageError, shown_path

NSFW, SFW = "nsfw", "sfw"
POSITIVE = (NSFW, "unsafe")
"""Names of a class that is the seed's, of a model with more than one."""


def nsfw_column(class_names: Sequence[str], instead: str = "Leave out --layout") -> int:
    """Return which class stands for the seed's: the only one, or the one of several that is called so.

    Args:
        class_names: Of the model.
        instead: What to type, to get what fits any model.

    Raises:
        UsageError: If there are several and not one of them is.
    """
    found = [place for place, name in enumerate(class_names) if name.casefold() in POSITIVE]
    if len(class_names) == 1:
        return 0
    if len(found) != 1:
        raise UsageError(
            f"seed 5's files are of one class, and the model has {', '.join(class_names)}: none, or more than one, is "
            f"called {' or '.join(POSITIVE)}. {instead}, or train with --positive CLASS"
        )
    return found[0]


@dataclass(frozen=True, slots=True)
class Seed5:
    """How seed 5's file is written.

    Attributes:
        column: Of the class that stands for ``nsfw``.
        threshold: At which it was decided.
        is_single: One thing was given, which the seed writes as an object of its own.
    """

    column: int
    threshold: float
    is_single: bool = False

    def write(self, path: Path, predictions: Iterable[Prediction]) -> Path:
        """Write predictions in the order in which they come; the file appears when it is complete.

        Frames of clips, which the seed does not know, are left out beside their clip. Nothing at all has an average of
        ``null``, where the seed divides by zero.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part, rows = (path.with_name(f"{path.name}.{what}part") for what in ("", "rows."))
        n_all, n_nsfw, total = 0, 0, 0.0
        last: Prediction | None = None
        try:
            with rows.open("w+", encoding="utf-8") as listed, part.open("w", encoding="utf-8") as file:
                for one in predictions:
                    if one.kind == "frame":
                        continue
                    listed.write(f"{',' if n_all else ''}\n    {json.dumps(self._entry(one), ensure_ascii=False)}")
                    n_all, n_nsfw, last = n_all + 1, n_nsfw + bool(one.is_present[self.column]), one
                    total += float(one.scores[self.column])
                if self.is_single and last is not None and n_all == 1:
                    json.dump(self._single(last), file, ensure_ascii=False, indent=2)
                else:
                    summary = {
                        "total": n_all,
                        NSFW: n_nsfw,
                        SFW: n_all - n_nsfw,
                        "avg_probability": round(total / n_all, DIGITS) if n_all else None,
                        "threshold": self.threshold,
                    }
                    file.write(f'{{\n  "summary": {json.dumps(summary)},\n  "predictions": [')
                    listed.seek(0)
                    shutil.copyfileobj(listed, file)
                    file.write("\n  ]\n}\n")
                file.flush()
                os.fsync(file.fileno())
            return part.replace(path)
        finally:
            for one_path in (part, rows):
                one_path.unlink(missing_ok=True)

    def _said(self, one: Prediction) -> dict[str, Any]:
        is_nsfw = bool(one.is_present[self.column])
        return {
            "nsfw_probability": round(float(one.scores[self.column]), DIGITS),
            "is_nsfw": is_nsfw,
            "classification": NSFW if is_nsfw else SFW,
        }

    def _entry(self, one: Prediction) -> dict[str, Any]:
        row = "" if one.row is None else f"#{one.row}"
        names = {"file": shown_path(one.path.name) + row, "name": shown_path(one.path.stem) + row}
        pictures = {} if one.kind == "vector" else {"image_path": shown_path(one.path)}
        return {**names, **pictures, **self._said(one)}

    def _single(self, one: Prediction) -> dict[str, Any]:
        key = "embedding_path" if one.kind == "vector" else "image_path"
        return {**self._said(one), key: shown_path(one.path), "threshold": self.threshold}
