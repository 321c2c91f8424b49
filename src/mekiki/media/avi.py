"""What an AVI file says of its chunks: their places, and so whether counting them gives the right times.

AVI holds no stamps; a frame's time is the number of chunks before it. Where a damaged chunk is skipped, all later
frames would come too early. The index at the file's end, or else the chain of chunk headers, shows whether one is
missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 8  # of a chunk: a name and a size
LIST_BYTES = 12  # of a list: name, size, name of the list
MAX_HOPS = 10_000
MAX_HEAD_BYTES = 1 << 20


def read_index(stream: Any) -> dict[int, int]:
    """Return the count at each chunk's content by the content's place in the file, as the index has it.

    Args:
        stream: The picture stream of an AVI that was just opened, before anything is read from it.
    """
    return {entry.pos + HEADER_BYTES: entry.timestamp for entry in stream.index_entries}


def check_index(
    index: dict[int, int], places: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Compare the packets that were read with the index.

    Args:
        index: See `read_index`.
        places: ``(P,)`` where the content of each packet that was read begins.
        counts: ``(P,)`` the count that the demuxer gave each.

    Returns:
        ``(P,)`` what to add to each count; whether the packet is in the index; whether one is missing before it.
        None if there is no index, or none that fits the file.
    """
    order = {place: at for at, place in enumerate(sorted(index))}
    at = np.array([order.get(int(place), -1) for place in places], np.int64)
    is_listed = at >= 0
    if len(index) < 0.9 * len(places) or not is_listed.any():
        return None
    listed = np.array([index.get(int(place), 0) for place in places], np.int64)
    follows_loss = np.zeros(len(places), np.bool_)
    last = np.maximum.accumulate(at)
    follows_loss[1:] = is_listed[1:] & (at[1:] > last[:-1] + 1)
    if is_listed[0]:
        follows_loss[0] = at[0] > 0
    return np.where(is_listed, listed - counts, 0), is_listed, follows_loss


def check_chain(path: Path, places: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell for each packet whether the chunk headers do not lead from the packet before, or the beginning, to it.

    Args:
        path: The file.
        places: ``(P,)`` where the content of each packet begins.
        sizes: ``(P,)`` its bytes.

    Returns:
        ``(P,)``, True where the chain is torn.
    """
    is_torn = np.zeros(len(places), np.bool_)
    with path.open("rb") as file:
        end = file.read(MAX_HEAD_BYTES).find(b"movi") + len(b"movi")
        for row, (place, size) in enumerate(zip(places.tolist(), sizes.tolist(), strict=True)):
            is_torn[row] = not _leads_to(file, end + end % 2, place - HEADER_BYTES)
            end = place + size
    return is_torn


def _leads_to(file: BinaryIO, start: int, goal: int) -> bool:
    at = start
    for _ in range(MAX_HOPS):
        if at >= goal:
            break
        file.seek(at)
        header = file.read(HEADER_BYTES)
        size = int.from_bytes(header[4:], "little")
        at += LIST_BYTES if header[:4] in (b"LIST", b"RIFF") else HEADER_BYTES + size + size % 2
    return at == goal
