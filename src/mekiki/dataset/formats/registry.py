"""The formats by name: what can be read, what can be written, and how a file is recognised.

The convention of a format file: one class per format, without a constructor, whose methods are static:

    class CsvLabels:
        name = "csv"

        @staticmethod
        def matches(path: Path) -> bool: ...

        @staticmethod
        def read(path: Path, options: ReadOptions) -> Sheet: ...

        @staticmethod
        def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]: ...

A format that is only read has no ``write``, and the other way round. The class stands in `READERS` and, if it
writes, in `WRITERS`; ``READERS.create("csv").read(path, options)`` uses it. ``name`` is also ``Sheet.format_name``.
``matches`` never raises on a strange file: it returns False. Pictures travel through
`mekiki.dataset.formats.media_files.place_media`, and nothing but `mekiki.dataset.ids.safe_name` makes file names.
"""

from __future__ import annotations

from pathlib import Path

from mekiki.dataset.formats.base import Reader, Writer
from mekiki.errors import UsageError
from mekiki.registry import Registry

READERS: Registry[Reader] = Registry(
    "label format",
    {
        "csv": "mekiki.dataset.formats.csv_labels:CsvLabels",
        "imagefolder": "mekiki.dataset.formats.imagefolder:ImageFolder",
        "hf": "mekiki.dataset.formats.hf_metadata:HfMetadata",
        "coco": "mekiki.dataset.formats.coco:Coco",
        "coco-captions": "mekiki.dataset.formats.coco_captions:CocoCaptions",
        "coco-camera-traps": "mekiki.dataset.formats.camera_traps:CocoCameraTraps",
        "megadetector": "mekiki.dataset.formats.megadetector:MegaDetector",
        "yolo": "mekiki.dataset.formats.yolo:Yolo",
        "fairface": "mekiki.dataset.formats.fairface:FairFace",
        "flickr30k": "mekiki.dataset.formats.flickr:Flickr30k",
        "flickr8k": "mekiki.dataset.formats.flickr:Flickr8k",
        "seed1": "mekiki.dataset.formats.seed1:Seed1",
        "seed1-annotations": "mekiki.dataset.formats.seed1:Seed1Annotations",
        "npy": "mekiki.dataset.formats.vectors_matrix:NpyMatrix",
        "npy-folders": "mekiki.dataset.formats.vectors_folders:NpyFolders",
    },
)

WRITERS: Registry[Writer] = Registry(
    "export format",
    {
        "csv": "mekiki.dataset.formats.csv_labels:CsvLabels",
        "imagefolder": "mekiki.dataset.formats.imagefolder:ImageFolder",
        "hf": "mekiki.dataset.formats.hf_metadata:HfMetadata",
        "coco": "mekiki.dataset.formats.coco:Coco",
        "coco-captions": "mekiki.dataset.formats.coco_captions:CocoCaptions",
        "coco-camera-traps": "mekiki.dataset.formats.camera_traps:CocoCameraTraps",
        "megadetector": "mekiki.dataset.formats.megadetector:MegaDetector",
        "yolo": "mekiki.dataset.formats.yolo:Yolo",
        "fairface": "mekiki.dataset.formats.fairface:FairFace",
        "flickr30k": "mekiki.dataset.formats.flickr:Flickr30k",
        "seed1": "mekiki.dataset.formats.seed1_write:Seed1Out",
        "seed1-annotations": "mekiki.dataset.formats.seed1_write:Seed1AnnotationsOut",
        "npy": "mekiki.dataset.formats.vectors_matrix:NpyMatrix",
        "npy-folders": "mekiki.dataset.formats.vectors_folders:NpyFolders",
    },
)

DETECTION_ORDER = (
    # files and folders that say themselves what they are
    "yolo",
    "coco-camera-traps",
    "megadetector",
    "coco-captions",
    "coco",
    "seed1",
    "seed1-annotations",
    "flickr30k",
    "flickr8k",
    "hf",
    "fairface",
    "npy",
    # what any table, and any folder of folders, is
    "csv",
    "npy-folders",
    "imagefolder",
)
"""Particular formats before general ones: a seed 1 file is also a CSV."""


def detect_format(path: Path) -> str:
    """Return the name of the first format in `DETECTION_ORDER` that a label file or folder matches.

    A folder of folders of pictures is taken for an ImageFolder, so ask only for what the user named as labels.

    Raises:
        UsageError: If there is no such path, or it matches none; the message lists the formats.
    """
    if not path.exists():
        raise UsageError(f"there is no label file or folder {path}")
    for name in DETECTION_ORDER:
        if READERS.create(name).matches(path):
            return name
    if path.suffix.lower() in (".csv", ".tsv"):
        return "csv"  # whose reader says what is wrong with it
    entries = path.iterdir() if path.is_dir() else ()
    inside = sorted(entry for entry in entries if entry.suffix in (".csv", ".json", ".jsonl"))
    guess = f" Did you mean {inside[0]}?" if inside else ""
    raise UsageError(
        f"{path} is of no known label format.{guess} If you know which it is: --labels-format NAME, one of "
        f"{', '.join(READERS.names())}"
    )
