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


def pairs(keys: Bytes, is_asked: NDArray[np.bool_]) -> Iterator[Pairs]:
    """Pairs of keys uint8 (n, KEY_BYTES) that are near, of which one at least is asked about; in portions.

    A pair may come twice, in different poses or either way round.
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
    yield from _search(vectors, kept, owners, np.flatnonzero(asked_once))


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
    out = np.empty_like(vectors)
    for pose in np.unique(poses):
        those = poses == pose
        some = vectors[those]
        grey = some[:, :GREY_BYTES][:, _TURNED] if pose & 4 else some[:, :GREY_BYTES]
        signs = (1 - 2 * _ACROSS * bool(pose & 1)) * (1 - 2 * _DOWN * bool(pose & 2))
        laid = _FIELD.T if pose & 4 else _FIELD
        fields = laid[:: -1 if pose & 2 else 1, :: -1 if pose & 1 else 1].ravel()
        colours = some[:, GREY_BYTES:].reshape(-1, 2, FIELDS * FIELDS)[:, :, fields]
        out[those] = np.concatenate([grey * signs, colours.reshape(len(some), -1)], axis=1)
    return out


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


def _search(vectors: Floats, kept: Places, owners: Places, asked: Places) -> Iterator[Pairs]:
    cells = _cells(vectors)
    queries, on_top = [], []
    for places, top in _undecided(vectors[asked]):
        queries.append(asked[places])
        on_top.append(np.full(len(places), top, np.int64))
    query, pose = np.concatenate(queries), np.concatenate(on_top)
    wanted = _cells_wanted(vectors, query, pose, cells)
    order = np.argsort(wanted.ravel(), kind="stable")
    bounds = np.searchsorted(wanted.ravel()[order], np.arange(len(cells.starts)))
    for cell in range(len(cells.starts) - 1):
        who = order[bounds[cell] : bounds[cell + 1]] // wanted.shape[1]
        members = cells.members[cells.starts[cell] : cells.starts[cell + 1]]
        if not len(who) or not len(members):
            continue
        for at in range(0, len(who), 8_192):
            some = who[at : at + 8_192]
            left, right = _near(in_poses(vectors[query[some]], pose[some]), vectors[members])
            is_other = query[some[left]] != members[right]
            left, right = left[is_other], right[is_other]
            first, second = query[some[left]], members[right]
            yield Pairs(owners[first], owners[second], _between(kept[first], pose[some[left]], kept[second]))


def _near(asked: Floats, there: Floats) -> tuple[Places, Places]:
    off = (asked * asked).sum(axis=1)[:, None] + (there * there).sum(axis=1) - 2 * (asked @ there.T)
    is_near = off <= NEAR_AT_MOST
    for row in np.flatnonzero(is_near.sum(axis=1) > NEIGHBOURS_AT_MOST):
        is_near[row] = False
        is_near[row, np.argpartition(off[row], NEIGHBOURS_AT_MOST)[:NEIGHBOURS_AT_MOST]] = True
    left, right = np.nonzero(is_near)
    return left, right


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


def _cells(vectors: Floats) -> _Cells:
    draw = np.random.default_rng(_SEED)
    count = max(1, round(np.sqrt(len(vectors) / _CELL)))
    groups = _middles(vectors, np.arange(len(vectors)), count, draw, _SAMPLE * count)
    group_of = _nearest(vectors, groups)
    order = np.argsort(group_of, kind="stable")
    bounds = np.searchsorted(group_of[order], np.arange(len(groups) + 1))
    middles, members, starts, firsts = [], [], [0], [0]
    for group in range(len(groups)):
        own = order[bounds[group] : bounds[group + 1]]
        if len(own):
            local = _middles(vectors, own, max(1, round(len(own) / _CELL)), draw, _SAMPLE * len(own) // _CELL)
            cell_of = _nearest(vectors[own], local)
            inner = np.argsort(cell_of, kind="stable")
            members.append(own[inner])
            starts.extend(starts[-1] + np.cumsum(np.bincount(cell_of, minlength=len(local))))
            middles.append(local)
        firsts.append(len(starts) - 1)
    return _Cells(groups, np.concatenate(middles), np.array(firsts), np.concatenate(members), np.array(starts))


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


def _nearest(vectors: Floats, middles: Floats) -> Places:
    half = (middles * middles).sum(axis=1) / 2
    parts = [
        np.argmax(vectors[at : at + _AT_ONCE] @ middles.T - half, axis=1) for at in range(0, len(vectors), _AT_ONCE)
    ]
    return np.concatenate(parts)


def _cells_wanted(vectors: Floats, query: Places, pose: Places, cells: _Cells) -> NDArray[np.int32]:
    """The cells nearest to each query, int32 (n, up to 5); -1 where there are fewer."""
    wanted = np.full((len(query), min(_CELLS_ASKED, len(cells.middles))), -1, np.int32)
    half_group, half = (cells.groups**2).sum(axis=1) / 2, (cells.middles**2).sum(axis=1) / 2
    asked_groups = min(_GROUPS_ASKED, len(cells.groups))
    for at in range(0, len(query), _AT_ONCE):
        some = slice(at, at + _AT_ONCE)
        asked = in_poses(vectors[query[some]], pose[some])
        near = np.argpartition(half_group - asked @ cells.groups.T, asked_groups - 1, axis=1)[:, :asked_groups]
        # Group by group, so that a group's middles are multiplied with all who ask for them.
        scores = np.full((len(asked), asked_groups, wanted.shape[1]), np.inf, np.float32)
        names = np.full(scores.shape, -1, np.int32)
        for group in range(len(cells.groups)):
            who, slot = np.nonzero(near == group)
            first, last = cells.firsts[group], cells.firsts[group + 1]
            if not len(who) or first == last:
                continue
            off = half[first:last] - asked[who] @ cells.middles[first:last].T
            best = np.argpartition(off, min(wanted.shape[1], last - first) - 1, axis=1)[:, : wanted.shape[1]]
            scores[who, slot, : best.shape[1]] = np.take_along_axis(off, best, axis=1)
            names[who, slot, : best.shape[1]] = best + first
        flat_scores, flat_names = scores.reshape(len(asked), -1), names.reshape(len(asked), -1)
        best = np.argpartition(flat_scores, wanted.shape[1] - 1, axis=1)[:, : wanted.shape[1]]
        wanted[some] = np.take_along_axis(flat_names, best, axis=1)
    return wanted
