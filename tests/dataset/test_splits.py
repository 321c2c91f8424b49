"""Splits: atoms stay whole, rules are kept or the split is refused, and labels are spread."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mekiki.dataset.splits import SplitItems, SplitOptions, extend_split, fold_atoms, split_atoms
from mekiki.errors import DataError, UsageError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
THIRDS = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}


def make_items(sizes: Sequence[int], classes: Mapping[str, Sequence[int]] | None = None) -> SplitItems:
    """Atoms of these sizes; every item of the atoms listed for a class has it, and was asked about all classes."""
    atoms = np.repeat(np.arange(len(sizes)), sizes)
    named = classes or {}
    states = np.zeros((len(atoms), len(named)), np.int8)
    for column, members in enumerate(named.values()):
        states[np.isin(atoms, members), column] = 1
    return SplitItems(tuple(f"id{row:06d}" for row in range(len(atoms))), atoms, tuple(named), states)


def make_world(n_atoms: int, n_classes: int, seed: int = 0, sigma: float = 0.8) -> SplitItems:
    """Clips of uneven length; most have one class, rarer ones fewer clips; some frames and some clips are empty."""
    rng = np.random.default_rng(seed)
    atoms = np.repeat(np.arange(n_atoms), np.exp(rng.normal(2, sigma, n_atoms)).astype(int) + 1)
    odds = 1 / np.arange(1, n_classes + 1)
    main = rng.choice(n_classes, n_atoms, p=odds / odds.sum())
    main[: 4 * n_classes] = np.tile(np.arange(n_classes), 4)
    is_empty = (rng.random(n_atoms) < 0.2) & (np.arange(n_atoms) >= 4 * n_classes)
    states = np.zeros((len(atoms), n_classes), np.int8)
    is_seen = ~is_empty[atoms] & ((rng.random(len(atoms)) < 0.8) | np.append(True, atoms[1:] != atoms[:-1]))
    states[is_seen, main[atoms][is_seen]] = 1
    states[is_seen & (atoms % 5 == 0), 0] = 1
    ids = tuple(f"{number:08x}" for number in rng.permutation(len(atoms)))
    return SplitItems(ids, atoms, tuple(f"class {number}" for number in range(n_classes)), states)


def take(items: SplitItems, rows: Sequence[int] | NDArray[np.int64]) -> SplitItems:
    index = np.asarray(rows)
    ids = tuple(items.item_ids[row] for row in index)
    return SplitItems(ids, items.atoms[index], items.class_names, items.states[index])


def measure_drift(items: SplitItems, parts: NDArray[np.str_]) -> float:
    is_present = items.states == 1
    return max(
        float(abs(is_present[parts == part].mean(axis=0) - is_present.mean(axis=0)).max()) for part in set(parts)
    )


def keeps_rules(items: SplitItems, parts: NDArray[np.str_], shares: Mapping[str, float]) -> bool:
    """Whether parts keep what the module promises; written anew so that the two can disagree."""
    for atom in set(items.atoms.tolist()):
        if len(set(parts[items.atoms == atom].tolist())) > 1:
            return False
    for part, share in shares.items():
        mask = parts == part
        if not mask.any() or abs(mask.mean() - share) > 0.1 + 1e-9:
            return False
        if items.states.size and not (items.states[mask] == 1).any(axis=0).all():
            return False
    return True


class TestParts:
    def test_three_atoms_make_three_parts(self) -> None:
        parts = split_atoms(make_items([1, 1, 1]), SplitOptions(THIRDS))

        assert sorted(parts) == ["a", "b", "c"]

    @pytest.mark.parametrize("shares", [{"all": 1.0}, {"学習": 0.5, "試験": 0.5}, dict.fromkeys("pqrstu", 1 / 6)])
    def test_any_names_of_parts_will_do(self, shares: dict[str, float]) -> None:
        items = make_world(60, 3)

        assert keeps_rules(items, split_atoms(items, SplitOptions(shares)), shares)

    def test_shares_are_reached_where_atoms_are_small(self) -> None:
        parts = split_atoms(make_world(400, 5), SplitOptions(SHARES))

        for part, share in SHARES.items():
            assert abs((parts == part).mean() - share) < 0.01

    def test_items_without_any_label_are_split_by_number(self) -> None:
        items = make_items([3] * 20)

        parts = split_atoms(items, SplitOptions(SHARES))

        assert {part: int((parts == part).sum()) for part in SHARES} == {"train": 42, "val": 9, "test": 9}

    def test_a_single_class_that_all_items_have_is_fine(self) -> None:
        items = make_items([2] * 10, {"cat": range(10)})

        assert keeps_rules(items, split_atoms(items, SplitOptions(SHARES)), SHARES)

    def test_a_class_in_exactly_as_many_atoms_as_parts_is_in_every_part(self) -> None:
        items = make_items([5] * 100, {"common": range(100), "rare": [3, 50, 77]})

        parts = split_atoms(items, SplitOptions(SHARES))

        assert sorted(parts[items.atoms == atom][0] for atom in (3, 50, 77)) == ["test", "train", "val"]

    def test_many_scarce_classes_are_each_in_every_part(self) -> None:
        rng = np.random.default_rng(1)
        home = np.arange(60) % 3  # a way to do it exists: one atom of every class in each third
        classes = {f"c{n}": [int(rng.choice(np.flatnonzero(home == one))) for one in range(3)] for n in range(40)}
        items = make_items([3] * 60, classes)

        assert keeps_rules(items, split_atoms(items, SplitOptions(THIRDS)), THIRDS)

    def test_empty_frames_are_spread_like_a_class(self) -> None:
        items = make_items([4] * 40, {"cat": range(20)})

        parts = split_atoms(items, SplitOptions(THIRDS))

        is_empty = items.atoms >= 20
        assert all(abs(is_empty[parts == part].mean() - 0.5) < 0.05 for part in THIRDS)

    def test_unlabelled_items_are_spread_like_a_class(self) -> None:
        items = make_items([4] * 40, {"cat": range(20)})
        items.states[items.atoms >= 30] = -1

        parts = split_atoms(items, SplitOptions(THIRDS))

        is_unlabelled = items.atoms >= 30
        assert all(abs(is_unlabelled[parts == part].mean() - 0.25) < 0.06 for part in THIRDS)

    def test_prevalence_holds_where_two_label_files_ask_about_different_classes(self) -> None:
        items = make_world(300, 4)
        items.states[np.ix_(items.atoms % 2 == 0, [0, 1])] = -1
        items.states[np.ix_(items.atoms % 2 == 1, [2, 3])] = -1

        parts = split_atoms(items, SplitOptions(SHARES))

        for column in range(4):
            is_asked = items.states[:, column] >= 0
            for part in SHARES:
                here = items.states[is_asked & (parts == part), column].mean()
                assert abs(here - items.states[is_asked, column].mean()) < 0.03

    def test_label_drift_is_far_below_that_of_a_random_split_of_the_same_atoms(self) -> None:
        ours, random = [], []
        for seed in range(5):
            items = make_world(150, 5, seed)
            ours.append(measure_drift(items, split_atoms(items, SplitOptions(SHARES, seed))))
            dealt = np.random.default_rng(seed).choice(list(SHARES), 150, p=list(SHARES.values()))
            random.append(measure_drift(items, dealt[items.atoms]))

        assert np.mean(ours) < 0.25 * np.mean(random)

    def test_long_clips_do_not_all_go_to_the_largest_part(self) -> None:
        items = make_world(600, 5)

        parts = split_atoms(items, SplitOptions(SHARES))

        sizes = {part: np.unique(items.atoms[parts == part], return_counts=True)[1].mean() for part in SHARES}
        assert max(sizes.values()) < 1.5 * min(sizes.values())


class TestLaws:
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.integers(1, 60), min_size=1, max_size=25),
        st.lists(st.sets(st.integers(0, 24), max_size=12), max_size=4),
        st.sampled_from([SHARES, THIRDS, {"x": 0.9, "y": 0.1}]),
    )
    def test_a_split_keeps_all_rules_or_is_refused(
        self, sizes: list[int], classes: list[set[int]], shares: dict[str, float]
    ) -> None:
        items = make_items(sizes, {f"c{number}": sorted(members) for number, members in enumerate(classes)})

        try:
            parts = split_atoms(items, SplitOptions(shares))
        except DataError:
            return

        assert keeps_rules(items, parts, shares)

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.integers(1, 30), min_size=3, max_size=6),
        st.lists(st.sets(st.integers(0, 5), min_size=3), max_size=2),
        st.sampled_from([SHARES, THIRDS]),
    )
    def test_with_few_atoms_a_refusal_means_that_there_is_no_way(
        self, sizes: list[int], classes: list[set[int]], shares: dict[str, float]
    ) -> None:
        items = make_items(sizes, {f"c{number}": sorted(members) for number, members in enumerate(classes)})
        ways = (np.array(way)[items.atoms] for way in itertools.product(shares, repeat=len(sizes)))
        is_possible = any(keeps_rules(items, way, shares) for way in ways)

        try:
            split_atoms(items, SplitOptions(shares))
            was_refused = False
        except DataError:
            was_refused = True

        assert was_refused is not is_possible

    @pytest.mark.parametrize("seed", range(6))
    def test_eleven_uneven_atoms_are_split_where_a_way_was_planted(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        home = np.array([0] * 5 + [1] * 3 + [2] * 3)
        sizes = rng.integers(1, 30, 11)
        totals = np.bincount(home, sizes)
        shares = dict(zip("abc", (totals / totals.sum()).tolist(), strict=True))
        classes = {f"c{n}": [int(rng.choice(np.flatnonzero(home == one))) for one in range(3)] for n in range(6)}
        items = make_items(sizes.tolist(), classes)

        assert keeps_rules(items, split_atoms(items, SplitOptions(shares)), shares)

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 1000), st.sampled_from([12, 60]))
    def test_the_order_of_items_classes_and_parts_and_the_numbers_of_atoms_do_not_matter(
        self, seed: int, n_atoms: int
    ) -> None:
        rng = np.random.default_rng(seed)
        items = make_world(n_atoms, 3, seed=1)
        order, columns = rng.permutation(len(items.item_ids)), rng.permutation(3)
        mixed = SplitItems(
            tuple(items.item_ids[row] for row in order),
            rng.permutation(10_000)[items.atoms[order]],
            tuple(items.class_names[column] for column in columns),
            items.states[np.ix_(order, columns)],
        )
        turned = {part: SHARES[part] for part in rng.permutation(list(SHARES))}

        parts = split_atoms(items, SplitOptions(SHARES, allow_missing=items.class_names))

        assert (
            split_atoms(mixed, SplitOptions(turned, allow_missing=items.class_names)).tolist() == parts[order].tolist()
        )

    def test_the_same_seed_gives_the_same_split_and_another_seed_another(self) -> None:
        items = make_world(80, 4)

        first, again, other = (split_atoms(items, SplitOptions(SHARES, seed)).tolist() for seed in (42, 42, 43))

        assert first == again
        assert first != other

    def test_few_equal_atoms_are_dealt_differently_by_different_seeds(self) -> None:
        items = make_items([1] * 6)

        splits = {tuple(split_atoms(items, SplitOptions(THIRDS, seed)).tolist()) for seed in range(10)}

        assert len(splits) > 5

    def test_nothing_that_is_passed_in_is_changed(self) -> None:
        items = make_world(60, 3)
        atoms, states = items.atoms.copy(), items.states.copy()

        split_atoms(items, SplitOptions(SHARES))

        assert (items.atoms == atoms).all()
        assert (items.states == states).all()

    @pytest.mark.parametrize("tail", [0.8, 1.1, 1.5])
    def test_heavy_tailed_atoms_are_split_within_the_rules(self, tail: float) -> None:
        sizes = np.minimum(np.random.default_rng(5).pareto(tail, 200) * 3 + 1, 500).astype(int)
        items = make_items(sizes.tolist(), {"cat": range(0, 200, 3), "dog": range(0, 200, 7)})

        assert keeps_rules(items, split_atoms(items, SplitOptions(SHARES)), SHARES)

    @pytest.mark.slow
    def test_a_hundred_thousand_items_take_seconds(self) -> None:
        items = make_world(12_000, 30)
        n_items = len(items.item_ids)
        start = time.perf_counter()

        parts = split_atoms(items, SplitOptions(SHARES))

        assert n_items > 90_000
        assert time.perf_counter() - start < 20
        assert measure_drift(items, parts) < 0.005


class TestRefusals:
    def test_no_items_say_to_bring_some_in(self) -> None:
        with pytest.raises(DataError, match=r"there are no items to split\. .*mekiki ingest PATH"):
            split_atoms(make_items([]), SplitOptions())

    def test_fewer_atoms_than_parts_is_refused_and_not_split_by_rows(self) -> None:
        with pytest.raises(DataError) as caught:
            split_atoms(make_items([60, 40]), SplitOptions(), lambda atom: f"atom {atom} joined by source 'x.mp4'")

        assert str(caught.value) == (
            "3 parts need 3 atoms or more, but all 100 items form only 2. The largest of 2 atoms holds 60% of all "
            "items: atom 0 joined by source 'x.mp4'. Add other sources, ask for fewer parts, or loosen what joins "
            "items: --group-by, bursts, near-duplicates."
        )

    def test_a_class_in_too_few_atoms_is_refused_by_name_with_the_flag_that_allows_it(self) -> None:
        items = make_items([2] * 20, {"cat": range(20), "badger": [4, 5], "テン": [], "red fox": [1]})

        with pytest.raises(DataError) as caught:
            split_atoms(items, SplitOptions())

        assert str(caught.value) == (
            "classes present in fewer atoms than the 3 parts: 'badger' (2 atoms, 4 items), 'red fox' (1 atoms, "
            "2 items), 'テン' (0 atoms, 0 items). Add pictures of them from other sources, ask for fewer parts, or "
            "type --allow-missing badger --allow-missing 'red fox' --allow-missing テン; with mekiki run: "
            """--set 'split.allow_missing=["badger", "red fox", "テン"]'"""
        )

    def test_an_allowed_class_may_be_missing(self) -> None:
        items = make_items([2] * 20, {"cat": range(20), "badger": [4, 5]})

        parts = split_atoms(items, SplitOptions(allow_missing=("badger",)))

        assert keeps_rules(
            take(SplitItems(items.item_ids, items.atoms, ("cat",), items.states[:, :1]), range(40)), parts, SHARES
        )

    def test_allowing_what_is_no_class_suggests_the_nearest(self) -> None:
        with pytest.raises(UsageError, match=r"no class is called 'bager'\. Did you mean 'badger'\?"):
            split_atoms(make_items([1] * 5, {"badger": range(5)}), SplitOptions(allow_missing=("bager",)))

    def test_an_atom_too_large_for_any_part_is_refused_by_name(self) -> None:
        items = make_items([60] + [1] * 40)

        with pytest.raises(DataError) as caught:
            split_atoms(items, SplitOptions(THIRDS), lambda atom: f"60 items joined by near-duplicate 'n{atom}'")

        assert re.fullmatch(
            r"part '[abc]' would get 0\.60 of all items, more than 0\.1 off its share of 0\.33\. The largest of 41 "
            r"atoms holds 60% of all items: 60 items joined by near-duplicate 'n0'\. Add other sources, ask for "
            r"shares that the atoms can fill, or loosen what joins items: --group-by, bursts, near-duplicates\.",
            str(caught.value),
        )

    def test_an_atom_that_fits_into_the_largest_part_is_no_reason_to_refuse(self) -> None:
        items = make_items([60] + [1] * 40, {"cat": range(0, 41, 2)})

        parts = split_atoms(items, SplitOptions(SHARES))

        assert parts[0] == "train"
        assert keeps_rules(items, parts, SHARES)

    def test_classes_that_cannot_all_be_everywhere_are_refused_by_name(self) -> None:
        # x and y put atoms 2 and 3 into one part, and z needs them apart.
        classes = {"x": [0, 1, 2], "y": [0, 1, 3], "z": [0, 2, 3]}

        with pytest.raises(DataError, match=r"class '[xyz]' is present in 3 atoms, and yet .* --allow-missing [xyz]; "):
            split_atoms(make_items([1] * 9, classes), SplitOptions(THIRDS))

    @pytest.mark.parametrize(
        "shares",
        [
            pytest.param({}, id="none"),
            pytest.param({"train": 0.7, "test": 0.2}, id="sum below 1"),
            pytest.param({"train": 1.2, "test": -0.2}, id="negative"),
            pytest.param({"train": 1.0, "test": 0.0}, id="zero"),
            pytest.param({"train": float("nan"), "test": 0.5}, id="not a number"),
            pytest.param({"": 1.0}, id="no name"),
        ],
    )
    def test_shares_that_make_no_whole_are_refused(self, shares: dict[str, float]) -> None:
        with pytest.raises(UsageError, match="shares must have names, be above 0 and sum to 1, got"):
            SplitOptions(shares)

    def test_a_negative_seed_is_refused(self) -> None:
        with pytest.raises(UsageError, match="seed must be 0 or more, got -1"):
            SplitOptions(seed=-1)

    def test_an_id_that_occurs_twice_is_a_bug_of_the_caller(self) -> None:
        items = SplitItems(("x", "x", "y"), np.arange(3), (), np.zeros((3, 0), np.int8))

        with pytest.raises(ValueError, match="item_ids must be unique, got 'x' twice"):
            split_atoms(items, SplitOptions())

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"atoms": np.zeros(2, np.int64)}, r"atoms must have shape \(1,\), got \(2,\)"),
            ({"states": np.zeros((1, 2), np.int8)}, r"states must have shape \(1, 1\), got \(1, 2\)"),
            ({"states": np.full((1, 1), 2, np.int8)}, "states must be -1, 0 or 1, got 2 to 2"),
            ({"class_names": ("a", "a"), "states": np.zeros((1, 2), np.int8)}, "class_names must all be different"),
        ],
    )
    def test_arrays_that_do_not_belong_together_are_refused(self, changes: dict[str, object], message: str) -> None:
        fields = {"item_ids": ("x",), "atoms": np.zeros(1, np.int64), "class_names": ("a",)}
        fields |= {"states": np.zeros((1, 1), np.int8)} | changes

        with pytest.raises(ValueError, match=message):
            SplitItems(**fields)  # type: ignore[arg-type]


class TestExtend:
    def test_old_items_keep_their_parts_and_shares_are_approached(self) -> None:
        items = make_world(200, 4)
        is_old = items.atoms < 80
        old = split_atoms(take(items, np.flatnonzero(is_old)), SplitOptions())
        known: list[str | None] = [None] * len(items.item_ids)
        for row, part in zip(np.flatnonzero(is_old), old, strict=True):
            known[row] = str(part)

        parts = extend_split(items, SplitOptions(seed=7), known)

        assert parts[is_old].tolist() == old.tolist()
        assert keeps_rules(items, parts, SHARES)
        assert abs((parts == "test").mean() - 0.15) < 0.02

    def test_new_items_follow_the_old_ones_of_their_atom(self) -> None:
        items = make_items([4, 4, 4, 1, 1, 1])
        known = ["a", *[None] * 3, "b", *[None] * 3, "c", *[None] * 6]

        parts = extend_split(items, SplitOptions(THIRDS), known)

        assert parts[:12].tolist() == ["a"] * 4 + ["b"] * 4 + ["c"] * 4

    def test_a_part_that_old_data_lacked_is_filled_with_new_atoms(self) -> None:
        items = make_items([1] * 30)
        known = ["a"] * 10 + ["b"] * 10 + [None] * 10

        parts = extend_split(items, SplitOptions(THIRDS), known)

        assert set(parts[20:]) == {"c"}

    def test_nothing_new_changes_nothing(self) -> None:
        items = make_items([10, 10, 10])
        known = list("a" * 10 + "b" * 10 + "c" * 10)

        assert extend_split(items, SplitOptions(THIRDS), known).tolist() == known

    def test_new_data_that_joins_two_parts_is_refused_naming_both(self) -> None:
        items = make_items([3, 2, 2])
        known = ["a", None, "b", None, None, None, None]

        with pytest.raises(DataError) as caught:
            extend_split(items, SplitOptions(THIRDS), known, lambda atom: f"3 items joined by burst 'b{atom}'")

        assert str(caught.value) == (
            "items of parts 'a' and 'b' now belong together, for example id000000 and id000002: 3 items joined by "
            "burst 'b0'. Leave out what joins them, or make a fresh split under another name."
        )

    def test_an_old_part_without_a_share_suggests_the_nearest(self) -> None:
        with pytest.raises(UsageError, match=r"no part is called 'trian'\. Did you mean 'train'\?"):
            extend_split(make_items([1] * 4), SplitOptions(), ["trian", None, None, None])

    def test_old_parts_that_leave_nothing_for_a_new_part_are_refused(self) -> None:
        shares = {"a": 0.5, "b": 0.45, "c": 0.05}

        with pytest.raises(DataError, match=r"part 'c' would stay empty: old items hold all atoms\."):
            extend_split(make_items([1] * 4), SplitOptions(shares), ["a", "a", "b", "b"])

    def test_lengths_must_agree(self) -> None:
        with pytest.raises(ValueError, match="old_parts must have 3 entries, got 1"):
            extend_split(make_items([3]), SplitOptions(), ["a"])


class TestFolds:
    @pytest.mark.parametrize("n_folds", [2, 5, 12])
    def test_folds_are_of_one_size_and_hold_every_class(self, n_folds: int) -> None:
        items = make_world(200, 3)

        folds = fold_atoms(items, n_folds, SplitOptions(allow_missing=items.class_names))

        assert sorted(set(folds.tolist())) == list(range(n_folds))
        assert np.ptp(np.bincount(folds)) < 0.03 * len(folds)
        assert all(len(set(folds[items.atoms == atom].tolist())) == 1 for atom in range(200))

    def test_too_few_atoms_with_a_class_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"fewer atoms than the 5 parts: 'cat' \(4 atoms, 4 items\)"):
            fold_atoms(make_items([1] * 30, {"cat": range(4)}), 5, SplitOptions())

    def test_one_fold_is_refused(self) -> None:
        with pytest.raises(UsageError, match="the number of folds must be 2 or more, got 1"):
            fold_atoms(make_items([1] * 5), 1, SplitOptions())
