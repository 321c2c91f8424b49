"""Decoders are reached by format alone, and their errors become ours."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from PIL import ImageFile

import pictures
from mekiki.errors import UnreadableError
from mekiki.media.codecs import MAX_PICTURE_PX, check_size, check_tiles, decoding, open_picture
from mekiki.media.kinds import PictureFormat


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(OSError("image file is truncated (3 bytes not processed)"), "truncated PNG: image", id="cut"),
        pytest.param(ValueError("not enough image data"), "truncated PNG: not enough", id="too little"),
        pytest.param(SyntaxError("broken\n  PNG file"), "damaged PNG: broken PNG file", id="on one line"),
        pytest.param(EOFError(), "damaged PNG: EOFError", id="without a word"),
        pytest.param(struct.error("unpack"), "damaged PNG: unpack", id="struct"),
        pytest.param(zlib.error("Error -3"), "damaged PNG: Error -3", id="zlib"),
        pytest.param(ZeroDivisionError("division by zero"), "damaged PNG: division by zero", id="zero in a header"),
        pytest.param(PillowImage.DecompressionBombError("too large"), "absurdly large PNG", id="bomb"),
        pytest.param(MemoryError(), "PNG needs more memory than there is", id="memory"),
    ],
)
def test_what_a_decoder_raises_becomes_a_reason(error: Exception, reason: str) -> None:
    with pytest.raises(UnreadableError) as caught, decoding("a.png", "png"):
        raise error

    assert caught.value.reason.startswith(reason)
    assert caught.value.path == "a.png"
    assert "\n" not in str(caught.value)


def test_a_reason_stays_short() -> None:
    with pytest.raises(UnreadableError) as caught, decoding("a.png", "png"):
        raise ValueError("x" * 100_000)

    assert len(caught.value.reason) < 200


def test_an_interruption_is_no_broken_picture() -> None:
    with pytest.raises(KeyboardInterrupt), decoding("a.png", "png"):
        raise KeyboardInterrupt


def test_our_own_error_passes_as_it_is() -> None:
    with pytest.raises(UnreadableError, match=r"b\.png: why"), decoding("a.png", "png"):
        raise UnreadableError("b.png", "why")


def test_no_other_decoder_is_tried() -> None:
    with pytest.raises(UnreadableError, match="damaged PNG"):
        open_picture(pictures.bmp(), "a.png", "png")


def test_a_size_at_the_limit_is_read_and_one_above_is_not() -> None:
    check_size(MAX_PICTURE_PX, 1, "a.png")

    with pytest.raises(
        UnreadableError,
        match=r"a\.png: absurdly large: 250000001 x 1 pixels, at most 250 megapixels are read",
    ):
        check_size(MAX_PICTURE_PX + 1, 1, "a.png")


@pytest.mark.parametrize(
    ("content", "picture_format"),
    [
        pytest.param(pictures.bomb_png(), "png", id="png"),
        pytest.param(b"P6 100000 100000 255\n", "pnm", id="ppm"),
        pytest.param(b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08", "gif", id="gif"),
        pytest.param(
            b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 90000, 90000, 1, 24, 0) + bytes(20), "bmp", id="bmp"
        ),
    ],
)
def test_an_absurd_size_is_refused_from_the_header(content: bytes, picture_format: PictureFormat) -> None:
    with pytest.raises(UnreadableError, match="absurdly large"):
        open_picture(content, "a.png", picture_format)


def test_a_tiff_without_all_its_strips_is_refused() -> None:
    picture = open_picture(pictures.short_tiff(), "a.tif", "tiff")

    with pytest.raises(UnreadableError, match=r"damaged TIFF: has strips for \d+ of 1920000 pixels"):
        check_tiles(picture, "a.tif")


def test_a_whole_tiff_has_all_its_strips() -> None:
    for content in (pictures.tiff(), pictures.grey16("TIFF"), pictures.turned("TIFF", 6)):
        check_tiles(open_picture(content, "a.tif", "tiff"), "a.tif")


def test_heic_without_its_package_says_what_to_type() -> None:
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"  # as if it were not installed
        "from mekiki.errors import UnreadableError\n"
        "from mekiki.media.codecs import open_picture\n"
        "try: open_picture(b'', 'a.heic', 'heic')\n"
        "except UnreadableError as error: sys.exit(str(error))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stderr.strip() == 'a.heic: reading HEIC needs pillow-heif. Type: pip install "mekiki[heic]"'


def test_the_package_for_heic_is_imported_only_for_heic(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(pictures.png())
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mekiki.media.images import read_image\n"
        "read_image(Path(sys.argv[1]))\n"
        "sys.exit('pillow_heif' in sys.modules)\n"
    )

    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    assert done.returncode == 0


def test_pillows_globals_are_left_alone() -> None:
    before = (PillowImage.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)

    with pytest.raises(UnreadableError):
        open_picture(pictures.bomb_png(), "a.png", "png")

    assert before == (PillowImage.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
