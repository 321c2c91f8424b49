"""From several scorers' ranks to one selection: a rule for each, and how they go together.

N things. Nothing depends on the order of the rows: where a rule's border runs through equal scores, the mean over all
scorers decides, and after that a key that was handed in, such as the item's id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import UsageError, unknown_name
from mekiki.neighbours.tables import RowNumbers
from mekiki.rarity.base import rank_scale
from mekiki.records import Scores

How = Literal["union", "intersection", "mean-rank"]

HOWS: tuple[How, ...] = ("union", "intersection", "mean-rank")

_NUMBER = r"\d+(?:\.\d+)?"


@dataclass(frozen=True, slots=True)
class Rule:
    """How many a scorer keeps; exactly one of share, count and score is given.

    Attributes:
        share: Of all things, above 0 and up to 1; cut down to a whole number, but at least 1.
        count: How many.
        score: All that have this score or more.
        at_least: With a share: not fewer than so many, as far as there are so many.
    """

    share: float | None = None
    count: int | None = None
    score: float | None = None
    at_least: int = 0

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Return the rule that was written: ``share:0.1``, ``share:0.3,at-least:50``, ``count:50``, ``score:0.95``.

        Raises:
            UsageError: If it is none of these.

        Example:
            >>> Rule.parse("share:0.3,at-least:50")
            Rule(share=0.3, count=None, score=None, at_least=50)
        """
        found = re.fullmatch(rf"(share|count|score):({_NUMBER})(?:,at-least:(\d+))?", text.replace(" ", ""))
        hint = "write share:0.1, share:0.3,at-least:50, count:50 or score:0.95"
        if not found:
            raise UsageError(f"{text!r} is no rule for how many to keep: {hint}")
        what, value, at_least = found.group(1), float(found.group(2)), int(found.group(3) or 0)
        if what == "share" and 0 < value <= 1:
            return cls(share=value, at_least=at_least)
        if at_least:
            raise UsageError(f"{text!r}: at-least goes with a share only; {hint}")
        if what == "count" and value.is_integer() and value >= 1:
            return cls(count=int(value))
        if what == "score" and value <= 1:
            return cls(score=value)
        allowed = {"share": "above 0 and at most 1", "count": "a whole number from 1 on", "score": "from 0 to 1"}[what]
        raise UsageError(f"{text!r}: a {what} must be {allowed}; {hint}")

    def __str__(self) -> str:
        if self.share is not None:
            return f"share:{self.share:g}" + (f",at-least:{self.at_least}" if self.at_least else "")
        return f"count:{self.count}" if self.count is not None else f"score:{self.score:g}"

    def n_of(self, scores: Scores) -> int:
        """Return how many of N things it keeps."""
        if self.score is not None:
            return int((scores >= np.float32(self.score)).sum())
        if self.count is not None:
            return min(self.count, len(scores))
        wanted = int((self.share or 0) * len(scores) + 1e-9)  # 0.29 * 100 is 28.999999999999996
        return min(max(wanted, self.at_least, 1), len(scores))


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen.

    Attributes:
        rows: ``(n,)`` int64, the rarest first.
        kept_by: Scorer to how many its own rule kept; with ``mean-rank``, ``combined`` to how many.
        combined: ``(N,)`` float32 in [0, 1] for all things, 1 the rarest by all scorers together; see `combine`.
        kept_all: Scorers whose rule kept everything, so that they did not choose; none where there was nothing.
        kept_rows: The keys of ``kept_by`` to ``(n,)`` int64 the rows that were kept, the rarest first.
    """

    rows: RowNumbers
    kept_by: dict[str, int]
    combined: Scores
    kept_all: tuple[str, ...] = ()
    kept_rows: Mapping[str, RowNumbers] = field(default_factory=dict)


def select(scores: Scores, rule: Rule, tie_breaker: NDArray[Any]) -> RowNumbers:
    """Return the rows that a rule keeps, the rarest first.

    Args:
        scores: ``(N,)`` float32 in [0, 1]. N may be 0.
        rule: How many.
        tie_breaker: ``(N,)`` what sorts equal scores, the smaller first: distinct numbers or ids.

    Raises:
        ValueError: If the lengths differ.

    Example:
        >>> select(np.float32([0.2, 1.0, 0.7, 0.7]), Rule.parse("count:2"), np.array(["a", "b", "d", "c"])).tolist()
        [1, 3]
    """
    if tie_breaker.shape != scores.shape:
        raise ValueError(f"tie_breaker must be {scores.shape}, got {tie_breaker.shape}")
    order: RowNumbers = np.lexsort((tie_breaker, -scores))
    return order[: rule.n_of(scores)]


def combine(
    scores: Mapping[str, Scores], rules: Mapping[str, Rule], how: How, tie_breaker: NDArray[Any], default: Rule
) -> Selection:
    """Return what several scorers choose together.

    * ``union``: what any scorer's rule keeps, ordered by the highest score that any gives, equal ones by the mean.
    * ``intersection``: what every rule keeps, ordered by the lowest score, equal ones by the mean.
    * ``mean-rank``: the mean of the scores is ranked, and the default rule keeps of that.

    So with one share for all, a union is the beginning of its own ranking.

    Args:
        scores: Scorer to ``(N,)`` float32 in [0, 1]; at least one scorer.
        rules: Scorer to its rule; for scorers not named, ``default``. ``mean-rank`` takes no rule but the default.
        how: See above.
        tie_breaker: ``(N,)`` distinct numbers or ids, for things that all scorers find equally rare.
        default: The rule for all others.

    Raises:
        UsageError: If ``how`` or a scorer in ``rules`` is unknown, or a rule is given where none can apply.
        ValueError: If there is no scorer, or lengths differ.
    """
    if how not in HOWS:
        raise unknown_name("way of combining scorers", how, HOWS)
    for name in rules:
        if name not in scores:
            raise unknown_name("scorer of this run", name, scores)
    if how == "mean-rank" and rules:
        raise UsageError(
            f"mean-rank joins all scorers into one ranking, so a rule for {', '.join(sorted(rules))} cannot apply: "
            "give one --keep for all, or combine by union"
        )
    if not scores:
        raise ValueError("there must be at least one scorer")
    table = np.stack(list(scores.values())).astype(np.float64)
    mean = np.sort(table, axis=0).mean(axis=0)  # sorted: the scorers' order does not show in the last digit
    by_id = np.lexsort((tie_breaker, -mean))
    priority = np.empty(len(mean), np.int64)
    priority[by_id] = np.arange(len(mean))
    if how == "mean-rank":
        combined = rank_scale(mean)
        rows = select(combined, default, priority)
        return Selection(
            rows, {"combined": len(rows)}, combined, _all_of({"combined": len(rows)}, len(mean)), {"combined": rows}
        )
    kept = {name: select(one, rules.get(name, default), priority) for name, one in scores.items()}
    n_keeping = np.bincount(np.concatenate(list(kept.values())), minlength=len(mean))
    is_chosen = n_keeping > 0 if how == "union" else n_keeping == len(scores)
    combined = _ranked(table.max(axis=0) if how == "union" else table.min(axis=0), mean)
    order = np.lexsort((priority, -combined))
    kept_by = {name: len(rows) for name, rows in kept.items()}
    return Selection(order[is_chosen[order]], kept_by, combined, _all_of(kept_by, len(mean)), kept)


def _ranked(values: NDArray[np.float64], mean: NDArray[np.float64]) -> Scores:
    """Return ranks in [0, 1] by value, and by the mean where values are equal."""
    pairs = np.column_stack([values, mean])
    return rank_scale(np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.float64))


def _all_of(kept_by: Mapping[str, int], n: int) -> tuple[str, ...]:
    return tuple(name for name, n_kept in kept_by.items() if n and n_kept == n)
