"""Seed 1's files: their columns, their names, and how their labels are spelled.

Facts of https://github.com/KotaroOmote/mammal-ICHINOSE, so that work started there goes on here and back again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mekiki.records import UNKNOWN

CLASSES = ("アナグマ", "アライグマ", "ハクビシン", "タヌキ", "ネコ", "ノウサギ", "テン")
"""The seven animals, in the seed's order."""

ANNOTATION_COLUMNS = (
    *("video_path", "video_id", "frame_index", "timestamp_sec", "frame_source_path", "assigned_labels_json"),
    *("confidence", "reason", "model", "response_id", "response_text", "copied_paths_json"),
)
"""The twelve columns of what an annotator said."""

DATASET_COLUMNS = (
    *("sample_id", "source_type", "video_path", "video_id", "frame_index", "timestamp_sec", "frame_source_path"),
    *("confidence", "reason", "model", "labels_json", "labels_text", "num_labels", "is_unknown"),
)
"""The columns of a data set, before one ``label_`` column per class and ``label_unknown``."""

COLUMN_ALIASES: Mapping[str, str] = {
    "source_path": "video_path",
    "source_id": "video_id",
    "item_index": "frame_index",
}
"""Other names of columns, as files for stills have them."""

DATASET_FILE = "final_multilabel_dataset.csv"
KNOWN_FILE = "final_multilabel_dataset_known_only.csv"
UNKNOWN_FILE = "unknown_samples.csv"
PART_FILES: Mapping[str, str] = {part: f"{part}_known.csv" for part in ("train", "val", "test")}
"""Part to the file with its pictures; only those with a class."""

ANNOTATION_FILE = "openai_video_annotations.csv"

ERROR_PREFIX = "api_error:"
"""Beginning of the reason where the call failed and the seed wrote ``unknown`` all the same."""

DEDUPE_KEYS = ("frame_source_path", "video_path_frame_index")
"""What may tell that two rows are the same frame."""

_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("badger", "japanese badger"), "アナグマ"),
    **dict.fromkeys(("raccoon",), "アライグマ"),
    **dict.fromkeys(("masked palm civet", "civet"), "ハクビシン"),
    **dict.fromkeys(("raccoon dog", "tanuki"), "タヌキ"),
    **dict.fromkeys(("cat", "domestic cat"), "ネコ"),
    **dict.fromkeys(("hare", "japanese hare"), "ノウサギ"),
    **dict.fromkeys(("marten", "japanese marten"), "テン"),
    **dict.fromkeys(("none", "other", "others", UNKNOWN, "uncertain"), UNKNOWN),
}


def standard_name(name: str, classes: tuple[str, ...]) -> str:
    """Return a label as the class list spells it, ``unknown``, or unchanged if it is in neither.

    Args:
        name: A label; case and runs of blanks do not matter where it is an alias.
        classes: The class list. A name in it is never an alias.

    Example:
        >>> standard_name("Raccoon  Dog", CLASSES), standard_name("others", CLASSES), standard_name("cat", ("cat",))
        ('タヌキ', 'unknown', 'cat')
    """
    if name in classes:
        return name
    meant = _ALIASES.get(re.sub(r"\s+", " ", name.strip()).casefold())
    return meant if meant is not None and (meant in classes or meant == UNKNOWN) else name
