"""Who may write which table; a transaction refuses the rest."""

from __future__ import annotations

ENGINE_TABLES = frozenset({"runs", "done", "failures"})
"""Written by the engine on behalf of every stage."""

WRITERS: dict[str, frozenset[str]] = {
    "items": frozenset({"ingest", "frames", "detect", "faces", "segment", "balance"}),
    "sources": frozenset({"ingest"}),
    "vector_rows": frozenset({"ingest"}),
    "made": frozenset({"frames", "detect", "faces", "segment", "balance"}),
    "groups": frozenset({"ingest", "dedupe"}),
    "hashes": frozenset({"ingest", "frames", "balance"}),
    "attributes": frozenset({"ingest", "frames", "detect", "faces", "annotate"}),
    "classes": frozenset({"ingest", "annotate"}),
    "boxes": frozenset({"ingest", "detect", "faces"}),
    "masks": frozenset({"segment"}),
    "vectors": frozenset({"embed"}),
    "labels": frozenset({"ingest", "annotate"}),
    "splits": frozenset({"split"}),
    "models": frozenset({"train", "tune", "ensemble"}),
    "predictions": frozenset({"predict"}),
    "heatmaps": frozenset({"explain"}),
    "rarity": frozenset({"mine"}),
    "captions": frozenset({"ingest", "caption"}),
    "answers": frozenset({"annotate", "caption", "forget"}),
}
"""Table to the stages that may write it. ``forget`` deletes from all of them; nothing else deletes.

Of answers it leaves what they have cost.
"""
