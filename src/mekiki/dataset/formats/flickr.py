"""Captions as Flickr30k and Flickr8k have them: several lines per picture, one caption each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mekiki.dataset.formats.base import OutItem, Problem, ReadOptions, Record, Sheet, WriteOptions
from mekiki.dataset.formats.columns import column_key
from mekiki.dataset.formats.media_files import place_media
from mekiki.dataset.formats.tables import Table, guard_text, peek_columns, unguard_text
from mekiki.dataset.formats.text_files import find_encoding, open_text
from mekiki.errors import DataError, UsageError

PICTURES = "flickr30k_images"
"""Folder that the pictures of Flickr30k are in."""

_FOLDERS = (PICTURES, "flickr30k-images", "Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images")
_SUFFIXES = (".csv", ".txt", ".token", ".tsv")
_TOKEN_LINE = re.compile(r"([^\t#]+)#\d+\t(.*)")
_SURE_TOKEN_LINE = re.compile(r"[^\t#]+\.(jpe?g|png)(\.\d)?#\d+\t.*", re.IGNORECASE)
_HEADER_30K = ("image_name", "comment_number", "comment")
_HEADERS_8K = {("image", "caption"), ("image_name", "caption"), ("image_name", "comment"), ("image", "comment")}

Line = tuple[int, str, str] | Problem
"""Line number from 1, picture and caption; or why the line has none."""


class Flickr30k:
    """``results.csv``: ``image_name| comment_number| comment``, or the same three columns with commas or tabs."""

    name = "flickr30k"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a table begins with the three columns."""
        return _keys(path)[:3] == _HEADER_30K

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return one record per picture with its captions in the file's order.

        The line of ``2199200615.jpg`` that lacks its second separator, and any like it, is a problem.

        Raises:
            UsageError: If the header is another.
        """
        if not Flickr30k.matches(path):
            raise UsageError(
                f"{path} is no Flickr30k file: the header image_name| comment_number| comment was expected"
            )
        table = Table(path)
        return _sheet(Flickr30k.name, path, _bar_lines(path) if table.delimiter == "|" else _table_lines(table))

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write ``results.csv`` and the pictures in ``flickr30k_images``; pictures without captions are left out.

        Line ends in a caption become blanks. In a skeleton every picture has one empty caption.

        Raises:
            DataError: If there is no caption at all.
            UnreadableError: If a picture is gone.
        """
        told = [item for item in items if options.skeleton or any(caption.strip() for caption in item.captions)]
        if not told:
            raise DataError(
                f"none of {len(items)} pictures has a caption. They come with label files: mekiki ingest --labels FILE"
            )
        written = place_media(told, folder, options, subfolder=lambda item: PICTURES, must_place=True)
        part = folder / "results.csv.part"
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write("image_name| comment_number| comment\n")
            for item in told:
                name = written[item.item_id].removeprefix(f"{PICTURES}/")
                captions = [""] if options.skeleton else filter(None, (" ".join(one.split()) for one in item.captions))
                for number, caption in enumerate(captions):
                    file.write(f"{name}| {number}| {guard_text(caption)}\n")
        table = part.replace(folder / "results.csv")
        return [table, *(folder / path for path in written.values())]


class Flickr8k:
    """``image,caption`` with a header, or ``Flickr8k.token.txt``: ``name#0``, a tab, a caption."""

    name = "flickr8k"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a table has the two columns and no other, or the first line is ``name#number`` and a tab."""
        return _keys(path) in _HEADERS_8K or _has_tokens(path)

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return one record per picture with its captions in the file's order.

        Raises:
            UsageError: If it is neither of the two.
        """
        if not Flickr8k.matches(path):
            raise UsageError(
                f"{path} is no Flickr8k file: the header image,caption or lines name#0<TAB>caption expected"
            )
        return _sheet(Flickr8k.name, path, _token_lines(path) if _has_tokens(path) else _table_lines(Table(path)))


def _sheet(name: str, path: Path, lines: Iterable[Line]) -> Sheet:
    first_lines: dict[str, int] = {}
    captions: dict[str, list[str]] = {}
    problems: list[Problem] = []
    for line in lines:
        if isinstance(line, Problem):
            problems.append(line)
        elif not line[1] or not line[2]:
            problems.append(Problem(line[0], "it has no caption" if line[1] else "it names no picture"))
        else:
            first_lines.setdefault(line[1], line[0])
            captions.setdefault(line[1], []).append(line[2])
    records = tuple(
        Record(picture, first_lines[picture], captions=tuple(sentences)) for picture, sentences in captions.items()
    )
    problems.sort(key=lambda problem: problem.line)
    return Sheet(name, classes=(), records=records, problems=tuple(problems), base=_find_folder(path, list(captions)))


def _find_folder(path: Path, pictures: Sequence[str]) -> Path:
    """Return the folder beside the file that has the first pictures; the file's own if none does."""
    for folder in (path.parent, *(path.parent / name for name in _FOLDERS)):
        if any((folder / picture).is_file() for picture in pictures[:20] if "\0" not in picture):
            return folder
    return path.parent


def _keys(path: Path) -> tuple[str, ...]:
    return tuple(column_key(name) for name in peek_columns(path, *_SUFFIXES) or ())


def _has_tokens(path: Path) -> bool:
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        return False
    try:
        _, text = next(_text_lines(path), (1, ""))
    except UsageError:
        return False
    return isinstance(text, str) and _SURE_TOKEN_LINE.fullmatch(text) is not None


def _text_lines(path: Path) -> Iterator[tuple[int, str | Problem]]:
    """Yield number and text of every line that is not blank."""
    encoding = find_encoding(path)
    with open_text(path, encoding) as file:
        for line, text in enumerate(file, start=1):
            if encoding.is_broken(text) or "\0" in text:
                yield line, Problem(line, f"it holds bytes that are no {encoding.label} text")
            elif text.strip():
                yield line, text.strip()


def _bar_lines(path: Path) -> Iterator[Line]:
    """Yield the lines below the header; a caption may hold bars."""
    for number, (line, text) in enumerate(_text_lines(path)):
        if isinstance(text, Problem):
            yield text
        elif number > 0:
            cells = [cell.strip() for cell in text.split("|", 2)]
            is_whole = len(cells) == 3
            yield (line, cells[0], unguard_text(cells[2])) if is_whole else Problem(line, _TOO_FEW_BARS)


def _token_lines(path: Path) -> Iterator[Line]:
    for line, text in _text_lines(path):
        if isinstance(text, Problem):
            yield text
        elif match := _TOKEN_LINE.fullmatch(text):
            yield line, match.group(1).strip(), match.group(2).strip()
        else:
            yield Problem(line, "it is not name#number, a tab and a caption")


def _table_lines(table: Table) -> Iterator[Line]:
    for line, cells in table.rows():
        yield line, cells[0], cells[2 if len(cells) > 2 else 1]
    yield from table.problems


_TOO_FEW_BARS = "it has fewer than two separators '|', so no caption"
