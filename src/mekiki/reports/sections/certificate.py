"""The certificate of a split in words: what its parts share, what it does not promise, and how alike parts are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mekiki.reports.blocks import (
    Block,
    Code,
    Column,
    Columns,
    Details,
    Fact,
    Facts,
    Group,
    Paragraph,
    Section,
    Table,
    Verdict,
)
from mekiki.reports.pictures import Badge, Gallery, Picture
from mekiki.reports.values import Value, ValueKind, format_count, format_counted, format_percent

FEW_ATOMS = 20
LARGE_ATOM_SHARE = 0.3
LARGE_DRIFT = 0.1

# Kind of group: what a page calls one and several of them, and what is in one.
KINDS: Mapping[str, tuple[str, str, str]] = {
    "content": ("file content", "identical files", "one file under several names"),
    "source": ("source file", "source files", "such as the frames of one video"),
    "derived": ("original", "originals", "a picture and its crops, flips and copies"),
    "near-duplicate": ("near-duplicate", "near-duplicates", "different files that show the same picture"),
    "burst": ("burst", "bursts", "pictures taken in one go"),
    "identity": ("individual", "individuals", "pictures of one animal or person"),
    "site": ("site", "sites", "pictures from one place"),
    "camera": ("camera", "cameras", "pictures from one camera"),
}


def certificate_section(certificate: Mapping[str, Any], nearest: Sequence[Picture] = ()) -> Section:
    """Return the section of one split; its id comes from the split's name, so that several fit on a page.

    Args:
        certificate: What `mekiki.dataset.certificate.Certificate.to_json` gave.
        nearest: The two most alike pictures of different parts, in the order in which the certificate names them.
    """
    name = str(certificate["name"])
    blocks: list[Block] = [_verdict(certificate)]
    if remarks := _remarks(certificate):
        blocks.append(Verdict("warning", "What this split does not promise", tuple(remarks)))
    blocks.append(Group("What the parts share", (_overlap_table(certificate),)))
    if certificate["nearest"] is not None:
        blocks.append(Group("The most alike pictures of two parts", tuple(_nearest(certificate["nearest"], nearest))))
    blocks.append(Group("What each part holds", (_part_table(certificate), *_class_table(certificate))))
    blocks.append(Group("How to make it again", (_facts(certificate),)))
    blocks.append(Details("The certificate as JSON", (Code.from_json(certificate),)))
    return Section(_section_id(name), f"Split “{name}”", tuple(blocks), _lead(certificate))


def _section_id(name: str) -> str:
    if re.fullmatch(r"[a-z0-9-]{1,40}", name):
        return f"split-{name}"
    return "split-" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _lead(certificate: Mapping[str, Any]) -> str:
    parts = [f"{part} {format_percent(share['reached'])}" for part, share in certificate["shares"].items()]
    who = "" if certificate["seed"] is not None else " Somebody else made this split; mekiki checked it."
    return f"{format_counted(certificate['n_items'], 'picture')}: {', '.join(parts)}.{who}"


def _verdict(certificate: Mapping[str, Any]) -> Verdict:
    if certificate["leaks"]:
        headline = "This split leaks: pictures that belong together are in different parts."
        result = (
            "A model is tested on what it has seen, so its test figures are too good. Make a new split: mekiki split"
        )
        return Verdict("failed", headline, (*certificate["leaks"], result))
    kept = [KINDS[kind][1] for kind, one in certificate["overlaps"].items() if one["enforced"] and kind in KINDS]
    sentences = (
        f"{format_counted(certificate['n_items'], 'picture')} form {format_counted(certificate['n_atoms'], 'set')} "
        "that must stay together, and each of these sets is in one part only.",
        f"No part shares any of these with another: {', '.join(kept)}.",
        "So a model that is tested on one part has not seen its pictures in another, nor any copy that was found.",
    )
    return Verdict("ok", "What belongs together is in one part.", sentences)


def _remarks(certificate: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before believing figures that rest on this split."""
    found = []
    for kind, one in certificate["overlaps"].items():
        if not one["enforced"] and one["overlap"]:
            single, several, _ = KINDS.get(kind, (kind, kind, ""))
            found.append(
                f"{format_counted(one['overlap'], single, several)} with pictures in more than one part, since keeping "
                f"{several} together was not asked for. A model may know the {single} rather than what is in the "
                f"picture. To keep them together: mekiki split --group-by {kind}"
            )
    for part, sizes in certificate["parts"].items():
        if sizes["atoms"] < FEW_ATOMS:
            found.append(
                f"Part {part} has only {format_counted(sizes['atoms'], 'set')} that can be told apart; with fewer than "
                f"{FEW_ATOMS}, intervals of test figures are not reliable."
            )
    for name, row in certificate["classes"].items():
        absent = [part for part, cell in row.items() if not cell["present"]]
        if absent and len(absent) < len(row):
            found.append(f"No picture of {name} is in {', '.join(absent)}.")
    if certificate["largest_atom"] > LARGE_ATOM_SHARE * certificate["n_items"]:
        share = format_percent(certificate["largest_atom"] / certificate["n_items"])
        found.append(f"One set that must stay together holds {share} of all pictures.")
    drift = certificate["drift"]
    if drift["class"] is not None and drift["max_abs"] > LARGE_DRIFT:
        found.append(
            f"{drift['class']} is {_points(drift['max_abs'])} more or less frequent in {drift['part']} than in all "
            "parts together."
        )
    return found


def _overlap_table(certificate: Mapping[str, Any]) -> Table:
    rows: list[tuple[Value, ...]] = []
    for kind, one in certificate["overlaps"].items():
        _, several, meaning = KINDS.get(kind, (kind, kind, ""))
        rule = "must be 0" if one["enforced"] else "not enforced"
        rows.append((f"{several}: {meaning}" if meaning else kind, one["overlap"], rule))
    return Table((Column("kept together"), Column("in two parts", "count"), Column("rule")), tuple(rows))


def _nearest(nearest: Mapping[str, Any], pictures: Sequence[Picture]) -> list[Block]:
    flipped = ", one of them flipped left to right" if nearest.get("is_mirrored") else ""
    first, second = nearest["parts"]
    blocks: list[Block] = [
        Paragraph(
            f"Of all pictures in different parts these two are the most alike{flipped}: {nearest['distance_bits']} of "
            "the 64 bits that describe a picture's light and dark differ. 0 is the same picture, and about 32 is what "
            "two unrelated ones have. If they look like the same moment to you, the split is too fine."
        )
    ]
    shown = pictures or (Picture(None, nearest["first"]), Picture(None, nearest["second"]))
    if pictures:
        badged = (
            replace(picture, badges=(Badge(part), *picture.badges))
            for picture, part in zip(shown, (first, second), strict=True)
        )
        blocks.append(Gallery(tuple(badged)))
    else:
        blocks.append(Facts((Fact(first, nearest["first"], kind="code"), Fact(second, nearest["second"], kind="code"))))
    return blocks


def _part_table(certificate: Mapping[str, Any]) -> Table:
    columns = (
        Column("part"),
        Column("pictures", "count"),
        Column("share", "percent"),
        Column("wanted", "percent"),
        Column("sets", "count"),
    )
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            part,
            sizes["items"],
            certificate["shares"][part]["reached"],
            certificate["shares"][part]["wanted"],
            sizes["atoms"],
        )
        for part, sizes in certificate["parts"].items()
    )
    return Table(columns, rows, "Parts")


def _class_table(certificate: Mapping[str, Any]) -> tuple[Block, ...]:
    """Return class by part: how many pictures show it, and what share of those with a label for it."""
    if not certificate["classes"]:
        return (Paragraph("No picture has a label, so classes could not be dealt out evenly.", is_muted=True),)
    parts = list(certificate["parts"])

    def table(key: str, kind: ValueKind, caption: str) -> Table:
        columns = (Column("class"), *(Column(part, kind) for part in parts))
        rows = ((name, *(row[part][key] for part in parts)) for name, row in certificate["classes"].items())
        return Table(columns, tuple(rows), caption)

    counts = table("present", "count", "Pictures per class and part")
    shares = table("prevalence", "percent", "Share of the labelled pictures of a part that show the class")
    blocks: list[Block] = [Columns((counts, shares))]
    drift = certificate["drift"]
    if drift["class"] is not None:
        blocks.append(
            Paragraph(
                f"Largest difference between a part and all parts together: {_points(drift['max_abs'])}, "
                f"{drift['class']} in {drift['part']}.",
                is_muted=True,
            )
        )
    return tuple(blocks)


def _facts(certificate: Mapping[str, Any]) -> Facts:
    facts = [Fact("split", certificate["name"])]
    if certificate["seed"] is not None:
        facts.append(Fact("seed", certificate["seed"], kind="code"))
    facts += [
        Fact("sets that stay together", format_count(certificate["n_atoms"])),
        Fact("largest set", format_counted(certificate["largest_atom"], "picture")),
        Fact("list of sets (SHA-256)", certificate["atoms_sha256"], kind="code"),
        Fact("certified", f"{certificate['created_at']} by mekiki {certificate['version']}".strip()),
    ]
    return Facts(tuple(facts))


def _points(difference: float) -> str:
    """Return a difference of shares in percentage points."""
    return f"{difference * 100:.1f} percentage points"
