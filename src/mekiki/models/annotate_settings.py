"""Settings of stage ``annotate``: whom to ask and how, and which settings mean nothing to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, model_validator

from mekiki.dataset.formats.registry import READERS
from mekiki.models.annotators import ANNOTATORS
from mekiki.models.asking_settings import VLM_ONLY, AskingSettings, split_model
from mekiki.models.zero_shot import DEFAULT_SCALE, DEFAULT_TEMPLATES, Decide
from mekiki.records import ItemKind
from mekiki.settings import Field, Input, SpeedOnly

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


class AnnotateSettings(AskingSettings):
    """Label pictures: by a vision-language model, or with what a person or another tool has written into files."""

    annotator: Annotated[str, AfterValidator(ANNOTATORS.check)] = Field(
        "vlm", description="who labels: vlm[:MODEL], zero-shot[:EMBEDDER], import[:NAME] or human:NAME"
    )
    classes_file: str | None = Input(
        None, description="vlm, zero-shot: YAML with classes, aliases and hints, or a shipped one: japanese-mammals"
    )
    classes: tuple[str, ...] = Field((), description="closed list of classes (default: those of the workspace)")
    kind: tuple[ItemKind, ...] = Field(("image", "frame"), description="vlm, zero-shot: kinds of item to look at")
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

    @model_validator(mode="before")
    @classmethod
    def _split_name(cls, given: Any) -> Any:
        """Take ``vlm:MODEL`` for what it is, so that both ways of naming a model are one run."""
        return split_model(given, "annotator")

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
