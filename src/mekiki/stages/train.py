"""Stage ``train``: a classifier. Reads labelled items of a ``split``, a head their vectors; writes ``models``."""

from __future__ import annotations

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import make_current
from mekiki.catalog.items import class_names, require_items
from mekiki.catalog.results import require_split
from mekiki.catalog.scored import read_examples
from mekiki.catalog.trainable import Wanted, certificate_of, choose_examples
from mekiki.dataset.ids import safe_name
from mekiki.engine.head_adopting import AdoptTask, adopt_head
from mekiki.engine.head_inputs import HeadTask
from mekiki.engine.head_training import train_head
from mekiki.engine.pixel_training import PixelTask, train_on_pixels
from mekiki.engine.run import Engine, Outcome, run_folder
from mekiki.errors import UsageError
from mekiki.models.classify_torch import torch_device
from mekiki.models.opening import ForeignFacts
from mekiki.records import PICTURE_KINDS, RunSummary
from mekiki.settings import Field, SpeedOnly
from mekiki.training.adopting import adopted_card, blank_card
from mekiki.training.backbones import weights_identity
from mekiki.training.card import ModelCard
from mekiki.training.head_settings import HeadSettings, choose_positive, settings_of_pixels
from mekiki.training.launch import check_processes
from mekiki.training.origins import ORIGINS_KEY, as_setting, origins_of
from mekiki.training.resume import RESUME_NAME


class TrainSettings(HeadSettings):
    """Train a classifier on one part of a split, and keep the epoch that is best on another."""

    split: str | None = Field(None, description="name of the split (default: the latest)")
    train_part: str = Field("train", description="part to learn from")
    val_part: str = Field("val", description="part to choose the best epoch by")
    classes: tuple[str, ...] = Field((), description="classes in this order (default: all of the workspace)")
    known_only: bool = Field(False, description="leave out pictures that show no class, as seed 1 does")
    max_train: int = Field(0, ge=0, description="learn from at most this many pictures; 0 for all")
    max_val: int = Field(0, ge=0, description="measure on at most this many pictures; 0 for all")
    device: str = SpeedOnly("auto", description="auto, cpu, cuda, cuda:N or mps")
    workers: int = SpeedOnly(2, ge=0, description="threads that read and change pictures; 0 for none")
    cache_gb: float = SpeedOnly(2.0, ge=0, description="memory to keep decoded pictures in, in 1e9 bytes")
    max_failed_share: float = SpeedOnly(0.5, ge=0, le=1, description="stop when more of the pictures cannot be read")
    wandb: str | None = SpeedOnly(None, min_length=1, description="also log to this project of Weights & Biases")

    @property
    def wanted(self) -> Wanted:
        """Which pictures of the split are needed."""
        train_part = None if self.is_adopting else self.train_part
        return Wanted(train_part, self.val_part, self.known_only, self.max_train, self.max_val, self.seed)


def train(catalog: Catalog, settings: TrainSettings, engine: Engine) -> RunSummary:
    """Train a model, or take over foreign weights, unless the same was done before."""
    if settings.train_part == settings.val_part:
        raise UsageError(
            f"train_part and val_part are both {settings.val_part!r}: a model is not chosen by what it saw"
        )
    if settings.activation is not None and not settings.is_adopting and settings.head is None:
        raise UsageError(
            "--activation goes with --head, or --epochs 0: other networks trained here have a sigmoid for each class"
        )
    require_items(catalog)
    split_run_id = require_split(catalog, settings.split)
    if settings.head is not None:
        return _train_head(catalog, settings, engine, split_run_id)
    foreign = adopted_card(settings, settings.classes, settings.activation) if settings.is_adopting else None
    if foreign is not None and (foreign[0].is_head or settings.vectors or settings.projection):
        return _adopt_head(catalog, settings, engine, split_run_id, foreign[0])
    classes = settings.classes if foreign is None else foreign[0].class_names
    examples = choose_examples(read_examples(catalog, split_run_id, classes, PICTURE_KINDS), settings.wanted)
    begun, weights = foreign or (blank_card(settings, examples.class_names), {})
    origins, parents = ((), ()) if settings.weights is None else origins_of(settings.weights)
    facts = {
        "settings": settings_of_pixels(settings) | ({ORIGINS_KEY: as_setting(origins)} if origins else {}),
        "split": certificate_of(catalog, split_run_id),
        "parents": parents,
    }
    card = begun.model_copy(update={"name": settings.name or safe_name(begun.arch), **facts})
    device = torch_device(settings.device)
    check_processes(settings.processes, device, settings.device)
    task = PixelTask(
        settings,
        examples,
        settings.wanted,
        card,
        weights,
        device,
        settings.workers,
        settings.cache_gb,
        settings.max_failed_share,
        settings.wandb,
    )

    def compute(run_id: str) -> Outcome:
        return train_on_pixels(catalog, task, engine, run_id)

    reads = {"split": split_run_id, "examples": examples.fingerprint()}
    identity = weights_identity(settings.arch, settings.pretrained, settings.weights)
    summary = engine.once(catalog, "train", settings, reads, compute, identity=identity, device=device)
    if not engine.dry_run:
        (run_folder(catalog, summary.run_id) / RESUME_NAME).unlink(missing_ok=True)
        make_current(catalog, summary)
    return summary


def _train_head(catalog: Catalog, settings: TrainSettings, engine: Engine, split_run_id: str) -> RunSummary:
    """Train on stored vectors; see `mekiki.engine.head_training`."""
    known, classes, negative = class_names(catalog), settings.classes, None
    is_all = bool(classes) or settings.activation == "softmax"
    positive = choose_positive(settings.positive, known, is_all=is_all)
    if positive is not None:
        useless = next((name for name in ("classes", "known_only") if name in settings.model_fields_set), None)
        if useless:
            raise UsageError(f"{useless} does nothing with positive, which gives the score of one class: leave it out")
        classes = (positive,)
        others = [name for name in known if name != positive]
        negative = others[0] if len(others) == 1 else None
    task = HeadTask(
        settings.model_copy(update={"positive": positive}),
        choose_examples(read_examples(catalog, split_run_id, classes), settings.wanted),
        settings.wanted,
        settings.activation or "sigmoid",
        {"split": certificate_of(catalog, split_run_id)},
        negative,
        torch_device(settings.device),
        settings.max_failed_share,
        settings.wandb,
    )
    summary = train_head(catalog, task, engine)
    if not engine.dry_run:
        make_current(catalog, summary)
    return summary


def _adopt_head(
    catalog: Catalog, settings: TrainSettings, engine: Engine, split_run_id: str, card: ModelCard
) -> RunSummary:
    """Take over a head that was trained elsewhere; see `mekiki.engine.head_adopting`."""
    examples = choose_examples(read_examples(catalog, split_run_id, card.class_names), settings.wanted)
    said = ForeignFacts(class_names=settings.classes or None, activation=settings.activation)
    summary = adopt_head(
        catalog, AdoptTask(settings, said, examples, settings.wanted, settings.max_failed_share), engine
    )
    if not engine.dry_run:
        make_current(catalog, summary)
    return summary
