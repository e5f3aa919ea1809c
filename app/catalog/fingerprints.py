"""Fingerprints: what tells a copy of a picture from another picture, and which of many belong together. Pure.

A fingerprint is one mark of the picture, or two: one more of what is left without the plain border around it. A mark
is 112 bytes. 64 bytes are the signs of a picture's 16 x 16 lowest DCT coefficients, after pHash (Zauner 2010): a bit
where one is above `WEAK`, a bit where one is below, none where it is so weak that its sign is chance, as in soft or
symmetric pictures; the lowest 8 x 8 come first. 48 bytes are the mean colours of its 4 x 4 fields, RGB. Pictures are
*near copies* where, of any of their marks, at most 12 of the 128 lowest bits and 48 of all 512 differ, and the colours
by at most 16 of 255 (root mean square) beside their brightness, as they are, turned by quarters or mirrored. Where one
of the marks is the second of its picture, half of each.

Limits by measurement on real product photos, each against its own copies and all others; see `docs/decisions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIDE: Final = 16  # coefficients that count, across and down
FIELDS: Final = 4  # fields, across and down
SIGN_BYTES: Final = 2 * SIDE * SIDE // 8
MARK_BYTES: Final = SIGN_BYTES + FIELDS * FIELDS * 3
# A coefficient is weak below this share of the root sum of squares of all, and below this many grey levels.
WEAK: Final = 0.01
WEAK_LEVELS: Final = 4.0
# With fewer bits set, a picture is too flat to tell.
BITS_AT_LEAST: Final = 16
LOW_BITS_AT_MOST: Final = 12
BITS_AT_MOST: Final = 48
COLOUR_AT_MOST: Final = 16.0
# How much brighter as a whole one of two copies may be.
GAIN_AT_MOST: Final = 1.25
# What that sees and what not, for people.
COPIES_SEEN: Final = (
    "resized, recompressed, turned by quarters, mirrored and most plainly bordered copies are seen; "
    "crops, overlays, small turns and new colours are not"
)
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

    100,000 take half a minute where all have borders, else less: near copies have one of eight parts of the lowest
    bits in common but for one bit (pigeonhole), so only those are compared.
    """
    known = [place for place, fingerprint in enumerate(fingerprints) if fingerprint is not None]
    numbers: list[int | None] = [None] * len(fingerprints)
    if not known:
        return numbers
    owners = [place for place in known for _ in range(len(fingerprints[place] or b"") // MARK_BYTES)]
    rows = np.frombuffer(b"".join(fingerprints[place] or b"" for place in known), np.uint8).reshape(-1, MARK_BYTES)
    # Behind each mark stands whether it is of what a border leaves.
    is_inner = np.append(False, np.diff(np.array(owners)) == 0).astype(np.uint8)
    once, places = np.unique(np.column_stack([rows, is_inner]), axis=0, return_inverse=True)
    labels = _labels(np.ascontiguousarray(once), _of_one_picture(owners, places.ravel()))
    for place, label in zip(owners, labels[places.ravel()], strict=True):
        numbers[place] = int(label)
    return numbers


def _of_one_picture(owners: Sequence[int], places: Places) -> tuple[Places, Places]:
    """Pairs of marks that one picture has."""
    later = np.flatnonzero(np.diff(np.array(owners)) == 0) + 1
    return places[later - 1], places[later]


def _labels(rows: Bytes, joined: tuple[Places, Places]) -> NDArray[np.int32]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(rows)
    labels = np.arange(count, dtype=np.int32)
    for left, right in chain([joined], _near(rows)):
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
    colours = rows[:, SIGN_BYTES:MARK_BYTES].reshape(len(rows), -1, 3)
    is_inner = rows[:, MARK_BYTES] == 1
    asked = [(_rearranged(bits, which), colours[:, fields]) for which, fields in _VIEWS]
    for part in range(_PARTS):
        keys = _keys(bits, part)
        order = np.argsort(keys, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=1 << 16))])
        for bits_asked, colours_asked in asked:
            wanted = _keys(bits_asked, part)
            for flipped in (0, *(1 << bit for bit in range(16))):
                for left, right in _candidates(starts, order, wanted ^ np.uint16(flipped)):
                    near = _compare(left, right, (bits_asked, colours_asked), (bits, colours), is_inner)
                    yield left[near], right[near]


def _keys(bits: Words, part: int) -> Keys:
    """One part of the lowest bits of each picture."""
    return np.ascontiguousarray(bits[:, : _PARTS // 4]).view(np.uint16)[:, part]


def _views() -> Iterator[tuple[Places, Places]]:
    """For the picture as it is, turned and mirrored, eight in all: which bit each bit then is, and which field.

    Mirrored, what swings an odd number of half waves across changes its sign: above and below change places. Laid on
    its side, across and down change places.
    """
    fields = np.arange(FIELDS * FIELDS).reshape(FIELDS, FIELDS)
    starts = np.cumsum([0, *(2 * len(order) for order in _ORDERS)])
    for is_on_side, is_across, is_down in product((False, True), repeat=3):
        turned = fields[:: -1 if is_down else 1, :: -1 if is_across else 1]
        changes = (is_across & (_COLUMNS % 2 == 1)) ^ (is_down & (_ROWS % 2 == 1))
        bits = list[Places]()
        for order, start in zip(_ORDERS, starts, strict=False):
            comes_from = _COLUMNS[order] * SIDE + _ROWS[order] if is_on_side else order
            place = start + np.searchsorted(order, comes_from)
            above, below = place, place + len(order)
            flips = changes[comes_from]
            bits += [np.where(flips, below, above), np.where(flips, above, below)]
        yield np.concatenate(bits), (turned.T if is_on_side else turned).ravel()


_VIEWS: Final = tuple(_views())


def _rearranged(bits: Words, which: Places) -> Words:
    single = np.unpackbits(bits.view(np.uint8), axis=1)
    return np.ascontiguousarray(np.packbits(single[:, which], axis=1)).view(np.uint64)


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


def _compare(
    left: Places, right: Places, asked: tuple[Words, Bytes], there: tuple[Words, Bytes], is_inner: Bits
) -> Places:
    """Which of these pairs are near copies: the lowest bits tell for most of them."""
    low = _PARTS // 4
    differing = sum(np.bitwise_count(asked[0][left, word] ^ there[0][right, word]) for word in range(low))
    # Cut out of their ground, other products of one kind are more alike than other pictures: half of each limit.
    near = np.flatnonzero(differing <= LOW_BITS_AT_MOST >> (is_inner[left] | is_inner[right]))
    differing = np.bitwise_count(asked[0][left[near]] ^ there[0][right[near]]).sum(axis=1)
    is_strict = is_inner[left[near]] | is_inner[right[near]]
    near = near[differing <= BITS_AT_MOST >> is_strict]
    is_strict = is_inner[left[near]] | is_inner[right[near]]
    first, second = (side[places[near]].astype(np.float32) for side, places in ((asked[1], left), (there[1], right)))
    # Taken brighter or darker, a picture keeps its colours; what is left of the difference counts.
    sizes = [np.sqrt((side * side).sum(axis=(1, 2), keepdims=True)) + 1 for side in (first, second)]
    gain = np.sqrt(np.clip(sizes[0] / sizes[1], 1 / GAIN_AT_MOST, GAIN_AT_MOST))
    off = first / gain - second * gain
    is_near: Bits = (off * off).mean(axis=(1, 2)) <= (COLOUR_AT_MOST / (1 + is_strict)) ** 2
    kept: Places = near[is_near]
    return kept
