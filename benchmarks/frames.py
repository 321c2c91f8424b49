"""Frames out of videos: mekiki beside the OpenCV loops that people write, in one run.

Every way gives upright RGB frames. *read all* is ``cap.read()`` on every frame, of which the wanted ones are kept;
*skip* is ``cap.grab()`` on every frame and ``cap.retrieve()`` on the wanted ones; *seek* sets ``CAP_PROP_POS_FRAMES``
for each wanted frame. All decode with one thread. The limit is FFmpeg decoding every frame with nothing around it.
*Wrong* counts frames that are not those that decoding everything gives. Figures are the best of several rounds, in
which the ways take turns.

Run: ``python benchmarks/frames.py [VIDEO ...]``
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from mekiki.media.sampling import Sampling
from mekiki.media.video import Frame, iter_frames, probe_video, sample_frames
from mekiki.records import Image

N_ROUNDS = 3
N_SECONDS, FPS, WIDTH_PX, HEIGHT_PX = 60, 30, 1280, 720
MAX_DIFFERENCE = 8  # mean, of 255: OpenCV may convert colours a little differently
SAMPLINGS = {
    "every 45th": Sampling("every-n-frames", every_n=45),
    "10 frames": Sampling("n-frames", n_frames=10),
    "keyframes": Sampling("keyframes"),
}


def make_clip(path: Path) -> Path:
    """Write a minute of 720p H.264 with x264's usual settings: a panning texture and a square that crosses it."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (HEIGHT_PX // 16, 4 * WIDTH_PX // 16, 3), dtype=np.uint8)
    world = cv2.resize(coarse, (4 * WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    world = np.clip(world + rng.normal(0, 6, world.shape), 0, 255).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for index in range(N_SECONDS * FPS):
            left = 2 * index % (3 * WIDTH_PX)
            picture = world[:, left : left + WIDTH_PX].copy()
            x = 7 * index % (WIDTH_PX - 100)
            picture[300:400, x : x + 100] = index % 200
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cached_clip() -> Path:
    """Return the made clip; it is made once per machine."""
    path = Path(tempfile.gettempdir()) / f"mekiki-benchmark-{N_SECONDS}s-{HEIGHT_PX}p-v1.mp4"
    if not path.exists():
        make_clip(path.with_suffix(".part.mp4")).rename(path)
    return path


def open_capture(path: Path) -> Any:
    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])


def to_rgb(picture: Image) -> Image:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def by_reading_all(path: Path, indices: Sequence[int]) -> list[Image]:
    wanted, index, capture = set(indices), 0, open_capture(path)
    pictures: list[Image] = []
    while True:
        is_read, picture = capture.read()
        if not is_read:
            return pictures
        if index in wanted:
            pictures.append(to_rgb(picture))
        index += 1


def by_skipping(path: Path, indices: Sequence[int]) -> list[Image]:
    wanted, index, capture = set(indices), 0, open_capture(path)
    pictures: list[Image] = []
    while capture.grab():
        if index in wanted:
            pictures.append(to_rgb(capture.retrieve()[1]))
        index += 1
    return pictures


def by_seeking(path: Path, indices: Sequence[int]) -> list[Image]:
    pictures: list[Image] = []
    capture = open_capture(path)
    for index in indices:
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        is_read, picture = capture.read()
        pictures.append(to_rgb(picture) if is_read else np.zeros((1, 1, 3), np.uint8))
    return pictures


def decode_only(path: Path) -> int:
    """Decode every frame and look at none; return their number."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def count_wrong(pictures: Sequence[Image], truth: Sequence[Frame]) -> int:
    wrong = abs(len(pictures) - len(truth))
    for picture, frame in zip(pictures, truth, strict=False):
        is_same = picture.shape == frame.pixels.shape and difference(picture, frame.pixels) <= MAX_DIFFERENCE
        wrong += not is_same
    return wrong


def difference(picture: Image, other: Image) -> float:
    return float(np.abs(picture[::4, ::4].astype(np.int16) - other[::4, ::4]).mean())


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(path: Path, what: str, sampling: Sampling) -> dict[str, object]:
    """Return one row of the table: times in seconds, ratios to mekiki's, and wrong frames."""
    sampled = list(sample_frames(path, sampling))
    indices = [frame.index for frame in sampled]
    wanted = set(indices)
    truth = [frame for frame in iter_frames(path) if frame.index in wanted]
    ways: dict[str, Callable[[], Sequence[Image]]] = {
        "mekiki": lambda: [frame.pixels for frame in sample_frames(path, sampling)],
        "read all": lambda: by_reading_all(path, indices),
        "skip": lambda: by_skipping(path, indices),
        "seek": lambda: by_seeking(path, indices),
    }
    wrong = {way: count_wrong(run_way(), truth) for way, run_way in ways.items()}
    times: dict[str, list[float]] = {way: [] for way in [*ways, "limit"]}
    for _ in range(N_ROUNDS):
        for way, run_way in ways.items():
            times[way].append(seconds(run_way))
        times["limit"].append(seconds(lambda: decode_only(path)))
    best = {way: min(rounds) for way, rounds in times.items()}
    row: dict[str, object] = {"clip": path.name, "frames": what, "n": len(indices)}
    for way, time_s in best.items():
        row[f"{way} s"] = round(time_s, 3)
        if way != "mekiki":
            row[f"{way} ratio"] = round(time_s / best["mekiki"], 1)
        if way in wrong:
            row[f"{way} wrong"] = wrong[way]
    return row


def find_real_clips() -> list[Path]:
    folder = Path(__file__).parents[2] / "shared" / "data"
    names = ("faces/facenet_samples/video.mp4", "street/intel_videos/one-by-one-person-detection.mp4")
    return [folder / name for name in names if (folder / name).is_file()]


def run(paths: Sequence[Path] = ()) -> list[dict[str, object]]:
    """Measure on the given clips; on the made one and the real ones that are here if there are none."""
    paths = paths or [cached_clip(), *find_real_clips()]
    return [measure(path, what, sampling) for path in paths for what, sampling in SAMPLINGS.items()]


def print_table(rows: Sequence[dict[str, object]]) -> None:
    print(
        "| clip | frames | n | mekiki | read all | skip | seek | wrong: mekiki, all, skip, seek | decode all (limit) |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [f"{row['mekiki s']} s"] + [f"{row[f'{way} ratio']}×" for way in ("read all", "skip", "seek")]
        wrong = ", ".join(str(row[f"{way} wrong"]) for way in ("mekiki", "read all", "skip", "seek"))
        cells += [wrong, f"{row['limit s']} s, {row['limit ratio']}×"]
        print("| " + " | ".join([str(row["clip"]), str(row["frames"]), str(row["n"]), *cells]) + " |")


def main() -> None:
    paths = [Path(argument) for argument in sys.argv[1:]]
    rows = run(paths)
    print_table(rows)
    print("\nRatios: how many times as long as mekiki. One decoding thread each.")
    for path in paths or [cached_clip(), *find_real_clips()]:
        facts = probe_video(path)
        rate = facts.n_frames / min(float(str(row["limit s"])) for row in rows if row["clip"] == path.name)
        print(f"{path.name}: {facts.width_px} × {facts.height_px}, {facts.n_frames} frames; limit {rate:.0f} frames/s")


if __name__ == "__main__":
    main()
