"""Run all benchmarks one after the other, and put their tables into docs/benchmarks.md.

Each runs in a process of its own, so that none inherits another's memory. With ``--write``, what a benchmark prints
replaces what stands between its two marker comments in the page.

Run: ``python -m benchmarks [NAME ...] [--write]``, or ``make bench``
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
NAMES = (
    "decode",
    "frames",
    "ingest",
    "dedupe",
    "embedding",
    "search",
    "split",
    "predict",
    "detection",
    "rarity",
    "rare_demo",
    "rare_truth",
)
"""In the order of the page; one that has no file yet is passed over."""


def machine() -> str:
    """Return one line about the machine: cores and memory, no names."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    python = ".".join(platform.python_version_tuple()[:2])
    return (
        f"{os.cpu_count()} CPU cores, {memory_gb:.0f} GB of memory, {platform.system()}, Python {python}, no GPU used."
    )


def run_benchmark(name: str) -> str:
    """Run one benchmark and return what it prints."""
    done = subprocess.run([sys.executable, str(HERE / f"{name}.py")], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def put_between_markers(page: str, name: str, text: str) -> str:
    r"""Return the page with the text between the two comments of that name.

    Raises:
        SystemExit: If the page lacks them.

    Example:
        >>> put_between_markers("a <!-- begin x -->old<!-- end x --> b", "x", "new")
        'a <!-- begin x -->\nnew\n<!-- end x --> b'
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise SystemExit(f"{PAGE} needs the two comments {begin} and {end}, once each")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _found: f"{begin}\n{text}\n{end}", page)


def main() -> None:
    """Run the benchmarks that were named, or all of them."""
    known = [name for name in NAMES if (HERE / f"{name}.py").exists()]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(known)}; all by default")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    values = parser.parse_args()
    names = [name.replace("-", "_") for name in values.names]
    if unknown := set(names) - set(known):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    for name in names or known:
        print(f"## {name}\n", flush=True)
        text = run_benchmark(name)
        print(f"{text}\n", flush=True)
        if values.write:
            page = put_between_markers(PAGE.read_text(encoding="utf-8"), name, text)
            PAGE.write_text(put_between_markers(page, "machine", machine()), encoding="utf-8")


if __name__ == "__main__":
    main()
