"""Videos made in code, plain and hard ones; every frame carries its number as blocks that a test can read back.

A frame is 160 × 96. Its two upper rows hold ten blocks of 16 × 16: the bits of the number from the left, lowest first,
and below each bit its opposite. The rest is a texture that moves, so that most packets depend on others.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 160, 96
N_BITS, BLOCK = 10, 16
DARK, LIGHT = 16, 235

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Recipe:
    """How to make one video; stamps in milliseconds make the frame rate vary."""

    suffix: str = ".mp4"
    codec: str = "libx264"
    n_frames: int = 60
    fps: int = 25
    gop: int = 12
    b_frames: int = 2
    pixel_format: str = "yuv420p"
    container: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    mux_options: Mapping[str, str] = field(default_factory=dict)
    stamps_ms: Sequence[int] = ()
    has_audio: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


def uneven_stamps(n_frames: int, seed: int = 3) -> tuple[int, ...]:
    """Stamps in milliseconds whose distances vary from 10 to 200."""
    steps = np.random.default_rng(seed).integers(10, 200, n_frames)
    return tuple(int(stamp) for stamp in np.concatenate([[0], np.cumsum(steps)[:-1]]))


FASTSTART = {"movflags": "faststart"}
NO_B = {"b_frames": 0}
RECIPES: dict[str, Recipe] = {
    "h264-mp4": Recipe(mux_options=FASTSTART),
    "h264-mp4-uneven": Recipe(stamps_ms=uneven_stamps(60)),
    "h264-mp4-open-gop": Recipe(options={"x264-params": "open-gop=1"}, b_frames=3),
    "h264-mp4-one-keyframe": Recipe(gop=250),
    "h264-mov-sound": Recipe(suffix=".mov", has_audio=True),
    "h264-fragmented": Recipe(mux_options={"movflags": "frag_keyframe+empty_moov"}),
    "hevc-mp4": Recipe(codec="libx265", options={"x265-params": "log-level=none"}),
    "h264-mkv": Recipe(suffix=".mkv"),
    "h264-mkv-uneven": Recipe(suffix=".mkv", stamps_ms=uneven_stamps(60)),
    "h264-ts": Recipe(suffix=".ts", container="mpegts"),
    "h264-mts": Recipe(suffix=".mts", container="mpegts", mux_options={"mpegts_m2ts_mode": "1"}),
    "h264-ts-rolling-refresh": Recipe(
        suffix=".ts", container="mpegts", b_frames=0, options={"x264-params": "intra-refresh=1"}
    ),
    "h264-avi-b": Recipe(suffix=".avi"),
    "h264-avi": Recipe(suffix=".avi", b_frames=0),
    "mpeg4-avi": Recipe(suffix=".avi", codec="mpeg4", b_frames=0),
    "mpeg4-avi-b": Recipe(suffix=".avi", codec="mpeg4"),
    "mpeg4-avi-dropped": Recipe(
        suffix=".avi", codec="mpeg4", b_frames=0, stamps_ms=tuple(40 * (i + i // 7) for i in range(60))
    ),
    "mjpeg-avi": Recipe(suffix=".avi", codec="mjpeg", b_frames=0, pixel_format="yuvj420p"),
    "wmv2-asf": Recipe(suffix=".wmv", codec="wmv2", b_frames=0, container="asf"),
    "msmpeg4-asf": Recipe(suffix=".asf", codec="msmpeg4", b_frames=0, container="asf"),
    "mpeg2-mpg": Recipe(suffix=".mpg", codec="mpeg2video", container="vob"),
    "vp8-webm": Recipe(suffix=".webm", codec="libvpx", b_frames=0, options={"cpu-used": "8", "deadline": "realtime"}),
    "vp9-webm": Recipe(
        suffix=".webm", codec="libvpx-vp9", b_frames=0, options={"cpu-used": "8", "deadline": "realtime"}
    ),
}


Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
RAMPS = np.stack([X * 127 // WIDTH, Y * 127 // HEIGHT, np.full((HEIGHT, WIDTH), 64)], axis=-1).astype(np.uint8)
TEXTURE = np.random.default_rng(0).integers(0, 60, (HEIGHT, 2048), dtype=np.uint8)


def draw_frame(index: int) -> Image:
    """Return ``(96, 160, 3)`` RGB with the number in it."""
    left = 2 * index % (2048 - WIDTH)
    picture = RAMPS + TEXTURE[:, left : left + WIDTH, None]
    for bit in range(N_BITS):
        is_set = bool(index >> bit & 1)
        across = slice(bit * BLOCK, (bit + 1) * BLOCK)
        picture[:BLOCK, across] = LIGHT if is_set else DARK
        picture[BLOCK : 2 * BLOCK, across] = DARK if is_set else LIGHT
    return picture


def read_number(pixels: Image) -> int | None:
    """Return the number that a frame carries; None if it is not an upright, whole one."""
    if pixels.shape != (HEIGHT, WIDTH, 3):
        return None
    number = 0
    for bit in range(N_BITS):
        across = slice(bit * BLOCK + 4, bit * BLOCK + 12)
        upper, lower = float(pixels[4:12, across].mean()), float(pixels[20:28, across].mean())
        if abs(upper - lower) < 90:
            return None
        number |= int(upper > lower) << bit
    return number


def make_video(path: Path, recipe: Recipe) -> Path:
    """Write a video, the same bytes each time; return its path."""
    ticks_per_s = 1000 if recipe.stamps_ms and recipe.suffix != ".avi" else recipe.fps
    with av.open(str(path), "w", format=recipe.container, container_options=dict(recipe.mux_options)) as container:
        container.metadata.update(recipe.metadata)
        options = {"threads": "1"} | dict(recipe.options)
        if recipe.codec in ("libx264", "libx265"):
            options |= {"crf": "23", "preset": "medium", "sc_threshold": "0", "bf": str(recipe.b_frames)}
        stream = container.add_stream(recipe.codec, rate=recipe.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, recipe.pixel_format
        stream.codec_context.gop_size = recipe.gop
        stream.codec_context.max_b_frames = recipe.b_frames
        stream.codec_context.time_base = Fraction(1, ticks_per_s)
        if not recipe.codec.startswith("libx26"):
            stream.bit_rate = 1_500_000
        sound = container.add_stream("aac", rate=16000) if recipe.has_audio else None
        for index in range(recipe.n_frames):
            picture = av.VideoFrame.from_ndarray(draw_frame(index), format="rgb24")
            frame = picture.reformat(format=recipe.pixel_format)
            stamp_ms = recipe.stamps_ms[index] if recipe.stamps_ms else None
            frame.pts = index if stamp_ms is None else stamp_ms * ticks_per_s // 1000
            frame.time_base = Fraction(1, ticks_per_s)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _add_silence(container, sound, recipe.n_frames / recipe.fps)
    return path


def make_sound_only(path: Path) -> Path:
    """Write an MP4 that holds a second of silence and no pictures."""
    with av.open(str(path), "w") as container:
        _add_silence(container, container.add_stream("aac", rate=16000), 1.0)
    return path


def _add_silence(container: av.container.OutputContainer, stream: av.AudioStream, duration_s: float) -> None:
    for start in range(0, int(16000 * duration_s), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def turn_mp4(path: Path, matrix: Sequence[int]) -> Path:
    """Overwrite the display matrix in the track header of an MP4, as a phone that is held sideways writes it."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40  # version 0: 40 bytes of other fields come first
    content[start : start + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in matrix)
    path.write_bytes(content)
    return path


def cut_tail(source: Path, target: Path, share_kept: float) -> Path:
    """Copy the first part of a file, as if the recording had been interrupted."""
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * share_kept)])
    return target


def scramble(source: Path, target: Path, start: int, n_bytes: int, seed: int = 0) -> Path:
    """Copy a file with some of its bytes replaced by noise."""
    content = bytearray(source.read_bytes())
    content[start : start + n_bytes] = random.Random(seed).randbytes(len(content[start : start + n_bytes]))
    target.write_bytes(content)
    return target


def leave_out(source: Path, target: Path, start: int, n_bytes: int) -> Path:
    """Copy a file without some of its bytes."""
    content = source.read_bytes()
    target.write_bytes(content[:start] + content[start + n_bytes :])
    return target


def packet_places(path: Path) -> list[tuple[int, int, bool]]:
    """Return the place in the file, the size and the keyframe flag of each picture packet."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return [(packet.pos or 0, packet.size, packet.is_keyframe) for packet in packets if packet.size]
