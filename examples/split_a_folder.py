"""Split a folder of photos and clips into parts that share nothing, and write a report and a CSV.

Usage: python examples/split_a_folder.py FOLDER [WORKSPACE]

If the folder has a ``labels.csv`` (filepath,labels), every class is in every part.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mekiki
from mekiki import ExportSettings, FramesSettings, IngestSettings, SplitSettings


def main(folder: Path, workspace: Path) -> int:
    """Run the whole job and return the exit code."""
    labels = (folder / "labels.csv",) if (folder / "labels.csv").is_file() else ()
    ingested = mekiki.ingest(workspace, IngestSettings(paths=(str(folder),), labels=labels))
    for failure in ingested.failures:
        print(f"cannot be read: {failure.path}: {failure.reason}")
    mekiki.frames(workspace, FramesSettings(sampling="fps", fps=1.0))
    found = mekiki.dedupe(workspace)
    print(f"{found.n_selected} pictures, {found.extra['n_in_groups']} of them near-duplicates")
    try:
        split = mekiki.split(workspace, SplitSettings(shares={"train": 0.7, "test": 0.3}, seed=42))
    except mekiki.DataError as error:  # too few independent pictures, for example: the message says what to do
        print(error)
        return error.exit_code
    certificate = split.extra["certificate"]
    print(", ".join(f"{part}: {n} pictures" for part, n in split.extra["parts"].items()))
    print(f"leak-free: {certificate['is_leak_free']}, in {certificate['n_atoms']} atoms")
    exported = mekiki.export(workspace, ExportSettings(format="csv"))
    reported = mekiki.report(workspace)
    print(workspace / exported.outputs["labels.csv"])
    print(workspace / reported.outputs["report"])
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) == 3 else "workspace")))
