"""A workspace of 100,000 pictures: ingest beside the loop that people write, then labels, status, dedupe and split.

Every row is one process of its own, so that its peak memory is its own. The pictures are tiny, so that what is
measured is the work for each file and row and not the decoder. The loop reads a file, hashes it, opens it with Pillow,
loads its pixels and inserts a row, with one commit at the end; it does no perceptual hashes, no thumbnails, no EXIF
times and no resuming. Files were just written, so that they come from memory and not from a disk.

Run: ``python benchmarks/ingest.py [--pictures N]``
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image as PillowImage

N_PICTURES = 100_000
N_FOLDERS = 100
SIDE_PX = 24
CLASSES = ("badger", "deer", "fox", "hare", "monkey", "raccoon dog", "wild boar")
MEKIKI = (sys.executable, "-m", "mekiki.cli.main")
N_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process cost."""

    seconds: float
    peak_mb: float


def make_pictures(folder: Path, n: int) -> Path:
    """Write ``n`` distinct pictures, nine JPEGs to one PNG, and a table with labels and sites; return the table."""
    rng = np.random.default_rng(0)
    table = folder / "labels.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filepath", "label", "site"])
        for number in range(n):
            site = f"site{number % N_FOLDERS:03d}"
            name = f"{site}/IMG_{number:06d}.{'png' if number % 10 == 9 else 'jpg'}"
            path = folder / "pictures" / name
            if number < N_FOLDERS:
                path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_encode(_draw(rng), is_png=path.suffix == ".png"))
            present = [name for name, chance in zip(CLASSES, rng.random(len(CLASSES)), strict=True) if chance < 0.2]
            writer.writerow([f"pictures/{name}", ";".join(present) or "unknown", site])
    return table


def _draw(rng: np.random.Generator) -> Any:
    """Return a picture with structure at two scales, so that two of them are no near-duplicates."""
    coarse = rng.normal(0, 45, (6, 6, 3)).repeat(4, axis=0).repeat(4, axis=1)
    fine = rng.normal(0, 12, (SIDE_PX, SIDE_PX, 3))
    return np.clip(120 + coarse + fine, 0, 255).astype(np.uint8)


def _encode(pixels: Any, *, is_png: bool) -> bytes:
    if not is_png:
        return bytes(simplejpeg.encode_jpeg(pixels, quality=90))
    buffer = BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def plain_loop(folder: Path, database: Path) -> None:
    """Do what a script of twenty lines does: hash, open, insert, one file after the other."""
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE items (sha256 TEXT, path TEXT PRIMARY KEY, width INT, height INT, format TEXT)")
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in (".jpg", ".png"):
            continue
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        with PillowImage.open(BytesIO(content)) as picture:
            picture.load()
            row = (digest, str(path), picture.width, picture.height, picture.format)
        connection.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?)", row)
    connection.commit()


def cost_of(words: tuple[str, ...]) -> Cost:
    """Run a command to its end and return what it cost.

    Raises:
        RuntimeError: If it ends with another exit code than 0.
    """
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}: {said}")
    return Cost(seconds, usage.ru_maxrss / 1024)


def run(n: int = N_PICTURES) -> list[dict[str, str]]:
    """Return one row per command: seconds, items per second, peak memory, and how it compares with the loop."""
    with tempfile.TemporaryDirectory(prefix="mekiki-benchmark-") as made:
        folder = Path(made)
        table = make_pictures(folder, n)
        pictures, workspace = str(folder / "pictures"), ("-w", str(folder / "ws"), "--quiet")
        loop = cost_of((sys.executable, __file__, "--loop", pictures, str(folder / "loop.db")))
        steps = {
            "mekiki ingest PICTURES": ("ingest", pictures),
            "mekiki ingest --labels labels.csv": ("ingest", "--labels", str(table)),
            "both again: nothing is new": ("ingest", pictures, "--labels", str(table)),
            "mekiki dedupe": ("dedupe",),
            "mekiki split": ("split",),
        }
        rows = [_row("a plain loop, one thread", n, loop, loop)]
        for what, (verb, *words) in steps.items():
            rows.append(_row(what, n, cost_of((*MEKIKI, verb, *words, *workspace)), loop))
        asked = median_cost((*MEKIKI, "status", "--json", *workspace))
        rows.append(_row(f"mekiki status --json (median of {N_ROUNDS})", n, asked, loop))
        rows.append(help_row(loop))
    return rows


def median_cost(words: tuple[str, ...]) -> Cost:
    """Run a command several times; return its median time and its largest memory."""
    asked = [cost_of(words) for _ in range(N_ROUNDS)]
    return Cost(statistics.median(one.seconds for one in asked), max(one.peak_mb for one in asked))


def help_row(loop: Cost) -> dict[str, str]:
    """Return the row of ``mekiki --help``, which looks at no picture."""
    row = _row(f"mekiki --help (median of {N_ROUNDS})", 0, median_cost((*MEKIKI, "--help")), loop)
    return {**row, "pictures": "", "pictures a second": "", "times the loop": ""}


def _row(what: str, n: int, cost: Cost, loop: Cost) -> dict[str, str]:
    return {
        "what": what,
        "pictures": f"{n:,}",
        "seconds": f"{cost.seconds:.1f}" if cost.seconds >= 10 else f"{cost.seconds:.2f}",
        "pictures a second": f"{n / cost.seconds:,.0f}",
        "peak memory": f"{cost.peak_mb:.0f} MB",
        "times the loop": f"{cost.seconds / loop.seconds:.2f}",
    }


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pictures", type=int, default=N_PICTURES, metavar="N")
    parser.add_argument("--loop", nargs=2, type=Path, metavar=("FOLDER", "DATABASE"), help=argparse.SUPPRESS)
    values = parser.parse_args()
    if values.loop:
        plain_loop(*values.loop)
        return
    rows = run(values.pictures)
    print("| " + " | ".join(rows[0]) + " |")
    print("|---" + "|---:" * (len(rows[0]) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")


if __name__ == "__main__":
    main()
