"""Stage ``frames``: pictures out of videos. Reads video ``items``; writes frame ``items``, ``hashes`` and files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mekiki.catalog.attributes import count_attribute, write_attributes
from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.ingested import hash_row
from mekiki.catalog.items import NewItem, own_paths, select_items, write_hashes, write_items, write_made
from mekiki.dataset.hashes import PictureHash, hash_picture
from mekiki.dataset.ids import frame_id, safe_name
from mekiki.engine.run import Engine
from mekiki.errors import UnreadableError
from mekiki.intake.files import unchanged_path
from mekiki.media.images import encode_jpeg
from mekiki.media.sampling_settings import SamplingSettings
from mekiki.media.video import Damage, Frame, VideoReader
from mekiki.records import Item, Loaded, Result, RunSummary
from mekiki.settings import PerItemSettings, SpeedOnly
from mekiki.wholefiles import write_whole

FRAME_QUALITY = 95
"""JPEG quality of frame files. No setting: a frame's id says which frame it is, so its file must not vary."""


DAMAGE = "damage"
"""Attribute of a video that is damaged: what was lost of it."""


class FramesSettings(SamplingSettings, PerItemSettings):
    """Take pictures out of the videos of the workspace, each with its real time."""

    batch_size: int = SpeedOnly(16, ge=1, description="frames in one batch, which is one transaction")


@dataclass(frozen=True, slots=True)
class FrameFile:
    """One frame, encoded, on its way to a file and a row."""

    item: NewItem
    content: bytes
    picture_hash: PictureHash


@dataclass
class FramesWork:
    """What one worker does to videos."""

    settings: FramesSettings

    def identity(self) -> str:
        """No backend is involved."""
        return ""

    def open(self) -> None:
        """Decide how to sample."""
        self._sampling = self.settings.to_sampling()

    def load(self, item: Item) -> Iterator[Loaded]:
        """Decode a video's frames and encode them, here, where there are several threads."""
        path = unchanged_path(item)
        reader = VideoReader(path)
        for frame in reader.sample(self._sampling):
            yield Loaded(item.item_id, _frame_file(item, path, frame))
        if reader.damage:
            yield Loaded(item.item_id, reader.damage)

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Pass on what was read."""
        return [Result(one.item_id, one.content) for one in loaded]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write files first and rows after them, so that a row never lacks its file."""
        frames: list[FrameFile] = [one.content for one in results if isinstance(one.content, FrameFile)]
        damaged = [one for one in results if isinstance(one.content, Damage)]
        known = own_paths(transaction.catalog, [frame.item.item_id for frame in frames])
        for frame in frames:
            _write_once(transaction.catalog.locate(known.get(frame.item.item_id, str(frame.item.path))), frame.content)
        n_rows = write_items(transaction, (frame.item for frame in frames))
        write_hashes(transaction, (hash_row(frame.item.item_id, frame.picture_hash) for frame in frames))
        write_made(transaction, (frame.item.item_id for frame in frames))
        return n_rows + write_attributes(
            transaction, ((one.item_id, DAMAGE, _in_words(one.content)) for one in damaged)
        )


def frames(catalog: Catalog, settings: FramesSettings, engine: Engine) -> RunSummary:
    """Take frames out of every video that this run has not sampled yet."""
    videos = select_items(catalog, ["video"])
    summary = engine.map(catalog, "frames", settings, FramesWork(settings), videos)
    if n_damaged := count_attribute(catalog, DAMAGE, summary.run_id):
        summary.notes.append(f"damaged videos, of which frames were lost and the others taken: {n_damaged}")
        summary.extra["n_damaged"] = n_damaged
    if not len(videos):
        summary.notes.append("there are no videos in the workspace")
    return summary


def _frame_file(item: Item, path: Path, frame: Frame) -> FrameFile:
    height_px, width_px = frame.pixels.shape[:2]
    numbered = "" if frame.index is None else f"_f{frame.index:06d}"
    stem = f"{path.stem}_{clock(frame.time_s)}{numbered}"
    folder = f"media/frames/{safe_name(f'{path.stem}-{item.item_id[:10]}')}"
    new = NewItem(
        item_id=frame_id(item.item_id, frame.pts, frame.time_base),
        kind="frame",
        width_px=width_px,
        height_px=height_px,
        parent_id=item.item_id,
        path=f"{folder}/{safe_name(f'{stem}.jpg')}",
        format="jpeg",
        pts=frame.pts,
        time_base=str(frame.time_base),
        time_s=frame.time_s,
        frame_index=frame.index,
    )
    return FrameFile(new, encode_jpeg(frame.pixels, FRAME_QUALITY), hash_picture(frame.pixels))


def _in_words(damage: Damage) -> str:
    return f"{damage.n_packets} packets damaged, {damage.n_lost_frames} frames lost"


def clock(time_s: float) -> str:
    """Return a time as a person reads it, fit for a file name.

    Example:
        >>> clock(3725.5)
        '01h02m05.500s'
    """
    milliseconds = round(time_s * 1000)
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}h{seconds // 60 % 60:02d}m{seconds % 60:02d}.{rest:03d}s"


def _write_once(path: Path, content: bytes) -> None:
    """Write a file that is not there yet."""
    if not path.exists():
        write_whole(path, content)
