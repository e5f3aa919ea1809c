"""Fingerprints: 112 bytes that tell a copy of a picture from another picture, and which of many belong together. Pure.

64 bytes are the signs of a picture's 16 x 16 lowest DCT coefficients, after pHash (Zauner 2010): a bit where one is
above `WEAK`, a bit where one is below, none where it is so weak that its sign is chance, as in soft or symmetric
pictures; the lowest 8 x 8 come first. 48 bytes are the mean colours of its 4 x 4 fields, RGB. Pictures are *near
copies* where at most 12 of the 128 lowest bits and 48 of all 512 differ, and the colours by at most 16 of 255 (root
mean square), as they are or mirrored.

Limits by measurement on real product photos, each against its own copies and all others; see `docs/decisions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIDE: Final = 16  # coefficients that count, across and down
FIELDS: Final = 4  # fields, across and down
SIGN_BYTES: Final = 2 * SIDE * SIDE // 8
SIZE_BYTES: Final = SIGN_BYTES + FIELDS * FIELDS * 3
# A coefficient is weak below this share of the root sum of squares of all, and below this many grey levels.
WEAK: Final = 0.01
WEAK_LEVELS: Final = 4.0
# With fewer bits set, a picture is too flat to tell.
BITS_AT_LEAST: Final = 16
LOW_BITS_AT_MOST: Final = 12
BITS_AT_MOST: Final = 48
COLOUR_AT_MOST: Final = 16.0
# What that sees and what not, for people.
COPIES_SEEN: Final = "resized, recompressed and mirrored copies are seen; crops, added borders and new colours are not"
_AT_ONCE: Final = 2_000_000
_LOW: Final = SIDE // 2
_PARTS: Final = 2 * _LOW * _LOW // 16

Bits = NDArray[np.bool_]
Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
Keys = NDArray[np.uint16]
Places = NDArray[np.intp]

# Where coefficients lie in their square, in the order in which they are kept: the lowest first.
_ROWS, _COLUMNS = np.divmod(np.arange(SIDE * SIDE), SIDE)
_IS_LOW: Final = (_ROWS < _LOW) & (_COLUMNS < _LOW)
_ORDERS: Final = (np.flatnonzero(_IS_LOW), np.flatnonzero(~_IS_LOW))
# Mirrored, what swings an odd number of half waves across changes its sign.
_MIRROR: Final = tuple(np.packbits(_COLUMNS[order] % 2 == 1).view(np.uint64) for order in _ORDERS)


def pack(coefficients: NDArray[np.float64], colours: Bytes) -> bytes | None:
    """A fingerprint of DCT coefficients (16, 16) in grey levels and mean colours uint8 (4, 4, 3), None if it is flat.

    The first coefficient, the brightness, is passed over.
    """
    waves = coefficients.ravel().copy()
    waves[0] = 0.0
    weak = max(WEAK_LEVELS, WEAK * float(np.sqrt((waves * waves).sum())))
    if (np.abs(waves) > weak).sum() < BITS_AT_LEAST:
        return None
    bits = [sign[order] for order in _ORDERS for sign in (waves > weak, waves < -weak)]
    return np.packbits(np.concatenate(bits)).tobytes() + colours.tobytes()


def clusters(fingerprints: Sequence[bytes | None]) -> list[int | None]:
    """A number for each fingerprint, the same for near copies and for copies of copies; None stays None.

    100,000 take seconds: near copies have one of eight parts of the lowest bits in common but for one bit (pigeonhole),
    so only those are compared.
    """
    known = [place for place, fingerprint in enumerate(fingerprints) if fingerprint is not None]
    numbers: list[int | None] = [None] * len(fingerprints)
    if not known:
        return numbers
    rows = np.frombuffer(b"".join(fingerprints[place] or b"" for place in known), np.uint8).reshape(-1, SIZE_BYTES)
    once, places = np.unique(rows, axis=0, return_inverse=True)
    labels = _labels(np.ascontiguousarray(once))
    for place, label in zip(known, labels[places.ravel()], strict=True):
        numbers[place] = int(label)
    return numbers


def _labels(rows: Bytes) -> NDArray[np.int32]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(rows)
    labels = np.arange(count, dtype=np.int32)
    for left, right in _near(rows):
        if not len(left):
            continue
        # What is known so far counts as edges too, so that pairs need not be kept.
        ends = (np.concatenate([left, np.arange(count)]), np.concatenate([right, labels]))
        graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(count, count))
        _, labels = connected_components(graph, directed=False)
        first = np.full(labels.max() + 1, count, np.int64)
        np.minimum.at(first, labels, np.arange(count))
        labels = first[labels].astype(np.int32)
    return labels


def _near(rows: Bytes) -> Iterator[tuple[Places, Places]]:
    """Pairs of near copies, in portions; a pair may come more than once."""
    bits = np.ascontiguousarray(rows[:, :SIGN_BYTES]).view(np.uint64)
    colours = rows[:, SIGN_BYTES:].reshape(-1, FIELDS, FIELDS, 3)
    # Asked with each picture as it is, and mirrored.
    asked = ((bits, colours), (_mirrored(bits), colours[:, :, ::-1]))
    for part in range(_PARTS):
        keys = _keys(bits, part)
        order = np.argsort(keys, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=1 << 16))])
        for bits_asked, colours_asked in asked:
            wanted = _keys(bits_asked, part)
            for flipped in (0, *(1 << bit for bit in range(16))):
                for left, right in _candidates(starts, order, wanted ^ np.uint16(flipped)):
                    near = _compare(left, right, (bits_asked, colours_asked), (bits, colours))
                    yield left[near], right[near]


def _keys(bits: Words, part: int) -> Keys:
    """One part of the lowest bits of each picture."""
    return np.ascontiguousarray(bits[:, : _PARTS // 4]).view(np.uint16)[:, part]


def _mirrored(bits: Words) -> Words:
    """The bits of the mirrored pictures: above and below changed places in odd columns."""
    turned, start = bits.copy(), 0
    for mask in _MIRROR:
        size = len(mask)
        above, below = bits[:, start : start + size], bits[:, start + size : start + 2 * size]
        turned[:, start : start + size] = (above & ~mask) | (below & mask)
        turned[:, start + size : start + 2 * size] = (below & ~mask) | (above & mask)
        start += 2 * size
    return turned


def _candidates(starts: Places, order: Places, wanted: Keys) -> Iterator[tuple[Places, Places]]:
    """Places of those that want a key and of those that have it, about `_AT_ONCE` at once.

    Those that have key k are `order[starts[k] : starts[k + 1]]`.
    """
    firsts = starts[wanted]
    counts = starts[wanted.astype(np.intp) + 1] - firsts
    ends = np.cumsum(counts)
    first = 0
    while first < len(wanted):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + _AT_ONCE, "right")))
        some = counts[first:last]
        left = np.repeat(np.arange(first, last), some)
        within = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
        right = order[np.repeat(firsts[first:last], some) + within]
        is_later = right > left
        yield left[is_later], right[is_later]
        first = last


def _compare(left: Places, right: Places, asked: tuple[Words, Bytes], there: tuple[Words, Bytes]) -> Places:
    """Which of these pairs are near copies: the lowest bits tell for most of them."""
    low = _PARTS // 4
    differing = sum(np.bitwise_count(asked[0][left, word] ^ there[0][right, word]) for word in range(low))
    near = np.flatnonzero(differing <= LOW_BITS_AT_MOST)
    differing = np.bitwise_count(asked[0][left[near]] ^ there[0][right[near]]).sum(axis=1)
    near = near[differing <= BITS_AT_MOST]
    off = asked[1][left[near]].astype(np.int32) - there[1][right[near]]
    is_near: Bits = (off * off).mean(axis=(1, 2, 3)) <= COLOUR_AT_MOST**2
    kept: Places = near[is_near]
    return kept
