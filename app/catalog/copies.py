"""Copies: which photos of many are one photo, saved again, made smaller, cut, bordered, turned or mirrored. Pure.

One mechanism for all that asks: groups of duplicates, the split of train and validation, and the check before a run.
Limits by measurement on real product photos, each against its own copies and all others; see `docs/decisions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.catalog.aligning import Fit, fit, is_framed_alike
from app.catalog.fingerprints import KEY_BYTES, THUMB_BYTES, Bytes, Places
from app.catalog.neighbours import Pairs, pairs

# What copies differ in at most, in the measures of `aligning.Fit`.
REST_AT_MOST: Final = 0.14
CUT_OUT_REST: Final = 0.07
SPOT_AT_MOST: Final = 10.0
# A photo made brighter or steeper than this has the rest of the copies that were only saved again: where one product in
# one pose stands on a lighter ground, the light seems turned up too, and more is left.
LIT_ALIKE: Final = 1.15
OTHER_LIGHT_REST: Final = 0.04
TINT_AT_MOST: Final = 0.25
TINT_FLOOR: Final = 1.2
# What that sees and what not, for people.
COPIES_SEEN: Final = (
    "resized, recompressed, turned by quarters, mirrored and bordered copies and crops of a few per cent are seen; "
    "larger crops, overlays, small turns, new light and new colours are not"
)
_AT_ONCE: Final = 4_096

Thumbs = Callable[[Sequence[int]], Mapping[int, bytes]]
"""The thumbs of some photos, given their places: photos whose thumbs are gone may be missing."""


@dataclass(frozen=True, slots=True)
class Match:
    """Two photos, by their places, that are copies. `rest` is how much differs, 0 to `REST_AT_MOST`.

    `pose` is how the first is turned or mirrored against the second, 0 for not at all; `cut` the share by which the
    second shows less; of `frames`, 0 is a whole picture, more one without its border. `is_variant`: all fits but the
    colours, so these are no copies but one product in two colours.
    """

    first: int
    second: int
    rest: float
    pose: int
    cut: float = 0.0
    frames: tuple[int, int] = (0, 0)
    is_variant: bool = False


def find(
    keys: Sequence[bytes | None], thumbs: Thumbs, is_new: NDArray[np.bool_] | None = None, threads: int = 1
) -> Iterator[Match]:
    """Pairs of copies and of colour variants, each once; with `is_new`, only those in which a new photo is.

    `keys` are those of each photo, None for one without any. What is found does not depend on the number of threads.
    `benchmarks.copies_million` measures what a million take.
    """
    owners, frames, rows = _rows(keys)
    asked = np.ones(len(rows), np.bool_) if is_new is None else is_new[owners]
    met: set[tuple[int, int]] = set()
    for some in _portions(_between_photos(pairs(rows, asked, threads), owners)):
        for round_ in _rounds(some):
            yield from _judged(round_, owners, frames, thumbs, met, threads)


def clusters(keys: Sequence[bytes | None], thumbs: Thumbs) -> list[int | None]:
    """A number for each photo, the same for copies and for copies of copies; None where there is no key."""
    joined = [(pair.first, pair.second) for pair in find(keys, thumbs) if not pair.is_variant]
    labels = components(len(keys), joined)
    return [None if key is None else label for key, label in zip(keys, labels, strict=True)]


def components(count: int, joined: Sequence[tuple[int, int]]) -> list[int]:
    """The first place of the connected component that each of `count` places is in."""
    above = list(range(count))

    def top(place: int) -> int:
        while above[place] != place:
            above[place] = above[above[place]]
            place = above[place]
        return place

    for left, right in joined:
        first, second = sorted((top(left), top(right)))
        above[second] = first
    return [top(place) for place in range(count)]


def _rows(keys: Sequence[bytes | None]) -> tuple[Places, Places, Bytes]:
    """Of each frame its photo, its number in it, and its key."""
    counts = np.array([len(key) // KEY_BYTES if key else 0 for key in keys], dtype=np.int64)
    owners = np.repeat(np.arange(len(keys)), counts)
    frames = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.frombuffer(b"".join(key for key in keys if key), np.uint8).reshape(-1, KEY_BYTES)
    return owners, frames, rows


def _between_photos(portions: Iterator[Pairs], owners: Places) -> Iterator[Pairs]:
    for portion in portions:
        is_other = owners[portion.first] != owners[portion.second]
        yield Pairs(portion.first[is_other], portion.second[is_other], portion.pose[is_other])


def _portions(portions: Iterator[Pairs]) -> Iterator[Pairs]:
    """The same in portions of a few thousand, for thumbs are asked for once a portion."""
    waiting: list[Pairs] = []
    count = 0

    def joined() -> Iterator[Pairs]:
        whole = [np.concatenate([getattr(each, name) for each in waiting]) for name in Pairs.__slots__]
        for at in range(0, len(whole[0]), _AT_ONCE):
            yield Pairs(*(part[at : at + _AT_ONCE] for part in whole))

    for portion in portions:
        waiting.append(portion)
        count += len(portion.first)
        if count >= _AT_ONCE:
            yield from joined()
            waiting, count = [], 0
    if count:
        yield from joined()


def _rounds(some: Pairs) -> Iterator[Pairs]:
    """First each two frames in a pose once, then those that came the other way round: most are copies by then."""
    is_turned = some.first > some.second
    back = np.where(some.pose == 5, 6, np.where(some.pose == 6, 5, some.pose))
    low, high = np.minimum(some.first, some.second), np.maximum(some.first, some.second)
    _, firsts = np.unique(np.stack([low, high, np.where(is_turned, back, some.pose)]), axis=1, return_index=True)
    is_first = np.zeros(len(low), np.bool_)
    is_first[firsts] = True
    for those in (is_first, ~is_first):
        yield Pairs(some.first[those], some.second[those], some.pose[those])


def _judged(
    some: Pairs, owners: Places, frames: Places, thumbs: Thumbs, met: set[tuple[int, int]], threads: int
) -> Iterator[Match]:
    whose = np.stack([owners[some.first], owners[some.second]])
    is_open = np.array([pair not in met for pair in zip(*whose.tolist(), strict=True)], np.bool_)
    there = thumbs([int(place) for place in np.unique(whose[:, is_open])]) if is_open.any() else {}
    is_known = np.array([bool(there.get(a) and there.get(b)) for a, b in whose.T.tolist()], np.bool_) & is_open
    if not is_known.any():
        return
    first, second, pose = some.first[is_known], some.second[is_known], some.pose[is_known]
    firsts, seconds = _thumbs_of(first, owners, frames, there), _thumbs_of(second, owners, frames, there)
    seen = fit(firsts, seconds, pose, threads)
    # Cut out of their ground, two photos of one product are more alike than other pictures.
    cut_out = (frames[first] > 0).astype(np.int64) + (frames[second] > 0)
    fits = is_same(seen) & ((cut_out == 0) | (seen.rest <= CUT_OUT_REST))
    fits &= (cut_out < 2) | is_framed_alike(firsts, seconds, pose)
    suits = is_in_colour(seen)
    for place in np.lexsort((seen.rest, ~suits)):
        pair = int(owners[first[place]]), int(owners[second[place]])
        if not fits[place] or pair in met:
            continue
        met.update((pair, pair[::-1]))
        numbers = int(frames[first[place]]), int(frames[second[place]])
        cut, rest = float(seen.cut[place]), float(seen.rest[place])
        yield Match(*pair, rest, int(pose[place]), cut, numbers, not suits[place])


def is_same(seen: Fit) -> NDArray[np.bool_]:
    """Which pairs are one photo by their lightness."""
    is_lit_alike = np.abs(np.log(seen.gain)) <= np.log(LIT_ALIKE)
    most = np.where(is_lit_alike, REST_AT_MOST, OTHER_LIGHT_REST)
    return np.asarray((seen.rest <= most) & (seen.spot <= SPOT_AT_MOST))


def is_in_colour(seen: Fit) -> NDArray[np.bool_]:
    """Which pairs have the same colours."""
    return np.asarray(seen.colour <= np.maximum(TINT_FLOOR, TINT_AT_MOST * seen.chroma))


def _thumbs_of(rows: Places, owners: Places, frames: Places, there: Mapping[int, bytes]) -> Bytes:
    starts = frames[rows] * THUMB_BYTES
    cut = [there[int(owner)][at : at + THUMB_BYTES] for owner, at in zip(owners[rows], starts, strict=True)]
    return np.frombuffer(b"".join(cut), np.uint8).reshape(-1, THUMB_BYTES)
