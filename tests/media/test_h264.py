"""What is read from H.264 packets, against packets of streams whose making is known."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from mekiki.media.h264 import Inspector, Unit, iter_units
from videos import RECIPES, make_video


def inspect(path: Path, leave_out: tuple[int, ...] = ()) -> list[Unit]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        inspector = Inspector(stream.codec_context.extradata)
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    return [inspector.look(packet) for row, packet in enumerate(packets) if row not in leave_out]


def test_no_bytes_say_nothing() -> None:
    nothing = Unit(is_entry=False, is_disposable=False, follows_loss=False)

    assert Inspector(None).look(b"") == Inspector(b"").look(bytes(100)) == Inspector(bytes(20)).look(b"x") == nothing


@pytest.mark.parametrize("name", ["h264-mp4", "h264-mp4-open-gop", "h264-ts", "h264-mkv", "h264-avi"])
def test_decoding_can_start_at_each_keyframe_of_the_encoder(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]

    units = inspect(make_video(tmp_path / f"clip{recipe.suffix}", recipe))

    assert units[0].is_entry
    assert sum(unit.is_entry for unit in units) == 5
    assert not any(unit.follows_loss for unit in units)


def test_decoding_cannot_start_where_a_picture_only_begins_to_heal(tmp_path: Path) -> None:
    units = inspect(make_video(tmp_path / "clip.ts", RECIPES["h264-ts-rolling-refresh"]))

    assert [unit.is_entry for unit in units] == [True] + [False] * 59


def test_frames_are_disposable_only_where_there_are_b_frames(tmp_path: Path) -> None:
    with_b = inspect(make_video(tmp_path / "b.mp4", RECIPES["h264-mp4"]))
    without = inspect(make_video(tmp_path / "p.avi", RECIPES["h264-avi"]))

    assert 10 < sum(unit.is_disposable for unit in with_b) < 40
    assert not any(unit.is_disposable for unit in without)


@pytest.mark.parametrize("name", ["h264-mp4", "h264-ts"])
def test_a_missing_frame_shows_where_others_depend_on_it(name: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / f"clip{RECIPES[name].suffix}", RECIPES[name])
    whole = inspect(path)

    for row in range(1, 47):
        units = inspect(path, leave_out=(row,))
        after = units[row]
        expected = not whole[row].is_disposable and not whole[row + 1].is_entry
        assert after.follows_loss == expected, row


def test_units_are_parted_by_lengths_or_by_start_codes() -> None:
    by_length = bytes.fromhex("0002 09f0 0003 658801")
    by_code = bytes.fromhex("000001 09f0 00000001 658801")

    assert list(iter_units(by_length, 2)) == list(iter_units(by_code, 0)) == [b"\x09\xf0", b"\x65\x88\x01"]
