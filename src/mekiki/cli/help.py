"""The literal text of ``mekiki --help``; it loads nothing, and a test keeps it equal to what exists."""

from __future__ import annotations

VERBS: dict[str, str] = {
    "ingest": "add photos and videos, and what files say of them",
    "frames": "take pictures out of videos",
    "detect": "find objects in pictures, and make an item of each",
    "embed": "compute one vector per picture, which serves all that follows",
    "search": "find what is nearest to words, a picture or an item",
    "dedupe": "find near-duplicates",
    "annotate": "label pictures: by a vision-language model, a file or a person",
    "split": "deal out items to parts that share nothing, with a certificate",
    "train": "train a multi-label classifier",
    "predict": "score pictures with a model",
    "ensemble": "join models into one",
    "tune": "find the thresholds at which a model decides",
    "evaluate": "measure models, with intervals",
    "mine": "rank what is there by how rare it is, and choose the rarest",
    "map": "lay out vectors in a plane, as a picture and a page",
    "caption": "put what is rare into words",
    "export": "write a format that other tools read",
    "report": "write one HTML page about what is there",
}
"""The stages, in the order in which they are usually run."""

COMMANDS: dict[str, str] = {
    "run": "run a recipe: a YAML list of steps",
    "demo": "make a small world of photos and clips, and run a recipe on it",
    "status": "count what is in a workspace",
    "list": "list recipes, formats, stages, annotators, detectors, scorers ... (all: mekiki list)",
    "doctor": "say what is installed and what is missing",
    "forget": "delete a run, or an item with all that was made from it",
}

USAGE = "usage: mekiki VERB [INPUTS] [-w WORKSPACE] [--flags]"

EXIT_CODES = (
    "exit codes: 0 done; 1 bug; 2 wrong usage; 3 done, but some items failed; 4 data refused or a gate failed;\n"
    "            5 a package, a model or a server is missing; 130 interrupted, the same command goes on"
)


def help_text() -> str:
    """Return what ``mekiki --help`` prints."""
    lines = [USAGE, "", "From a pile of photos and videos to data you can trust.", "", "verbs:"]
    lines += [f"  {name:<8} {line}" for name, line in VERBS.items()]
    lines += ["", "commands:"]
    lines += [f"  {name:<8} {line}" for name, line in COMMANDS.items()]
    lines += ["", "The flags of each: mekiki VERB --help. Version: mekiki --version.", EXIT_CODES]
    return "\n".join(lines)
