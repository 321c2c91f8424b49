"""What is asked about a picture that is to be put into words, and how the answer, which is plain text, is read.

A description is taken as it comes. A name has to be one of a closed list, or ``others``. An answer that says that there
is none, such as an apology, is no answer.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mekiki.errors import UsageError, printable
from mekiki.models.prompts import Prompt, UnreadableAnswerError, shown
from mekiki.models.redacting import whole_text
from mekiki.models.vocabulary import Language
from mekiki.rarity.class_names import words_of

PromptKind = Literal["describe", "name"]

OTHERS = "others"
"""What is answered where no name of the list fits."""

MAX_GUESS = 80
"""Characters of a detector's class that a question repeats."""

MAX_TEMPLATE = 20_000
"""Characters of a question of the user's."""

_SYSTEM: Mapping[Language, str] = {
    "en": "You look at pictures cut out of photos, for people who search large collections for what is unusual. You "
    "say only what can be seen.",
    "ja": "あなたは、大量の写真から珍しいものを探す人のために、写真から切り出した画像を見ます。"
    "見えるものだけを述べてください。",
}

_DESCRIBE: Mapping[Language, str] = {
    "en": """What does this picture show? Answer in one to three plain sentences.
- First the main thing or living being: what it is, as exactly as can be told, and what it is doing or used for.
- Then what is out of the ordinary, if anything is: its kind, load, state or place, or what is next to it. On a street that may be machines at work, vehicles that are seldom seen, animals, people where cars belong, things that lie on the road, or danger.
- Say so where something cannot be made out; do not guess.
{guess}Answer with the description alone.""",  # noqa: E501
    "ja": """この画像には何が写っていますか。一文から三文の平易な文で答えてください。
- まず主な物や生き物について、分かるかぎり正確に、何であるか、何をしているか、何に使われているかを述べます。
- 次に、普通でない点があれば述べます(種類、積み荷、状態、場所、そばにあるものなど)。道路なら、作業中の機械、めったに見ない車両、動物、車道にいる人、路上の落下物、危険などです。
- はっきり見えないものは、そう述べてください。推測はしないでください。
{guess}説明だけを答えてください。""",  # noqa: E501
}

_NAME: Mapping[Language, str] = {
    "en": """Which one of these names fits the main thing in this picture best?
{names}
Rules:
- Choose exactly one, spelled as above.
- Choose "others" for any other thing, and where it cannot be made out.
{guess}Answer with the name and no other word; where JSON is asked for, as {"name": "the name"}.""",
    "ja": """この画像の主な物に最もよく合う名前は、次のうちどれですか。
{names}
きまり:
- 上の表記のまま、一つだけ選んでください。
- ほかの物の場合、また判別できない場合は "others" とします。
{guess}名前だけを答えてください。JSON を求められた場合は {"name": "名前"} とします。""",
}

_GUESS: Mapping[Language, str] = {
    "en": 'A detector took it for "{}". Nobody has checked that, and it may be wrong.\n',
    "ja": "検出器はこれを「{}」と推定しましたが、未確認であり、誤りかもしれません。\n",
}

_APOLOGY = re.compile(
    r"\b(?:i'm|i am|we're|we are) (?:very |so |really )?(?:sorry|unable|not able)\b"
    r"|\b(?:cannot|can't|unable to|not able to) (?:be )?"
    r"(?:process|view|analy[sz]e|describe|provide|assist|help|access|display|identify|answer)"
    r"|^\W*(?:sorry|my apologies|apologies|unable to|(?:i )?(?:cannot|can't|can not))\b|\bas an ai\b"
    r"|申し訳|すみません|(?:お答え|回答|説明|処理|識別|お手伝い)(?:することは|することが)?できません",
)
"""Says that there is no answer; a thing in a picture may be unable to walk, too, so not every word of it does."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How it is asked.

    Attributes:
        kind: Whether for a description, or for a name of a list.
        names: That list, without ``others``; only names use it.
        language: Of the question.
        template: The user's own question; ``{names}`` and ``{guess}`` in it stand for the list, and for what a
            detector took the thing for. Empty for ours.
    """

    kind: PromptKind = "describe"
    names: tuple[str, ...] = ()
    language: Language = "en"
    template: str = ""

    def prompt(self, guess: str = "") -> Prompt:
        """Return the question.

        Args:
            guess: A detector's class, which nobody has checked; empty where there is none.
        """
        ours = {"describe": _DESCRIBE, "name": _NAME}[self.kind][self.language]
        names = "\n".join(f"- {name}" for name in (*self.names, OTHERS)) if self.kind == "name" else ""
        told = " ".join(printable(guess).split())[:MAX_GUESS].replace('"', "'")
        filled = {"{names}": names, "{guess}": _GUESS[self.language].format(told) if told else ""}
        user = re.sub(r"\{names\}|\{guess\}", lambda found: filled[found[0]], self.template or ours)
        return Prompt(_SYSTEM[self.language], user, self._schema())

    def read(self, text: str) -> str:
        """Return what an answer says: a description, or a name as the list spells it.

        Raises:
            UnreadableAnswerError: If it is empty, says that there is no answer, or has no name of the list, or several.
        """
        plain = " ".join(whole_text(text).split())
        if not plain:
            raise UnreadableAnswerError("the answer is empty")
        if _APOLOGY.search(_folded(plain)):
            raise UnreadableAnswerError(f"the model gave no description: {shown(plain)}", is_final=True)
        return plain if self.kind == "describe" else self._name_in(plain)

    def _schema(self) -> dict[str, Any] | None:
        if self.kind == "describe":
            return None
        properties = {"name": {"type": "string", "enum": [*self.names, OTHERS]}}
        return {"type": "object", "properties": properties, "required": ["name"], "additionalProperties": False}

    def _name_in(self, text: str) -> str:
        """Return the only name in a text; one that lies inside a longer one that is there too does not count."""
        known = {_bare(name): name for name in (OTHERS, *self.names)} | {"other": OTHERS}
        said = _bare(_told(text))
        if said in known:
            return known[said]
        rest, found = f" {said} ", []
        for name in sorted(known, key=len, reverse=True):
            if name and f" {name} " in rest:
                rest = rest.replace(f" {name} ", "  ")
                found.append(known[name])
        if len(set(found)) != 1:
            why = "several names" if found else "no name"
            raise UnreadableAnswerError(f"the answer has {why} of the list: {shown(text)}")
        return found[0]


def read_template(path: Path) -> str:
    """Return a question of the user's from a text file.

    Raises:
        UsageError: If it cannot be read, is empty or longer than `MAX_TEMPLATE`, or has control characters in it.
    """
    file = path.expanduser()
    try:
        if file.exists() and not file.is_file():
            raise UsageError(f"--prompt-file {path} is no file: write the question into one")
        with file.open(encoding="utf-8-sig") as stream:
            text = stream.read(MAX_TEMPLATE + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--prompt-file {path} cannot be read as UTF-8 text: {error}") from error
    if len(text) > MAX_TEMPLATE:
        raise UsageError(f"--prompt-file {path} is longer than {MAX_TEMPLATE:,} characters: shorten the question")
    text = text.strip()
    if not text:
        raise UsageError(
            f"--prompt-file {path} is empty: write the question into it; {{guess}} and {{names}} are filled"
        )
    odd = next((one for one in text if unicodedata.category(one) == "Cc" and one not in "\n\t"), None)
    if odd is not None:
        raise UsageError(f"--prompt-file {path} has the control character {odd!r} in it: save it as plain text")
    return text


def _told(text: str) -> str:
    """Return the name in an answer that is a JSON object, or the answer."""
    try:
        found = json.loads(text[text.find("{") : text.rfind("}") + 1])
    except (ValueError, RecursionError):
        return text
    name = found.get("name") if isinstance(found, dict) else None
    return name if isinstance(name, str) else text


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("\u2019", "'").casefold()


def _bare(text: str) -> str:
    """Return words in lower case with single blanks: ``Traffic_Light.`` is ``traffic light``."""
    return " ".join(words_of(text))


def spell_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return a list of names without those that differ only in case, blanks or ``_``, and without ``others``.

    Raises:
        UsageError: If nothing is left.

    Example:
        >>> spell_names(["traffic_light", "Traffic light", "others", "bus"])
        ('traffic_light', 'bus')
    """
    found: dict[str, str] = {}
    for name in names:
        if _bare(name) not in ("", "others", "other"):
            found.setdefault(_bare(name), name)
    if not found:
        raise UsageError("--prompt name needs names to choose from: --names NAME --names NAME")
    return tuple(found.values())
