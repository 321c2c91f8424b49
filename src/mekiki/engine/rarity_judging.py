"""Rankings of ``mine`` against what is known to be rare: figures beside chance, with intervals over atoms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from mekiki.catalog.db import Catalog
from mekiki.catalog.mining import COMBINED, require_mining
from mekiki.catalog.rarity_metrics import RARITY_METRICS_NAME
from mekiki.dataset.ids import content_id
from mekiki.dataset.rare_truth import Matched, match_entries, read_truth
from mekiki.engine.injecting import judge_injected
from mekiki.engine.rarity_settings import RarityQuestion
from mekiki.engine.rarity_things import MIN_IOU, Things, find_things, known_places
from mekiki.engine.rarity_words import refuse_gates, tell_scorers
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import DataError
from mekiki.metrics.intervals import MIN_ATOMS, Resampling
from mekiki.metrics.rare_ranking import measure_ranking
from mekiki.records import Failure, RunSummary, Tally


def judge_rarity(catalog: Catalog, settings: RarityQuestion, engine: Engine) -> RunSummary:
    """Measure the rankings of a run of ``mine``, unless the same was done before.

    Args:
        catalog: The workspace.
        settings: What is asked.
        engine: Where the run is recorded.

    Raises:
        DataError: If nothing has been mined, or what is known gives no figure.
        UsageError: If a file, a column, a run or a scorer does not exist.
    """
    if settings.truth is None:
        return judge_injected(catalog, settings, engine)
    mining = require_mining(catalog, settings.mining)
    truth = read_truth(settings.truth.expanduser(), settings.truth_column, settings.truth_above)
    matched = match_entries(truth, known_places(catalog), settings.root, allow_outside=settings.allow_outside)
    things = find_things(catalog, mining, truth, matched)
    _check_measurable(things, f"{truth.path} ({truth.told})", matched)

    def compute(_run_id: str) -> Outcome:
        resampling, cutoffs = Resampling(settings.resamples, settings.seed), settings.cutoffs()
        measured = {
            name: measure_ranking(things.scores[name], things.is_rare, things.atoms, things.missed, cutoffs, resampling)
            for name in (*mining.scorers, COMBINED)
        }
        plain = {scorer: {name: one.to_json() for name, one in by.items()} for scorer, by in measured.items()}
        tally = _tally(things, matched)
        counts = _counts(things)
        content = {"kind": "truth", "mining": mining.run_id, "told": truth.told, **counts}
        content |= {"named": tally.to_json(), "scorers": plain, "left_out": {}}
        reasons = refuse_gates(settings.gate, measured)
        refusal = {"refusal": f"the rankings do not pass: {'; '.join(reasons)}"} if reasons else {}
        return Outcome(
            n_selected=tally.n_in,
            files={RARITY_METRICS_NAME: json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)},
            extra={
                **{name: content[name] for name in ("kind", "mining", "told", *counts)},
                "metrics": plain,
                "counts": [tally.to_json()],
                **({"gates": dict(settings.gate)} if settings.gate else {}),
                **refusal,
            },
            notes=[tally.line(), *_tell(things, truth.told), *tell_scorers(measured, "average_precision")],
            failures={
                content_id(f"entry:{place} {reason}".encode()): Failure(place, reason, "evaluate")
                for place, reason in matched.refused
            },
        )

    reads = {"mining": mining.run_id, "truth": truth.fingerprint(), "things": things.fingerprint()}
    return engine.once(catalog, "evaluate", settings, reads, compute)


def _check_measurable(things: Things, told: str, matched: Matched) -> None:
    """Refuse what gives no figure.

    Raises:
        DataError: If nothing is known, nothing rare is known or ranked, or everything is rare.
    """
    first = f"; the first line that was not understood is {': '.join(matched.refused[0])}" if matched.refused else ""
    n_things = len(things.item_ids)
    if not n_things:
        raise DataError(f"{told} speaks of nothing that mine has ranked{first}")
    if not things.n_rare:
        raise DataError(
            f"{told} says that none of {n_things} {things.unit} is rare, so there is nothing to find{first}"
        )
    if things.is_rare.all():
        raise DataError(
            f"{told} says that all of {things.n_rare} {things.unit} are rare, so every order of them is as good: name "
            f"common ones too{first}"
        )


def _tally(things: Things, matched: Matched) -> Tally:
    n_dropped, n_failed = sum(things.left_out.values()), len(matched.refused)
    n_in = len(matched.entries) + n_failed
    return Tally(
        "truth", "pictures", n_in, n_in - n_dropped - n_failed, n_dropped, n_failed, "; ".join(things.left_out)
    )


def _counts(things: Things) -> dict[str, Any]:
    rare_atoms = np.concatenate([things.atoms[things.is_rare], things.missed])
    return {
        "unit": things.unit,
        "n_items": len(things.item_ids),
        "n_rare": things.n_rare,
        "n_groups": len(np.unique(np.concatenate([things.atoms, things.missed]))),
        "n_rare_groups": len(np.unique(rare_atoms)),
        "n_last": things.n_last,
        "n_unnamed": things.n_unnamed,
        "n_not_ranked": len(things.missed),
        "n_second": things.n_second,
    }


def _tell(things: Things, told: str) -> Iterator[str]:
    counts = _counts(things)
    yield (
        f"{counts['n_rare']} rare ({told}) beside {int((~things.is_rare).sum())} other {things.unit}, in "
        f"{counts['n_rare_groups']} of {counts['n_groups']} groups that belong together; n is {counts['n_rare']}"
    )
    if counts["n_rare_groups"] < MIN_ATOMS:
        yield f"under {MIN_ATOMS} groups hold something rare: no interval is reliable"
    if things.is_untied:
        yield (
            "no two pictures are tied; if they are frames of a drive, intervals are too narrow: mekiki ingest --labels "
            "FILE with a column burst"
        )
    if things.n_unnamed:
        yield f"{things.n_unnamed} other pictures are not named there, and not measured"
    if things.n_last:
        yield f"{things.n_last} pictures have no crop that was ranked: they stand last"
    if things.not_ranked:
        why = ", ".join(f"{n} {reason}" for reason, n in things.not_ranked.items())
        most = 1 - len(things.missed) / things.n_rare
        yield f"of the rare objects {why} (no box overlaps at {MIN_IOU:g}): no ranking can recall more than {most:.2f}"
    if things.n_second:
        yield f"{things.n_second} crops show an object that another crop shows better, and are not measured"
