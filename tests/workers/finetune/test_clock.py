"""What a run keeps back of its time for its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from app.training.recipe import Recipe
from workers.finetune.clock import Clock


def test_time_for_the_sheet_is_kept_back_once_a_picture_was_drawn(
    recipe: Callable[..., Recipe], tmp_path: Path, listener: Any
) -> None:
    clock_of = partial(Clock, recipe(max_wall_clock_s=5000.0), report=listener(earlier_s=150.0))
    for pictures, seconds, ends in ((0, 280.0, False), (30, 280.0, True), (30, 1000.0, False), (10, 280.0, False)):
        (tmp_path / "limits.json").write_text(json.dumps({"seconds": seconds, "reserve_pictures": pictures}))
        clock = clock_of(out=tmp_path)
        clock.took("picture", 10.0)
        assert (clock.reason_to_end() == "out_of_time") is ends, (pictures, seconds)
