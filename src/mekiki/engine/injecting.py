"""Odd pictures hidden in a pile, to see how many come back among the first; only the figures are written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mekiki.catalog.db import Catalog
from mekiki.catalog.mining import COMBINED, Mining, require_mining
from mekiki.catalog.rarity_metrics import RARITY_METRICS_NAME
from mekiki.catalog.results import hash_rows
from mekiki.dataset.ids import content_id, hash_file
from mekiki.engine.hiding import Hidden, embed_files, find_pictures, over_draws, with_hidden
from mekiki.engine.mine_settings import OF_SCORERS, MineSettings
from mekiki.engine.mining import Gathered, build_pile, gather_mined
from mekiki.engine.rarity_settings import RarityQuestion
from mekiki.engine.rarity_words import Measured, refuse_gates, tell_scorers
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import BackendError, DataError, UsageError
from mekiki.metrics.beside_chance import Figure, hits_by_chance
from mekiki.metrics.rare_ranking import Cutoff, recall_at
from mekiki.neighbours.tables import to_unit_length
from mekiki.rarity.base import SCORERS
from mekiki.rarity.combine import Rule, combine
from mekiki.rarity.pile import Pile, score_all
from mekiki.records import RunSummary, Scores, Tally

USUAL_SHARE = 0.05
"""Of the pile, that a draw hides."""

MIN_REPEATS = 20
"""Draws from which on an interval over them is reliable."""

NO_CLASSES = "compares classes, and nothing in the pile has one"

OF_THE_CHOICE = frozenset(
    {"preset", "keep", "rule", "combine", "at_most_alike", "alike_cosine", "target_classes", "scorers"}
)
"""Settings of ``mine`` that say nothing of how single scorers rank, or are given here."""


def judge_injected(catalog: Catalog, settings: RarityQuestion, engine: Engine) -> RunSummary:
    """Hide pictures in the pile that ``mine`` ranked, again and again, and count how many stand among the first.

    Args:
        catalog: The workspace.
        settings: What is asked.
        engine: Where the run is recorded.

    Raises:
        DataError: If nothing has been mined, or nothing can be hidden.
        UsageError: If a folder, a scorer or a run does not exist, or more is to be hidden than there is.
        BackendError: If the embedder of the pile cannot be opened, or a scorer that was named wants words without it.
    """
    mining = require_mining(catalog, settings.mining)
    files, n_copies = find_pictures(settings.inject)
    if not mining.vector_run_id:
        raise DataError(
            f"run {mining.run_id} of mine ranked nothing by vectors, so there is no pile to hide pictures in: mekiki "
            "embed, then mekiki mine"
        )
    known = gather_mined(catalog, mine_settings(mining, ("knn",)), mining)
    run = known.run
    if run is None or not known.item_ids:
        raise DataError(f"run {mining.run_id} of mine ranked nothing, so there is no pile to hide pictures in")
    scorers, left_out = choose_scorers(settings, mining, has_classes=bool(known.class_of))

    def compute(_run_id: str) -> Outcome:
        pile, asked, unasked = _open_pile(catalog, settings, mining, known, scorers)
        hidden = replace(embed_files(catalog, run, settings, files), n_copies=n_copies)
        if not hidden.paths:
            raise DataError(f"none of {len(files)} pictures to hide has a vector: {hidden.failures[0].reason}")
        n = _count(settings, len(pile), len(hidden.paths))
        vectors = to_unit_length(hidden.vectors) if mining.settings["normalise"] else hidden.vectors
        name = known.class_map.mapped(settings.inject_class) if settings.inject_class else ""
        draws: dict[str, dict[str, list[float]]] = {}
        for number in range(settings.repeats):
            engine.progress.say(f"draw {number + 1} of {settings.repeats}")
            rows = np.random.default_rng((settings.seed, number)).choice(len(vectors), n, replace=False)
            scores = score_all(with_hidden(pile, vectors[rows], name), asked)
            for scorer, found in (scores | _combined(scores, mining)).items():
                for cutoff, recall in _recalls(found, n, settings.cutoffs()).items():
                    draws.setdefault(scorer, {}).setdefault(cutoff, []).append(recall)
        if COMBINED not in draws:
            unasked[COMBINED] = f"run {mining.run_id} of mine joins {', '.join(mining.scorers)}; not all are measured"
        drawn = Drawn(len(pile), n, hidden, draws, {**left_out, **unasked})
        return _outcome(settings, mining, known, drawn)

    reads = {
        "mining": mining.run_id,
        **known.reads,
        "copies": str(n_copies),
        "hidden": hash_rows((path.name, hash_file(path)) for path in files),
        "asked": " ".join(scorers),
    }
    return engine.once(catalog, "evaluate", settings, reads, compute)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What all draws gave.

    Attributes:
        n_pile: Things that the pile holds itself.
        n: Pictures that each draw hid.
        hidden: What they were drawn from.
        draws: Scorer to figure to its value in each draw.
        left_out: Scorer to why it was not measured.
    """

    n_pile: int
    n: int
    hidden: Hidden
    draws: Mapping[str, Mapping[str, Sequence[float]]]
    left_out: Mapping[str, str]

    def measured(self, settings: RarityQuestion) -> Measured:
        """Return scorer to figures, each beside chance."""
        is_reliable, n_files, whole = not self.doubts(), len(self.hidden.paths), self.n_pile + self.n
        found: dict[str, dict[str, Figure]] = {scorer: {} for scorer in self.draws}
        for cutoff in settings.cutoffs():
            name, k = f"recall_at_{cutoff.name}", _first(cutoff, self.n, whole)
            low, high = hits_by_chance(whole, self.n, k)
            orders = (low / self.n, high / self.n)
            for scorer, by in self.draws.items():
                found[scorer][name] = over_draws(by[name], k / whole, n_files, is_reliable=is_reliable, orders=orders)
        return found

    def doubts(self) -> list[str]:
        """Return why intervals are narrower than those of other pictures of the kind would be."""
        n_files, n_draws = len(self.hidden.paths), len(next(iter(next(iter(self.draws.values())).values())))
        few = f"{n_draws} draws are too few for an interval: --repeats {MIN_REPEATS}" if n_draws < MIN_REPEATS else ""
        alike = f"each draw holds {self.n} of {n_files} pictures, so that draws are alike: hide fewer, or give more"
        return [one for one in (few, alike if 2 * self.n > n_files else "") if one]


def choose_scorers(
    settings: RarityQuestion, mining: Mining, *, has_classes: bool
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the scorers to measure, and of the others why not.

    Raises:
        UsageError: If one that was named is none, or wants to know the class of what is hidden.
        DataError: If one that was named wants classes, and the pile has none.
    """
    chosen, left_out = [], {}
    for name in dict.fromkeys(settings.scorers or SCORERS.names()):
        scorer = SCORERS.load(name)
        why = ""
        if scorer.needs_classes and not has_classes:
            why = NO_CLASSES
        elif scorer.needs_classes and settings.inject_class is None:
            why = "compares classes, and what is hidden has none: --inject-class NAME says which it counts as"
        elif scorer.needs_words and not mining.common_classes:
            why = "compares with the common classes, and mine was given none"
        elif name == "map" and not settings.scorers:
            left_out[name] = (
                "lays out a new map for each draw, which takes long: --scorers map measures it all the same"
            )
            continue
        if why and settings.scorers:
            raise (DataError if why == NO_CLASSES else UsageError)(f"scorer {name} {why}")
        if why:
            left_out[name] = why
        else:
            chosen.append(name)
    return tuple(chosen), left_out


def mine_settings(mining: Mining, scorers: Sequence[str]) -> MineSettings:
    """Return settings by which ``mine`` ranked, for these scorers, as if only what differs had been given."""
    usual = MineSettings().model_dump(mode="json")
    of_others = {name for name, scorer in OF_SCORERS.items() if scorer not in scorers}
    told = {
        name: value
        for name, value in mining.settings.items()
        if name not in OF_THE_CHOICE | of_others and value != usual.get(name)
    }
    told |= {"vectors": mining.vector_run_id}
    told |= {"detections": mining.detect_run_id} if mining.detect_run_id else {}
    return MineSettings(**told, scorers=tuple(scorers))


def _open_pile(
    catalog: Catalog, settings: RarityQuestion, mining: Mining, known: Gathered, scorers: Sequence[str]
) -> tuple[Pile, list[str], dict[str, str]]:
    """Return the pile, the scorers that it has enough for, and of the others why not.

    Raises:
        BackendError: If a scorer that was named wants words, and they cannot be had.
    """
    asked, unasked = list(scorers), {}
    try:
        _, _, pile = build_pile(catalog, mine_settings(mining, asked), known)
    except BackendError as error:
        if settings.scorers:
            raise
        unasked = {name: str(error) for name in asked if SCORERS.load(name).needs_words}
        asked = [name for name in asked if name not in unasked]
        _, _, pile = build_pile(catalog, mine_settings(mining, asked), known)
    return pile, asked, unasked


def _count(settings: RarityQuestion, n_pile: int, n_files: int) -> int:
    """Return how many a draw hides: by default not more than half of what there is, so that draws differ."""
    if settings.inject_count is None:
        return max(1, min(round(USUAL_SHARE * n_pile), n_files // 2))
    if settings.inject_count > n_files:
        raise UsageError(
            f"--inject-count {settings.inject_count} is more than the {n_files} pictures that can be hidden"
        )
    return settings.inject_count


def _combined(scores: Mapping[str, Scores], mining: Mining) -> dict[str, Scores]:
    """Return the joint ranking as ``mine`` made it, if all that it joins is there."""
    if not set(mining.scorers) <= scores.keys():
        return {}
    joined = {name: scores[name] for name in mining.scorers}
    tie_breaker = np.arange(len(next(iter(joined.values()))))
    keep = Rule.parse(mining.settings["keep"])  # rules choose; they do not change the ranking
    return {COMBINED: combine(joined, {}, mining.settings["combine"], tie_breaker, keep).combined}


def _recalls(scores: Scores, n: int, cutoffs: Sequence[Cutoff]) -> dict[str, float]:
    """Return the share of the n last rows that stand among the first."""
    is_hidden = np.arange(len(scores)) >= len(scores) - n
    return {f"recall_at_{one.name}": recall_at(scores, is_hidden, _first(one, n, len(scores))) for one in cutoffs}


def _first(cutoff: Cutoff, n: int, whole: int) -> int:
    return min(int(cutoff.of(np.array([float(n)]))[0]), whole)


def _outcome(settings: RarityQuestion, mining: Mining, known: Gathered, drawn: Drawn) -> Outcome:
    measured = drawn.measured(settings)
    plain = {scorer: {name: one.to_json() for name, one in by.items()} for scorer, by in measured.items()}
    n_files, failures = len(drawn.hidden.paths), drawn.hidden.failures
    n_copies, n_read = drawn.hidden.n_copies, n_files + len(failures)
    why = "copies of other files" if n_copies else ""
    tally = Tally("hiding", "pictures", n_read + n_copies, n_files, n_copies, len(failures), why)
    facts = {
        "kind": "inject",
        "mining": mining.run_id,
        "told": f"{n_files} pictures of {', '.join(folder.name for folder in settings.inject)}",
        "unit": known.unit,
        "n_items": drawn.n_pile,
        "n_rare": drawn.n,
        "repeats": settings.repeats,
        "left_out": dict(drawn.left_out),
    }
    content = {**facts, "named": tally.to_json(), "scorers": plain, "draws": drawn.draws}
    reasons = refuse_gates(settings.gate, measured, "draws that differ")
    gates = {"gates": dict(settings.gate)} if settings.gate else {}
    refusal = {"refusal": f"the rankings do not pass: {'; '.join(reasons)}"} if reasons else {}
    return Outcome(
        n_selected=n_read,
        files={RARITY_METRICS_NAME: json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)},
        extra={**facts, "metrics": plain, "counts": [tally.to_json()], **gates, **refusal},
        notes=[tally.line(), *_tell(facts, drawn), *tell_scorers(measured, "recall_at_n")],
        failures={content_id(f"hidden:{one.path}".encode()): one for one in failures},
    )


def _tell(facts: Mapping[str, Any], drawn: Drawn) -> Iterator[str]:
    n, n_pile = facts["n_rare"], facts["n_items"]
    yield f"{facts['repeats']} draws hide {n} of {facts['told']} among {n_pile} {facts['unit']}; n is {n}"
    yield from drawn.doubts()
    for scorer, why in drawn.left_out.items():
        yield f"not measured: {scorer}: {why}"
