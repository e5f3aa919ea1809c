"""From vectors to a map: where each photo lies, which lie together, and which are far from everything. No database.

UMAP (McInnes, Healy and Melville 2018) on the 50 strongest directions of the vectors, from a fixed seed, so that the
same photos give the same map. Clusters are HDBSCAN's on the map, where people see them. Of more photos than are laid
out, the others are placed where the nearest ones lie that were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Numbers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

SEED: Final = 12
NEIGHBOURS: Final = 15
DIRECTIONS: Final = 50
# UMAP wants more photos than neighbours, and says little of fewer than these.
FEW: Final = 40
# Above this, neighbours are sought (Dong, Charikar and Li 2011) and no longer compared one by one.
COMPARED_AT_MOST: Final = 20_000
# UMAP's time grows faster than the photos do; the others are placed among these.
LAID_OUT_AT_MOST: Final = 100_000
# A photo that was not laid out lies in the middle of these nearest, as far as they lie on one island: within a share of
# the map's side of the nearest.
PLACED_BY: Final = 5
ISLAND: Final = 0.02
# HDBSCAN compares all with all; the label of the nearest one of these is everybody else's.
CLUSTERED_AT_MOST: Final = 10_000
FAR_SHARE: Final = 0.01
_BLOCK: Final = 2048


@dataclass(frozen=True)
class Directions:
    """Those in which vectors differ most: their `middle` (d,) and the directions (d, at most 50), float32."""

    middle: Floats
    chosen: Floats

    def along(self, vectors: np.ndarray[Any, Any]) -> Floats:
        """(n, at most 50) float32: (n, d) vectors along the directions."""
        starts = range(0, len(vectors), _BLOCK)
        return np.concatenate(
            [(vectors[at : at + _BLOCK].astype(np.float32) - self.middle) @ self.chosen for at in starts]
        )


@dataclass(frozen=True)
class MapLayout:
    """A map of n photos: `points` (n, 2) float32, 0 to 1; `near` (n, k) places of the nearest in the embedding, nearest
    first; `kept` the mean share of these that are among the k nearest on the map; `clusters` (n,) numbers from 0, -1
    for none; `apart` (n,) float32, see `apart_from`. What is as far from its nearest as `far_from` is far from
    everything.

    `strong` (n, at most 50) are their vectors along `directions`, by which others are placed; `index` finds the nearest
    of these, None where they are so few that all are compared."""

    points: Floats
    near: Numbers
    kept: float
    clusters: Numbers
    apart: Floats
    method: str
    directions: Directions
    strong: Floats
    far_from: float
    index: Any


def lay_out(vectors: np.ndarray[Any, Any], seed: int = SEED) -> MapLayout:
    """The map of (n, d) vectors of length 1, n at least 1. On one thread: other jobs have the other cores."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        directions = directions_of(vectors)
        strong = directions.along(vectors)
        count = len(strong)
        index = _index(strong, seed) if count > COMPARED_AT_MOST else None
        near, distances = neighbours(strong, min(NEIGHBOURS, count - 1), index)
        method = "umap" if count > FEW else "pca"
        flat = _umap(strong, near, distances, seed) if method == "umap" else _flat(strong)
        points = _fitted(flat)
        apart = apart_from(distances)
        return MapLayout(
            points, near, _kept(points, near), _clusters(points, seed), apart, method, directions, strong,
            _far_from(apart), index,
        )  # fmt: skip


def place(made: MapLayout, vectors: np.ndarray[Any, Any]) -> tuple[Floats, Numbers, Floats]:
    """Where (m, d) vectors lie on a map that they were not laid out on: points (m, 2), clusters (m,), apart (m,)."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        asked, count = made.directions.along(vectors), min(PLACED_BY, len(made.strong))
        if made.index is not None:
            near, distances = made.index.query(asked, k=count)
        else:
            near, distances = _compared(asked, made.strong, count)
    around = made.points[near]
    is_close = np.linalg.norm(around - around[:, :1], axis=2) <= ISLAND
    points = (around * is_close[..., None]).sum(axis=1) / is_close.sum(axis=1)[:, None]
    return points.astype(np.float32), made.clusters[near[:, 0]], apart_from(distances)


def directions_of(vectors: np.ndarray[Any, Any]) -> Directions:
    """The at most 50 directions in which (n, d) vectors differ most."""
    middle: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = np.asarray(np.mean(vectors, axis=0, dtype=np.float64))
    covariance = np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK].astype(np.float32) - middle.astype(np.float32)
        covariance += block.T @ block
    _, directions = np.linalg.eigh(covariance)
    chosen = directions[:, ::-1][:, :DIRECTIONS].astype(np.float32)
    # An eigenvector's sign is the library's whim.
    chosen *= np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
    return Directions(np.asarray(middle, dtype=np.float32), chosen)


def neighbours(points: Floats, count: int, index: Any = None) -> tuple[Numbers, Floats]:
    """Places of the `count` nearest others of each point, nearest first, and how far they are: (n, count) each."""
    if index is None:
        return _compared(points, points, count, are_others=True)
    places, distances = index.neighbor_graph
    return _without_self(places.astype(np.int64), distances.astype(np.float32), count)


def _index(points: Floats, seed: int) -> Any:
    from pynndescent import NNDescent

    return NNDescent(points, n_neighbors=NEIGHBOURS + 1, random_state=seed, n_jobs=1, low_memory=True)


def _compared(asked: Floats, points: Floats, count: int, are_others: bool = False) -> tuple[Numbers, Floats]:
    """The `count` nearest of the points to each one asked about, each with each; `are_others` leaves out itself."""
    squares = np.einsum("ij,ij->i", points, points)
    places = np.empty((len(asked), count), dtype=np.int64)
    far = np.empty((len(asked), count), dtype=np.float32)
    for start in range(0, len(asked), _BLOCK):
        block = asked[start : start + _BLOCK]
        apart = np.einsum("ij,ij->i", block, block)[:, None] - 2 * block @ points.T + squares
        if are_others:
            apart[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        some = np.argpartition(apart, max(count - 1, 0), axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(apart, some, axis=1), axis=1, kind="stable")
        places[start : start + len(block)] = np.take_along_axis(some, order, axis=1)
        chosen = np.take_along_axis(apart, places[start : start + len(block)], axis=1)
        far[start : start + len(block)] = np.sqrt(np.maximum(chosen, 0))
    return places, far


def _without_self(places: Numbers, distances: Floats, count: int) -> tuple[Numbers, Floats]:
    """Each row without its own place; where copies have pushed it out, without the last one."""
    own = places == np.arange(len(places))[:, None]
    own[~own.any(axis=1), -1] = True
    return places[~own].reshape(-1, count), distances[~own].reshape(-1, count)


def _umap(points: Floats, near: Numbers, distances: Floats, seed: int) -> Floats:
    import warnings

    # UMAP counts a point as its own first neighbour.
    own = np.arange(len(points))[:, None]
    known = (np.hstack([own, near[:, :-1]]), np.hstack([np.zeros_like(distances[:, :1]), distances[:, :-1]]))
    with warnings.catch_warnings():
        # It tells of a part that wants Tensorflow, and of the one thread and the missing index that we chose.
        warnings.simplefilter("ignore")
        from umap import UMAP

        made = UMAP(n_neighbors=NEIGHBOURS, random_state=seed, n_jobs=1, precomputed_knn=(*known, None))
        flat: Floats = made.fit_transform(points)
    return flat


def _flat(points: Floats) -> Floats:
    """The two strongest directions; of a single one, a line."""
    return np.pad(points[:, :2], ((0, 0), (0, max(0, 2 - points.shape[1]))))


def _fitted(flat: Floats) -> Floats:
    """The same, moved and scaled into 0 to 1, its shape kept, the middle in the middle."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    side = max(float((high - low).max()), 1e-9)
    fitted: Floats = ((flat - (low + high) / 2) / side + 0.5).astype(np.float32)
    return fitted


def _kept(points: Floats, near: Numbers) -> float:
    """The mean share of each photo's nearest that are among as many nearest on the map."""
    from scipy.spatial import cKDTree

    count = near.shape[1]
    if not count:
        return 1.0
    _, drawn = cKDTree(points).query(points, k=count + 1)
    own = np.arange(len(points))[:, None]
    shared = [np.isin(row, ours).sum() for row, ours in zip(near, np.where(drawn == own, -1, drawn), strict=True)]
    return float(np.mean(shared) / count)


def _clusters(points: Floats, seed: int) -> Numbers:
    """Numbers of clusters by size, 0 the largest; -1 for photos between them."""
    from scipy.spatial import cKDTree
    from sklearn.cluster import HDBSCAN

    count = len(points)
    if count < FEW:
        return np.full(count, -1, dtype=np.int64)
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:CLUSTERED_AT_MOST])
    # Some twenty to thirty clusters, however many photos: as many as a person looks through. The excess-of-mass choice
    # gave two for 1,192 pieces of clothing.
    smallest = max(5, len(chosen) // 60)
    clustering = HDBSCAN(min_cluster_size=smallest, min_samples=3, cluster_selection_method="leaf", copy=True)
    labels = clustering.fit_predict(points[chosen])
    if count > len(chosen):
        labels = labels[cKDTree(points[chosen]).query(points)[1]]
    numbers, sizes = np.unique(labels[labels >= 0], return_counts=True)
    by_size = {number: place for place, number in enumerate(numbers[np.argsort(-sizes, kind="stable")])}
    return np.array([by_size.get(label, -1) for label in labels], dtype=np.int64)


def apart_from(distances: Floats) -> Floats:
    """How far each photo is from the five nearest to it, on average, of (n, k) distances, nearest first: (n,) float32,
    0 to 2 for vectors of length 1; NaN where there is no other."""
    if not distances.shape[1]:
        return np.full(len(distances), np.nan, dtype=np.float32)
    return np.asarray(distances[:, :PLACED_BY].mean(axis=1), dtype=np.float32)


def _far_from(apart: Floats) -> float:
    """How far away its five nearest are for a photo to be far from everything: as those of the farthest hundredth.

    A share, for how far is far changes with the catalog: by Tukey's fence none of 1,192 pieces of clothing was."""
    return float(np.quantile(apart, 1 - FAR_SHARE)) if len(apart) >= FEW else float("inf")


def middle_of(points: Floats, members: Numbers) -> int:
    """The member nearest to the members' median: what a cluster is shown by."""
    apart = np.linalg.norm(points[members] - np.median(points[members], axis=0), axis=1)
    return int(members[int(apart.argmin())])
