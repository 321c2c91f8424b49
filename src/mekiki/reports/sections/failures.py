"""What could not be worked on, by reason, with every file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from mekiki.records import Failure
from mekiki.reports.blocks import Block, Column, Details, Paragraph, Section, Table, Verdict
from mekiki.reports.values import format_count, format_counted

MAX_PATHS = 5000


def failures_section(failures: Iterable[Failure], max_paths: int = MAX_PATHS) -> Section:
    """Return the section ``failures``: a table of reasons, the most frequent first, and under each its files, folded.

    Args:
        failures: Rows of the table ``failures``, in any order.
        max_paths: Files listed per reason; how many more there are is said.
    """
    paths: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for failure in failures:
        paths[failure.stage, failure.reason].append(failure.path)
    if not paths:
        return Section("failures", "Failures", (Verdict("ok", "Every file could be worked on."),))
    reasons = sorted(paths.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    summary = Table(
        (Column("reason"), Column("stage"), Column("files", "count")),
        tuple((reason, stage or None, len(found)) for (stage, reason), found in reasons),
        "Why files failed",
    )
    blocks: list[Block] = [summary]
    blocks += [_files(reason, sorted(found), max_paths) for (_, reason), found in reasons]
    n_files = sum(len(found) for found in paths.values())
    lead = (
        f"Left out: {format_counted(n_files, 'file')}. The rest of the work is complete, and the same command tries "
        "them again each time it runs."
    )
    return Section("failures", "Failures", tuple(blocks), lead)


def _files(reason: str, paths: list[str], max_paths: int) -> Details:
    table = Table((Column("file", "code"),), tuple((path,) for path in paths[:max_paths]), n_open=max_paths)
    blocks: list[Block] = [table]
    if len(paths) > max_paths:
        blocks.append(Paragraph(f"{format_count(len(paths) - max_paths)} more are not listed.", is_muted=True))
    return Details(f"{reason} ({format_count(len(paths))})", tuple(blocks))
