"""The cache of paid or slow answers: nothing that came is ever lost, or asked for again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any

from mekiki.catalog.answers import AnswerStore
from mekiki.models.annotators import Call, Usage
from mekiki.models.pricing import Budget, Sizes


class Answers:
    """What a stage looks up before it asks, and writes to as answers arrive. Many threads may use it.

    Args:
        store: The table.
        run_id: Whose calls these are; what they cost is counted under it.
        budget: What calls are drawn on.
    """

    def __init__(self, store: AnswerStore, run_id: str, budget: Budget | None = None) -> None:
        self._store = store
        self._run_id = run_id
        self._budget = budget or Budget(None)

    def get(self, key: str) -> list[dict[str, Any]]:
        """Return all answers to a question, the newest first; those that could not be used are among them."""
        return self._store.find(key)

    def put(self, key: str, answer: Mapping[str, Any], usage: Usage = Usage()) -> None:  # noqa: B008 - frozen
        """Keep an answer; it is on the disk when this returns."""
        self._store.write(key, answer, self._usage(usage))

    def begin(self, key: str, worst_usd: float | None, most: Sizes | None = None) -> Call:
        """Enter a call before it is made; see `Ledger.begin`.

        A row is written first, so that a killed program's calls in flight count too, also where no price is known yet.
        """
        self._budget.reserve(worst_usd or 0.0)
        row = self._store.write(key, None, self._usage(Usage(cost_usd=worst_usd), most))
        return _Call(self, key, row, worst_usd or 0.0, most)

    def stop(self) -> None:
        """Wake calls that wait for money."""
        self._budget.close()

    def _usage(self, usage: Usage, most: Sizes | None = None) -> dict[str, Any]:
        limits = {} if most is None else {f"most_{name}": value for name, value in asdict(most).items()}
        told = {name: value for name, value in asdict(usage).items() if value is not None}
        return {"run_id": self._run_id, **limits, **told}


@dataclass(slots=True)
class _Call:
    """One call between its beginning and its end; see `mekiki.models.annotators.Call`."""

    answers: Answers
    key: str
    row: str
    worst_usd: float
    most: Sizes | None
    _cost_usd: float | None = field(default=None, init=False)

    def __enter__(self) -> _Call:
        return self

    def arrived(self, answer: Mapping[str, Any], usage: Usage) -> None:
        self.answers._store.write(self.key, answer, self.answers._usage(usage, self.most), self.row)
        self._cost_usd = usage.cost_usd or 0.0

    def unpaid(self) -> None:
        self.answers._store.remove(self.row)
        self._cost_usd = 0.0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        cost_usd = self.worst_usd if self._cost_usd is None else self._cost_usd
        self.answers._budget.settle(self.worst_usd, cost_usd)
