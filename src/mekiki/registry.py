"""Names to classes and packages, loaded only when used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from mekiki.errors import MissingExtraError, unknown_name

T = TypeVar("T")


def import_extra(module: str, extra: str, package: str = "") -> Any:
    """Return a module of a package that one of mekiki's extras brings.

    Args:
        module: Its name, with dots.
        extra: Of mekiki.
        package: As it is installed, where that is called something else.

    Raises:
        MissingExtraError: If it, or what it is built on, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(package or module, extra) from error


class Registry(Generic[T]):
    """A table of names that can be read, searched with grep, and listed without importing what it names.

    Args:
        what: The kind of thing, in the singular; used in messages.
        table: Name to ``"module:attribute"``.
        group: Entry-point group through which other packages add names; ours win over theirs.
    """

    def __init__(self, what: str, table: Mapping[str, str], group: str | None = None) -> None:
        self.what = what
        self._table = dict(table)
        self._group = group

    def _targets(self) -> dict[str, str]:
        if self._group is None:
            return self._table
        return {point.name: point.value for point in entry_points(group=self._group)} | self._table

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._targets())

    def check(self, name: str) -> str:
        """Return ``name`` as it is, without importing what it stands for.

        Raises:
            UsageError: If there is no such name; the message has the nearest.
        """
        base, targets = name.partition(":")[0], self._targets()
        if base not in targets:
            raise unknown_name(self.what, base, targets)
        return name

    def load(self, name: str) -> type[T]:
        """Import and return what ``name`` (or ``name:variant``) stands for.

        Raises:
            UsageError: If there is no such name; the message has the nearest.
        """
        base = self.check(name).partition(":")[0]
        module_name, _, attribute = self._targets()[base].partition(":")
        return cast(type[T], getattr(import_module(module_name), attribute))

    def create(self, name: str, **options: Any) -> T:
        """Return a new instance; ``name:variant`` passes ``variant`` as the first argument."""
        variant = name.partition(":")[2]
        made: Callable[..., T] = self.load(name)
        return made(variant, **options) if variant else made(**options)
