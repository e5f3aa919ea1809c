"""The kill suite in full: 200 runs of the real engine killed at random moments. PACKSHOT_KILLS=20 makes it shorter."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from app.training.recipe import Recipe, write_recipe
from tests.workers.conftest import manifest, recipe, tiny_base  # noqa: F401
from tests.workers.kills import Kills

COUNT = int(os.environ.get("PACKSHOT_KILLS", "200"))


def test_every_killed_run_ends_like_one_that_nobody_killed(
    recipe: Callable[..., Recipe],  # noqa: F811
    manifest: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().randrange(2**31)
    write_recipe(tmp_path / "recipe.yaml", recipe(steps=10, checkpoint_every=2, validate_every=4, report_every=1))
    kills = Kills(tmp_path / "recipe.yaml", manifest, tmp_path, random.Random(seed))
    kills.straight()
    print(f"seed {seed}: a straight run takes {kills.took_s:.2f} s, its longest save {kills.save_s:.3f} s")
    for number in range(COUNT):
        kills.kill_and_resume(number)
    print(
        f"{COUNT} runs ended bit by bit like the straight one; {kills.found} kills left a whole checkpoint, "
        f"{kills.before_any} came before the first, {kills.inside_saves} fell inside a save"
    )
    assert kills.inside_saves > COUNT // 10
