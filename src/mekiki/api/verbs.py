"""One function per stage: a workspace and settings in, a summary out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from mekiki.catalog.db import Catalog, has_catalog
from mekiki.engine.local import LocalEngine
from mekiki.engine.run import Engine, Progress, Silent
from mekiki.errors import UsageError
from mekiki.records import RunSummary
from mekiki.registry import Registry
from mekiki.settings import Settings, parse_settings

if TYPE_CHECKING:
    from mekiki.stages.annotate import AnnotateSettings
    from mekiki.stages.caption import CaptionSettings
    from mekiki.stages.dedupe import DedupeSettings
    from mekiki.stages.detect import DetectSettings
    from mekiki.stages.embed import EmbedSettings
    from mekiki.stages.ensemble import EnsembleSettings
    from mekiki.stages.evaluate import EvaluateSettings
    from mekiki.stages.export import ExportSettings
    from mekiki.stages.frames import FramesSettings
    from mekiki.stages.ingest import IngestSettings
    from mekiki.stages.map import MapSettings
    from mekiki.stages.mine import MineSettings
    from mekiki.stages.predict import PredictSettings
    from mekiki.stages.report import ReportSettings
    from mekiki.stages.search import SearchSettings
    from mekiki.stages.split import SplitSettings
    from mekiki.stages.train import TrainSettings
    from mekiki.stages.tune import TuneSettings

STAGES: Registry[Any] = Registry(
    "stage",
    {
        "annotate": "mekiki.stages.annotate:annotate",
        "caption": "mekiki.stages.caption:caption",
        "dedupe": "mekiki.stages.dedupe:dedupe",
        "detect": "mekiki.stages.detect:detect",
        "embed": "mekiki.stages.embed:embed",
        "ensemble": "mekiki.stages.ensemble:ensemble",
        "evaluate": "mekiki.stages.evaluate:evaluate",
        "export": "mekiki.stages.export:export",
        "frames": "mekiki.stages.frames:frames",
        "ingest": "mekiki.stages.ingest:ingest",
        "map": "mekiki.stages.map:map",
        "mine": "mekiki.stages.mine:mine",
        "predict": "mekiki.stages.predict:predict",
        "report": "mekiki.stages.report:report",
        "search": "mekiki.stages.search:search",
        "split": "mekiki.stages.split:split",
        "train": "mekiki.stages.train:train",
        "tune": "mekiki.stages.tune:tune",
    },
)


def settings_class(stage: str) -> type[Settings]:
    """Return the settings class of a stage: ``split`` has ``SplitSettings`` in the file of its function.

    Raises:
        UsageError: If there is no such stage, with the nearest.
    """
    module = import_module(STAGES.load(stage).__module__)
    return cast(type[Settings], getattr(module, f"{stage.title()}Settings"))


def run_stage(
    stage: str,
    workspace: Path | str,
    settings: Settings | Mapping[str, Any] | None = None,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
    engine: Engine | None = None,
) -> RunSummary:
    """Run one stage on a workspace.

    Args:
        stage: Its name, as on the command line.
        workspace: The folder; ``ingest`` makes it.
        settings: The stage's settings, or plain values for them; None takes all defaults.
        progress: Where to say how far it is; silent by default.
        dry_run: Only say what would be done.
        engine: Where the work runs; this process by default.

    Raises:
        UsageError: For an unknown stage or setting, or a workspace that does not exist.
        DataError: If the data breaks a rule that the stage needs.
        BackendError: If a package, a model or a server is missing.
        InterruptedRunError: If the user stopped it.
    """
    expected = settings_class(stage)
    if not isinstance(settings, Settings):
        settings = parse_settings(expected, settings or {}, stage)
    if not isinstance(settings, expected):
        raise UsageError(f"{stage} takes {expected.__name__}, got {type(settings).__name__}")
    told = progress or Silent()
    function = cast("Callable[[Catalog, Settings, Engine], RunSummary]", STAGES.load(stage))
    runner = engine or LocalEngine(told, dry_run=dry_run)
    with ExitStack() as stack:
        needs_workspace = getattr(settings, "needs_workspace", True)
        resolve = getattr(settings, "resolved", None)
        if resolve is not None and not needs_workspace:  # a model's name becomes its file; the workspace is only read
            settings = cast(Settings, resolve(Path(workspace)))
        may_create = stage == "ingest" or not needs_workspace
        is_passing = not needs_workspace or (dry_run and may_create and not has_catalog(Path(workspace)))
        folder = stack.enter_context(TemporaryDirectory(prefix="mekiki-")) if is_passing else workspace
        catalog = stack.enter_context(Catalog(folder, create=may_create, announce=told.say))
        return function(catalog, settings, runner)


def ingest(workspace: Path | str, settings: IngestSettings | None = None) -> RunSummary:
    """Add photos and videos, and what files say of them, to a workspace."""
    return run_stage("ingest", workspace, settings)


def frames(workspace: Path | str, settings: FramesSettings | None = None) -> RunSummary:
    """Take pictures out of the videos of a workspace."""
    return run_stage("frames", workspace, settings)


def detect(workspace: Path | str, settings: DetectSettings | None = None) -> RunSummary:
    """Find objects in the pictures of a workspace, and make an item of each."""
    return run_stage("detect", workspace, settings)


def embed(workspace: Path | str, settings: EmbedSettings | None = None) -> RunSummary:
    """Compute one vector per picture, from which all else can be had without another look at it."""
    return run_stage("embed", workspace, settings)


def dedupe(workspace: Path | str, settings: DedupeSettings | None = None) -> RunSummary:
    """Find the near-duplicates in a workspace."""
    return run_stage("dedupe", workspace, settings)


def search(workspace: Path | str, settings: SearchSettings) -> RunSummary:
    """Find the items of a workspace that are nearest to pictures, other items or words."""
    return run_stage("search", workspace, settings)


def split(workspace: Path | str, settings: SplitSettings | None = None) -> RunSummary:
    """Deal out a workspace's items to parts that share nothing, with a certificate."""
    return run_stage("split", workspace, settings)


def annotate(workspace: Path | str, settings: AnnotateSettings | None = None) -> RunSummary:
    """Label the pictures of a workspace: by a vision-language model, by a file, or by a person."""
    return run_stage("annotate", workspace, settings)


def train(workspace: Path | str, settings: TrainSettings | None = None) -> RunSummary:
    """Train a multi-label classifier on the labelled pictures of a split."""
    return run_stage("train", workspace, settings)


def predict(workspace: Path | str, settings: PredictSettings | None = None) -> RunSummary:
    """Score pictures with a trained model."""
    return run_stage("predict", workspace, settings)


def ensemble(workspace: Path | str, settings: EnsembleSettings | None = None) -> RunSummary:
    """Join trained models into one, with weights found on validation."""
    return run_stage("ensemble", workspace, settings)


def tune(workspace: Path | str, settings: TuneSettings | None = None) -> RunSummary:
    """Find the thresholds at which a model decides."""
    return run_stage("tune", workspace, settings)


def evaluate(workspace: Path | str, settings: EvaluateSettings | None = None) -> RunSummary:
    """Measure models on a part of a split, with intervals."""
    return run_stage("evaluate", workspace, settings)


def mine(workspace: Path | str, settings: MineSettings | None = None) -> RunSummary:
    """Rank the objects of a workspace by how rare they are, and choose the rarest."""
    return run_stage("mine", workspace, settings)


def map(workspace: Path | str, settings: MapSettings | None = None) -> RunSummary:  # noqa: A001 - the stage's name
    """Lay out the vectors of a workspace in a plane, as a picture and as a page."""
    return run_stage("map", workspace, settings)


def caption(workspace: Path | str, settings: CaptionSettings | None = None) -> RunSummary:
    """Put what was found rare into words, and say what of it is an outlier."""
    return run_stage("caption", workspace, settings)


def export(workspace: Path | str, settings: ExportSettings | None = None) -> RunSummary:
    """Write a workspace's items, labels and parts in a format that other tools read."""
    return run_stage("export", workspace, settings)


def report(workspace: Path | str, settings: ReportSettings | None = None) -> RunSummary:
    """Write one HTML page that shows what is in a workspace."""
    return run_stage("report", workspace, settings)
