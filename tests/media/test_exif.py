"""When, by which camera and how held: from the tags alone."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest

import pictures
from mekiki.media.exif import ExifFacts, read_exif
from pictures import PAINTED, encode, exif_block, jpeg

HOSTILE_COUNT = 0xFFFFFFFF
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]


def with_block(block: bytes) -> bytes:
    """Return a JPEG with these bytes as its EXIF."""
    payload = b"Exif\0\0" + block
    content = jpeg()
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + content[2:]


def directory(*entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    """Return a TIFF block of entries (tag, type, count, value)."""
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, len(entries))
    return start + b"".join(struct.pack(order + "HHII", *entry) for entry in entries) + bytes(4)


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_that_carries_tags_gives_them(format_name: str) -> None:
    block = exif_block(6, "2021:06:05 04:03:02", make="RECONYX", model="HC500", serial="H500")

    facts = read_exif(encode(PAINTED, format_name, exif=block))

    assert facts == ExifFacts("2021-06-05 04:03:02", "RECONYX HC500 #H500", 6)


def test_heic_gives_time_and_camera_and_is_already_upright() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    block = exif_block(6, "2021:06:05 04:03:02", make="Apple", model="iPhone XS")
    picture = pillow_heif.from_bytes("RGB", (96, 64), PAINTED.tobytes())
    file = io.BytesIO()

    picture.save(file, exif=block)

    assert read_exif(file.getvalue()) == ExifFacts("2021-06-05 04:03:02", "Apple iPhone XS", 1)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"taken_at": "0000:00:00 00:00:00"}, None, id="a clock that was never set"),
        pytest.param({"taken_at": "2020:02:30 10:00:00"}, None, id="no such day"),
        pytest.param({"taken_at": "2020:02:03 25:00:00"}, None, id="no such hour"),
        pytest.param({"taken_at": "    :  :     :  :  "}, None, id="blank"),
        pytest.param({"taken_at": "2020:02:03 10:11:12"}, "2020-02-03 10:11:12", id="as the standard says"),
        pytest.param({"taken_at": "2020-02-03 10:11:12"}, "2020-02-03 10:11:12", id="with dashes"),
        pytest.param({"taken_at": "2020:02:03 10:11:12.50+09:00"}, "2020-02-03 10:11:12", id="with more behind it"),
        pytest.param(
            {"taken_at": "2020:02:03 10:11:12", "changed_at": "2022:02:02 02:02:02"},
            "2020-02-03 10:11:12",
            id="the shot before the last change",
        ),
        pytest.param(
            {"taken_at": "0000:00:00 00:00:00", "digitized_at": "2021:01:01 01:01:01"},
            "2021-01-01 01:01:01",
            id="digitizing where the shot is unknown",
        ),
        pytest.param({"changed_at": "2022:02:02 02:02:02"}, "2022-02-02 02:02:02", id="the last change at last"),
    ],
)
def test_the_time_is_the_first_real_one(times: dict[str, str], expected: str | None) -> None:
    assert read_exif(jpeg(exif=exif_block(**times))).captured_at == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"make": "Reconyx  ", "model": "RC55\0\0\0"}, "Reconyx RC55", id="padded fields"),
        pytest.param({"make": "Canon", "model": "Canon EOS 7D"}, "Canon EOS 7D", id="make said twice"),
        pytest.param({"make": "NIKON CORPORATION", "model": "NIKON D50"}, "NIKON D50", id="make said twice at length"),
        pytest.param({"model": "X\n1"}, "X 1", id="line break"),
        pytest.param({"serial": "42"}, "#42", id="number alone"),
    ],
)
def test_the_camera_is_make_model_and_number(texts: dict[str, str], expected: str | None) -> None:
    assert read_exif(jpeg(exif=exif_block(**texts))).camera == expected


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 3, 4])
def test_an_orientation_is_read_in_any_byte_order_and_width(order: str, kind: int) -> None:
    value = struct.unpack(order + "I", struct.pack(order + {1: "B3x", 3: "H2x", 4: "I"}[kind], 6))[0]

    assert read_exif(with_block(directory((0x0112, kind, 1, value), order=order))).orientation == 6


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(pictures.text(), id="text"),
        pytest.param(jpeg(), id="no tags"),
        pytest.param(pictures.ppm(), id="a format without tags"),
        pytest.param(with_block(b""), id="empty block"),
        pytest.param(with_block(b"garbage, not a directory"), id="no directory"),
        pytest.param(with_block(b"II*\0\xff\xff\xff\xff"), id="directory outside"),
        pytest.param(with_block(directory((0x0110, 2, HOSTILE_COUNT, 8))), id="text of four gigabytes"),
        pytest.param(with_block(directory((0x0112, 3, 1, 99))), id="no such orientation"),
        pytest.param(with_block(directory((0x0112, 2, 4, 0x41414141))), id="orientation in words"),
        pytest.param(with_block(directory((0x8769, 4, 1, 8))), id="directory that points to itself"),
        pytest.param(with_block(b"II*\0\x08\0\0\0\xff\xff" + bytes(12)), id="more entries than there are"),
        pytest.param(pictures.avif()[:200], id="cut avif"),
        pytest.param(b"RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\xff", id="webp chunk of four gigabytes"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(5000), id="png of empty chunks"),
    ],
)
def test_broken_tags_are_unknown_and_no_error(content: bytes) -> None:
    assert read_exif(content) == ExifFacts(None, None, 1)


def test_what_is_whole_is_kept_where_the_rest_is_broken() -> None:
    block = directory((0x0112, 3, 1, 8), (0x0110, 2, HOSTILE_COUNT, 8))

    assert read_exif(with_block(block)).orientation == 8


def test_cut_and_changed_bytes_never_raise() -> None:
    rng = np.random.default_rng(0)
    whole = [encode(PAINTED, name, exif=exif_block(6, "2021:06:05 04:03:02", make="A", model="B")) for name in FORMATS]

    for content in whole:
        for _ in range(100):
            changed = bytearray(content[: rng.integers(1, len(content))])
            changed[rng.integers(len(changed))] = rng.integers(256)
            assert read_exif(bytes(changed)).orientation in pictures.ORIENTATIONS


def test_reading_tags_does_not_decode_the_picture() -> None:
    content = jpeg(pictures.paint(1000, 1000), exif=exif_block(6))

    start = time.perf_counter()
    for _ in range(20):
        read_exif(content)

    assert (time.perf_counter() - start) / 20 < 0.005


def test_real_camera_traps_say_when_and_by_what(shared_data: Path) -> None:
    paths = sorted((shared_data / "wildlife" / "camtrapr").rglob("*.JPG"))

    for path in paths:
        day, clock = path.name.split("__")[1:]
        hour, minute, second = clock.split("(")[0].split("-")
        facts = read_exif(path.read_bytes())
        assert facts == ExifFacts(f"{day} {hour}:{minute}:{second}", "G4 CUDDEBACK", 1)
    assert len(paths) > 40


def test_real_camera_traps_of_many_makes_are_read(shared_data: Path) -> None:
    paths = sorted((shared_data / "wildlife" / "lila_mix").glob("*.[jJ][pP][gG]"))

    facts = [read_exif(path.read_bytes()) for path in paths]

    assert {fact.camera for fact in facts} >= {"RECONYX PC900 PROFESSIONAL", "BolyMedia SG565FV-8M", "Icatch WF108i"}
    assert all((fact.camera is None) == (fact.captured_at is None) for fact in facts)
