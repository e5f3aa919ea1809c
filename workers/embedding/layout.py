"""From vectors to a map: where each photo lies, which lie together, and which are far from everything. No database.

UMAP (McInnes, Healy and Melville 2018) on the 50 strongest directions of the vectors, from a fixed seed, so that the
same photos give the same map. Clusters are HDBSCAN's on the map, where people see them.
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
# HDBSCAN compares all with all; the label of the nearest one of these is everybody else's.
CLUSTERED_AT_MOST: Final = 10_000
FAR_SHARE: Final = 0.01
_BLOCK: Final = 2048


@dataclass(frozen=True)
class MapLayout:
    """A map of n photos: `points` (n, 2) float32, 0 to 1; `near` (n, k) places of the nearest in the embedding, nearest
    first; `kept` the mean share of these that are among the k nearest on the map; `clusters` (n,) numbers from 0, -1
    for none; `is_far` (n,) bool."""

    points: Floats
    near: Numbers
    kept: float
    clusters: Numbers
    is_far: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    method: str


def lay_out(vectors: np.ndarray[Any, Any], seed: int = SEED) -> MapLayout:
    """The map of (n, d) vectors of length 1, n at least 1. On one thread: other jobs have the other cores."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        strong = strongest(vectors)
        count = len(strong)
        near, distances = neighbours(strong, min(NEIGHBOURS, count - 1), seed)
        method = "umap" if count > FEW else "pca"
        flat = _umap(strong, near, distances, seed) if method == "umap" else _flat(strong)
        points = _fitted(flat)
        return MapLayout(points, near, _kept(points, near), _clusters(points, seed), _far(distances), method)


def strongest(vectors: np.ndarray[Any, Any]) -> Floats:
    """(n, at most 50) float32: the vectors along the directions in which they differ most."""
    middle = np.mean(vectors, axis=0, dtype=np.float64)
    covariance = np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK].astype(np.float32) - middle.astype(np.float32)
        covariance += block.T @ block
    _, directions = np.linalg.eigh(covariance)
    chosen = directions[:, ::-1][:, :DIRECTIONS].astype(np.float32)
    # An eigenvector's sign is the library's whim.
    chosen *= np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
    pieces = [
        (vectors[start : start + _BLOCK].astype(np.float32) - middle.astype(np.float32)) @ chosen
        for start in range(0, len(vectors), _BLOCK)
    ]
    return np.concatenate(pieces)


def neighbours(points: Floats, count: int, seed: int) -> tuple[Numbers, Floats]:
    """Places of the `count` nearest others of each point, nearest first, and how far they are: (n, count) each."""
    if len(points) > COMPARED_AT_MOST:
        from pynndescent import NNDescent

        index = NNDescent(points, n_neighbors=count + 1, random_state=seed, n_jobs=1, low_memory=True)
        places, distances = index.neighbor_graph
        return _without_self(places.astype(np.int64), distances.astype(np.float32), count)
    squares = np.einsum("ij,ij->i", points, points)
    places = np.empty((len(points), count), dtype=np.int64)
    far = np.empty((len(points), count), dtype=np.float32)
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        apart = squares[start : start + _BLOCK, None] - 2 * block @ points.T + squares
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


def _far(distances: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """The hundredth of the photos whose five nearest are farthest away. A share, for how far is far changes with the
    catalog: by Tukey's fence none of 1,192 pieces of clothing was."""
    if len(distances) < FEW:
        return np.zeros(len(distances), dtype=np.bool_)
    mean = distances[:, :5].mean(axis=1)
    return np.asarray(mean >= np.quantile(mean, 1 - FAR_SHARE))


def middle_of(points: Floats, members: Numbers) -> int:
    """The member nearest to the members' median: what a cluster is shown by."""
    apart = np.linalg.norm(points[members] - np.median(points[members], axis=0), axis=1)
    return int(members[int(apart.argmin())])
