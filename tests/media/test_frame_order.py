"""Stamps that are missing, repeated or running backwards are mended by the documented rule."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mekiki.media.frame_order import mend_stamps
from mekiki.media.packets import NO_STAMP, find_entries

stamps = st.lists(st.integers(-1000, 1000) | st.just(NO_STAMP), max_size=30).map(lambda xs: np.array(xs, np.int64))


@given(stamps=stamps, step=st.integers(1, 50))
def test_mended_stamps_rise_and_mending_them_again_changes_nothing(stamps: np.ndarray, step: int) -> None:
    mended = mend_stamps(stamps, step)

    assert len(mended) == len(stamps)
    assert np.all(np.diff(mended) > 0)
    assert mend_stamps(mended, step).tolist() == mended.tolist()


def test_missing_stamps_follow_their_predecessor() -> None:
    assert mend_stamps(np.array([NO_STAMP, NO_STAMP, 100, NO_STAMP]), 40).tolist() == [0, 40, 100, 140]


def test_a_frame_that_is_shown_before_the_keyframe_it_follows_depends_on_the_one_before() -> None:
    pts = np.array([0, 3, 1, 2, 6, 4, 5, 9])  # packet 4 is a keyframe; 5 and 6 are shown before it
    is_key = np.array([1, 0, 0, 0, 1, 0, 0, 0], np.bool_)

    assert find_entries(pts, is_key, from_one_point=False).tolist() == [0, 0, 0, 0, 4, 0, 0, 4]
    assert find_entries(pts, is_key, from_one_point=True).tolist() == [0] * 8


def test_what_comes_before_the_first_keyframe_has_no_entry() -> None:
    entries = find_entries(np.array([0, 1, 2]), np.array([False, True, False]), from_one_point=False)

    assert entries.tolist() == [-1, 1, 1]
