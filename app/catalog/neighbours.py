"""Neighbours among very many keys: which pairs of frames are alike enough for a closer look, in any pose. Pure.

Keys are sorted into cells of a few hundred by two rounds of k-means, as inverted files do (Jegou et al. 2011), and each
is compared with those in the cells nearest to it: the time grows with the number of keys, not with its square. Keys are
kept in the one of eight poses in which their odd waves sum to more than nothing, so that a mirrored or turned copy has
the key of its original; a key that is undecided between two poses is looked up in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.catalog.ahead import ahead
from app.catalog.fingerprints import FIELDS, GREY_BYTES, WAVES, Bytes, Floats, Places

# Squared distance of keys of unit length, and of their colours in units of COLOUR_UNIT, root mean square of a field.
# 98 of 100 copies cut by 3 % on two sides are nearer, and one in 10,000 pairs of different photos of one kind.
NEAR_AT_MOST: Final = 0.22
COLOUR_UNIT: Final = 30.0
# Of a great many alike, each is compared with this many: chains join the rest.
NEIGHBOURS_AT_MOST: Final = 48
# A sum of odd waves, of unit length, below this may have the other sign in a copy.
UNDECIDED_BELOW: Final = 0.12
_CELL: Final = 384
_GROUPS_ASKED: Final = 3
_CELLS_ASKED: Final = 5
_ROUNDS: Final = 5
_SAMPLE: Final = 64  # of each cell, for finding its middle
_SEED: Final = 20261130
_AT_ONCE: Final = 65_536
_SLAB: Final = 400_000  # keys looked up, of 400 bytes each
_ROWS_AT_ONCE: Final = 1_024  # whose distances from a cell stay in the cache of a core

_ROWS, _COLUMNS = np.divmod(np.arange(1, WAVES * WAVES), WAVES)
_ACROSS: Final = ((_COLUMNS % 2) == 1).astype(np.float32)  # changes its sign when mirrored across
_DOWN: Final = ((_ROWS % 2) == 1).astype(np.float32)
# What decides about one of the two must not change with the other; as sums of unit length.
_DECIDES_ACROSS: Final = _ACROSS * (1 - _DOWN) / np.sqrt(_ACROSS @ (1 - _DOWN))
_DECIDES_DOWN: Final = _DOWN * (1 - _ACROSS) / np.sqrt(_DOWN @ (1 - _ACROSS))
_TURNED: Final = _COLUMNS * WAVES + _ROWS - 1
_FIELD: Final = np.arange(FIELDS * FIELDS).reshape(FIELDS, FIELDS)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Frames worth a closer look, all int64 (n,): `first` in pose `pose` looks like `second`; `first` != `second`."""

    first: Places
    second: Places
    pose: Places


def pairs(keys: Bytes, is_asked: NDArray[np.bool_], threads: int = 1) -> Iterator[Pairs]:
    """Pairs of keys uint8 (n, KEY_BYTES) that are near, of which one at least is asked about; in portions.

    A pair may come twice, in different poses or either way round. The portions and their order are the same by any
    number of threads.
    """
    if len(keys) < 2 or not is_asked.any():
        return
    once, places = np.unique(keys, axis=0, return_inverse=True)
    places = places.ravel()
    yield from _same(places, is_asked)
    owners = np.full(len(once), -1, np.int64)
    owners[places[::-1]] = np.arange(len(keys))[::-1]
    asked_once = np.zeros(len(once), np.bool_)
    asked_once[places[is_asked]] = True
    # The one that stands for several equal keys is one that is asked about, where there is one.
    asked_places = np.flatnonzero(is_asked)
    owners[places[asked_places]] = asked_places
    vectors = _vectors(once)
    kept = np.zeros(len(once), np.int64)
    for at in range(0, len(once), _AT_ONCE):
        some = slice(at, at + _AT_ONCE)
        kept[some] = _main_pose(vectors[some])
        vectors[some] = in_poses(vectors[some], kept[some])
    yield from _search(vectors, kept, owners, np.flatnonzero(asked_once), threads)


def _same(places: Places, is_asked: NDArray[np.bool_]) -> Iterator[Pairs]:
    """Equal keys, each with the next."""
    order = np.argsort(places, kind="stable")
    left, right = order[:-1], order[1:]
    is_same = places[left] == places[right]
    # Chains are whole where any of their members is asked about.
    counts = np.bincount(places, weights=is_asked)
    is_same &= counts[places[left]] > 0
    left, right = left[is_same], right[is_same]
    yield Pairs(left, right, np.zeros(len(left), np.int64))


def _vectors(keys: Bytes) -> Floats:
    """Keys as float32 (n, KEY_BYTES): waves of unit length, and colours whose squares sum to their mean square."""
    vectors = keys.view(np.int8).astype(np.float32)
    vectors[:, :GREY_BYTES] /= np.maximum(np.linalg.norm(vectors[:, :GREY_BYTES], axis=1, keepdims=True), 1e-6)
    vectors[:, GREY_BYTES:] /= COLOUR_UNIT * FIELDS
    return vectors


def in_poses(vectors: Floats, poses: Places) -> Floats:
    """Each in a pose: bit 4 laid on its side, then bit 1 mirrored across, bit 2 down; all as in `aligning.posed`."""
    out = vectors.copy()
    for pose in range(1, 8):
        those = np.flatnonzero(poses == pose)
        if len(those):
            columns, signs = _POSED[pose]
            out[those] = vectors[those[:, None], columns] * signs
    return out


def _posed(pose: int) -> tuple[Places, Floats]:
    """Which columns of a vector come where in a pose, and with which sign."""
    laid = _FIELD.T if pose & 4 else _FIELD
    fields = laid[:: -1 if pose & 2 else 1, :: -1 if pose & 1 else 1].ravel()
    grey = _TURNED if pose & 4 else np.arange(GREY_BYTES)
    signs = (1 - 2 * _ACROSS * bool(pose & 1)) * (1 - 2 * _DOWN * bool(pose & 2))
    colours = [GREY_BYTES + plane * FIELDS * FIELDS + fields for plane in range(2)]
    return np.concatenate([grey, *colours]), np.append(signs, np.ones(2 * FIELDS * FIELDS)).astype(np.float32)


_POSED: Final = [_posed(pose) for pose in range(8)]


def _lying(vectors: Floats) -> Floats:
    """Above nothing where waves across outweigh waves down."""
    power = vectors[:, :GREY_BYTES] ** 2
    return np.asarray(power @ np.sign(_COLUMNS - _ROWS).astype(np.float32))


def _main_pose(vectors: Floats) -> Places:
    poses = np.where(_lying(vectors) < 0, 4, 0)
    turned = in_poses(vectors, poses)[:, :GREY_BYTES]
    return np.asarray(poses + (turned @ _DECIDES_ACROSS < 0) + 2 * (turned @ _DECIDES_DOWN < 0), dtype=np.int64)


def _undecided(vectors: Floats) -> Iterator[tuple[Places, int]]:
    """Which keys in their main pose could as well be in another one, and which: places, and the pose on top."""
    grey = vectors[:, :GREY_BYTES]
    is_open = [np.abs(grey @ odd) < UNDECIDED_BELOW for odd in (_DECIDES_ACROSS, _DECIDES_DOWN)]
    is_side_open = np.abs(_lying(vectors)) < 2 * UNDECIDED_BELOW
    yield np.arange(len(vectors)), 0
    for pose in range(1, 8):
        able = np.ones(len(vectors), np.bool_)
        if pose & 4:
            # Laid on its side, each direction may have either sign.
            able &= is_side_open
        else:
            for bit, side in ((1, is_open[0]), (2, is_open[1])):
                if pose & bit:
                    able &= side
        yield np.flatnonzero(able), pose


def _search(vectors: Floats, kept: Places, owners: Places, asked: Places, threads: int) -> Iterator[Pairs]:
    cells = _cells(vectors, threads)
    queries, on_top = [], []
    for at in range(0, len(asked), _AT_ONCE):
        some = asked[at : at + _AT_ONCE]
        for places, top in _undecided(vectors[some]):
            queries.append(some[places])
            on_top.append(np.full(len(places), top, np.int64))
    query, pose = np.concatenate(queries), np.concatenate(on_top)
    # A slab at a time: keys that are undecided are looked up in many poses.
    for at in range(0, len(query), _SLAB):
        yield from _looked_up(vectors, kept, owners, cells, query[at : at + _SLAB], pose[at : at + _SLAB], threads)


def _looked_up(
    vectors: Floats, kept: Places, owners: Places, cells: _Cells, query: Places, pose: Places, threads: int
) -> Iterator[Pairs]:
    sought = in_poses(vectors[query], pose)
    wanted = _cells_wanted(sought, cells, threads)
    order = np.argsort(wanted.ravel(), kind="stable")
    bounds = np.searchsorted(wanted.ravel()[order], np.arange(len(cells.starts)))

    def in_cell(cell: int) -> Pairs | None:
        who = order[bounds[cell] : bounds[cell + 1]] // wanted.shape[1]
        members = cells.members[cells.starts[cell] : cells.starts[cell + 1]]
        if not len(who) or not len(members):
            return None
        left, right = _near(sought[who], vectors[members])
        is_other = query[who[left]] != members[right]
        left, right = left[is_other], right[is_other]
        first, second = query[who[left]], members[right]
        return Pairs(owners[first], owners[second], _between(kept[first], pose[who[left]], kept[second]))

    yield from (portion for portion in ahead(in_cell, range(len(cells.starts) - 1), threads) if portion is not None)


def _near(asked: Floats, there: Floats) -> tuple[Places, Places]:
    """Which of those asked are near which that are there: their places in both."""
    # |a - b|^2 in one product: (a, |a|^2, 1) by (-2 b, 1, |b|^2).
    beside = np.column_stack([-2 * there, np.ones(len(there), np.float32), (there * there).sum(axis=1)]).T
    lefts, rights = [], []
    for at in range(0, len(asked), _ROWS_AT_ONCE):
        some = asked[at : at + _ROWS_AT_ONCE]
        off = np.column_stack([some, (some * some).sum(axis=1), np.ones(len(some), np.float32)]) @ beside
        flat = np.flatnonzero(off <= NEAR_AT_MOST)
        counts = np.bincount(flat // len(there), minlength=len(some))
        for row in np.flatnonzero(counts > NEIGHBOURS_AT_MOST):
            nearest = np.argpartition(off[row], NEIGHBOURS_AT_MOST)[:NEIGHBOURS_AT_MOST]
            flat = np.concatenate([flat[flat // len(there) != row], row * len(there) + np.sort(nearest)])
        left, right = np.divmod(flat, len(there))
        lefts.append(left + at)
        rights.append(right)
    return np.concatenate(lefts), np.concatenate(rights)


def _between(first: Places, top: Places, second: Places) -> Places:
    """The pose of one picture in which it looks like the other: its main one, one on top, and back from the other's."""
    # One after the other: laid on its side twice is not at all; what is mirrored before is mirrored the other way.
    both = _then(first, top)
    back = np.where((second & 4) > 0, 4 | _swapped(second & 3), second)
    return _then(both, back)


def _then(pose: Places, after: Places) -> Places:
    flips = np.where((after & 4) > 0, _swapped(pose & 3), pose & 3) ^ (after & 3)
    return np.asarray(((pose ^ after) & 4) | flips)


def _swapped(flips: Places) -> Places:
    return ((flips & 1) << 1) | (flips >> 1)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Middles of groups and of cells, which group a cell is of, and members cell by cell."""

    groups: Floats
    middles: Floats
    firsts: Places  # of each group, its first cell; and one behind the last
    members: Places
    starts: Places  # of each cell, its first member; and one behind the last


def _cells(vectors: Floats, threads: int) -> _Cells:
    draw = np.random.default_rng(_SEED)
    count = max(1, round(np.sqrt(len(vectors) / _CELL)))
    groups = _middles(vectors, np.arange(len(vectors)), count, draw, _SAMPLE * count)
    group_of = _nearest(vectors, groups, threads)
    order = np.argsort(group_of, kind="stable")
    bounds = np.searchsorted(group_of[order], np.arange(len(groups) + 1))
    seeds = draw.spawn(len(groups))

    def parted(group: int) -> tuple[Floats, Places, Places]:
        """Middles of a group's cells, its members cell by cell, and how many each has."""
        own = order[bounds[group] : bounds[group + 1]]
        if not len(own):
            return vectors[:0], own, own
        count = max(1, round(len(own) / _CELL))
        local = _middles(vectors, own, count, seeds[group], _SAMPLE * len(own) // _CELL)
        cell_of = _nearest(vectors[own], local)
        return local, own[np.argsort(cell_of, kind="stable")], np.bincount(cell_of, minlength=len(local))

    middles, members, sizes = zip(*ahead(parted, range(len(groups)), threads), strict=True)
    firsts = np.cumsum([0, *(len(some) for some in sizes)])
    starts = np.append(0, np.cumsum(np.concatenate(sizes)))
    return _Cells(groups, np.concatenate(middles), firsts, np.concatenate(members), starts)


def _middles(vectors: Floats, own: Places, count: int, draw: np.random.Generator, sample: int) -> Floats:
    """`count` middles of these by k-means (Lloyd 1982) on a sample."""
    if count == 1:
        return np.asarray(vectors[own[:_AT_ONCE]].mean(axis=0, keepdims=True))
    some = vectors[np.sort(draw.choice(own, min(len(own), max(sample, 8 * count)), replace=False))]
    middles = some[np.sort(draw.choice(len(some), count, replace=False))].copy()
    for _ in range(_ROUNDS):
        nearest = _nearest(some, middles)
        counts = np.bincount(nearest, minlength=count)
        order = np.argsort(nearest, kind="stable")
        is_used = counts > 0
        firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        middles[is_used] = np.add.reduceat(some[order], firsts[is_used], axis=0) / counts[is_used, None]
    return np.asarray(middles)


def _nearest(vectors: Floats, middles: Floats, threads: int = 1) -> Places:
    half = (middles * middles).sum(axis=1) / 2

    def nearest(at: int) -> Places:
        return np.asarray(np.argmax(vectors[at : at + _ROWS_AT_ONCE] @ middles.T - half, axis=1))

    return np.concatenate(list(ahead(nearest, range(0, len(vectors), _ROWS_AT_ONCE), threads)))


def _cells_wanted(sought: Floats, cells: _Cells, threads: int) -> NDArray[np.int32]:
    """The cells nearest to each vector, int32 (n, up to 5); -1 where there are fewer."""
    half_group, half = (cells.groups**2).sum(axis=1) / 2, (cells.middles**2).sum(axis=1) / 2
    asked_groups = min(_GROUPS_ASKED, len(cells.groups))
    count = min(_CELLS_ASKED, len(cells.middles))

    def wanted(at: int) -> NDArray[np.int32]:
        asked = sought[at : at + _AT_ONCE]
        near = np.argpartition(half_group - asked @ cells.groups.T, asked_groups - 1, axis=1)[:, :asked_groups]
        # Group by group, so that a group's middles are multiplied with all who ask for them.
        scores = np.full((len(asked), asked_groups, count), np.inf, np.float32)
        names = np.full(scores.shape, -1, np.int32)
        for group in range(len(cells.groups)):
            who, slot = np.nonzero(near == group)
            first, last = cells.firsts[group], cells.firsts[group + 1]
            if not len(who) or first == last:
                continue
            off = half[first:last] - asked[who] @ cells.middles[first:last].T
            best = np.argpartition(off, min(count, last - first) - 1, axis=1)[:, :count]
            scores[who, slot, : best.shape[1]] = np.take_along_axis(off, best, axis=1)
            names[who, slot, : best.shape[1]] = best + first
        flat_scores, flat_names = scores.reshape(len(asked), -1), names.reshape(len(asked), -1)
        best = np.argpartition(flat_scores, count - 1, axis=1)[:, :count]
        return np.asarray(np.take_along_axis(flat_names, best, axis=1))

    return np.concatenate(list(ahead(wanted, range(0, len(sought), _AT_ONCE), threads)))
