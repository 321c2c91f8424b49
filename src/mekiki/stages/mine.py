"""Stage ``mine``: which objects are rarest. Reads ``vectors``, ``boxes`` and ``labels``; writes ``rarity``."""

from __future__ import annotations

from mekiki.catalog.db import Catalog
from mekiki.catalog.mining import MINING_NAME, Mining, write_rarity
from mekiki.catalog.runs import make_latest
from mekiki.engine.choosing import choose
from mekiki.engine.mine_settings import MineSettings
from mekiki.engine.mining import build_pile, gather_mined
from mekiki.engine.mining_notes import describe_classes
from mekiki.engine.run import Engine, Outcome
from mekiki.rarity.class_names import plain_names
from mekiki.records import RunSummary

__all__ = ["MineSettings", "mine"]


def mine(catalog: Catalog, settings: MineSettings, engine: Engine) -> RunSummary:
    """Rank what has a vector, and choose, unless the same was ranked with the same settings before."""
    settings = settings.with_preset()
    known = gather_mined(catalog, settings)

    def compute(run_id: str) -> Outcome:
        _, _, pile = build_pile(catalog, settings, known)
        choice = choose(pile, known.item_ids, settings, known.unit)
        tallies = (*known.tallies, *choice.tallies)
        mining = Mining(
            run_id=run_id,
            selected=choice.chosen,
            tallies=tallies,
            kept_by=choice.kept_by,
            scorers=settings.scorers,
            vector_run_id=known.run.run_id if known.run else "",
            detect_run_id=known.detect_run_id,
            class_of=known.class_of,
            named=known.named,
            common_classes=plain_names(settings.common_classes),
            target_classes=plain_names(settings.target_classes),
            concepts=known.concepts,
            class_map=known.class_map,
        )
        scores = {name: list(zip(known.item_ids, map(float, one), strict=True)) for name, one in choice.scores.items()}
        return Outcome(
            n_selected=len(known.item_ids),
            write=lambda transaction: write_rarity(transaction, scores),
            files={MINING_NAME: mining.text()},
            extra={
                "counts": [tally.to_json() for tally in tallies],
                "n_chosen": len(choice.chosen),
                "kept_by": dict(choice.kept_by),
                "scorers": list(settings.scorers),
                "vectors": mining.vector_run_id,
                "detections": mining.detect_run_id,
            },
            notes=[*(tally.line() for tally in tallies), *choice.notes, *describe_classes(known, settings)],
        )

    summary = engine.once(catalog, "mine", settings, known.reads, compute)
    if not engine.dry_run:
        make_latest(catalog, summary.run_id)
    return summary
