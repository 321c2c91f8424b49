"""JPEG is scaled while it is decoded, and whatever is cut or damaged is refused."""

from __future__ import annotations

import time

import numpy as np
import pytest

import pictures
from mekiki.errors import UnreadableError
from mekiki.media.jpeg import (
    JpegHeader,
    check_scans,
    choose_divisor,
    decode_jpeg,
    find_jpeg_end,
    read_jpeg_header,
)
from mekiki.records import Image
from pictures import jpeg, paint, progressive_jpeg


def decode(content: bytes, at_least_px: int | None = None, allow_truncated: bool = False) -> Image:
    decoded = decode_jpeg(content, "a.jpg", at_least_px=at_least_px, allow_truncated=allow_truncated)
    assert decoded is not None
    return decoded[0]


def refusal_of(content: bytes) -> str:
    """Return why a file is refused; not even a header is left to others, and refused by them."""
    try:
        decoded = decode_jpeg(content, "a.jpg", at_least_px=None, allow_truncated=False)
    except UnreadableError as error:
        return error.reason
    return "no header" if decoded is None else "not at all"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(jpeg(), id="baseline"),
        pytest.param(progressive_jpeg(), id="progressive"),
        pytest.param(jpeg(restart_marker_blocks=3), id="restart markers"),
        pytest.param(pictures.grey_jpeg(), id="grey"),
    ],
)
def test_cut_anywhere_it_is_refused(content: bytes) -> None:
    assert refusal_of(content) == "not at all"

    for n_bytes in [*range(4, len(content) - 8, 29), *range(len(content) - 8, len(content))]:
        assert refusal_of(content[:n_bytes]) != "not at all", n_bytes


def test_cut_in_its_pixels_it_is_truncated() -> None:
    content = jpeg()
    pixels_start = content.index(b"\xff\xda") + 14

    reasons = {refusal_of(content[:n_bytes]) for n_bytes in range(pixels_start, len(content), 13)}

    assert reasons == {"truncated JPEG: the end of the file is missing"}


@pytest.mark.parametrize("at_least_px", [None, 30, 8])
def test_a_cut_is_seen_at_every_scale(at_least_px: int | None) -> None:
    content = jpeg(paint(400, 300))

    with pytest.raises(UnreadableError, match="truncated"):
        decode(content[:-2], at_least_px)


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\x55"])
def test_a_tail_that_was_never_written_is_truncated(fill: bytes) -> None:
    content = jpeg()
    half = len(content) // 2

    with pytest.raises(UnreadableError, match="truncated JPEG"):
        decode(content[:half] + fill * half)


def test_a_cut_picture_keeps_its_beginning_where_that_is_allowed() -> None:
    whole = decode(jpeg())

    half = decode(pictures.truncated_jpeg(0.7), allow_truncated=True)

    np.testing.assert_array_equal(half[:8], whole[:8])
    assert half.shape == whole.shape
    assert not np.array_equal(half, whole)


def test_allowing_truncation_changes_nothing_for_whole_files() -> None:
    np.testing.assert_array_equal(decode(jpeg(), allow_truncated=True), decode(jpeg()))


def test_damage_is_named() -> None:
    with pytest.raises(UnreadableError) as caught:
        decode(pictures.corrupted_jpeg())

    assert caught.value.path == "a.jpg"
    assert caught.value.reason.startswith("damaged JPEG: ")


def test_damage_is_not_forgiven_with_truncation() -> None:
    with pytest.raises(UnreadableError, match="damaged JPEG"):
        decode(pictures.corrupted_jpeg(), allow_truncated=True)


def test_many_stray_bytes_mean_that_the_decoder_lost_its_place() -> None:
    content = jpeg()
    stray = bytes(range(1, 101))

    with pytest.raises(UnreadableError, match="extraneous bytes"):
        decode(content[:-2] + stray + content[-2:])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(jpeg() + b"anything after the end", id="bytes behind it"),
        pytest.param(jpeg() + jpeg(paint(8, 8)), id="a second picture behind it"),
        pytest.param(pictures.padded_jpeg(), id="padding before its end"),
        pytest.param(jpeg()[:-2] + b"\1\2\3" + jpeg()[-2:], id="a few stray bytes before its end"),
        pytest.param(jpeg()[:-2] + b"\xff\xff\xff" + jpeg()[-2:], id="fill bytes before its end"),
        pytest.param(jpeg().replace(b"\0\x3f\0", b"\0\x3e\0", 1), id="careless scan settings"),
    ],
)
def test_whole_but_untidy_files_are_read(content: bytes) -> None:
    assert content != jpeg()

    np.testing.assert_array_equal(decode(content), decode(jpeg()))


def test_an_untidy_header_is_left_to_others_even_when_the_rest_is_whole() -> None:
    content = pictures.future_jpeg()

    assert decode_jpeg(content, "a.jpg", at_least_px=None, allow_truncated=False) is None


@pytest.mark.parametrize("n_bytes", [2, 100])
def test_an_untidy_file_that_is_cut_is_truncated_all_the_same(n_bytes: int) -> None:
    for content in (pictures.future_jpeg(), jpeg().replace(b"\0\x3f\0", b"\0\x3e\0", 1)):
        with pytest.raises(UnreadableError, match="truncated JPEG"):
            decode(content[:-n_bytes])


@pytest.mark.parametrize(
    ("short_px", "at_least_px", "expected"),
    [
        pytest.param(3000, None, 1, id="whole"),
        pytest.param(3000, 10_000, 1, id="never larger"),
        pytest.param(3000, 1501, 1, id="just above half"),
        pytest.param(3000, 1500, 2, id="half"),
        pytest.param(3000, 376, 4, id="quarter"),
        pytest.param(3000, 1, 8, id="an eighth at most"),
        pytest.param(3001, 1501, 2, id="an odd half is rounded up"),
    ],
)
def test_the_divisor_is_the_largest_that_leaves_enough(short_px: int, at_least_px: int | None, expected: int) -> None:
    assert choose_divisor(short_px, at_least_px) == expected


@pytest.mark.parametrize("size", [(1, 1), (17, 9), (401, 299), (299, 401)])
@pytest.mark.parametrize("at_least_px", [1, 20, 149, 150, 151, 1000])
def test_a_scaled_picture_is_never_too_small_nor_larger_than_stored(size: tuple[int, int], at_least_px: int) -> None:
    width_px, height_px = size

    decoded = decode_jpeg(jpeg(paint(*size)), "a.jpg", at_least_px=at_least_px, allow_truncated=False)

    assert decoded is not None
    assert decoded[1:] == size
    short_px = min(decoded[0].shape[:2])
    assert min(at_least_px, width_px, height_px) <= short_px <= min(size)


def test_kinds_that_are_not_turned_into_rgb_are_left_to_others() -> None:
    assert decode_jpeg(pictures.cmyk_jpeg(), "a.jpg", at_least_px=None, allow_truncated=False) is None
    assert decode_jpeg(b"\xff\xd8\xffnothing", "a.jpg", at_least_px=None, allow_truncated=False) is None


def test_an_absurd_size_is_refused_from_the_header() -> None:
    with pytest.raises(UnreadableError, match="absurdly large: 65000 x 65000 pixels, at most 250 megapixels are read"):
        decode(pictures.bomb_jpeg())


def test_an_absurd_number_of_scans_is_refused_before_decoding() -> None:
    content = pictures.scan_bomb_jpeg()
    start = time.perf_counter()

    with pytest.raises(UnreadableError, match=r"absurd JPEG: 10\d\d scans of 200000000 pixels"):
        decode(content)

    assert time.perf_counter() - start < 1.0


def test_an_ordinary_progressive_picture_has_few_enough_scans() -> None:
    check_scans(progressive_jpeg(), 100_000_000, "a.jpg")


def test_only_files_that_go_over_their_pixels_again_have_many_scans() -> None:
    assert not read_jpeg_header(jpeg()).has_many_scans
    assert not read_jpeg_header(pictures.grey_jpeg()).has_many_scans
    assert read_jpeg_header(progressive_jpeg()).has_many_scans


def test_the_header_of_anything_else_says_nothing() -> None:
    assert read_jpeg_header(b"") == JpegHeader()
    assert read_jpeg_header(b"\xff\xd8\xff\xe1\xff\xff") == JpegHeader()
    assert read_jpeg_header(b"\xff\xd8" + b"\xff\xd8" * 1000) == JpegHeader()


def test_the_end_is_that_of_the_main_picture() -> None:
    preview = jpeg(paint(8, 8))
    content = jpeg(exif=b"Exif\0\0" + preview)

    assert find_jpeg_end(content + preview) == len(content) - 2
    assert find_jpeg_end(content[:-2]) is None
    assert find_jpeg_end(b"") is None
