"""From a pile of photos and videos to data you can trust, models you can trust, and words.

Public names are imported when they are first used, so that ``import mekiki`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "AnnotateSettings": "mekiki.stages.annotate",
    "BackendError": "mekiki.errors",
    "CaptionSettings": "mekiki.stages.caption",
    "Catalog": "mekiki.catalog.db",
    "DataError": "mekiki.errors",
    "DedupeSettings": "mekiki.stages.dedupe",
    "DetectSettings": "mekiki.stages.detect",
    "EmbedSettings": "mekiki.stages.embed",
    "EnsembleSettings": "mekiki.stages.ensemble",
    "EvaluateSettings": "mekiki.stages.evaluate",
    "ExportSettings": "mekiki.stages.export",
    "FramesSettings": "mekiki.stages.frames",
    "IngestSettings": "mekiki.stages.ingest",
    "InterruptedRunError": "mekiki.errors",
    "LocalEngine": "mekiki.engine.local",
    "MapSettings": "mekiki.stages.map",
    "MekikiError": "mekiki.errors",
    "MineSettings": "mekiki.stages.mine",
    "MissingExtraError": "mekiki.errors",
    "PredictSettings": "mekiki.stages.predict",
    "RayEngine": "mekiki.engine.ray",
    "ReportSettings": "mekiki.stages.report",
    "RunSummary": "mekiki.records",
    "SearchSettings": "mekiki.stages.search",
    "SplitSettings": "mekiki.stages.split",
    "TrainSettings": "mekiki.stages.train",
    "TuneSettings": "mekiki.stages.tune",
    "UnreadableError": "mekiki.errors",
    "UsageError": "mekiki.errors",
    "annotate": "mekiki.api.verbs",
    "caption": "mekiki.api.verbs",
    "dedupe": "mekiki.api.verbs",
    "detect": "mekiki.api.verbs",
    "embed": "mekiki.api.verbs",
    "ensemble": "mekiki.api.verbs",
    "evaluate": "mekiki.api.verbs",
    "export": "mekiki.api.verbs",
    "forget": "mekiki.api.workspace",
    "frames": "mekiki.api.verbs",
    "ingest": "mekiki.api.verbs",
    "map": "mekiki.api.verbs",
    "mine": "mekiki.api.verbs",
    "predict": "mekiki.api.verbs",
    "report": "mekiki.api.verbs",
    "run_recipe": "mekiki.api.recipes",
    "run_stage": "mekiki.api.verbs",
    "search": "mekiki.api.verbs",
    "split": "mekiki.api.verbs",
    "status": "mekiki.api.workspace",
    "train": "mekiki.api.verbs",
    "tune": "mekiki.api.verbs",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mekiki' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
