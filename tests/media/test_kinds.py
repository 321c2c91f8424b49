"""Kinds of file are told by content."""

from __future__ import annotations

from pathlib import Path

import pytest

import pictures
from mekiki.media.kinds import HEAD_BYTES, IMAGE_SUFFIXES, VIDEO_SUFFIXES, sniff_format, sniff_kind


def iso_media(major: bytes, *compatible: bytes) -> bytes:
    payload = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (len(payload) + 4).to_bytes(4, "big") + payload + b"\0\0\0\x08mdat"


def transport_stream(offset: int, length: int, n_packets: int = 5) -> bytes:
    return b"".join(b"\0" * offset + b"\x47" + b"\1" * (length - offset - 1) for _ in range(n_packets))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", None, id="empty"),
        pytest.param(pictures.jpeg(), "jpeg", id="jpeg"),
        pytest.param(pictures.png(), "png", id="png"),
        pytest.param(pictures.webp(), "webp", id="webp"),
        pytest.param(pictures.bmp(), "bmp", id="bmp"),
        pytest.param(pictures.animated_gif(), "gif", id="gif"),
        pytest.param(pictures.tiff(), "tiff", id="tiff"),
        pytest.param(b"MM\0*" + bytes(20), "tiff", id="tiff, big endian"),
        pytest.param(b"II+\0" + bytes(20), "tiff", id="BigTIFF"),
        pytest.param(pictures.ppm(), "pnm", id="ppm"),
        pytest.param(pictures.plain_pgm(), "pnm", id="plain pgm with a comment"),
        pytest.param(pictures.avif(), "avif", id="avif"),
        pytest.param(iso_media(b"mif1", b"mif1", b"avif"), "avif", id="avif under a general brand"),
        pytest.param(iso_media(b"heic", b"mif1"), "heic", id="heic"),
        pytest.param(iso_media(b"mif1", b"heic"), "heic", id="heic under a general brand"),
        pytest.param(iso_media(b"isom", b"avc1"), None, id="mp4"),
        pytest.param(b"BMW is a car, and this is a text", None, id="text that starts like a bmp"),
        pytest.param(b"P3 is a reactor", None, id="text that starts like a ppm"),
    ],
)
def test_a_picture_is_known_by_its_content(content: bytes, expected: str | None) -> None:
    assert sniff_format(content[:HEAD_BYTES]) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", None, id="empty"),
        pytest.param(pictures.text(), None, id="text"),
        pytest.param(b"%PDF-1.7\n" + bytes(500), None, id="pdf"),
        pytest.param(b"PK\3\4" + bytes(500), None, id="zip"),
        pytest.param(pictures.jpeg(), "image", id="jpeg"),
        pytest.param(iso_media(b"avif"), "image", id="avif"),
        pytest.param(iso_media(b"isom", b"iso2", b"mp41"), "video", id="mp4"),
        pytest.param(iso_media(b"qt  "), "video", id="mov"),
        pytest.param(iso_media(b"M4V "), "video", id="m4v"),
        pytest.param(iso_media(b"M4A "), None, id="sound in mp4"),
        pytest.param(iso_media(b"crx "), None, id="raw photo of Canon"),
        pytest.param(b"\0\0\0\x08wide\0\0\1\0mdat" + bytes(99), "video", id="old mov"),
        pytest.param(b"RIFF\0\0\0\0AVI LIST", "video", id="avi"),
        pytest.param(b"RIFF\0\0\0\0WAVEfmt ", None, id="wav"),
        pytest.param(b"\x1a\x45\xdf\xa3\x9f", "video", id="mkv or webm"),
        pytest.param(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "video", id="asf"),
        pytest.param(b"\0\0\1\xba\x44", "video", id="mpeg program stream"),
        pytest.param(b"\0\0\1\xb3\x14", "video", id="mpeg video"),
        pytest.param(transport_stream(0, 188), "video", id="transport stream"),
        pytest.param(transport_stream(4, 192), "video", id="mts with time codes"),
        pytest.param(transport_stream(0, 188, 2), None, id="too little of a transport stream"),
        pytest.param(transport_stream(0, 190), None, id="packets of no known length"),
    ],
)
def test_pictures_and_videos_are_told_apart(content: bytes, expected: str | None) -> None:
    assert sniff_kind(content[:HEAD_BYTES]) == expected


def test_no_beginning_of_a_file_breaks_the_telling() -> None:
    for content in (pictures.avif(), pictures.bmp(), transport_stream(4, 192), iso_media(b"mif1", b"heic")):
        for n_bytes in range(60):
            sniff_kind(content[:n_bytes])


def test_no_suffix_is_both_a_picture_and_a_video() -> None:
    assert not IMAGE_SUFFIXES & VIDEO_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES)


def test_content_and_name_agree_for_every_real_file(shared_data: Path) -> None:
    kinds = dict.fromkeys(IMAGE_SUFFIXES, "image") | dict.fromkeys(VIDEO_SUFFIXES, "video")
    folder = shared_data / "wildlife"

    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            assert sniff_kind(file.read(HEAD_BYTES)) == kinds.get(path.suffix.lower()), path.name
