"""Groups, atoms, bursts and path patterns."""

from __future__ import annotations

import contextlib
import random
import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mekiki.dataset.groups import (
    Membership,
    captured_at_to_s,
    compile_path_pattern,
    describe_atom,
    find_bursts,
    hash_atoms,
    join_atoms,
    parse_path,
)
from mekiki.errors import UsageError

N_ITEMS = 12
MEMBERSHIPS = st.lists(
    st.tuples(st.sampled_from(["source", "burst"]), st.sampled_from("abcd"), st.integers(0, N_ITEMS - 1)), max_size=30
)


class TestJoinAtoms:
    def test_no_items_give_no_atoms(self) -> None:
        assert join_atoms(0, []).shape == (0,)

    def test_an_item_in_no_group_is_an_atom_of_its_own(self) -> None:
        assert join_atoms(3, []).tolist() == [0, 1, 2]

    def test_a_chain_over_several_kinds_is_one_atom(self) -> None:
        memberships = [
            Membership("source", "clip", 0),
            Membership("source", "clip", 4),
            Membership("near-duplicate", "7", 4),
            Membership("near-duplicate", "7", 2),
            Membership("burst", "9", 2),
            Membership("burst", "9", 5),
        ]

        atoms = join_atoms(6, memberships)

        assert atoms.tolist() == [0, 1, 0, 2, 0, 0]

    def test_equal_keys_of_different_kinds_are_different_groups(self) -> None:
        assert join_atoms(2, [("source", "x", 0), ("burst", "x", 1)]).tolist() == [0, 1]

    @given(MEMBERSHIPS, st.randoms(use_true_random=False))
    def test_the_order_of_groups_and_repeats_do_not_matter(
        self, memberships: list[tuple[str, str, int]], rng: random.Random
    ) -> None:
        shuffled = memberships + memberships[:5]
        rng.shuffle(shuffled)

        assert join_atoms(N_ITEMS, shuffled).tolist() == join_atoms(N_ITEMS, memberships).tolist()

    @given(MEMBERSHIPS)
    def test_atoms_are_numbered_by_their_first_item(self, memberships: list[tuple[str, str, int]]) -> None:
        atoms = join_atoms(N_ITEMS, memberships).tolist()

        assert list(dict.fromkeys(atoms)) == list(range(max(atoms) + 1))

    @given(MEMBERSHIPS)
    def test_no_group_is_in_two_atoms_and_no_two_atoms_could_be_parted_further(
        self, memberships: list[tuple[str, str, int]]
    ) -> None:
        atoms = join_atoms(N_ITEMS, memberships)

        found = [{row} for row in range(N_ITEMS)]  # the slow way: merge what touches until nothing does
        for group in {(kind, key) for kind, key, _ in memberships}:
            rows = {row for kind, key, row in memberships if (kind, key) == group}
            touched = [one for one in found if one & rows]
            found = [one for one in found if not one & rows] + [set().union(*touched)]
        assert sorted(sorted(one) for one in found) == sorted(
            np.flatnonzero(atoms == atom).tolist() for atom in range(atoms.max() + 1)
        )

    @pytest.mark.parametrize("row", [-1, 3])
    def test_a_row_outside_is_refused(self, row: int) -> None:
        with pytest.raises(ValueError, match=r"rows must lie in 0 to 2, got"):
            join_atoms(3, [("source", "x", row)])

    def test_a_membership_without_items_is_refused(self) -> None:
        with pytest.raises(ValueError, match="rows must lie in"):
            join_atoms(0, [("source", "x", 0)])

    def test_a_negative_number_of_items_is_refused(self) -> None:
        with pytest.raises(ValueError, match="n_items must not be negative, got -1"):
            join_atoms(-1, [])

    @pytest.mark.slow
    def test_a_hundred_thousand_items_with_five_kinds_take_seconds(self) -> None:
        n_items = 100_000
        rng = np.random.default_rng(0)
        memberships = [
            (kind, str(key), row) for kind in "abcde" for row, key in enumerate(rng.integers(0, 300_000, n_items))
        ]
        start = time.perf_counter()

        atoms = join_atoms(n_items, memberships)

        assert time.perf_counter() - start < 10
        assert 1 < atoms.max() < n_items


class TestHashAtoms:
    @given(st.permutations(range(6)))
    def test_the_order_of_items_and_the_numbers_of_atoms_do_not_matter(self, order: list[int]) -> None:
        ids = [f"id{number}" for number in range(6)]
        atoms = np.array([0, 0, 1, 1, 2, 3])

        mixed = hash_atoms(7 - atoms[order], [ids[row] for row in order])

        assert mixed == hash_atoms(atoms, ids)

    def test_another_grouping_of_the_same_items_has_another_hash(self) -> None:
        ids = ["a", "b", "c"]

        assert hash_atoms(np.array([0, 0, 1]), ids) != hash_atoms(np.array([0, 1, 1]), ids)

    def test_no_items_have_the_digest_of_nothing(self) -> None:
        assert hash_atoms(np.zeros(0, np.int64), []).startswith("e3b0c442")

    def test_lengths_must_agree(self) -> None:
        with pytest.raises(ValueError):
            hash_atoms(np.array([0]), ["a", "b"])


class TestDescribeAtom:
    def test_names_the_largest_groups_and_counts_the_others(self) -> None:
        memberships = [("source", "clip.mp4", row) for row in range(3)]
        memberships += [("near-duplicate", key, row) for key in "pqr" for row in (0, 1)]
        memberships += [("source", "elsewhere", 4), ("source", "elsewhere", 5)]
        atoms = np.array([0, 0, 0, 0, 1, 1])

        told = describe_atom(0, atoms, memberships)

        assert told == (
            "4 items joined by source 'clip.mp4' (3 items), near-duplicate 'p' (2 items), "
            "near-duplicate 'q' (2 items) and 1 more groups"
        )

    def test_an_item_alone_is_one_item(self) -> None:
        assert describe_atom(0, np.array([0]), [("source", "x", 0)]) == "1 item"


class TestFindBursts:
    def test_nothing_gives_nothing(self) -> None:
        assert find_bursts(np.zeros(0), [], 1.0) == []

    def test_a_chain_may_be_longer_than_the_gap(self) -> None:
        assert find_bursts(np.arange(5.0), ["north"] * 5, 1.0) == [("north 1970-01-01 00:00:00", [0, 1, 2, 3, 4])]

    def test_two_cameras_at_one_moment_are_two_bursts(self) -> None:
        found = find_bursts(np.array([5.0, 5.0, 5.5, 5.5]), ["a", "b", "a", "b"], 1.0)

        assert [rows for _, rows in found] == [[0, 2], [1, 3]]

    def test_stills_without_time_or_camera_stand_alone(self) -> None:
        found = find_bursts(np.array([0.0, np.nan, 0.0, 0.0]), ["a", "a", None, None], 60.0)

        assert found == []

    def test_a_gap_of_zero_joins_equal_times_only(self) -> None:
        found = find_bursts(np.array([1.0, 1.0, 1.001]), ["a"] * 3, 0.0)

        assert [rows for _, rows in found] == [[0, 1]]

    def test_bursts_within_one_second_have_different_keys(self) -> None:
        found = find_bursts(np.array([0.0, 0.1, 0.5, 0.6]), ["a"] * 4, 0.2)

        assert len({key for key, _ in found}) == 2

    @given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab")), min_size=1, max_size=15), st.randoms())
    def test_the_order_of_stills_does_not_matter(self, stills: list[tuple[int, str]], rng: random.Random) -> None:
        order = list(range(len(stills)))
        rng.shuffle(order)

        def burst_sets(rows: list[int]) -> set[frozenset[int]]:
            times = np.array([float(stills[row][0]) for row in rows])
            found = find_bursts(times, [stills[row][1] for row in rows], 2.0)
            return {frozenset(rows[position] for position in positions) for _, positions in found}

        assert burst_sets(order) == burst_sets(sorted(order))

    @pytest.mark.parametrize("gap_s", [-1.0, float("nan")])
    def test_a_gap_that_is_none_is_refused(self, gap_s: float) -> None:
        with pytest.raises(ValueError, match="gap_s must be at least 0, got"):
            find_bursts(np.zeros(1), ["a"], gap_s)

    def test_lengths_must_agree(self) -> None:
        with pytest.raises(ValueError, match="of one length, got 1 and 2"):
            find_bursts(np.zeros(1), ["a", "b"], 1.0)

    def test_times_are_read_with_and_without_fractions(self) -> None:
        times_s = captured_at_to_s(["2024-05-01 10:00:00", "2024-05-01 10:00:01.5", "no date", None])

        assert times_s[1] - times_s[0] == 1.5
        assert np.isnan(times_s[2:]).all()


class TestParsePath:
    @pytest.mark.parametrize(
        ("pattern", "path", "found"),
        [
            pytest.param("{site}/*.jpg", "a.jpg", {}, id="does not fit"),
            pytest.param(
                "{site}/{camera}/*", "/data/trip/S1/C2/IMG.JPG", {"site": "S1", "camera": "C2"}, id="end of the path"
            ),
            pytest.param(
                "{site}_{camera}_*.jpg", "x/S1_C2_0001_b.jpg", {"site": "S1", "camera": "C2"}, id="as few as will do"
            ),
            pytest.param("/{site}/*", "/S1/a.jpg", {"site": "S1"}, id="from the root"),
            pytest.param("{site}/a+b(1).jpg", "S1/a+b(1).jpg", {"site": "S1"}, id="signs are themselves"),
            pytest.param(
                r"S(?P<site>\d+)/.*?(?P<moon>full|new)?\.jpg",
                "q/S12/x.jpg",
                {"site": "12"},
                id="expression, one unused",
            ),
            pytest.param("{サイト}/*", "北/1.jpg", {"サイト": "北"}, id="any letters"),
        ],
    )
    def test_finds_what_the_pattern_names(self, pattern: str, path: str, found: dict[str, str]) -> None:
        assert parse_path(pattern, path) == found

    def test_takes_a_compiled_pattern_too(self) -> None:
        assert parse_path(re.compile("(?P<site>.)/"), "a/b") == {"site": "a"}

    @pytest.mark.parametrize(
        ("pattern", "reason"),
        [
            pytest.param("", "names nothing", id="empty"),
            pytest.param("*/*.jpg", "names nothing", id="nothing named"),
            pytest.param(r"(\d+)/(\w+)", "names nothing", id="groups without names"),
            pytest.param("(?P<site>[)", "is broken: unterminated character set", id="broken"),
            pytest.param("{site}/{site}", "is broken: redefinition", id="named twice"),
        ],
    )
    def test_a_pattern_that_cannot_work_is_refused_with_an_example(self, pattern: str, reason: str) -> None:
        with pytest.raises(UsageError, match=rf"the path pattern .*{re.escape(reason)}.*\{{site\}}/\{{camera\}}"):
            compile_path_pattern(pattern)

    @settings(max_examples=50)
    @given(st.text(max_size=20))
    def test_any_text_is_a_pattern_or_a_usage_error(self, pattern: str) -> None:
        with contextlib.suppress(UsageError):
            compile_path_pattern(pattern)
