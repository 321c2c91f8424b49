"""What an H.264 packet tells without being decoded: can decoding start here, does it matter, is one missing before.

A container's keyframe flag is not enough to start decoding at: streams with a rolling refresh flag packets that only
begin to heal the picture. Reference frames are counted in the stream, so a lost one shows, whatever the container.
Reference: ITU-T H.264, 7.3.1 (units), 7.3.2.1.1 (parameters), 7.3.3 (slice header), 7.4.3 (frame_num), D.1.8
(recovery point).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SLICE, IDR_SLICE, SUPPLEMENT, PARAMETERS = 1, 5, 6, 7
RECOVERY_POINT = 6  # among the messages of a supplement
HEAD_BYTES = 8192  # parameter sets and supplements before the first slice are shorter
START_CODE = b"\x00\x00\x01"
PROFILES_WITH_CHROMA = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)


@dataclass(frozen=True, slots=True)
class Unit:
    """What the first units of one packet say."""

    is_entry: bool  # every frame from here on, in the order of showing, can be decoded starting here
    is_disposable: bool  # no other frame is predicted from this one
    follows_loss: bool  # a frame that others are predicted from is missing before it


class Inspector:
    """Looks at the packets of one stream in the order of decoding.

    Args:
        extradata: The codec's private bytes in the container; None or empty if there are none.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self._n_length_bytes = 0
        self._counter: _Counter | None = None
        self._last_reference = -1  # its frame number; -1 before the first
        if extradata and len(extradata) > 8 and extradata[0] == 1:
            self._n_length_bytes = (extradata[4] & 3) + 1
            size = int.from_bytes(extradata[6:8], "big")
            self._counter = _read_counter(extradata[8 : 8 + size])
        elif extradata:
            self.look(extradata)

    def look(self, head: bytes) -> Unit:
        """Return what a packet's first `HEAD_BYTES` bytes say."""
        recovers = False
        for unit in iter_units(head, self._n_length_bytes):
            kind = unit[0] & 31 if unit else 0
            if kind == PARAMETERS:
                self._counter = _read_counter(unit) or self._counter
            elif kind == SUPPLEMENT:
                recovers = recovers or _recovers_at_once(unit)
            elif kind in (SLICE, IDR_SLICE):
                is_reference = unit[0] & 0x60 != 0
                follows_loss = self._count(unit, is_reference)
                return Unit(kind == IDR_SLICE or recovers, not is_reference, follows_loss)
        return Unit(False, False, False)

    def _count(self, unit: bytes, is_reference: bool) -> bool:
        """Follow the frame numbers; tell whether one was left out."""
        if self._counter is None or self._counter.may_skip:
            return False
        bits = _Bits(unit[1:40])
        bits.exp_golomb(), bits.exp_golomb(), bits.exp_golomb()  # first block, kind of slice, parameter set
        bits.take(self._counter.n_bits_before)
        number, last = bits.take(self._counter.n_bits), self._last_reference
        is_whole = unit[0] & 31 == IDR_SLICE or last < 0 or number in (last, (last + 1) % (1 << self._counter.n_bits))
        if is_reference:
            self._last_reference = number
        return not is_whole


def iter_units(head: bytes, n_length_bytes: int) -> Iterator[bytes]:
    """Yield the units (NAL units) of a packet, each from its one-byte header on; the last one may be cut.

    Args:
        head: The packet's bytes, or its first ones.
        n_length_bytes: How many bytes hold the length in front of each unit; 0 where start codes part them.

    Example:
        >>> [unit.hex() for unit in iter_units(bytes.fromhex("0000000109f0" "0000016588"), 0)]
        ['09f0', '6588']
    """
    if n_length_bytes:
        at = 0
        while at + n_length_bytes < len(head):
            begin = at + n_length_bytes
            at = begin + int.from_bytes(head[at:begin], "big")
            yield head[begin:at]
        return
    at = head.find(START_CODE)
    while at >= 0:
        begin = at + len(START_CODE)
        at = head.find(START_CODE, begin)
        unit = head[begin:] if at < 0 else head[begin:at].rstrip(b"\x00")
        if unit:
            yield unit


@dataclass(frozen=True, slots=True)
class _Counter:
    """How a stream numbers its reference frames."""

    n_bits: int
    n_bits_before: int  # between the parameter set's number and the frame's
    may_skip: bool  # gaps are meant


class _Bits:
    """Reads bits from the front of a unit, past the bytes that only keep start codes from appearing."""

    def __init__(self, content: bytes) -> None:
        content = content.replace(b"\x00\x00\x03", b"\x00\x00")
        self._number = int.from_bytes(content, "big")
        self._left = 8 * len(content)

    def take(self, n_bits: int) -> int:
        """Return the next bits as a number; 0 bits past the end."""
        self._left -= n_bits
        if self._left < 0:
            return 0
        return self._number >> self._left & ((1 << n_bits) - 1)

    def exp_golomb(self) -> int:
        """Return the next number of the kind that is written with as many zeros first as it has more bits."""
        n_zeros = 0
        while self._left > 0 and not self.take(1):
            n_zeros += 1
        return (1 << n_zeros) - 1 + self.take(n_zeros)


def _read_counter(unit: bytes) -> _Counter | None:
    """Read a sequence parameter set as far as the frame numbers; None if it makes no sense."""
    bits = _Bits(unit[1:256])
    profile, _ = bits.take(8), bits.take(16)
    bits.exp_golomb()
    has_planes = False
    if profile in PROFILES_WITH_CHROMA:
        chroma = bits.exp_golomb()
        has_planes = chroma == 3 and bool(bits.take(1))
        bits.exp_golomb(), bits.exp_golomb(), bits.take(1)
        if bits.take(1):
            for which in range(8 if chroma != 3 else 12):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if which < 6 else 64)
    n_bits = bits.exp_golomb() + 4
    kind = bits.exp_golomb()  # of the order count
    if kind == 0:
        bits.exp_golomb()
    elif kind == 1:
        bits.take(1), bits.exp_golomb(), bits.exp_golomb()
        for _ in range(min(bits.exp_golomb(), 255)):
            bits.exp_golomb()
    bits.exp_golomb()
    return _Counter(n_bits, 2 * has_planes, bool(bits.take(1))) if n_bits <= 16 else None


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    scale = 8
    for _ in range(size):
        code = bits.exp_golomb()
        scale = (scale + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        if scale == 0:
            return


def _recovers_at_once(unit: bytes) -> bool:
    """Look for a recovery point message with a count of 0 frames (its first bit is then set)."""
    at = 1
    while at + 2 < len(unit):
        kind, at = _read_number(unit, at)
        size, at = _read_number(unit, at)
        if kind == RECOVERY_POINT and at < len(unit):
            return bool(unit[at] & 0x80)
        at += size
    return False


def _read_number(unit: bytes, at: int) -> tuple[int, int]:
    """Read a number written as any count of 255 and a smaller byte; return it and where it ends."""
    number = 0
    while at < len(unit) and unit[at] == 255:
        number, at = number + 255, at + 1
    return number + (unit[at] if at < len(unit) else 0), at + 1
