"""The certificate says in sentences what a split promises and what it does not."""

from __future__ import annotations

import json
from dataclasses import fields
from html import unescape
from typing import Any

import pytest

from mekiki.dataset.certificate import Certificate
from mekiki.reports.blocks import Code, Page, Section, Table, Verdict, iter_blocks
from mekiki.reports.page import render_page
from mekiki.reports.pictures import Gallery, Picture
from mekiki.reports.sections.certificate import certificate_section

KINDS = ("content", "source", "derived", "near-duplicate", "burst", "identity", "site", "camera")


def certificate(**changes: Any) -> dict[str, Any]:
    """A clean certificate of a large split, as JSON, with changes."""
    parts = {"train": 700, "val": 150, "test": 150}
    cells = {part: {"present": n // 2, "atoms": n // 10, "asked": n, "prevalence": 0.5} for part, n in parts.items()}
    clean = {
        "name": "default",
        "seed": 42,
        "created_at": "2025-01-02 03:04",
        "version": "0.1.0",
        "shares": {part: {"wanted": n / 1000, "reached": n / 1000} for part, n in parts.items()},
        "parts": {part: {"items": n, "atoms": n // 5} for part, n in parts.items()},
        "classes": {"アナグマ": cells, "テン": cells},
        "drift": {"max_abs": 0.012, "class": "テン", "part": "val", "js_bits": dict.fromkeys(parts, 0.001)},
        "overlaps": {kind: {"enforced": kind not in ("site", "camera"), "overlap": 0} for kind in KINDS},
        "nearest": {
            "distance_bits": 11,
            "is_mirrored": False,
            "first": "a/1.jpg",
            "second": "b/2.jpg",
            "parts": ["train", "test"],
        },
        "n_items": 1000,
        "n_atoms": 200,
        "largest_atom": 30,
        "atoms_sha256": "9f" * 32,
        "leaks": [],
        "is_leak_free": True,
    }
    return clean | changes


def test_the_sample_has_the_keys_of_a_real_certificate() -> None:
    assert set(certificate()) == {field.name for field in fields(Certificate)} | {"is_leak_free"}


def verdicts(section: Section) -> list[tuple[str, str]]:
    found = [block for block in iter_blocks(Page("p", (section,))) if isinstance(block, Verdict)]
    return [(block.state, " ".join((block.headline, *block.sentences))) for block in found]


def text_of(section: Section) -> str:
    html = unescape(render_page(Page("p", (section,))))
    for mark in ("<wbr>", "<bdi>", '<bdi lang="ja">', "</bdi>"):
        html = html.replace(mark, "")
    return html


def test_a_clean_split_passes_without_remarks() -> None:
    ((state, words),) = verdicts(certificate_section(certificate()))

    assert state == "ok"
    assert "1,000 pictures form 200 sets that must stay together" in words
    assert "near-duplicates" in words
    assert "sites" not in words


def test_a_leak_fails_and_says_where() -> None:
    leak = "2 source files are in more than one part: a.mp4 in train, a.mp4 in test."

    (state, words), *_ = verdicts(certificate_section(certificate(leaks=[leak], is_leak_free=False)))

    assert state == "failed"
    assert leak in words
    assert "mekiki split" in words


def changed(key: str, *path: str, value: Any) -> dict[str, Any]:
    whole = json.loads(json.dumps(certificate()[key]))
    inside = whole
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    return {key: whole}


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        pytest.param(
            changed("overlaps", "site", "overlap", value=12),
            "12 sites with pictures in more than one part, since keeping sites together was not asked for.",
            id="sites are shared",
        ),
        pytest.param(
            changed("overlaps", "camera", "overlap", value=1), "mekiki split --group-by camera", id="a camera is shared"
        ),
        pytest.param(changed("parts", "val", "atoms", value=19), "Part val has only 19 sets", id="few atoms"),
        pytest.param(
            changed("classes", "テン", "val", "present", value=0),
            "No picture of テン is in val.",
            id="class is missing",
        ),
        pytest.param({"largest_atom": 400}, "holds 40 % of all pictures", id="large atom"),
        pytest.param(
            changed("drift", "max_abs", value=0.25),
            "テン is 25.0 percentage points more or less frequent in val",
            id="drift",
        ),
    ],
)
def test_what_is_not_promised_is_said(changes: dict[str, Any], remark: str) -> None:
    (first, _), (state, words) = verdicts(certificate_section(certificate(**changes)))

    assert (first, state) == ("ok", "warning")
    assert remark in words


def test_every_kind_of_group_has_its_overlap_and_rule() -> None:
    section = certificate_section(certificate(**changed("overlaps", "site", "overlap", value=3)))

    table = next(block for block in iter_blocks(Page("p", (section,))) if isinstance(block, Table))
    assert [row[1:] for row in table.rows] == [(0, "must be 0")] * 6 + [(3, "not enforced"), (0, "not enforced")]


def test_classes_stand_against_parts() -> None:
    tables = [b for b in iter_blocks(Page("p", (certificate_section(certificate()),))) if isinstance(b, Table)]

    by_caption = {table.caption: table for table in tables}
    assert by_caption["Pictures per class and part"].rows == (("アナグマ", 350, 75, 75), ("テン", 350, 75, 75))
    assert by_caption["Parts"].rows[0] == ("train", 700, 0.7, 0.7, 140)


def test_the_nearest_pictures_are_shown_with_their_parts() -> None:
    pair = (Picture(None, "a/1.jpg"), Picture(None, "b/2.jpg"))

    section = certificate_section(certificate(), pair)

    gallery = next(block for block in iter_blocks(Page("p", (section,))) if isinstance(block, Gallery))
    assert [(picture.caption, picture.badges[0].text) for picture in gallery.pictures] == [
        ("a/1.jpg", "train"),
        ("b/2.jpg", "test"),
    ]
    assert "11 of the 64 bits" in text_of(section)


def test_without_pictures_the_nearest_are_named() -> None:
    text = text_of(certificate_section(certificate()))

    assert "a/1.jpg" in text
    assert "b/2.jpg" in text


def test_somebody_elses_split_says_so_and_has_no_seed() -> None:
    shares = {part: {"wanted": None, "reached": 1 / 3} for part in ("train", "val", "test")}

    text = text_of(certificate_section(certificate(seed=None, shares=shares, nearest=None)))

    assert "Somebody else made this split; mekiki checked it." in text
    assert ">seed<" not in text


def test_a_split_without_labels_says_so() -> None:
    nothing = {"max_abs": 0.0, "class": None, "part": None, "js_bits": {}}

    text = text_of(certificate_section(certificate(classes={}, drift=nothing)))

    assert "No picture has a label" in text


def test_the_whole_certificate_is_there_as_json() -> None:
    section = certificate_section(certificate())

    code = next(block for block in iter_blocks(Page("p", (section,))) if isinstance(block, Code))
    assert json.loads(code.text) == certificate()
    assert "9f" * 32 in text_of(section)


def test_splits_of_any_name_stand_side_by_side_on_one_page() -> None:
    names = ["default", "a b", "a_b", "</h2>", "分割", "", "x" * 100]

    sections = tuple(certificate_section(certificate(name=name)) for name in names)

    assert len({section.id for section in Page("p", sections).sections}) == len(names)
    assert sections[0].id == "split-default"
