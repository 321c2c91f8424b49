"""Settings of stage ``annotate``: whom to ask and how, and which settings mean nothing to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from mekiki.dataset.formats.registry import READERS
from mekiki.models.annotators import ANNOTATORS
from mekiki.models.openai_server import Api
from mekiki.models.pricing import Detail
from mekiki.models.vocabulary import Language
from mekiki.models.zero_shot import DEFAULT_SCALE, DEFAULT_TEMPLATES, Decide
from mekiki.records import ItemKind
from mekiki.settings import Field, Input, PerItemSettings, SpeedOnly

VLM_ONLY = frozenset(
    {"model", "language", "long_side", "quality", "detail", "max_output_tokens", "temperature"}
    | {"reasoning_effort", "max_cost", "price_in", "price_out"}
)
FILES_ONLY = frozenset({"labels", "labels_format", "root", "allow_outside", "label_column", "path_column"})
WORDS_ONLY = frozenset({"templates", "decide", "min_confidence", "scale", "weights"})
STRANGE = {
    "vlm": FILES_ONLY | WORDS_ONLY,
    "zero-shot": FILES_ONLY | VLM_ONLY,
    "import": VLM_ONLY | WORDS_ONLY | {"classes_file", "kind"},
    "human": VLM_ONLY | WORDS_ONLY | {"classes_file", "kind"},
}
"""Settings that mean nothing to an annotator."""


def check_reader(name: str) -> str:
    """Return the name of a label format, or refuse it with the nearest; ``auto`` looks at the files."""
    return name if name == "auto" else READERS.check(name)


class AnnotateSettings(PerItemSettings):
    """Label pictures: by a vision-language model, or with what a person or another tool has written into files."""

    annotator: Annotated[str, AfterValidator(ANNOTATORS.check)] = Field(
        "vlm", description="who labels: vlm[:MODEL], zero-shot[:EMBEDDER], import[:NAME] or human:NAME"
    )
    model: str = Field("gpt-5.2", min_length=1, description="vlm: the model's name on the server")
    classes_file: str | None = Input(
        None, description="vlm, zero-shot: YAML with classes, aliases and hints, or a shipped one: japanese-mammals"
    )
    classes: tuple[str, ...] = Field((), description="closed list of classes (default: those of the workspace)")
    language: Language | None = Field(None, description="vlm: of the prompt (default: the class file's, else en)")
    long_side: int = Field(1024, ge=16, description="vlm: pictures are shrunk to this many pixels on their long side")
    quality: int = Field(85, ge=1, le=100, description="vlm: JPEG quality of what is sent")
    detail: Detail = Field("low", description="vlm: how closely the model looks, which decides what a picture costs")
    max_output_tokens: int = Field(220, ge=16, description="vlm: where the server cuts an answer, thinking included")
    temperature: float | None = Field(
        None, ge=0, le=2, description="vlm: 0 for always the same (default: the server's)"
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None, description="vlm: how long the model thinks first (default: the server's)"
    )
    kind: tuple[ItemKind, ...] = Field(("image", "frame"), description="vlm, zero-shot: kinds of item to look at")
    api: Api = SpeedOnly("auto", description="vlm: the protocol; auto finds out which the server speaks")
    concurrency: int = SpeedOnly(4, ge=1, description="vlm: calls in flight at once")
    rate_limit: float | None = SpeedOnly(None, gt=0, description="vlm: at most this many calls a minute")
    timeout: float = SpeedOnly(60.0, gt=0, description="vlm: seconds that a call may take")
    retries: int = SpeedOnly(3, ge=0, description="vlm: how often a failed call is made again")
    max_cost: float | None = SpeedOnly(
        None, ge=0, description="vlm: dollars that all invocations of this run together may cost, at the very most"
    )
    price_in: float | None = SpeedOnly(None, ge=0, description="vlm: dollars per million tokens of questions")
    price_out: float | None = SpeedOnly(None, ge=0, description="vlm: dollars per million tokens of answers")
    templates: tuple[str, ...] = Field(
        DEFAULT_TEMPLATES, description="zero-shot: sentences with {} where the name of a class goes; their mean counts"
    )
    decide: Decide = Field(
        "best", description="zero-shot: the best class of a picture, or each that fits better than a neutral sentence"
    )
    min_confidence: float = Field(0.5, ge=0, le=1, description="zero-shot: below it a class is absent")
    scale: float = Field(DEFAULT_SCALE, gt=0, description="zero-shot: cosines are multiplied by it; CLIP's own is 100")
    weights: Path | None = Input(None, description="zero-shot: the embedder's, if embed was given a file")
    allow_code: bool = SpeedOnly(False, description="zero-shot: run the program that a python: embedder is")
    labels: tuple[Path, ...] = Input((), description="import, human: label file or folder; see mekiki list formats")
    labels_format: Annotated[str, AfterValidator(check_reader)] = Field(
        "auto", description="import, human: format of the label files; auto looks at them"
    )
    root: Path | None = Input(None, description="import, human: folder that paths in label files start from")
    allow_outside: bool = Field(False, description="import, human: let label files name files outside their root")
    label_column: str | None = Field(None, description="import, human: column with the labels, if its name is unusual")
    path_column: str | None = Field(None, description="import, human: column with the paths, if its name is unusual")
    agreement: bool = Field(False, description="label nothing; say how far annotators agree on what both have labelled")
    between: tuple[str, ...] = Field((), description="with --agreement: only these two annotators")
    batch_size: int = SpeedOnly(1, ge=1, description="answers in one batch, which is one transaction")
    workers: int = SpeedOnly(2, ge=1, description="threads that read pictures ahead of the calls")

    @model_validator(mode="before")
    @classmethod
    def _split_name(cls, given: Any) -> Any:
        """Take ``vlm:MODEL`` for what it is, so that both ways of naming a model are one run."""
        name, _, model = str(given.get("annotator", "")).partition(":")
        if name != "vlm" or ":" not in str(given["annotator"]):
            return given
        if not model.strip():
            raise ValueError("vlm: names no model: --annotator vlm:MODEL, or vlm alone with --model MODEL")
        if given.get("model", model) != model:
            raise ValueError(f"two models are named, {model!r} and {given['model']!r}: leave out --model")
        return {**given, "annotator": name, "model": model}

    @model_validator(mode="after")
    def _check_together(self) -> AnnotateSettings:
        base, _, name = self.annotator.partition(":")
        if base == "human" and not name:
            raise ValueError("a person needs a name: --annotator human:NAME")
        fields, others = type(self).model_fields, STRANGE[base]
        # A recipe's settings can be taken back: --set annotate.annotator=import --set annotate.classes_file=null
        strange = sorted(name for name in others if getattr(self, name) != fields[name].default)
        if strange and not self.agreement:
            owners = [owner for owner, useless in STRANGE.items() if strange[0] not in useless]
            flag = f"--{strange[0].replace('_', '-')}"
            raise ValueError(f"{flag} is for --annotator {' or '.join(owners)}, not for {self.annotator}")
        if any("{}" not in template for template in self.templates) or not self.templates:
            raise ValueError(f"a template needs {{}} where the name of a class goes, got {self.templates}")
        if self.classes and self.classes_file is not None:
            raise ValueError("--classes and --classes-file exclude each other: list the classes in the file")
        if "vector" in self.kind:
            raise ValueError("--kind vector: a model is shown pictures, and a vector that came without one has none")
        if "video" in self.kind:
            raise ValueError("--kind video: a model is shown pictures; mekiki frames takes them out of videos")
        if self.between and (not self.agreement or len(set(self.between)) != 2 or len(self.between) != 2):
            raise ValueError("--between goes with --agreement and names two annotators: --between A --between B")
        return self
