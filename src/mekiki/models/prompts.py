"""What a vision-language model is asked, and how its answer is read.

The rules for answers: a class counts if it is named exactly, in other case, or by an alias. Names of no list are left
out and listed beside the answer; if nothing else was named, the answer is unreadable, since ``unknown`` would then be
our word and not the model's. An empty list, and a word such as ``none``, do mean unknown.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mekiki.models.redacting import whole_text
from mekiki.models.vocabulary import Language, Vocabulary
from mekiki.records import UNKNOWN

MAX_SHOWN = 120
"""Characters of an unreadable answer that its failure repeats."""

SCHEMA_NAME = "labels"

_SYSTEM: Mapping[Language, str] = {
    "en": "You label photos for a data set. You are strict: you only name what can be seen. You answer with one JSON "
    "object and nothing else.",
    "ja": "あなたは写真データセットのラベル付け担当です。"
    "写真に写っているものだけを厳密に判定し、JSON オブジェクト一つだけを返してください。",
}

_USER: Mapping[Language, str] = {
    "en": """Which of these classes does the photo show?
{classes}
Rules:
- Use these names only, spelled exactly so. Name every class that is visible; several are allowed.
- Answer ["unknown"] for any other animal or object, for an empty scene, and where it is too dark, too blurred or too far away to tell.
- Do not guess: where you are not sure of a class, leave it out.
{hint}Answer with a JSON object with exactly these keys:
"labels": a list of names, "confidence": a number from 0 to 1 for the whole answer, "reason": one short sentence.""",  # noqa: E501
    "ja": """この写真に写っているのは、次のうちどれですか。
{classes}
きまり:
- 上の名前だけを、この表記のまま使ってください。写っているものはすべて挙げます(複数可)。
- ほかの動物や物だけの場合、何も写っていない場合は ["unknown"] とします。
- 暗すぎる、ぶれている、遠すぎるなどで判別できない場合も ["unknown"] とします。
- 推測はしないでください。確信のないものは挙げません。
{hint}次のキーだけを持つ JSON オブジェクトで答えてください。
"labels": 名前の配列、"confidence": 回答全体の確信度(0〜1 の数)、"reason": 短い理由を一文。""",
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question as it is sent, without the picture.

    Attributes:
        system: Who the model is to be.
        user: The question.
        schema: JSON schema of the answer; None where it is plain text.
    """

    system: str
    user: str
    schema: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Said:
    """An answer that could be read.

    Attributes:
        labels: Classes that are present, in the list's order; empty means unknown.
        confidence: In [0, 1]; 0 where the model gave no number.
        reason: As the model put it.
        left_out: Names of no class.
    """

    labels: tuple[str, ...]
    confidence: float
    reason: str = ""
    left_out: tuple[str, ...] = ()


class UnreadableAnswerError(ValueError):
    """An answer that says nothing that can be used; the message says why, in a few words.

    Attributes:
        is_final: Asking again at once would only repeat it, and be paid for.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


def render_prompt(vocabulary: Vocabulary, language: Language) -> Prompt:
    """Return the question about any picture for a class list."""
    names = "\n".join(f"- {name}" for name in vocabulary.classes)
    hint = f"{vocabulary.hint}\n" if vocabulary.hint else ""
    user = _USER[language].format(classes=names, hint=hint)
    return Prompt(_SYSTEM[language], user, answer_schema(vocabulary.classes))


def answer_schema(classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON schema of an answer, in the strict form that servers enforce."""
    properties = {
        "labels": {"type": "array", "items": {"type": "string", "enum": [*classes, UNKNOWN]}},
        "confidence": {"type": "number"},
        "reason": {"type": "string"},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def parse_answer(text: str, vocabulary: Vocabulary) -> Said:
    """Return what a model's text says.

    The whole text is read as JSON, else what stands from its first ``{`` to its last ``}``. Labels may be a list, or a
    text in which ``,``, ``|``, ``/`` or ``、`` separates them.

    Raises:
        UnreadableAnswerError: If there is no JSON object with labels, or all labels are names of no class.

    Example:
        >>> parse_answer('Sure: {"labels": "cat, unknown", "confidence": 2}', Vocabulary(("cat", "dog")))
        Said(labels=('cat',), confidence=1.0, reason='', left_out=())
    """
    answer = _find_object(text)
    if "labels" not in answer:
        raise UnreadableAnswerError(f"the answer has no labels: {shown(text)}")
    named = _names(answer["labels"], vocabulary, text)
    meanings = {name: vocabulary.meaning(name) for name in named}
    found = {meaning for meaning in meanings.values() if meaning is not None}
    left_out = tuple(name for name, meaning in meanings.items() if meaning is None)
    if left_out and not found:
        raise UnreadableAnswerError(f"no class is called {', '.join(map(repr, left_out))[:MAX_SHOWN]}")
    reason = answer.get("reason")
    return Said(
        labels=tuple(name for name in vocabulary.classes if name in found),
        confidence=_share(answer.get("confidence")),
        reason=whole_text(reason).strip() if isinstance(reason, str) else "",
        left_out=left_out,
    )


def _find_object(text: str) -> dict[str, Any]:
    for candidate in (text, text[text.find("{") : text.rfind("}") + 1]):
        try:
            found = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    raise UnreadableAnswerError(f"the answer is no JSON object: {shown(text)}")


def _names(given: Any, vocabulary: Vocabulary, text: str) -> list[str]:
    """Return the names in the order of the answer, each once; one that holds a separator may be a class itself."""
    if given is None:
        return []
    if isinstance(given, str):
        parts = [given] if vocabulary.meaning(given) else re.split(r"[,|/、]", given)
    elif isinstance(given, list) and all(isinstance(one, str) for one in given):
        parts = given
    else:
        raise UnreadableAnswerError(f"the labels are no list of names: {shown(text)}")
    return list(dict.fromkeys(whole_text(part).strip() for part in parts if part.strip()))


def _share(given: Any) -> float:
    """Return a number in [0, 1]: clipped, and 0 if it is none."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return 0.0
    try:
        number = float(given)
    except (ValueError, OverflowError):
        return 0.0
    return 0.0 if math.isnan(number) else min(max(number, 0.0), 1.0)


def shown(text: str) -> str:
    """Return an answer as a failure repeats it: in one line, quoted and shortened."""
    plain = " ".join(text.split())
    return repr(plain if len(plain) <= MAX_SHOWN else f"{plain[:MAX_SHOWN]}…")
