"""Settings of stage ``caption``: who puts what into words, how that is judged, and what means nothing to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator

from mekiki.models.asking_settings import VLM_ONLY, AskingSettings, split_model
from mekiki.models.captioners import AUTO, CLASS_NAME, LOCAL, VLM, check_captioner
from mekiki.models.describe_prompts import PromptKind
from mekiki.models.vocabulary import Language
from mekiki.settings import Field, Input, SpeedOnly

MODEL_ONLY = frozenset({"prompt", "prompt_file", "names", "language", "long_side", "max_output_tokens"})
"""Settings that mean something to whoever looks at pictures."""

RARE_ONLY = frozenset({"mining", "final_rule", "weight_text", "use_image", "keywords", "weights"})
"""Settings that mean something only where something rare is judged."""

CONCEPTS_ONLY = ("weight_text", "use_image", "weights")
"""Settings that mean something where concepts decide."""

STRANGE = {
    AUTO: frozenset(),
    VLM: frozenset(),
    LOCAL: VLM_ONLY - MODEL_ONLY,
    CLASS_NAME: VLM_ONLY | MODEL_ONLY,
}
"""Settings that mean nothing to a captioner."""

FinalRule = Literal["auto", "concepts", "names", "keywords"]


def read_weight(given: Any) -> float | Literal["adaptive"]:
    """Return a share in [0, 1], or ``adaptive``.

    Raises:
        ValueError: If it is neither.
    """
    if given == "adaptive":
        return "adaptive"
    try:
        share = float(given)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError("it should be a number from 0 to 1, or adaptive")
    return share


WeightText = Annotated[float | Literal["adaptive"], BeforeValidator(read_weight)]


class CaptionSettings(AskingSettings):
    """Put what was found rare into words, and say what of it is an outlier after all."""

    captioner: Annotated[str, AfterValidator(check_captioner)] = Field(
        "auto",
        description="who says it: vlm[:MODEL], qwen-vl:REPO_OR_FOLDER, class-name, or auto (mekiki list captioners)",
    )
    of: Literal["rare", "pictures"] = Field(
        "rare", description="what is asked about: the selection of mine (the rest gets its class name), or all pictures"
    )
    mining: str | None = Input(None, description="rare: beginning of the id of a run of mine (default: the latest)")
    prompt: PromptKind = Field("describe", description="ask for a free description, or for one name of a list")
    prompt_file: Path | None = Input(
        None, description="your own question in a text file; {guess} and {names} in it are filled in"
    )
    names: tuple[str, ...] = Field((), description="prompt name: what to choose from (default: the concepts of mine)")
    language: Language | None = Field(None, description="of the question: en or ja (default: en)")
    final_rule: FinalRule = Field(
        "auto",
        description="what makes a final outlier: its best concept, its name, or a keyword in it; auto takes concepts "
        "where the vectors' embedder knows words, else names, and keywords after mine --preset seed2",
    )
    weight_text: WeightText = Field(
        0.5, description="concepts: share of the description beside the picture, 0 to 1, or adaptive"
    )
    use_image: bool = Field(True, description="concepts: let the stored vector of the picture count beside the words")
    keywords: tuple[str, ...] = Field((), description="keywords: words that make a class rare (default: seed 2's ten)")
    weights: Path | None = Input(None, description="concepts: the embedder's, if embed was given a file")
    device: str = SpeedOnly("auto", description="qwen-vl: auto, cpu, cuda, cuda:N or mps")
    allow_code: bool = SpeedOnly(False, description="concepts: run the program that a python: embedder is")

    @model_validator(mode="before")
    @classmethod
    def _split_name(cls, given: Any) -> Any:
        return split_model(given, "captioner")

    @model_validator(mode="after")
    def _check_together(self) -> CaptionSettings:
        base = self.captioner.partition(":")[0]
        strange = [name for name in sorted(STRANGE[base]) if self._is_changed(name)]
        if strange:
            owners = [owner for owner, useless in STRANGE.items() if strange[0] not in useless and owner != AUTO]
            raise ValueError(f"{_flag(strange[0])} is for --captioner {' or '.join(owners)}, not for {self.captioner}")
        if self.of == "pictures":
            useless = [name for name in sorted(RARE_ONLY) if self._is_changed(name)]
            if useless:
                raise ValueError(f"{_flag(useless[0])} is for --of rare: of pictures nothing is judged")
            if base == CLASS_NAME:
                raise ValueError("--captioner class-name is for --of rare: a whole picture has no class")
        if self.names and self.prompt != "name":
            raise ValueError("--names are what --prompt name chooses from: add --prompt name")
        useless = [name for name in CONCEPTS_ONLY if self._is_changed(name)]
        if self.final_rule in ("names", "keywords") and useless:
            raise ValueError(f"{_flag(useless[0])} is for concepts, and --final-rule {self.final_rule} has none")
        if not self.use_image and self._is_changed("weight_text"):
            raise ValueError("--weight-text shares between words and picture: leave it out, or --no-use-image")
        if self.keywords and self.final_rule != "keywords":
            raise ValueError("--keywords are what --final-rule keywords looks for: add --final-rule keywords")
        return self

    def without_judging(self) -> CaptionSettings:
        """Return the same with all that only judges texts as it is by default: what makes texts, and no more."""
        fields = type(self).model_fields
        return self.model_copy(update={name: fields[name].default for name in RARE_ONLY})

    def _is_changed(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
