"""What the drawn worlds hold and what they keep back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as Pillow

from app.datasets.manifest import read_manifest
from app.demo.base_set import write_base_set
from app.demo.kinds import base, fresh
from app.demo.worlds import BASE_WITHHELD, FRESH_WITHHELD, base_world, prompts_for, vocabulary


def test_the_base_world_keeps_to_its_kinds_and_keeps_combinations_back() -> None:
    world = base_world(800, seed=1)
    assert {scene.kind for scene, _ in world} == set(base.KINDS)
    shown = {(scene.kind, scene.colour, scene.background) for scene, _ in world}
    assert not shown & BASE_WITHHELD
    assert not set(base.KINDS) & set(fresh.KINDS)


def test_the_same_seed_gives_the_same_world() -> None:
    assert base_world(20, seed=2) == base_world(40, seed=2)[:20]
    assert base_world(20, seed=2) != base_world(20, seed=3)


def test_captions_tell_the_truth_in_known_words() -> None:
    known = set(vocabulary())
    for scene, caption in base_world(300, seed=4):
        words = caption.lower().replace(",", "").rstrip(".").split()
        assert set(words) <= known
        assert scene.kind in words
        assert scene.colour in words
        assert "background" not in words or scene.background in caption


def test_the_vocabulary_holds_the_kinds_of_both_worlds() -> None:
    assert {*base.KINDS, *fresh.KINDS} <= set(vocabulary())


def test_held_out_prompts_are_spread_over_the_kinds() -> None:
    prompts = prompts_for(FRESH_WITHHELD, 64)
    counts = [sum(prompt.kind == kind for prompt in prompts) for kind in fresh.KINDS]
    assert min(counts) >= 10
    assert len({prompt.text for prompt in prompts}) == 64
    assert prompts == prompts_for(FRESH_WITHHELD, 64)
    first = prompts[0]
    assert all(word in first.text.lower() for word in (first.kind, first.colour, first.background))
    with pytest.raises(ValueError, match="held out"):
        prompts_for(FRESH_WITHHELD, 1000)


def test_a_base_set_is_a_manifest_with_its_pictures(tmp_path: Path) -> None:
    write_base_set(tmp_path, count=80, size_px=32, seed=5)
    rows = read_manifest(tmp_path / "manifest.jsonl")
    assert len(rows) == 80
    assert sum(row.split == "validation" for row in rows) == 2
    with Pillow.open(tmp_path / rows[0].file) as picture:
        assert picture.size == (32, 32)
    assert "kettle" in (tmp_path / "vocabulary.txt").read_text().split()
