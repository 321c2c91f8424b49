"""Neighbours among hashes: against brute force, on clumps, and on wrong calls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mekiki.neighbours.hamming import iter_hamming_pairs, nearest_hamming


def some_hashes(n: int, seed: int, n_bits: int = 64) -> NDArray[np.uint64]:
    """Hashes that differ in the lowest ``n_bits`` bits only, so that few bits make many neighbours."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**n_bits, n, dtype=np.uint64, endpoint=False)


def all_pairs(found) -> set[tuple[int, int, int]]:
    return {
        (int(query), int(target), int(distance))
        for lot in found
        for query, target, distance in zip(lot.query_rows, lot.target_rows, lot.distances, strict=True)
    }


def brute_pairs(queries, targets, max_distance) -> set[tuple[int, int, int]]:
    distances = np.array([[(int(one) ^ int(other)).bit_count() for other in targets] for one in queries])
    return {(q, t, int(distances[q, t])) for q, t in np.argwhere(distances <= max_distance).tolist()}


@pytest.mark.parametrize(
    ("n_queries", "n_targets"), [pytest.param(0, 0, id="nothing"), pytest.param(0, 5, id="no query"), (5, 0)]
)
def test_nothing_has_no_neighbours(n_queries, n_targets) -> None:
    queries, targets = some_hashes(n_queries, 0), some_hashes(n_targets, 1)

    assert list(iter_hamming_pairs(queries, targets, 64)) == []
    assert nearest_hamming(queries, targets) is None


@given(st.integers(0, 70), st.integers(0, 90), st.integers(0, 64), st.integers(1, 64), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_hamming_pairs_are_those_of_brute_force(n_queries, n_targets, max_distance, n_bits, seed) -> None:
    queries, targets = some_hashes(n_queries, seed, n_bits), some_hashes(n_targets, seed + 1, n_bits)

    found = all_pairs(iter_hamming_pairs(queries, targets, max_distance))

    assert found == brute_pairs(queries, targets, max_distance)


def test_every_pair_comes_once_when_a_set_is_compared_with_itself() -> None:
    hashes = some_hashes(300, 3, n_bits=12)

    lots = list(iter_hamming_pairs(hashes, hashes, 4, starts=np.arange(1, 301)))

    expected = {pair for pair in brute_pairs(hashes, hashes, 4) if pair[0] < pair[1]}
    assert all_pairs(lots) == expected
    assert sum(len(lot.distances) for lot in lots) == len(expected)


def test_ranges_say_which_targets_a_query_sees() -> None:
    hashes = some_hashes(9000, 4, n_bits=3)[::100]
    starts, stops = np.arange(90) // 2, np.minimum(np.arange(90) + 7, 90)

    found = all_pairs(iter_hamming_pairs(hashes, hashes, 1, starts, stops))

    expected = brute_pairs(hashes, hashes, 1)
    assert found == {pair for pair in expected if starts[pair[0]] <= pair[1] < stops[pair[0]]}


def test_tiles_have_no_seams() -> None:
    targets = np.full(10_000, 2**64 - 1, np.uint64)
    targets[[0, 4095, 4096, 8191, 8192, 9999]] = 0
    queries = np.zeros(65, np.uint64)

    found = all_pairs(iter_hamming_pairs(queries, targets, 0))

    assert found == {(query, target, 0) for query in range(65) for target in (0, 4095, 4096, 8191, 8192, 9999)}


def test_a_clump_of_equal_hashes_comes_in_bounded_lots() -> None:
    hashes = np.zeros(2000, np.uint64)

    sizes = [len(lot.distances) for lot in iter_hamming_pairs(hashes, hashes, 0)]

    assert sum(sizes) == 2000**2
    assert max(sizes) <= 400_000


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"max_distance": 65}, "0 to 64, got 65", id="radius above 64"),
        pytest.param({"max_distance": -1}, "0 to 64, got -1", id="negative radius"),
        pytest.param({"queries": np.zeros(3, np.int64)}, "queries must be", id="signed hashes"),
        pytest.param({"targets": np.zeros((3, 1), np.uint64)}, "targets must be", id="two axes"),
        pytest.param({"starts": np.zeros(2, np.int64)}, "starts and stops must have shape", id="a start is missing"),
        pytest.param({"stops": np.full(3, 4)}, "must stay in 0 to 3", id="stop beyond the targets"),
    ],
)
def test_a_wrong_call_says_which_rule_it_breaks(changed, message) -> None:
    call = {"queries": np.zeros(3, np.uint64), "targets": np.zeros(3, np.uint64), "max_distance": 3, **changed}

    with pytest.raises(ValueError, match=message):
        iter_hamming_pairs(**call)


@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_pair_is_that_of_brute_force(seed) -> None:
    queries, targets = some_hashes(80, seed), some_hashes(60, seed + 100)

    distance, query, target = nearest_hamming(queries, targets)

    assert distance == min(pair[2] for pair in brute_pairs(queries, targets, 64))
    assert (int(queries[query]) ^ int(targets[target])).bit_count() == distance
