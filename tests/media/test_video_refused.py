"""What is no video says why in a few words, and FFmpeg is never let near a playlist or an address."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mekiki.errors import UnreadableError
from mekiki.media.containers import sniff_container
from mekiki.media.sampling import Sampling
from mekiki.media.video import VideoReader, iter_frames, probe_video, read_frame, sample_frames
from videos import RECIPES, Recipe, cut_tail, make_sound_only, make_video, packet_places, scramble


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", r"empty file \(0 bytes\)", id="empty"),
        pytest.param(b"these are my notes\n" * 300, "not a video: its content is no known video format", id="text"),
        pytest.param(
            b"\x89PNG\r\n\x1a\n" + bytes(300), "not a video: its content is no known video format", id="picture"
        ),
        pytest.param(
            b"\0\0\0\x20ftypisom" + bytes(20), "the index at its end is missing: the recording was cut off", id="head"
        ),
        pytest.param(b"RIFF\0\0\1\0AVI " + bytes(400), "damaged beyond opening: ", id="avi head"),
        pytest.param(b"\x1a\x45\xdf\xa3" + bytes(400), "damaged beyond opening: ", id="mkv head"),
    ],
)
def test_content_that_is_no_video_is_refused_with_the_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)

    with pytest.raises(UnreadableError, match=rf"clip\.mp4: {reason}"):
        VideoReader(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("gone.mp4", "no such file", id="missing"),
        pytest.param("with\0nul.mp4", "no such file", id="nul"),
        pytest.param("", "it is a folder, not a video", id="folder"),
        pytest.param("long" * 100 + ".mp4", "cannot be opened: File name too long", id="refused by the system"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_the_reason(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=reason):
        probe_video(tmp_path / name)


def test_a_recording_that_was_cut_off_before_its_index_says_so(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", RECIPES["h264-mp4-one-keyframe"])  # index at the end
    path = cut_tail(whole, tmp_path / "cut.mp4", 0.7)

    with pytest.raises(UnreadableError, match="the index at its end is missing: the recording was cut off"):
        probe_video(path)


def test_a_file_with_sound_only_says_so(tmp_path: Path) -> None:
    path = make_sound_only(tmp_path / "sound.mp4")

    with pytest.raises(UnreadableError, match="it has no pictures: sound only"):
        probe_video(path)


def test_a_codec_that_no_decoder_is_known_for_says_so(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi", RECIPES["mjpeg-avi"])
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"ZZQ9"))

    with pytest.raises(UnreadableError, match="its pictures are in a format that no decoder is known for"):
        probe_video(path)


def test_absurdly_large_pictures_are_refused(tmp_path: Path) -> None:
    recipe = Recipe(suffix=".avi", codec="rawvideo", pixel_format="bgr24", n_frames=2)
    path = make_video(tmp_path / "bomb.avi", recipe)
    content = bytearray(path.read_bytes())
    start = content.index(b"strf") + 12  # width and height of the pictures
    content[start : start + 8] = (16000).to_bytes(4, "little") + (10000).to_bytes(4, "little")
    path.write_bytes(content)

    with pytest.raises(UnreadableError, match="absurdly large: 16000 x 10000 pixels"):
        probe_video(path)


@pytest.mark.parametrize(
    "playlist",
    [
        pytest.param("#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\n{video}\n#EXT-X-ENDLIST\n", id="HLS"),
        pytest.param("ffconcat version 1.0\nfile '{video}'\n", id="concat"),
        pytest.param("[playlist]\nFile1={video}\n", id="pls"),
        pytest.param("v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", id="SDP"),
    ],
)
def test_playlists_are_no_videos_whatever_their_name(playlist: str, tmp_path: Path) -> None:
    video = make_video(tmp_path / "secret.ts", RECIPES["h264-ts"])
    path = tmp_path / "clip.mp4"
    path.write_text(playlist.format(video=video))

    with pytest.raises(UnreadableError, match="not a video: its content is no known video format"):
        probe_video(path)


def test_addresses_and_protocols_are_only_names_of_files_that_do_not_exist(tmp_path: Path) -> None:
    video = make_video(tmp_path / "clip.ts", RECIPES["h264-ts"])
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        port = server.getsockname()[1]

        for address in (
            f"http://127.0.0.1:{port}/clip.ts",
            f"tcp://127.0.0.1:{port}",
            f"concat:{video}",
            f"file:{video}",
        ):
            with pytest.raises(UnreadableError, match="no such file"):
                probe_video(address)
        with pytest.raises(BlockingIOError):  # nobody called
            server.accept()


@pytest.mark.parametrize("name", ["a:b.mp4", "100 %.mp4", "子ども?.mp4", "-i.mp4", "pipe:.mp4"])
def test_odd_names_are_read_like_any_other(name: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / "plain.mp4", Recipe(n_frames=3)).rename(tmp_path / name)

    assert probe_video(path).n_frames == 3
    assert len(list(iter_frames(str(path)))) == 3


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.ts", Recipe(suffix=".ts", container="mpegts", n_frames=3))

    assert probe_video(path.rename(tmp_path / "clip.avi")).n_frames == 3


def test_every_way_of_reading_refuses_in_the_same_words(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()

    for read in (
        lambda: next(iter_frames(path)),
        lambda: next(sample_frames(path, Sampling())),
        lambda: read_frame(path, 0),
        lambda: VideoReader(path),
    ):
        with pytest.raises(UnreadableError) as caught:
            read()
        assert (caught.value.path, caught.value.reason) == (str(path), "empty file (0 bytes)")


def test_noise_behind_an_honest_head_is_no_crash(tmp_path: Path) -> None:
    for name in ("h264-mp4", "h264-ts", "h264-mkv", "mjpeg-avi", "msmpeg4-asf", "mpeg2-mpg"):
        clean = make_video(tmp_path / f"{name}{RECIPES[name].suffix}", RECIPES[name])
        first = packet_places(clean)[0][0]
        for seed, start in enumerate((16, first // 2, first)):
            path = scramble(clean, tmp_path / f"noise{clean.suffix}", start, 1 << 20, seed)

            with pytest.raises(UnreadableError):
                VideoReader(path)


@pytest.mark.parametrize(
    ("head", "demuxer"),
    [
        pytest.param(b"", None, id="empty"),
        pytest.param(b"\0\0\0\x18ftypmp42", "mov", id="mp4"),
        pytest.param(b"\0\0\x10\0moov", "mov", id="old mov"),
        pytest.param(b"\x1a\x45\xdf\xa3\x01", "matroska", id="mkv"),
        pytest.param(b"RIFF\0\0\0\0WAVE", None, id="wav"),
        pytest.param((b"\x47" + bytes(187)) * 5, "mpegts", id="ts"),
        pytest.param((bytes(4) + b"\x47" + bytes(187)) * 5, "mpegts", id="mts"),
        pytest.param(b"junk" + (b"\x47" + bytes(187)) * 5, "mpegts", id="ts after junk"),
        pytest.param(b"\x47" + bytes(187), None, id="too short to tell"),
        pytest.param(b"GIF89a" + bytes(600), None, id="gif"),
    ],
)
def test_containers_are_told_by_their_content(head: bytes, demuxer: str | None) -> None:
    assert sniff_container(head) == demuxer
