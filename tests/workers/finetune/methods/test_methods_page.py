"""docs/methods.md speaks of knobs and files that exist."""

from __future__ import annotations

import re
from pathlib import Path

from app.training.recipe import Recipe

PROJECT = Path(__file__).resolve().parents[4]
PAGE = (PROJECT / "docs" / "methods.md").read_text()


def test_every_knob_and_file_it_names_exists() -> None:
    headings = re.findall(r"^\*\*[^*]+\*\* \(([^)]+)\)", PAGE, flags=re.MULTILINE)
    named = {knob for heading in headings for knob in re.findall(r"`([a-z_0-9]+)(?::[^`]*)?`", heading)}
    assert len(headings) >= 15
    assert named - {"full"} <= set(Recipe.model_fields)
    for path in re.findall(r"`(workers/[^`]+)`", PAGE):
        assert (PROJECT / path).exists(), path


def test_every_method_in_a_file_of_its_own_is_described() -> None:
    for file in (PROJECT / "workers" / "finetune" / "methods").glob("*.py"):
        if file.stem not in ("__init__", "auxiliary", "dino"):
            assert file.name in PAGE, file.name
