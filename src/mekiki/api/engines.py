"""Where work runs, by name."""

from __future__ import annotations

from mekiki.engine.run import Progress
from mekiki.engine.shared import SharedEngine
from mekiki.registry import Registry

ENGINES: Registry[SharedEngine] = Registry(
    "engine",
    {
        "local": "mekiki.engine.local:LocalEngine",
        "ray": "mekiki.engine.ray:RayEngine",
    },
)


def open_engine(name: str, progress: Progress | None = None, *, dry_run: bool = False) -> SharedEngine:
    """Return an engine, to be closed after its last stage; it starts nothing before there is something to do.

    Args:
        name: ``local`` is this process; ``ray`` is this machine, or the cluster of ``RAY_ADDRESS``.
        progress: Where to say how far it is.
        dry_run: Only count what would be done.

    Raises:
        UsageError: If there is no such engine, with the nearest.
    """
    return ENGINES.load(name)(progress, dry_run=dry_run)
