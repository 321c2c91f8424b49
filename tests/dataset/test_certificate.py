"""The certificate finds every leak that is planted, and measures what parts hold."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mekiki.dataset.certificate import (
    ALWAYS_ENFORCED,
    Certificate,
    CertificateFacts,
    DealtItems,
    NearestPair,
    certify,
    describe,
)
from mekiki.dataset.groups import hash_atoms, join_atoms
from mekiki.dataset.splits import SplitItems, SplitOptions, split_atoms

Groups = Sequence[tuple[str, str, int]]

KINDS = st.sampled_from(["source", "burst", "near-duplicate"])
MEMBERSHIPS = st.lists(st.tuples(KINDS, st.sampled_from("abcdefgh"), st.integers(0, 29)), max_size=40)


def dealt(parts: Sequence[str | None], **changes: Any) -> DealtItems:
    """One atom per item and no labels, unless ``changes`` say so."""
    n_items = len(parts)
    fields: dict[str, Any] = {
        "item_ids": [f"id{row}" for row in range(n_items)],
        "names": [f"{row}.jpg" for row in range(n_items)],
        "atoms": np.arange(n_items),
        "class_names": [],
        "states": np.zeros((n_items, 0), np.int8),
    }
    return DealtItems(parts=parts, **(fields | changes))


def certified(parts: Sequence[str | None], groups: Groups = (), **changes: Any) -> Certificate:
    return certify(dealt(parts, **changes), groups, CertificateFacts("mine"))


class TestLeaks:
    def test_parts_that_share_nothing_are_leak_free(self) -> None:
        groups = [("source", "clip", 0), ("source", "clip", 1), ("burst", "b", 2)]

        certificate = certified(["train", "train", "test"], groups)

        assert certificate.is_leak_free
        assert certificate.leaks == ()
        assert {one["overlap"] for one in certificate.overlaps.values()} == {0}

    @pytest.mark.parametrize("kind", [kind for kind in ALWAYS_ENFORCED if kind != "content"])
    def test_a_torn_group_of_every_enforced_kind_is_found(self, kind: str) -> None:
        certificate = certified(["train", "val", "test"], [(kind, "k", 0), (kind, "k", 2)])

        assert not certificate.is_leak_free
        assert certificate.overlaps[kind] == {"enforced": True, "overlap": 1}
        assert sum(one["overlap"] for one in certificate.overlaps.values()) == 1
        (sentence,) = certificate.leaks
        assert sentence.endswith("2.jpg in test, 0.jpg in train.")

    def test_the_same_bytes_under_two_names_are_found(self) -> None:
        certificate = certified(["train", "test"], item_ids=["x", "x"])

        assert certificate.overlaps["content"]["overlap"] == 1
        assert certificate.leaks == (
            "1 picture under several names is in more than one part: 1.jpg in test, 0.jpg in train.",
        )

    def test_the_same_bytes_twice_in_one_part_are_no_leak(self) -> None:
        assert certified(["train", "train"], item_ids=["x", "x"]).is_leak_free

    def test_sources_are_named_and_many_are_counted(self) -> None:
        groups = [("source", f"clip{number}", row) for number in range(5) for row in (2 * number, 2 * number + 1)]

        certificate = certified(["train", "val"] * 5, groups)

        assert certificate.leaks == (
            "5 source files are in more than one part: 'clip0': 0.jpg in train, 1.jpg in val; "
            "'clip1': 2.jpg in train, 3.jpg in val; 'clip2': 4.jpg in train, 5.jpg in val and 2 more.",
        )

    def test_a_torn_site_is_a_leak_only_if_sites_are_kept_together(self) -> None:
        groups = [("site", "north", 0), ("site", "north", 1)]
        items = dealt(["train", "test"])

        loose = certify(items, groups, CertificateFacts("mine"))
        strict = certify(items, groups, CertificateFacts("mine", enforced=("site",)))

        assert loose.overlaps["site"] == {"enforced": False, "overlap": 1}
        assert loose.is_leak_free
        assert strict.overlaps["site"] == {"enforced": True, "overlap": 1}
        assert strict.leaks == ("1 site is in more than one part: 'north': 1.jpg in test, 0.jpg in train.",)

    def test_an_atom_torn_by_way_of_an_item_without_a_part_is_found(self) -> None:
        groups = [("burst", "a", 0), ("burst", "a", 1), ("burst", "b", 1), ("burst", "b", 2)]

        certificate = certified(["train", None, "test"], groups, atoms=join_atoms(3, groups))

        assert certificate.leaks == ("1 chain of groups is in more than one part: 2.jpg in test, 0.jpg in train.",)

    def test_items_without_a_part_and_kinds_that_nobody_asked_for_do_not_count(self) -> None:
        groups = [("source", "x", 0), ("source", "x", 1), ("mood", "y", 0), ("mood", "y", 2)]

        certificate = certified(["train", None, "test"], groups)

        assert certificate.is_leak_free
        assert certificate.n_items == 2
        assert "mood" not in certificate.overlaps

    def test_group_members_that_are_no_pictures_do_not_count(self) -> None:
        assert certified(["train", "test"], [("derived", "v", 0), ("derived", "v", 7)]).is_leak_free

    @settings(max_examples=60, deadline=None)
    @given(MEMBERSHIPS, st.integers(0, 5))
    def test_a_split_by_atoms_is_leak_free_and_moving_one_item_of_an_atom_is_found(
        self, groups: list[tuple[str, str, int]], seed: int
    ) -> None:
        atoms = join_atoms(30, groups)
        items = dealt([None] * 30, atoms=atoms)
        if atoms.max() < 1 or np.bincount(atoms).max() > 15:
            return
        options = SplitOptions({"a": 0.5, "b": 0.5}, seed)
        parts = split_atoms(SplitItems(tuple(items.item_ids), atoms, (), items.states), options).tolist()
        large = np.flatnonzero(atoms == np.bincount(atoms).argmax()).tolist()

        clean = certified(parts, groups, atoms=atoms)
        parts[large[0]] = "b" if parts[large[0]] == "a" else "a"
        moved = certified(parts, groups, atoms=atoms)

        assert clean.is_leak_free
        assert moved.is_leak_free is (len(large) == 1)


class TestFigures:
    def test_parts_and_classes_are_counted_by_item_and_by_atom(self) -> None:
        certificate = certify(
            dealt(
                ["train", "train", "train", "test", None],
                atoms=np.array([0, 0, 1, 2, 3]),
                class_names=["cat", "dog"],
                states=np.array([[1, 0], [1, -1], [0, -1], [1, -1], [1, 1]], np.int8),
            ),
            [],
            CertificateFacts("mine", {"test": 0.3, "train": 0.7}, seed=42, created_at="today", version="0.1"),
        )

        assert (certificate.name, certificate.seed) == ("mine", 42)
        assert (certificate.created_at, certificate.version) == ("today", "0.1")
        assert certificate.shares == {
            "test": {"wanted": 0.3, "reached": 0.25},
            "train": {"wanted": 0.7, "reached": 0.75},
        }
        assert certificate.parts == {"test": {"items": 1, "atoms": 1}, "train": {"items": 3, "atoms": 2}}
        assert (certificate.n_items, certificate.n_atoms, certificate.largest_atom) == (4, 3, 2)
        assert certificate.classes["cat"]["train"] == {"present": 2, "atoms": 1, "asked": 3, "prevalence": 2 / 3}
        assert certificate.classes["dog"]["test"] == {"present": 0, "atoms": 0, "asked": 0, "prevalence": None}
        assert certificate.atoms_sha256 == hash_atoms(np.array([0, 0, 1, 2]), ["id0", "id1", "id2", "id3"])

    def test_wanted_parts_come_first_and_others_by_name(self) -> None:
        items = dealt(["b", "a", "train", "test"])

        certificate = certify(items, [], CertificateFacts("mine", {"train": 0.5, "test": 0.5}))

        assert list(certificate.parts) == ["train", "test", "a", "b"]
        assert certificate.shares["a"] == {"wanted": None, "reached": 0.25}

    def test_drift_is_the_largest_difference_of_a_prevalence(self) -> None:
        states = np.array([[1, 1], [0, 1], [0, 0], [0, 1]], np.int8)

        certificate = certified(["a", "a", "b", "b"], class_names=["x", "y"], states=states)

        # x: 0.5 and 0 against 0.25; y: 1 and 0.5 against 0.75. Equal: the first counts.
        assert certificate.drift["max_abs"] == pytest.approx(0.25)
        assert (certificate.drift["class"], certificate.drift["part"]) == ("x", "a")

    def test_divergence_is_0_for_equal_mixes_and_1_bit_for_disjoint_ones(self) -> None:
        same = certified(["a", "b"], class_names=["x", "y"], states=np.eye(2, dtype=np.int8)[[0, 0]])
        far = certified(["a", "b"], class_names=["x", "y"], states=np.eye(2, dtype=np.int8))

        assert same.drift["js_bits"] == {"a": 0.0, "b": 0.0}
        # Each part has one class and all have both alike: H(3/4, 1/4) - (0 + 1) / 2.
        assert far.drift["js_bits"]["a"] == pytest.approx(0.311278, abs=1e-6)

    def test_without_labels_there_is_no_drift(self) -> None:
        certificate = certified(["a", "b"], class_names=["x"], states=np.full((2, 1), -1, np.int8))

        assert certificate.drift == {"max_abs": 0.0, "class": None, "part": None, "js_bits": {"a": 0.0, "b": 0.0}}

    def test_the_nearest_pair_is_told_by_name_and_part(self) -> None:
        facts = CertificateFacts("mine", nearest=NearestPair((2, 0), 11, is_mirrored=True))

        certificate = certify(dealt(["train", "val", "test"]), [], facts)

        assert certificate.nearest == {
            "distance_bits": 11,
            "is_mirrored": True,
            "first": "2.jpg",
            "second": "0.jpg",
            "parts": ["test", "train"],
        }

    @pytest.mark.parametrize("rows", [(0, 1), (0, 2)])
    def test_a_nearest_pair_that_crosses_no_border_is_refused(self, rows: tuple[int, int]) -> None:
        facts = CertificateFacts("mine", nearest=NearestPair(rows, 3, is_mirrored=False))

        with pytest.raises(ValueError, match=r"nearest must be two items of different parts, got rows \(0, [12]\) of"):
            certify(dealt(["a", "a", None]), [], facts)

    @settings(max_examples=25, deadline=None)
    @given(st.permutations(range(8)))
    def test_the_order_of_items_and_groups_changes_no_figure(self, order: list[int]) -> None:
        parts = ["a", "a", "b", "b", "c", "c", "a", None]
        states = np.array([[1], [0], [1], [-1], [0], [1], [1], [0]], np.int8)
        atoms = np.array([0, 0, 1, 1, 2, 2, 1, 3])
        groups = [("source", "x", 2), ("source", "x", 6), ("site", "y", 0), ("site", "y", 5)]
        place = {row: position for position, row in enumerate(order)}

        plain = certified(parts, groups, atoms=atoms, class_names=["k"], states=states).to_json()
        mixed = certified(
            [parts[row] for row in order],
            [(kind, key, place[row]) for kind, key, row in reversed(groups)],
            item_ids=[f"id{row}" for row in order],
            names=[f"{row}.jpg" for row in order],
            atoms=9 - atoms[order],
            class_names=["k"],
            states=states[order],
        ).to_json()

        assert mixed == plain

    @pytest.mark.parametrize("parts", [[], [None, None]])
    def test_nothing_in_any_part_is_refused(self, parts: list[str | None]) -> None:
        with pytest.raises(ValueError, match="no item has a part, so there is nothing to certify"):
            certified(parts)


class TestWords:
    def test_the_json_can_be_written_and_has_stable_keys(self) -> None:
        stored = json.loads(
            json.dumps(certified(["train", "test"], class_names=["猫"], states=np.ones((2, 1), np.int8)).to_json())
        )

        assert list(stored) == [
            "name", "seed", "created_at", "version", "shares", "parts", "classes", "drift", "overlaps", "nearest",
            "n_items", "n_atoms", "largest_atom", "atoms_sha256", "leaks", "is_leak_free",
        ]  # fmt: skip
        assert stored["is_leak_free"] is True
        assert stored["leaks"] == []
        assert stored["classes"]["猫"]["test"]["present"] == 1

    def test_a_clean_certificate_says_so_first_and_tells_what_is_not_enforced(self) -> None:
        facts = CertificateFacts("mine", {"train": 0.5, "test": 0.5}, nearest=NearestPair((0, 1), 9, is_mirrored=False))
        items = dealt(["train", "test"], class_names=["cat"], states=np.array([[1], [0]], np.int8))

        lines = describe(certify(items, [("site", "n", 0), ("site", "n", 1)], facts))

        assert lines == [
            "the parts share nothing that they must not share",
            "mine: train 1 (50%, 1 atoms), test 1 (50%, 1 atoms)",
            "sites not enforced: 1 site is in more than one part (--group-by site keeps them)",
            "nearest pictures of two parts: 9 of 64 bits apart",
            "largest label drift: 0.500 (cat in train)",
        ]

    def test_a_leak_comes_first(self) -> None:
        lines = describe(certified(["train", "test"], [("burst", "b", 0), ("burst", "b", 1)]))

        assert re.match(r"1 burst is in more than one part: 'b': ", lines[0])
