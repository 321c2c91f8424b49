"""One invocation of asking a model about pictures: within its budget, with its totals, or only as an estimate."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from mekiki.catalog.annotating import count_labels, count_left_out, count_rows
from mekiki.catalog.answers import AnswerStore, Spent, iter_answers, spent_by
from mekiki.catalog.db import Catalog
from mekiki.catalog.runs import done_among
from mekiki.engine.answers import Answers
from mekiki.engine.asking import Asking, AskWork
from mekiki.engine.run import Engine, Selection, run_folder, write_text
from mekiki.models.pricing import Budget, CostCapReachedError, no_price
from mekiki.models.prompts import UnreadableAnswerError
from mekiki.models.vlm_openai import VlmAnnotator, VlmAsker
from mekiki.records import Item, RunSummary
from mekiki.settings import PerItemSettings, fingerprint

MAX_NAMES_SHOWN = 5
STAGE = "annotate"


@dataclass(frozen=True, slots=True)
class AskOptions:
    """What decides how an invocation goes, and no answer.

    Attributes:
        concurrency: Calls in flight at once.
        max_cost_usd: Of all invocations of the run together; None for no limit.
    """

    concurrency: int
    max_cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Errand:
    """Who is asked, in whose name, and what becomes of the answers.

    Attributes:
        stage: Whose run it is.
        asker: Who is asked.
        make_work: Makes what asks and writes the answers down.
        reads: What else answers depend on, by name.
    """

    stage: str
    asker: VlmAsker[Any]
    make_work: Callable[[Answers], Asking[Any]]
    reads: Mapping[str, str] = field(default_factory=dict)

    def run_id(self, settings: PerItemSettings) -> str:
        """Return the id of its run."""
        return fingerprint(self.stage, settings, self.asker.identity(), self.reads)


@dataclass(frozen=True, slots=True)
class _Listed:
    """Some items, as the engine wants them."""

    items: Sequence[Item]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)


def ask_about(
    catalog: Catalog,
    settings: PerItemSettings,
    annotator: VlmAnnotator,
    items: Selection[Item],
    engine: Engine,
    options: AskOptions,
) -> RunSummary:
    """Ask an annotator about every picture that this run has no answer for yet; see `run_errand`."""

    def make_work(answers: Answers) -> AskWork:
        return AskWork(annotator, answers, options.concurrency, settings.workers)

    summary, n_cached = run_errand(
        catalog, settings, Errand(STAGE, annotator, make_work), items, engine, options.max_cost_usd
    )
    _add_totals(catalog, annotator, summary, n_cached)
    if not len(items):
        summary.notes.append(
            "there are no pictures of that kind in the workspace; mekiki frames takes them out of videos"
        )
    return summary


def run_errand(
    catalog: Catalog,
    settings: PerItemSettings,
    errand: Errand,
    items: Selection[Item],
    engine: Engine,
    max_cost_usd: float | None,
) -> tuple[RunSummary, int]:
    """Ask about every picture that a run has no answer for yet; also return how many needed no call.

    At the cost cap nothing more is asked, all that came is written, and the summary has a ``refusal``.

    Raises:
        BackendError: If the server cannot be reached, or refuses the key; what came before is kept.
        DataError: If more than ``settings.max_failed_share`` of the pictures fail.
        InterruptedRunError: If the user stopped it.
    """
    stage, asker, run_id = errand.stage, errand.asker, errand.run_id(settings)
    started = time.monotonic()
    with catalog.writing(stage):
        store = AnswerStore(catalog, stage)
        n_done, n_rows = _n_done(catalog, run_id, items), count_rows(catalog, run_id)
        try:
            budget = Budget(max_cost_usd, _cost_usd(asker, spent_by(catalog, run_id)) or 0.0)
            work = errand.make_work(Answers(store, run_id, budget))
            try:
                summary = engine.map(catalog, stage, settings, work, items, reads=errand.reads)
            except CostCapReachedError as reached:
                known = _answered(catalog, run_id, work, items)
                rest = settings.model_copy(update={"limit": None})
                summary = engine.map(catalog, stage, rest, work, _Listed(known), reads=errand.reads)
                summary.n_skipped, summary.n_written = n_done, summary.n_selected - n_done - summary.n_failed
                summary.n_rows, summary.seconds = count_rows(catalog, run_id) - n_rows, time.monotonic() - started
                n_left = len(items) - len(known)
                summary.extra["n_left"] = n_left
                summary.extra["refusal"] = (
                    f"{reached}: {n_left} pictures are left. All answers are kept; the same command with a higher "
                    "--max-cost goes on"
                )
        finally:
            store.close()
            asker.close()
    return summary, len(work.cached)


def estimate_calls(
    catalog: Catalog,
    settings: PerItemSettings,
    asker: VlmAsker[Any],
    items: Selection[Item],
    stage: str = STAGE,
    reads: Mapping[str, str] | None = None,
) -> RunSummary:
    """Return how many calls are left to make and about what they cost; nothing is sent, read or written."""
    run_id = fingerprint(stage, settings, asker.identity(), reads or {})
    summary = RunSummary(stage, run_id)
    n_todo, n_calls, input_tokens, output_tokens, worst_usd = 0, 0, 0.0, 0.0, 0.0
    done = done_among(catalog, run_id, [item.item_id for item in items])
    todo = list(islice((item for item in items if item.item_id not in done), settings.limit))
    answered = _answered_keys(catalog, asker, {asker.key(item.item_id): item.item_id for item in todo})
    for item in todo:
        n_todo += 1
        if asker.key(item.item_id) in answered:
            continue
        width_px, height_px = asker.shown_size(item.width_px, item.height_px)
        sizes = asker.expected(item.item_id, width_px, height_px)
        n_calls += 1
        input_tokens += sizes.input_tokens
        output_tokens += sizes.output_tokens
        worst_usd += asker.worst_usd(item.item_id, width_px, height_px) or 0.0
    summary.n_selected = summary.n_skipped = len(done)
    price = asker.price
    cost_usd = None if price is None else round(price.cost(input_tokens, output_tokens), 4)
    summary.extra = {
        "dry_run": True,
        "n_todo": n_todo,
        "n_calls": n_calls,
        "estimate": {
            "input_tokens": round(input_tokens),
            "output_tokens": round(output_tokens),
            "cost_usd": cost_usd,
            "at_most_usd": None if price is None else round(worst_usd, 4),
        },
    }
    tokens = f"about {input_tokens:,.0f} tokens in and {output_tokens:,.0f} out"
    money = (
        no_price(asker.name) if cost_usd is None else f"about ${cost_usd:.2f}, at most ${worst_usd:.2f} without retries"
    )
    summary.notes += [
        f"would make {n_calls} calls; {n_todo - n_calls} of {n_todo} pictures have an answer already",
        f"{tokens}; {money}",
    ]
    return summary


def _n_done(catalog: Catalog, run_id: str, items: Selection[Item]) -> int:
    return len(done_among(catalog, run_id, [item.item_id for item in items]))


def _cost_usd(asker: VlmAsker[Any], spent: Spent) -> float | None:
    """Return what a run has cost at the price of today, and at most where nobody knows; None without a price."""
    if asker.price is None:
        return None
    side_px = asker.long_side_px
    unsized_usd = spent.n_unsized * (asker.worst_usd("", side_px, side_px) or 0.0)
    return round(asker.price.cost(spent.charged_in, spent.charged_out) + unsized_usd, 9)


def _answered_keys(catalog: Catalog, asker: VlmAsker[Any], wanted: Mapping[str, str]) -> set[str]:
    """Return which questions have an answer that can be read.

    Args:
        catalog: Where from.
        asker: Who reads them.
        wanted: Key to item.
    """
    found: set[str] = set()
    for key, stored in iter_answers(catalog):
        if key not in wanted:
            continue
        try:
            asker.read(wanted[key], stored)
        except UnreadableAnswerError:
            continue
        found.add(key)
    return found


def _answered(catalog: Catalog, run_id: str, work: Asking[Any], items: Selection[Item]) -> list[Item]:
    """Return the pictures that are done, that have an answer, or that failed in this invocation."""
    done = done_among(catalog, run_id, [item.item_id for item in items])
    return [item for item in items if item.item_id in done or item.item_id in work.failed or work.has_answer(item)]


def spending(catalog: Catalog, asker: VlmAsker[Any], run_id: str, n_described: int) -> dict[str, Any]:
    """Return what a run's calls have come to, as summaries have it.

    Args:
        catalog: Where from.
        asker: Who was asked.
        run_id: The run.
        n_described: Pictures that it has an answer about.
    """
    spent = spent_by(catalog, run_id)
    return {
        "n_calls": spent.n_calls,
        "n_lost_calls": spent.n_lost,
        "n_from_earlier_runs": max(0, n_described - spent.n_keys),
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "cost_usd": _cost_usd(asker, spent),
    }


def spending_line(spent: Mapping[str, Any], n_from_cache: int) -> str:
    """Return `spending` as a user reads it."""
    money = "price unknown" if spent["cost_usd"] is None else f"${spent['cost_usd']:.4f}"
    return (
        f"{spent['n_calls']} calls so far, {spent['input_tokens']:,} tokens in and {spent['output_tokens']:,} out, "
        f"{money}; {n_from_cache} pictures needed no call this time"
    )


def _add_totals(catalog: Catalog, annotator: VlmAnnotator, summary: RunSummary, n_from_cache: int) -> None:
    """Put what the run has come to into its summary, and into ``annotation.json`` beside its results."""
    labelled = count_labels(catalog, summary.run_id)
    left_out = count_left_out(catalog, summary.run_id, "labels_left_out")
    spent = spending(catalog, annotator, summary.run_id, labelled["n_pictures"])
    totals: dict[str, Any] = {
        "annotator": annotator.name,
        "host": annotator.host,
        **labelled,
        "labels_left_out": left_out,
        **spent,
    }
    text = json.dumps(totals, ensure_ascii=False, indent=2)
    path = write_text(run_folder(catalog, summary.run_id) / "annotation.json", text)
    summary.outputs["annotation"] = catalog.relative(path)
    summary.extra |= {"annotation": totals, "n_from_cache": n_from_cache}
    summary.notes.append(spending_line(spent, n_from_cache))
    if left_out:
        shown = ", ".join(f"{name} ({n})" for name, n in list(left_out.items())[:MAX_NAMES_SHOWN])
        summary.notes.append(f"names of no class, left out of answers that named others: {shown}")
