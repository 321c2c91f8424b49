"""The Ray engine: workers on this machine or a cluster load and compute, this process writes the catalog."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mekiki.catalog.db import Catalog
from mekiki.engine.batches import Crew
from mekiki.engine.local import LocalCrew
from mekiki.engine.ray_crew import RayCrew
from mekiki.engine.ray_session import RaySession
from mekiki.engine.reading import WaitingWork
from mekiki.engine.run import ItemT, Progress, Selection, Work
from mekiki.engine.shared import SharedEngine
from mekiki.records import RunSummary
from mekiki.settings import PerItemSettings


class RayEngine(SharedEngine):
    """Runs work on Ray, which is started when there is something to do and ended by `close`, or with this process.

    `once` computes in this process, and so does work that waits for a server, as paid answers do: their answers are
    kept where they arrive.

    Args:
        progress: Where to say how far it is.
        dry_run: Only count what would be done.
        n_workers: Workers; None for one per processor, or one per GPU for work on GPUs.
        address: Of a cluster; None for ``RAY_ADDRESS``, and where that is not set, for this machine.
    """

    def __init__(
        self,
        progress: Progress | None = None,
        *,
        dry_run: bool = False,
        n_workers: int | None = None,
        address: str | None = None,
    ) -> None:
        super().__init__(progress, dry_run=dry_run)
        self._n_workers = n_workers
        self._session = RaySession(address, n_workers)

    def close(self) -> None:
        """End Ray, if this engine started it. It can be used again."""
        self._session.close()

    def crew(self, settings: PerItemSettings, work: Work[ItemT]) -> Crew[ItemT]:
        """Return workers on Ray, or this process for work that waits for a server."""
        if isinstance(work, WaitingWork):
            return LocalCrew(settings, work)
        return RayCrew(self._session, settings, work, self.progress, self._n_workers)

    def map(
        self,
        catalog: Catalog,
        stage: str,
        settings: PerItemSettings,
        work: Work[ItemT],
        items: Selection[ItemT],
        *,
        reads: Mapping[str, str] | None = None,
        redo: Callable[[ItemT], bool] | None = None,
    ) -> RunSummary:
        """See `mekiki.engine.run.Engine.map`."""
        summary = super().map(catalog, stage, settings, work, items, reads=reads, redo=redo)
        if isinstance(work, WaitingWork):
            summary.notes.append(f"{stage} waits for a server and computes nothing: it ran in this process, not on Ray")
        return summary
