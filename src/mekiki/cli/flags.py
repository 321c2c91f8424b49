"""Flags made from settings, so that a setting is declared once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from mekiki.errors import UsageError, nearest_name
from mekiki.settings import Flag, Settings, flags_of, read_pairs

DEFAULT_WORKSPACE = "./workspace"

_SHORT = {"output": ("-o",), "k": ("-k",)}
"""Settings whose flags have a short form too."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises our error, in one line with the nearest valid flag."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` instead of printing the whole usage."""
        raise UsageError(f"{message}. See {self.prog} --help")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the parsed words. Inputs may stand before, between and behind flags.

        Raises:
            UsageError: If a flag is unknown (with the nearest), or a word is left over.
        """
        values, extra = self.parse_known_args(list(words))
        inputs = next((action.dest for action in self._actions if action.nargs == "*"), None)
        if inputs is not None and not any(word.startswith("-") for word in extra):
            setattr(values, inputs, [*getattr(values, inputs), *extra])  # argparse only takes those of one place
        elif extra:
            known = [flag for action in self._actions for flag in action.option_strings]
            word = extra[0].partition("=")[0]
            near = nearest_name(word, known)
            guess = f" Did you mean {near}?" if near else ""
            what = "there is no flag" if word.startswith("-") else "nothing takes the word"
            raise UsageError(f"{what} {word!r}.{guess} See {self.prog} --help")
        return values


def add_common_flags(
    parser: argparse.ArgumentParser, *, has_dry_run: bool = True, has_workspace: bool = True, has_engine: bool = True
) -> None:
    """Add the flags that belong to the command line and not to any stage."""
    common = parser.add_argument_group("common flags")
    if has_workspace:
        common.add_argument(
            "-w",
            "--workspace",
            metavar="FOLDER",
            default=os.environ.get("MEKIKI_WORKSPACE") or DEFAULT_WORKSPACE,
            help="the workspace (default: $MEKIKI_WORKSPACE, else ./workspace)",
        )
    common.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
    common.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    common.add_argument("-v", "--verbose", action="store_true", help="list every failed item")
    if has_engine:
        common.add_argument(
            "--engine",
            metavar="local|ray",
            default="local",
            help="where items are worked on: local, this process; ray, workers of Ray on this machine, or on the "
            "cluster of $RAY_ADDRESS (default: local)",
        )
    if has_dry_run:
        common.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")


def add_setting_flags(parser: argparse.ArgumentParser, settings: type[Settings]) -> None:
    """Add a flag for every setting of a class. Flags that are not given leave no trace in the result."""
    for flag in flags_of(settings):
        if flag.is_positional:
            # A single one, as the MODEL of predict, comes first; it can only be left out if it has a default.
            nargs = "*" if flag.shape == "many" else "?" if flag.default else None
            parser.add_argument(flag.field, nargs=nargs, metavar=flag.field.upper(), help=flag.description)
            continue
        options: dict[str, Any] = {"dest": flag.field, "help": _help_of(flag), "default": argparse.SUPPRESS}
        if flag.shape == "switch":
            parser.add_argument(flag.name, action=argparse.BooleanOptionalAction, **options)
        elif flag.shape == "one":
            parser.add_argument(*_SHORT.get(flag.field, ()), flag.name, metavar=_metavar(flag), **options)
        else:
            parser.add_argument(flag.name, action="append", metavar=_metavar(flag), **options)


def setting_values(values: argparse.Namespace, settings: type[Settings]) -> dict[str, Any]:
    """Return the settings that were given, as text to be checked.

    Raises:
        UsageError: If a ``name=value`` flag has no ``=``.
    """
    given: dict[str, Any] = {}
    for flag in flags_of(settings):
        if not hasattr(values, flag.field):
            continue
        value = getattr(values, flag.field)
        if flag.is_positional and not value:
            continue
        if flag.shape == "pairs":
            value = read_pairs(value, flag.name)
        given[flag.field] = value
    return given


def _metavar(flag: Flag) -> str:
    if flag.choices:
        return "|".join(flag.choices)
    return "NAME=VALUE" if flag.shape == "pairs" else flag.field.split("_")[-1].upper()


def _help_of(flag: Flag) -> str:
    default = f" (default: {flag.default})" if flag.default and flag.shape != "switch" else ""
    if flag.shape == "switch":
        default = " (default: on)" if flag.default == "True" else ""
    many = "; may be repeated" if flag.shape in ("many", "pairs") else ""
    return (flag.description + many + default).replace("%", "%%")
