"""Truth written and read back."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from mekiki.demo.scenes import Sighting
from mekiki.demo.truth import CaptionTruth, FileTruth, FrameTruth, Truth, read_truth, write_truth
from mekiki.errors import UsageError


def test_a_folder_without_a_world_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"truth\.csv is missing\. Make one"):
        read_truth(tmp_path)


@pytest.mark.parametrize(
    "truth",
    [
        pytest.param(Truth(), id="nothing"),
        pytest.param(
            Truth(
                [
                    FileTruth(
                        "creek/cam1/VID_0001.MP4",
                        ("テン", "ネコ"),
                        "creek",
                        "cam1",
                        datetime(2023, 12, 1, 2, 3, 4),
                        "E0007",
                        True,
                        "winter",
                        "",
                        "",
                        True,
                    ),
                    FileTruth(
                        "creek/cam2/IMG_0001.JPG",
                        (),
                        "creek",
                        "cam2",
                        datetime(2023, 5, 1, 12),
                        "E0008",
                        False,
                        "summer",
                        "creek/cam1/IMG_0002.JPG",
                        "mirrored",
                        False,
                    ),
                ],
                [
                    FrameTruth("creek/cam1/VID_0001.MP4", 0, 0.0, (), ("ネコ",), ()),
                    FrameTruth(
                        "creek/cam1/VID_0001.MP4",
                        1,
                        0.125,
                        ("テン",),
                        (),
                        (Sighting("テン", (1.0, 2.5, 30.0, 40.0), 0.75),),
                    ),
                ],
                [CaptionTruth("creek/cam1/VID_0001.MP4", 0.125, 2.5, "a marten bounds left through snow at night")],
            ),
            id="something of each",
        ),
    ],
)
def test_what_is_written_is_what_is_read(tmp_path: Path, truth: Truth) -> None:
    write_truth(tmp_path, truth)

    assert read_truth(tmp_path) == truth
