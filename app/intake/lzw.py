"""How many bytes the LZW codes of a TIFF stand for, counted and not decoded: the one trace that damage leaves in them.

TIFF 6.0, section 13: codes of 9 to 12 bits, highest bit first; 256 clears the table, 257 ends. Between two clears the
width of each code follows from its place alone, and a string's length from that of the string it extends, so all codes
of a table are taken out, and all lengths found by pointer jumping (Wyllie 1979), at once. Readers take a flipped code
for another string, and nobody is told; but the table built after it has other lengths, and their sum is another.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

CLEAR: Final = 256
END: Final = 257
_FIRST: Final = 258
# Codes until a table of 12 bits is full.
_MOST: Final = 4096 - _FIRST
_PLACES: Final = np.arange(_MOST)
# The table's size when the code at a place is read; writers widen one code early.
_KNOWN: Final = _FIRST + np.maximum(0, _PLACES - 1)
_WIDTHS: Final = np.minimum(12, np.maximum(9, np.floor(np.log2(_KNOWN + 1)).astype(np.int64) + 1))
_STARTS: Final = np.concatenate([[0], np.cumsum(_WIDTHS)])

Numbers = np.ndarray[Any, np.dtype[np.int64]]


def decoded_bytes(packed: bytes) -> int:
    """How many bytes come out of a strip; -1 where a code cannot be. The end code may be missing."""
    bits = np.frombuffer(packed + bytes(4), np.uint8)
    at, last, total = 0, 8 * len(packed), 0
    while True:
        codes = _codes(bits, at, last)
        stops = np.flatnonzero((codes == CLEAR) | (codes == END))
        if stops.size == 0 and codes.size == _MOST:
            return -1  # a full table that nobody clears
        count = int(stops[0]) if stops.size else int(codes.size)
        size = _strings_bytes(codes[:count])
        if size < 0:
            return -1
        total += size
        if stops.size == 0 or codes[count] == END:
            return total
        at += int(_STARTS[count + 1])


def _codes(bits: np.ndarray[Any, np.dtype[np.uint8]], at: int, last: int) -> Numbers:
    """The codes from a bit on, as many as a table takes or the strip holds."""
    starts = at + _STARTS[:-1]
    starts = starts[starts + _WIDTHS <= last]
    widths, place = _WIDTHS[: starts.size], starts >> 3
    word = np.zeros(starts.size, np.int64)
    for step in range(3):
        word = word << 8 | bits[place + step]
    codes: Numbers = (word >> (24 - (starts & 7) - widths)) & ((1 << widths) - 1)
    return codes


def _strings_bytes(codes: Numbers) -> int:
    """The lengths of the strings that codes between two clears stand for, summed; -1 where a code is not known yet."""
    if codes.size == 0:
        return 0
    if codes[0] >= CLEAR or bool((codes[1:] > _KNOWN[1 : codes.size]).any()):
        return -1
    # The entry made after a code extends its string by one; `longer` is where that string's own entry stands.
    longer = np.where(codes >= _FIRST, codes - _FIRST, -1)
    lengths = np.ones(codes.size, np.int64)
    while (is_open := longer >= 0).any():
        behind = longer[is_open]
        lengths[is_open] += lengths[behind]
        longer[is_open] = longer[behind]
    return int(lengths.sum())
