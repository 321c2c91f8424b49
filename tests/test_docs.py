"""The pages are true: commands and flags exist, Python runs, links resolve, tables and lists are complete."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.api.recipes import RecipeOptions, parse_change, plan_recipe, read_recipe, shipped_recipes
from mekiki.api.verbs import STAGES, settings_class
from mekiki.cli.flags import Parser, add_common_flags, add_setting_flags, setting_values
from mekiki.cli.help import COMMANDS, VERBS
from mekiki.cli.main import INTERRUPTED, main
from mekiki.dataset.certificate import Certificate
from mekiki.dataset.formats.registry import READERS, WRITERS
from mekiki.errors import MekikiError
from mekiki.records import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from mekiki.settings import parse_settings
from videos import RECIPES, make_video
from workspaces import scene, write_photo, write_text

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
GUIDES = [ROOT / "docs" / f"{name}.md" for name in shipped_recipes()]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(?:#([^)\s]*))?\)")

FOREIGN_FLAGS = {"--upgrade", "--mmproj"}
"""Of pip and of llama.cpp's server."""

SEED_1_FLAGS = {
    *("--input-dir", "--image-dir", "--video-list-file", "--image-list-file", "--max-videos", "--max-images"),
    *("--sample-every-n-frames", "--max-frames-per-video", "--jpeg-quality", "--skip-existing"),
    *("--output-root", "--metadata-csv", "--image-max-side", "--retry-count", "--api-sleep-sec"),
    *("--continue-on-api-error", "--image-csv", "--video-csv", "--output-dir", "--val-ratio", "--test-ratio"),
    *("--train-csv", "--val-csv", "--test-csv", "--model-out", "--metrics-out", "--history-out", "--img-size"),
    *("--num-workers", "--max-test", "--model-path", "--input-path", "--output-csv", "--thresholds-json"),
    "--metrics-json",
}
"""Of the scripts that the wildlife guide compares ours with."""

SEED_5_FLAGS = {
    *("--input-dir", "--output-dir", "--projection-path", "--num-layers", "--learning-rate", "--use-class-weight"),
    *("--tune", "--max-trials", "--val-ratio", "--model-save-path", "--log-dir", "--results-dir", "--model-path"),
    *("--embedding", "--embedding-dir", "--image", "--image-dir", "--logdir"),
}
"""Of the scripts that the safety guide compares ours with, and of TensorBoard."""

SEED_2_FLAGS = {"--minimal-io"}
SEED_FLAGS = {
    "wildlife.md": SEED_1_FLAGS,
    "frames-quality.md": SEED_1_FLAGS,
    "safety.md": SEED_5_FLAGS,
    "rare-objects.md": {flag.replace("_", "-") for flag in SEED_2_FLAGS} | SEED_2_FLAGS,
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(params=PAGES, ids=name_of)
def page(request: pytest.FixtureRequest) -> Path:
    return request.param


def blocks(path: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(path.read_text(encoding="utf-8")) if kind == language]


def shell_commands(path: Path) -> list[str]:
    """Return the commands in a page's bash blocks, without comments."""
    lines = "\n".join(blocks(path, "bash")).replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := re.sub(r"(^|\s)#.*", "", line).strip())]


def inline_commands(path: Path) -> list[str]:
    """Return what stands in backticks in the text and begins with ``mekiki`` or ``make`` and another word."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]
    return [span for span in spans if re.match(r"(mekiki|make) [a-zA-Z-]", span)]


@cache
def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def flags_of_command(command: str) -> frozenset[str]:
    """Return the flags that the help of a verb or command names."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([command, "--help"])
    return frozenset(FLAG.findall(out.getvalue()))


def check_command(command: str) -> None:
    """Refuse a command line that mekiki or make would refuse before looking at files."""
    program, word, *rest = shlex.split(command)
    if program == "make":
        assert word in make_targets(), f"make has no target {word!r}"
        return
    if word in VERBS:
        settings = settings_class(word)
        parser = Parser(f"mekiki {word}", "")
        add_setting_flags(parser, settings)
        add_common_flags(parser)
        parse_settings(settings, setting_values(parser.parse(rest), settings), word)
        return
    assert word in COMMANDS, f"mekiki has no verb {word!r}"
    check_flags(word, rest)
    if word == "run" and rest[0] in shipped_recipes():
        parser = argparse.ArgumentParser(exit_on_error=False)
        for flag in ("--set", "--skip", "--from", "-w"):
            parser.add_argument(flag, action="append", default=[])
        parser.add_argument("--allow-code", action="store_true")
        given, paths = parser.parse_known_args(rest[1:])
        changes = dict(parse_change(change) for change in given.set)
        start = next(iter(vars(given)["from"]), None)
        plan_recipe(read_recipe(rest[0]), RecipeOptions(paths, changes, given.skip, start, given.allow_code))


def check_flags(command: str, words: list[str]) -> None:
    unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - flags_of_command(command)
    assert not unknown, f"mekiki {command} has no flags {sorted(unknown)}"


def section(text: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"there is no heading {heading!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def slug(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


# Commands and flags


def test_the_readme_begins_with_the_two_commands() -> None:
    assert shell_commands(ROOT / "README.md")[:2] == ["make demo", "make test"]


def test_commands_in_blocks_would_be_taken(page: Path) -> None:
    for command in shell_commands(page):
        if command.startswith(("mekiki ", "make ")):
            check_command(command)


def test_commands_in_the_text_exist(page: Path) -> None:
    for command in inline_commands(page):
        program, word, *rest = command.split()
        if program == "make":
            assert word in make_targets(), f"make has no target {word!r}"
        elif word in ("VERB", "NAME", "--help", "--version"):
            continue
        else:
            assert word in {*VERBS, *COMMANDS}, f"mekiki has no verb {word!r}"
            check_flags(word, rest)


def test_every_flag_that_a_page_names_exists(page: Path) -> None:
    known = {flag for command in (*VERBS, *COMMANDS) for flag in flags_of_command(command)}
    known |= {"--help", "--version", *FOREIGN_FLAGS, *SEED_FLAGS.get(page.name, ())}
    text = FENCE.sub("", page.read_text(encoding="utf-8"))

    assert not set(FLAG.findall(text)) - known


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_a_guide_and_its_translation_have_the_same_commands(guide: Path) -> None:
    translation = guide.parent / "ja" / guide.name

    assert shell_commands(translation) == shell_commands(guide)
    assert len(FENCE.findall(translation.read_text(encoding="utf-8"))) == len(FENCE.findall(guide.read_text()))


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_a_guide_and_its_translation_show_the_same_messages(guide: Path) -> None:
    shown = messages(guide)

    assert shown
    assert set(shown) == set(messages(guide.parent / "ja" / guide.name))


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_the_messages_in_a_guide_are_those_of_the_program(guide: Path) -> None:
    """Some stretch of each message, without numbers and names, stands in the source."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    source = re.sub(r"\"\s*\n\s*f?\"", "", source)  # strings that go on in the next line
    for message in messages(guide):
        pieces = [piece for piece in re.split(r"…|\d+|'[^']*'|labels\.csv", message) if len(piece) >= 8]
        windows = [piece[i : i + 16] for piece in pieces for i in range(max(1, len(piece) - 15))]
        assert any(window in source for window in windows), f"the program has no message {message!r}"


def messages(guide: Path) -> list[str]:
    """Return the messages in the table of problems, in the first column."""
    rows = re.findall(r"^\| (.*?) \| .* \|$", re.split(r"^## ", guide.read_text(), flags=re.MULTILINE)[-1], re.M)
    return [span for row in rows for span in re.findall(r"`([^`]+)`", row)]


# Python


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the pages' Python works on, in the current folder."""
    folder = tmp_path / "photos"
    for number in range(24):
        write_photo(folder / f"IMG_{number:04d}.jpg", number)
    mirrored = np.ascontiguousarray(scene(3)[:, ::-1])
    PillowImage.fromarray(mirrored).save(folder / "IMG_0024.jpg", quality=70)
    make_video(folder / "clip.mp4", RECIPES["h264-mp4"])
    rows = [f"IMG_{n:04d}.jpg,{'fox' if n % 2 else 'hare'},{'train' if n < 16 else 'test'}" for n in range(24)]
    write_text(folder / "labels.csv", "\n".join(["filepath,label,part", *rows, ""]))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "docs/python.md"], ids=name_of)
def test_the_python_of_a_page_runs(path: Path, photos: Path) -> None:
    names: dict[str, Any] = {}
    for number, code in enumerate(blocks(path, "python"), start=1):
        exec(compile(code, f"{path.name}, block {number}", "exec"), names)  # noqa: S102 - our own pages

    assert names


# What must be complete


def test_every_stage_has_a_section_and_its_settings_are_shown() -> None:
    about_json, about_python = ((ROOT / "docs" / name).read_text() for name in ("json.md", "python.md"))

    for stage in STAGES.names():
        assert section(about_json, f"### {stage}")
        assert settings_class(stage).__name__ in about_python


def test_every_command_has_a_section() -> None:
    text = (ROOT / "docs/json.md").read_text()

    for command in COMMANDS:
        assert section(text, f"## {command}")


def test_every_key_that_is_printed_is_explained(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs/json.md").read_text()
    common = section(text, "## Every stage")
    about_certificates = section((ROOT / "docs/splits.md").read_text(), "## The certificate")

    write_text(photos / "rare.txt", "IMG_0003.jpg\nIMG_0007.jpg\n")
    for words in [*([stage, *words] for stage in VERBS for words in STAGE_WORDS.get(stage, [[]])), *OF_WHAT_IS_RARE]:
        assert main([*words, "-w", "ws", "--json", "--quiet"]) == (4 if "--gate" in words else 0)
        printed = json.loads(capsys.readouterr().out)
        for key in printed:
            assert f"`{key}`" in section(text, f"### {words[0]}") + common, f"{words[0]} prints {key}"
        if "certificate" in printed:
            for key in fixed_keys(printed["certificate"]):
                assert f"`{key}`" in about_certificates, f"the certificate has {key}"
    for command in ("status", "list", "doctor"):
        assert main([command, "--json", *(["-w", "ws"] if command == "status" else [])]) == 0
        for key in json.loads(capsys.readouterr().out):
            assert f"`{key}`" in section(text, f"## {command}"), f"{command} prints {key}"


TRAIN = ["--arch", "small-cnn", "--no-pretrained", "--image-size", "32", "--epochs", "1"]

STAGE_WORDS = {
    "ingest": [["photos", "--labels", "photos/labels.csv"]],
    "annotate": [["--annotator", "human:ALICE", "--labels", "photos/labels.csv"], ["--agreement"]],
    "detect": [["--detector", "blobs"]],
    "embed": [["--embedder", "colour-layout"], ["--embedder", "colour-layout", "--kind", "crop"]],
    "search": [["photos/IMG_0003.jpg"]],
    "train": [[*TRAIN, "--name", "first"], [*TRAIN, "--name", "second", "--seed", "1"]],
    "predict": [["first"], ["second"], ["first", "photos/IMG_0003.jpg"]],
    "ensemble": [["first", "second"]],
    "tune": [["first", "--cross-fit", "2"]],
    "mine": [["--target-classes", "blob"]],
    "map": [["--method", "pca"]],
    "caption": [["--captioner", "class-name"]],
    "evaluate": [[], ["--gate", "micro_f1=0"]],
}
"""What has to be said for a stage to do its work on the photos; each is done in all its ways, in the usual order."""

OF_WHAT_IS_RARE = [
    ["evaluate", "--rarity", "--truth", "photos/rare.txt", "--gate", "knn:average_precision=1"],
    ["evaluate", "--rarity", "--inject", "photos", "--scorers", "knn", "--repeats", "2"],
    ["export", "--format", "rare-objects"],
    ["export", "--kind", "crop", "--output", "crops"],
]
"""What is done after that, with what `mine` chose."""


def fixed_keys(certificate: dict[str, Any]) -> Iterator[str]:
    """Yield the keys of a certificate that are no names of parts, classes or kinds."""
    yield from certificate
    yield from certificate["drift"]
    yield from certificate["nearest"]
    for table in ("shares", "parts", "overlaps"):
        yield from next(iter(certificate[table].values()))
    yield from next(iter(next(iter(certificate["classes"].values())).values()))


def test_every_field_of_a_certificate_is_explained() -> None:
    text = section((ROOT / "docs/splits.md").read_text(), "## The certificate")

    for name in (*(field.name for field in fields(Certificate)), "is_leak_free"):
        assert f"`{name}`" in text, f"the certificate has {name}"


def test_every_format_has_its_row() -> None:
    table = section((ROOT / "docs/formats.md").read_text(), "## Label formats")
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([a-z, ]+) \|", table, re.MULTILINE))
    ways = {(True, True): "in, out", (True, False): "in", (False, True): "out"}
    read, written = set(READERS.names()), set(WRITERS.names())

    assert rows == {name: ways[name in read, name in written] for name in read | written}


def test_every_ending_of_a_photo_or_video_is_listed() -> None:
    text = section((ROOT / "docs/formats.md").read_text(), "## Photos and videos")
    spans = re.findall(r"`([^`]+)`", text)
    listed = {ending for span in spans if span.startswith(".") for ending in span.split()}

    assert listed - {".txt"} == IMAGE_SUFFIXES | VIDEO_SUFFIXES


def test_every_exit_code_is_explained() -> None:
    table = section((ROOT / "README.md").read_text(), "## Exit codes")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    kinds = [MekikiError]
    for kind in kinds:
        kinds += kind.__subclasses__()

    assert listed == {0, INTERRUPTED, *(kind.exit_code for kind in kinds)}


def test_the_readme_lists_the_extras() -> None:
    extras = section((ROOT / "pyproject.toml").read_text().replace("[project.opt", "\n# x\n[project.opt"), "# x")
    names = re.findall(r"^([a-z]+) = \[", extras.partition("[project.scripts]")[0], re.MULTILINE)
    table = section((ROOT / "README.md").read_text(), "## Install")

    for name in names:
        assert name == "dev" or f"| `{name}` |" in table


# Form


def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{target} does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{target or page.name} has no heading for #{anchor}"


def test_no_page_names_a_folder_of_one_machine(page: Path) -> None:
    assert not re.search(r"(?<!\w)/(work|home|root|tmp|Users)/", page.read_text(encoding="utf-8"))


def test_pages_that_are_to_be_read_at_once_are_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) < 150
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


def test_the_glossary_is_sorted_and_explains_its_own_words() -> None:
    text = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8").partition("\n\n")[2]
    terms = re.findall(r"^\*\*(.+?)\*\* \(.+?\): ", text, re.MULTILINE)
    used = [" ".join(word.lower().split()) for word in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", text)]

    assert terms == sorted(set(terms))
    for word in used:
        assert {word, word.removesuffix("s"), word.removesuffix("es")} & {*terms, "italic"}, word


def test_the_changelog_begins_with_what_is_not_released() -> None:
    headings = re.findall(r"^#+ (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[:2] == ["Changelog", "Unreleased"]
