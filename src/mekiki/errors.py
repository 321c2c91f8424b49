"""The error tree: every error that mekiki raises on purpose, with its exit code.

A message is one line: what is wrong, with the value; what would be right; what to type next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


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


class InterruptedRunError(MekikiError):
    """The user stopped a run; what is finished is kept and the same command goes on."""

    exit_code = 130


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
    near = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"no {what} is called {name!r}.{guess} Known: {', '.join(names) or 'none'}.")
