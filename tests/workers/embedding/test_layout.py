from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workers.embedding import layout


def islands(each: int, kinds: int = 3, seed: int = 1) -> np.ndarray:
    """Vectors of length 1 around a few middles, in order."""
    draw = np.random.default_rng(seed)
    middles = draw.normal(size=(kinds, 64))
    vectors = np.concatenate([middle + 0.2 * draw.normal(size=(each, 64)) for middle in middles])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def strongest(vectors: np.ndarray) -> np.ndarray:
    return layout.directions_of(vectors).along(vectors)


@pytest.mark.slow
def test_what_is_alike_lies_together_and_the_same_photos_give_the_same_map() -> None:
    vectors = islands(40)
    made = layout.lay_out(vectors)
    assert made.method == "umap"
    assert made.points.shape == (120, 2)
    assert (made.points.min(), made.points.max()) == pytest.approx((0.0, 1.0), abs=0.51)
    middles = np.stack([made.points[40 * kind : 40 * kind + 40].mean(axis=0) for kind in range(3)])
    nearest = np.linalg.norm(made.points[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == np.arange(120) // 40).mean() == 1.0
    assert 0.3 < made.kept <= 1.0
    assert {*np.unique(made.clusters)} > {0, 1, 2}
    for number in range(made.clusters.max() + 1):
        members = np.flatnonzero(made.clusters == number)
        assert len(np.unique(members // 40)) == 1, "no cluster lies on two islands"
        assert layout.middle_of(made.points, members) in members
    again = layout.lay_out(vectors)
    assert np.array_equal(again.points, made.points)
    assert np.array_equal(again.clusters, made.clusters)


@pytest.mark.parametrize("count", [1, 2, 3, 16, 40])
def test_few_photos_have_a_map_too(count: int) -> None:
    made = layout.lay_out(islands(count, kinds=1))
    assert made.method == "pca"
    assert made.points.shape == (count, 2)
    assert np.isfinite(made.points).all() and made.points.min() >= 0 and made.points.max() <= 1
    assert 0 <= made.kept <= 1


def test_the_same_picture_many_times_has_a_map() -> None:
    made = layout.lay_out(np.repeat(islands(1, kinds=1), 30, axis=0))
    assert np.isfinite(made.points).all()


def test_neighbours_are_the_nearest_others() -> None:
    points = strongest(islands(30))
    near, far = layout.neighbours(points, 5)
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    assert np.allclose(far, np.sort(apart, axis=1)[:, :5], atol=1e-3)
    assert (near != np.arange(len(points))[:, None]).all()


def test_what_is_unlike_everything_is_far() -> None:
    vectors = islands(50)
    vectors[7] = -vectors[7]
    _, far = layout.neighbours(strongest(vectors), 15)
    apart = layout.apart_from(far)
    assert np.flatnonzero(apart >= layout._far_from(apart)).tolist()[:1] == [7]
    assert apart.min() >= 0 and apart.max() <= 2
    assert np.isnan(layout.apart_from(far[:1, :0])).all(), "of a single photo it cannot be told"


@pytest.mark.parametrize("compared_at_most", [layout.COMPARED_AT_MOST, pytest.param(30, marks=pytest.mark.slow)])
def test_others_are_placed_on_the_island_of_what_they_are_like(
    compared_at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "COMPARED_AT_MOST", compared_at_most)  # compared one by one, or sought by an index
    monkeypatch.setattr(layout, "FEW", 1000)  # no need of UMAP
    vectors = islands(40)
    made = layout.lay_out(vectors[::2])
    made = replace(made, clusters=np.arange(60) // 20, far_from=0.6)
    stranger = -vectors[:1]
    points, clusters, apart = layout.place(made, np.concatenate([vectors[1::2], stranger]))
    assert points.shape == (61, 2) and points.dtype == np.float32
    middles = np.stack([made.points[20 * kind : 20 * kind + 20].mean(axis=0) for kind in range(3)])
    nearest = np.linalg.norm(points[:60, None] - middles, axis=2).argmin(axis=1)
    assert nearest.tolist() == clusters[:60].tolist() == (np.arange(60) // 20).tolist()
    assert (apart >= made.far_from).tolist() == [False] * 60 + [True]
    same, _, _ = layout.place(made, vectors[::2])
    assert np.abs(same - made.points).max() <= layout.ISLAND, "a photo that was laid out lies where it was"
