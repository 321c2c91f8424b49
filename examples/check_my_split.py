"""Certify a split that stands in a CSV: does anything in ``test`` also stand, somehow, in ``train``?

Usage: python examples/check_my_split.py FOLDER [NAME]

FOLDER holds the pictures and NAME (split.csv), a table with the columns filepath and part. The pixels are read, so that
copies, re-encodings, other sizes and mirror images are found. Exits with 1 if something leaks.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mekiki


def main(folder: Path, name: str) -> int:
    """Print the certificate in short; return 1 if the split leaks."""
    checked = mekiki.run_stage("split", folder, {"check": folder / name})
    certificate = checked.extra["certificate"]
    for part, sizes in certificate["parts"].items():
        print(f"{part}: {sizes['items']} files in {sizes['atoms']} atoms")
    for kind, one in certificate["overlaps"].items():
        print(f"{kind}: {one['overlap']} groups in more than one part{'' if one['enforced'] else ' (not enforced)'}")
    for sentence in certificate["leaks"]:
        print(sentence)
    for failure in checked.failures:
        print(f"not checked: {failure.path}: {failure.reason}")
    return 0 if certificate["is_leak_free"] else 1


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "split.csv"))
