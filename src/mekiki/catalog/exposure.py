"""What models have seen of the pictures that they are judged by, or decided on."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import KnownModel
from mekiki.catalog.results import read_split
from mekiki.catalog.scored import Examples
from mekiki.errors import DataError
from mekiki.training.card import ModelCard
from mekiki.training.origins import Source, calibrated_on, searched_on, trained_on, tuned_on


class Overlap(NamedTuple):
    """How many of some pictures are among others, or belong together with one of those.

    Attributes:
        n: How many, as far as is known.
        n_elsewhere: Those of them that are so by another split than their own.
        is_complete: Whether all the others are known.
    """

    n: int
    n_elsewhere: int
    is_complete: bool


def overlap_with(catalog: Catalog, sources: Collection[Source], examples: Examples) -> Overlap:
    """Return how many pictures are in parts of splits, themselves or by one that their own split keeps them with."""
    atoms = {item_id: row.atom for item_id, row in read_split(catalog, examples.split_run_id).items()}
    met: dict[str | None, set[str]] = {}
    is_complete = True
    for split_run_id, part in sources:
        dealt = {} if split_run_id is None else read_split(catalog, split_run_id)
        is_complete = is_complete and bool(dealt)
        found = {atoms[item_id] for item_id, row in dealt.items() if row.part == part and item_id in atoms}
        met[split_run_id] = met.get(split_run_id, set()) | found
    own = [atoms[item.item_id] for item in examples.items]
    elsewhere = set().union(*(found for run_id, found in met.items() if run_id != examples.split_run_id))
    n_elsewhere = sum(atom in elsewhere for atom in own)
    return Overlap(sum(atom in elsewhere.union(*met.values()) for atom in own), n_elsewhere, is_complete)


class Exposure(NamedTuple):
    """What a model has seen of some pictures, and what a user must be told of it.

    Attributes:
        n_seen: How many it was trained on, or on one that belongs with them, as far as is known.
        is_known: Whether all that it was trained on is known.
        note: For the user.
    """

    n_seen: int
    is_known: bool
    note: str | None


def check_unseen(catalog: Catalog, model: KnownModel, examples: Examples, part: str) -> Exposure:
    """Return how far figures of a model on a part can be believed; refuse where they would lie.

    Raises:
        DataError: If it was trained, by another split than that of the part, on pictures of the part.
    """
    seen = overlap_with(catalog, trained_on(model.card), examples)
    if seen.n_elsewhere:
        raise DataError(
            f"{model.name!r} was trained on {seen.n_elsewhere} of {len(examples)} pictures of part {part!r}, or on "
            "ones that belong with them, by another split than its own or through the weights that it started from, so "
            "its figures would lie: leave out --split, or train it on this split from other weights"
        )
    notes = []
    if seen.n:
        notes.append(f"{model.name!r} was trained on the pictures of part {part!r}: its figures there flatter it")
    if not seen.is_complete:
        notes.append(
            f"nobody knows what {model.name!r} was trained on: its figures hold if it never saw these pictures"
        )
    return Exposure(seen.n, seen.is_complete, "; ".join(notes) or None)


def refuse_gating(catalog: Catalog, card: ModelCard, examples: Examples, part: str, exposure: Exposure) -> list[str]:
    """Return why no figure of a model on a part passes a gate, whatever it is; empty if one may.

    Args:
        catalog: Where splits are.
        card: Of the model.
        examples: The pictures of the part.
        part: Its name.
        exposure: Of the model to the part.
    """
    reasons = [f"it was trained on part {part!r}"] if exposure.n_seen else []
    if not exposure.is_known:
        reasons.append("nobody knows what it was trained on")
    here = Source(examples.split_run_id, part)
    for what, sources in (
        ("its thresholds were tuned", tuned_on(card)),
        ("members of it were calibrated", calibrated_on(card)),
        ("its weights were searched", searched_on(card)),
    ):
        n_others = overlap_with(catalog, [one for one in sources if one != here], examples).n
        if here in sources:
            reasons.append(f"{what} on part {part!r}")
        elif n_others:
            reasons.append(f"{what} on {n_others} of its {len(examples)} pictures, or on ones that belong with them")
    return reasons


def require_unseen(catalog: Catalog, model: KnownModel, examples: Examples, part: str, purpose: str) -> str | None:
    """Return what a user must be told of a part on which something is to be found, such as thresholds.

    Args:
        catalog: Where splits are.
        model: Whose thresholds, or weight.
        examples: The pictures of the part.
        part: Its name.
        purpose: What is not done on pictures that the model was trained on.

    Raises:
        DataError: If it was trained on pictures of the part.
    """
    exposure = check_unseen(catalog, model, examples, part)
    if exposure.n_seen:
        raise DataError(
            f"{purpose} on part {part!r}, since {model.name!r} was trained on {exposure.n_seen} of its "
            f"{len(examples)} labelled pictures, or on ones that belong with them: take a part that it never saw, with "
            "--part"
        )
    return exposure.note
