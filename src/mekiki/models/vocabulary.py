"""The closed list of classes that an annotator may use, and the other words that it may say for them.

A class file is YAML:

    description: what the list is for
    language: ja                      # of the prompt: ja or en
    prompt: Where the pictures come from, and what to look out for.
    classes:
      タヌキ: [raccoon dog, tanuki]     # other words for the class; or a plain list of names
    unknown: [none, other]            # words that mean: nothing of the list
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from mekiki.dataset.formats.label_text import clean_name
from mekiki.dataset.ids import content_id
from mekiki.errors import UsageError, printable, unknown_name
from mekiki.models.redacting import whole_text
from mekiki.records import UNKNOWN

Language = Literal["en", "ja"]

UNKNOWN_WORDS = (UNKNOWN, "none", "other", "others", "uncertain", "nothing", "不明", "なし", "その他")
"""What models say for ``unknown`` unless a class file says otherwise; ``unknown`` itself always counts."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Class names in their order, and what else stands for them.

    Attributes:
        classes: The closed list.
        aliases: Another word, as `folded` has it, to the class that it means.
        unknown: Words, as `folded` has them, for nothing of the list.
        hint: What the user wants to tell the model besides; may be empty.
        language: Of the prompt; None where nobody chose one.
    """

    classes: tuple[str, ...]
    aliases: dict[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset(UNKNOWN_WORDS)
    hint: str = ""
    language: Language | None = None

    def meaning(self, word: str) -> str | None:
        """Return the class that a word means, ``unknown``, or None for a word of neither.

        Example:
            >>> words = Vocabulary(("タヌキ", "Cat"), {"raccoon dog": "タヌキ"})
            >>> words.meaning("Raccoon  DOG"), words.meaning("cat"), words.meaning("none"), words.meaning("wolf")
            ('タヌキ', 'Cat', 'unknown', None)
        """
        if word in self.classes:
            return word
        plain = folded(word)
        names = {folded(name): name for name in self.classes}
        if plain in names:
            return names[plain]
        if plain in self.aliases:
            return self.aliases[plain]
        return UNKNOWN if plain == UNKNOWN or plain in self.unknown else None

    def in_language(self, language: Language | None) -> Vocabulary:
        """Return it with this language of the prompt; None leaves it as it is."""
        return self if language is None else replace(self, language=language)

    def fingerprint(self) -> str:
        """Return 32 hex digits that stand for everything that changes how an answer is read."""
        rest = [sorted(self.aliases.items()), sorted(self.unknown), self.hint, self.language]
        return content_id(json.dumps([self.classes, *rest], ensure_ascii=False).encode())


def folded(word: str) -> str:
    """Return a word as aliases are compared: composed, in lower case, with single blanks.

    Example:
        >>> folded(" Raccoon  Dog ")
        'raccoon dog'
    """
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", word)).strip().casefold()


def class_files() -> dict[str, Traversable]:
    """Return the shipped class files by name."""
    folder = files("mekiki.models").joinpath("classes")
    return {one.name.removesuffix(".yaml"): one for one in folder.iterdir() if one.name.endswith(".yaml")}


def read_class_file(name: str) -> Vocabulary:
    """Return what a class file says.

    Args:
        name: A file that ends in ``.yaml`` or ``.yml``, or the name of a shipped one.

    Raises:
        UsageError: If there is no such file, or it is none; the message says what is wrong with it.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no class file {name!r}: check the path, relative to {Path.cwd()}")
        text = _read(path)
    else:
        shipped = class_files()
        if name not in shipped:
            raise unknown_name("class file", name, shipped)
        text = shipped[name].read_text(encoding="utf-8")
    try:
        content = yaml.load(text, _TextLoader) or {}  # noqa: S506 - it makes nothing but text, lists and dicts
        for key in content if isinstance(content, dict) else ():
            if key not in _ClassFile.model_fields:
                raise UsageError(f"class file {name}: {unknown_name('key', str(key), _ClassFile.model_fields)}")
        return _ClassFile.model_validate(content).vocabulary()
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"class file {name} is no YAML: {printable(' '.join(str(error).split()))}") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"class file {name}: {printable(place)}: {_words_of(first)}") from error


def plain_vocabulary(names: Sequence[str]) -> Vocabulary:
    """Return a vocabulary without aliases.

    Raises:
        UsageError: If a class has no name, or one that means unknown or cannot be seen, or is named twice.
    """
    try:
        return _ClassFile(classes=list(names)).vocabulary()
    except pydantic.ValidationError as error:
        raise UsageError(f"classes: {_words_of(error.errors()[0])}") from None


class _TextLoader(yaml.BaseLoader):
    """Keeps every scalar as the text that is written, such as ``no`` and ``2001-01-01``, and refuses a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        found: set[Hashable] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in found:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            found.add(key)
        return super().construct_mapping(node, deep=deep)


class _ClassFile(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    description: str = ""
    language: Language | None = None
    prompt: str = ""
    classes: dict[str, list[str]] = pydantic.Field(min_length=1)
    unknown: list[str] = list(UNKNOWN_WORDS)

    @pydantic.field_validator("language", mode="before")
    @classmethod
    def _no_language(cls, given: object) -> object:
        """Take ``language:`` with nothing behind it for none, as YAML has it."""
        return None if given == "" else given

    @pydantic.field_validator("classes", mode="before")
    @classmethod
    def _names(cls, given: object) -> object:
        """Take a plain list of names, and a single alias that is no list."""
        if isinstance(given, list):
            if not all(isinstance(name, str) for name in given):
                raise ValueError("the list holds something that is no name")
            given = [(name, []) for name in given]
        elif isinstance(given, dict):
            given = [
                (name, [words] if words and isinstance(words, str) else words or []) for name, words in given.items()
            ]
        else:
            return given
        names = [clean_name(str(name)) for name, _ in given]
        if len(set(names)) < len(names):
            raise ValueError(f"a class is named twice in {', '.join(names)}")
        return dict(zip(names, (words for _, words in given), strict=True))

    @pydantic.model_validator(mode="after")
    def _check_meanings(self) -> _ClassFile:
        if whole_text(self.prompt) != self.prompt:
            raise ValueError("the prompt is no Unicode text")
        unknown = {folded(word) for word in self.unknown} | {UNKNOWN}
        meant: dict[str, str] = {}
        for name, words in self.classes.items():
            for word in (name, *words):
                clean_name(word)
                if not folded(word) or printable(word) != word:
                    raise ValueError(
                        f"{word!r} is no word for a class: it is empty, or has characters that show nothing"
                    )
                if folded(word) in unknown:
                    raise ValueError(
                        f"{word!r} is no class, and no word for one: it means unknown, that every class is absent. "
                        "Call it otherwise, or list the words for unknown without it in a class file: unknown: [none]"
                    )
                if meant.setdefault(folded(word), name) != name:
                    raise ValueError(f"{word!r} stands for {meant[folded(word)]!r} and for {name!r}")
        return self

    def vocabulary(self) -> Vocabulary:
        aliases = {folded(word): name for name, words in self.classes.items() for word in words}
        unknown = frozenset(folded(word) for word in self.unknown)
        return Vocabulary(tuple(self.classes), aliases, unknown, self.prompt.strip(), self.language)


def _words_of(error: Any) -> str:
    """Return what pydantic finds wrong, in one line."""
    return printable(" ".join(str(error["msg"]).removeprefix("Value error, ").split()))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"class file {path} cannot be read as UTF-8 text: {error}") from error
