"""Stage ``report``: one HTML page about a workspace. Reads everything; writes a file and no table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mekiki.catalog.db import Catalog
from mekiki.catalog.items import require_items
from mekiki.catalog.outgoing import Wanted, gather
from mekiki.catalog.results import find_split, hash_rows
from mekiki.catalog.runs import all_failures, list_runs
from mekiki.engine.outputs import check_output
from mekiki.engine.run import Engine, Outcome
from mekiki.records import LABELLED_KINDS, RunSummary
from mekiki.reports.blocks import Fact, Page, Section
from mekiki.reports.gathering import (
    choose_samples,
    count_items,
    count_objects,
    describe_runs,
    find_identical,
    find_near,
    list_versions,
    read_certificates,
    shorten,
    show_nearest,
    without_folders,
)
from mekiki.reports.gathering_rare import rare_sections
from mekiki.reports.model_sections import annotation_sections, model_pages
from mekiki.reports.page import write_page
from mekiki.reports.pictures import Look
from mekiki.reports.sections.certificate import certificate_section
from mekiki.reports.sections.counts import counts_section
from mekiki.reports.sections.duplicates import MAX_GROUPS, duplicates_section
from mekiki.reports.sections.failures import failures_section
from mekiki.reports.sections.runs import runs_section
from mekiki.reports.sections.samples import samples_section
from mekiki.settings import Field, Input, Settings


class ReportSettings(Settings):
    """Write one self-contained HTML page about the workspace; it opens from disk, without a network."""

    title: str = Field("What is in this data set", description="heading of the page")
    output: Path | None = Input(None, description="file to write (default: reports/report.html in the workspace)")
    split: str | None = Field(None, description="whose parts to count (default: the latest split)")
    seed: int = Field(42, ge=0, description="which sample pictures are drawn")
    pictures: Look = Field(
        "shown", description="your pictures in the page: shown, blurred beyond recognition, or none but their names"
    )


def report(catalog: Catalog, settings: ReportSettings, engine: Engine) -> RunSummary:
    """Write the page, unless nothing has changed since the last one."""
    require_items(catalog)
    wanted = settings.output or catalog.workspace / "reports" / "report.html"
    path = check_output(wanted, 'content="mekiki"', "--output report.html")
    split_run_id = find_split(catalog, settings.split)

    def write(_run_id: str) -> Outcome:
        going = gather(catalog, Wanted(LABELLED_KINDS, split_run_id), "report")
        look = settings.pictures
        samples, totals = choose_samples(going, settings.seed, look)
        near, n_inside = find_near(catalog, going, MAX_GROUPS, look)
        certificates = read_certificates(catalog)
        models = model_pages(catalog, going.items, look)
        failures = [*(one for one in all_failures(catalog) if one.stage != "report"), *going.failures.values()]
        sections: list[Section] = [
            counts_section(count_items(catalog, going)),
            samples_section(samples, totals, settings.pictures),
            *rare_sections(catalog, path, look),
            *annotation_sections(catalog),
            duplicates_section([*find_identical(catalog, going, MAX_GROUPS, look), *near], n_inside=n_inside),
            *(certificate_section(without_folders(one), show_nearest(one, look)) for one in certificates.values()),
            *models.sections,
            failures_section([replace(one, path=shorten(Path(one.path))) for one in failures]),
            runs_section(describe_runs(catalog), list_versions(catalog)),
        ]
        facts = (
            *models.facts,
            Fact("pictures", len(going.items), kind="count"),
            *_facts_on_classes(catalog, len(going.classes)),
            Fact("failed", len(failures), kind="count"),
        )
        write_page(Page(settings.title, tuple(sections), facts=facts), path)
        n_items = len(going.items) + len(going.failures)
        return Outcome(n_items, outputs={"report": catalog.relative(path)}, failures=going.failures)

    # Which run of a stage counts follows from their order, and not from when a recipe went through them again.
    ordered = sorted(list_runs(catalog), key=lambda run: (run.stage, run.finished_at or ""))
    runs = ((run.run_id, run.status) for run in ordered if run.stage != "report")
    failures = ((one.stage, one.path, one.reason) for one in all_failures(catalog) if one.stage != "report")
    reads = {"runs": hash_rows(runs), "failures": hash_rows(failures), "split": split_run_id or "", "path": str(path)}
    return engine.once(catalog, "report", settings, reads, write)


def _facts_on_classes(catalog: Catalog, n_classes: int) -> list[Fact]:
    """Return how many classes there are; where nothing is labelled, how many objects were found, and of how many."""
    found = {} if n_classes else count_objects(catalog)
    if not found:
        return [Fact("classes", n_classes, kind="count")]
    return [Fact("objects", sum(found.values()), kind="count"), Fact("classes of objects", len(found), kind="count")]
