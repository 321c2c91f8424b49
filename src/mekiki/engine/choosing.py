"""From a pile to a choice: every scorer ranks it, rules keep, near-copies are thinned out, and each choice says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mekiki.catalog.mining import COMBINED, Chosen
from mekiki.engine.mine_settings import MineSettings
from mekiki.rarity.class_names import plain_name
from mekiki.rarity.combine import Rule, Selection, combine
from mekiki.rarity.diversity import Diverse, diversify
from mekiki.rarity.pile import Pile, score_all
from mekiki.records import Scores, Tally, counted


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What was chosen of N items.

    Attributes:
        scores: Scorer, and `COMBINED`, to ``(N,)`` float32 in [0, 1], 1 the rarest.
        chosen: The rarest first.
        kept_by: Scorer, or `COMBINED`, to how many its rule kept.
        tallies: One for each rule, one for all of them together, one for near-copies if these were thinned out.
        notes: Lines for the user.
    """

    scores: Mapping[str, Scores]
    chosen: tuple[Chosen, ...]
    kept_by: Mapping[str, int]
    tallies: tuple[Tally, ...]
    notes: tuple[str, ...]


def choose(pile: Pile, item_ids: Sequence[str], settings: MineSettings, unit: str = "crops") -> Choice:
    """Rank a pile and choose from it.

    Args:
        pile: N things.
        item_ids: Row i for thing i; they settle what all scorers find equally rare.
        settings: Of ``mine``, after their preset.
        unit: What is counted, in the plural.

    Raises:
        ValueError: If a scorer needs what the pile lacks.
    """
    scores = score_all(pile, settings.scorers)
    default = Rule.parse(settings.keep)
    ids = np.array(item_ids, dtype=np.str_)
    selection = combine(scores, settings.rules(), settings.combine, ids, default)
    vectors = np.zeros((len(item_ids), 1), np.float32) if pile.vectors is None else pile.vectors
    diverse = diversify(vectors, selection.rows, settings.at_most_alike, settings.alike_cosine, settings.seed)
    why = _Reasons(pile, scores, selection, settings)
    chosen = tuple(
        Chosen(
            item_id=item_ids[row],
            rank=rank,
            score=float(selection.combined[row]),
            scores={name: float(one[row]) for name, one in scores.items()},
            why=why.of(row),
            kept_by=why.kept_by(row),
        )
        for rank, row in enumerate(diverse.rows.tolist(), start=1)
    )
    joint = {**scores, COMBINED: selection.combined}
    tallies = _tallies(selection, diverse, settings, unit)
    notes = (*_notes(selection, diverse, settings, unit), *_ties(joint, selection))
    return Choice(joint, chosen, selection.kept_by, tuple(tallies), notes)


def _tallies(selection: Selection, diverse: Diverse, settings: MineSettings, unit: str) -> list[Tally]:
    n, rules = len(selection.combined), settings.rules()
    found = [
        Tally(f"rule of {name}", unit, n, n_kept, n - n_kept, why=str(rules.get(name, Rule.parse(settings.keep))))
        for name, n_kept in selection.kept_by.items()
        if name != COMBINED
    ]
    how = f"{settings.combine} of {', '.join(settings.scorers)}" if len(settings.scorers) > 1 else settings.scorers[0]
    if settings.combine == "mean-rank":
        how += f", {Rule.parse(settings.keep)}"
    n_chosen = len(selection.rows)
    found.append(Tally("selection", unit, n, n_chosen, n - n_chosen, why=how))
    if settings.at_most_alike:
        why = f"at most {settings.at_most_alike} of those with cosine {settings.alike_cosine:g}"
        why += f"; {diverse.n_clusters} clusters"
        found.append(Tally("diversity", unit, n_chosen, len(diverse.rows), diverse.n_dropped, why=why))
    return found


def _ties(scores: Mapping[str, Scores], selection: Selection) -> list[str]:
    """Return which rules cut between things that their scorer finds equally rare."""
    lines = []
    for name, rows in selection.kept_rows.items():
        n, n_kept = len(scores[name]), len(rows)
        if not 0 < n_kept < n:
            continue
        is_last = scores[name] == scores[name][rows].min()
        n_equal, n_equal_kept = int(is_last.sum()), int(is_last[rows].sum())
        if n_equal == n:
            lines.append(f"all scores of {name} are equal: it chose nothing that means anything")
        elif n_equal_kept < n_equal:
            lines.append(
                f"{name} finds {n_equal} equally rare, and its rule kept {n_equal_kept} of them: "
                f"{'the other scorers and their ids' if len(selection.kept_rows) > 1 else 'their ids'} decided"
            )
    return lines


def _notes(selection: Selection, diverse: Diverse, settings: MineSettings, unit: str) -> list[str]:
    """Return how many each rule kept, and which rule chose nothing because it kept everything."""
    n, rules = len(selection.combined), settings.rules()
    if not n:
        return []
    told = ", ".join(f"{name} kept {n_kept} of {n}" for name, n_kept in selection.kept_by.items())
    left = f", {len(diverse.rows)} of them after near-copies were left out" if settings.at_most_alike else ""
    lines = [f"{told}; together {counted(len(selection.rows), unit)}{left}"]
    for name in selection.kept_all:
        rule = rules.get(name, Rule.parse(settings.keep))
        lines.append(f"the rule of {name}, {rule}, kept all {n}: it chose nothing")
    if not len(selection.rows):
        lines.append(
            "nothing was chosen: no scorer's rule keeps anything that the others allow; lower --keep or --rule"
        )
    return lines


class _Reasons:
    """Says of a row, scorer by scorer, where it stands and why its rule kept it."""

    def __init__(self, pile: Pile, scores: Mapping[str, Scores], selection: Selection, settings: MineSettings) -> None:
        self._pile, self._scores, self._settings = pile, scores, settings
        self._combined = selection.combined
        self._kept = {name: frozenset(rows.tolist()) for name, rows in selection.kept_rows.items()}
        self._descending = {name: np.sort(-one) for name, one in [*scores.items(), (COMBINED, selection.combined)]}
        self._n_of = Counter(pile.class_names)

    def kept_by(self, row: int) -> tuple[str, ...]:
        return tuple(name for name, rows in self._kept.items() if row in rows and name != COMBINED)

    def of(self, row: int) -> tuple[str, ...]:
        if self._settings.combine != "mean-rank":
            return tuple(self._of_scorer(name, row) for name in self.kept_by(row))
        n = len(self._combined)
        joint = f"mean rank of {len(self._scores)} scorers: {self._place(COMBINED, self._combined, row)} of {n}"
        return (joint, *(self._of_scorer(name, row) for name in self._scores))

    def _of_scorer(self, name: str, row: int) -> str:
        if name == "frequency":
            return self._of_class(row)
        return f"{name}: {self._place(name, self._scores[name], row)} of {len(self._combined)}"

    def _of_class(self, row: int) -> str:
        class_name = self._pile.class_names[row]
        n_of, n = self._n_of[class_name], len(self._combined)
        told = (
            f"{n_of} of {n} {'is' if n_of == 1 else 'are'} {class_name}"
            if class_name
            else f"{n_of} of {n} have no class"
        )
        words = (word for word in self._pile.keywords if plain_name(word) in plain_name(class_name))
        word = next(words, None)
        return f"frequency: {told}" + (f", keyword {word!r}" if word else "")

    def _place(self, name: str, scores: Scores, row: int) -> str:
        """Return how many are rarer, plus one, as an ordinal; equal ones share their place."""
        place = int(np.searchsorted(self._descending[name], -scores[row])) + 1
        n_equal = int(np.searchsorted(self._descending[name], -scores[row], side="right")) + 1 - place
        return ordinal(place) + (
            f", with {n_equal - 1} others," if n_equal > 2 else ", with another," if n_equal == 2 else ""
        )


def ordinal(number: int) -> str:
    """Return a place in words of digits.

    Example:
        >>> [ordinal(number) for number in (1, 2, 3, 11, 21, 112)]
        ['1st', '2nd', '3rd', '11th', '21st', '112th']
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
