"""The error tree: every error that mekiki raises on purpose, with its exit code.

A message is one line: what is wrong, with the value; what would be right; what to type next.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from pathlib import Path

LIKENESS = 0.5
"""How like a valid name must be to be suggested: twice the letters in common over the letters of both."""

MAX_NAME_SHOWN = 100
"""Characters of a wrong name that a message repeats."""

N_NAMES_SHOWN = 40
"""Valid names that a message lists; a data set may have a thousand classes."""


class MekikiError(Exception):
    """Base of all errors that a user can mend; the command line prints it in one line."""

    exit_code = 1


class UsageError(MekikiError):
    """A wrong option, an unknown name or a bad recipe."""

    exit_code = 2


class UnreadableError(MekikiError):
    """One file that cannot be read; the engine turns it into a row in ``failures`` and goes on.

    Args:
        path: The file, as the user knows it.
        reason: What is wrong, in a few words without the path.
    """

    exit_code = 3

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnreadableError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


class DataError(MekikiError):
    """The data breaks a rule that a stage needs, or a gate says no."""

    exit_code = 4


class BackendError(MekikiError):
    """A model, its weights or a server cannot be had."""

    exit_code = 5


class NoWordsError(BackendError):
    """An embedder has vectors of pictures only.

    Args:
        what: What it lacks, and who has it.
        other: An embedder that has words.
        flags: Of ``embed``, which say what it embeds; each with a blank before it.
        then: What to do after that.
    """

    def __init__(self, what: str, other: str, flags: str = "", then: str = "then this again") -> None:
        super().__init__(f"{what}. Type: mekiki embed{flags} --embedder {other}, {then}")
        self.what = what
        self.other = other
        self.flags = flags
        self.then = then

    def __reduce__(self) -> tuple[type[NoWordsError], tuple[str, str, str, str]]:
        return type(self), (self.what, self.other, self.flags, self.then)

    def for_kinds(self, kinds: Iterable[str], then: str) -> NoWordsError:
        """Return the same where items of other kinds than those that ``embed`` takes by itself are meant."""
        return type(self)(self.what, self.other, "".join(f" --kind {kind}" for kind in kinds), then)


class MissingExtraError(BackendError):
    """An optional package is not installed.

    Args:
        package: The package that could not be imported.
        extra: The extra of mekiki that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'{package} is not installed. Type: pip install "mekiki[{extra}]"')
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.package, self.extra)


class InterruptedRunError(MekikiError):
    """The user stopped a run; what is finished is kept and the same command goes on."""

    exit_code = 130


def printable(text: str) -> str:
    r"""Return text that does nothing to a terminal: control and invisible characters are spelled out.

    Example:
        >>> printable("a\x1b[31m b")
        'a\\x1b[31m b'
    """
    return "".join(
        one.encode("unicode_escape").decode() if unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp") else one
        for one in text
    )


def shown_path(path: Path | str) -> str:
    r"""Return a path as it can be stored and shown: bytes in it that are no UTF-8 text are spelled out.

    Example:
        >>> shown_path("caf\udce9.jpg")
        'caf\\udce9.jpg'
    """
    return str(path).encode(errors="backslashreplace").decode()


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the valid name that a wrong one was most likely meant to be; None if none is near. Case does not count.

    One of less than half the letters is not near, whatever they are: nobody who writes ``excavator`` means ``cat``.

    Example:
        >>> nearest_name("COCO", ["coco", "csv"])
        'coco'
    """
    folded = {one.casefold(): one for one in known if 2 * len(one) >= len(name)}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=LIKENESS)
    return folded[near[0]] if near else None


def unknown_name(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that does not exist, with the nearest that does.

    Args:
        what: The kind of thing in the singular, such as ``embedder``.
        name: What the user wrote.
        known: All valid names.

    Example:
        >>> print(unknown_name("part", "trian", ["train", "val"]))
        no part is called 'trian'. Did you mean 'train'? Known: train, val.
    """
    names = sorted(known)
    near = nearest_name(name, names)
    guess = f" Did you mean {near!r}?" if near else ""
    written = name if len(name) <= MAX_NAME_SHOWN else f"{name[:MAX_NAME_SHOWN]}…"
    shown = ", ".join(names[:N_NAMES_SHOWN]) or "none"
    more = f" and {len(names) - N_NAMES_SHOWN} more" if len(names) > N_NAMES_SHOWN else ""
    return UsageError(f"no {what} is called {written!r}.{guess} Known: {shown}{more}.")
