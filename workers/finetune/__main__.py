"""`python -m workers.finetune RECIPE MANIFEST OUT [--resume]`: run a recipe, with no queue and no database.

Ends with 0 when the run finished or was stopped, with 3 and one sentence when what it was given cannot be worked on
or the loss broke down, and with 1 when the program is at fault. SIGTERM asks as OUT/stop does: keep, then stop.
"""

from __future__ import annotations

import argparse
import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.training.recipe import Recipe, RecipeError, read_recipe
from workers.refusals import Refusal

REFUSED = 3


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m workers.finetune", description="Run a fine-tune.")
    parser.add_argument("recipe", type=Path, help="a recipe file, YAML")
    parser.add_argument("manifest", type=Path, help="a manifest of members, JSON Lines")
    parser.add_argument("out", type=Path, help="the folder for events, checkpoints and the finished model")
    parser.add_argument("--resume", action="store_true", help="go on from the latest complete checkpoint in OUT")
    given = parser.parse_args(arguments)
    try:
        _run(read_recipe(given.recipe), given.manifest, given.out, given.resume)
    except (Refusal, RecipeError) as refusal:
        print(refusal, file=sys.stderr)
        return REFUSED
    except OSError as error:
        # On a full disk the event list cannot tell it either; the last line of the log still can.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"The disk with {given.out} is full. The last whole checkpoint is kept.", file=sys.stderr)
        return REFUSED
    return 0


def _run(recipe: Recipe, manifest: Path, out: Path, resume: bool) -> None:
    # torch takes seconds to import; a refused recipe should not wait for it.
    from workers.finetune.learner import Diverged
    from workers.finetune.report import EventLog
    from workers.finetune.train import train
    from workers.lease import best_device

    if not resume and (out / "events.jsonl").exists():
        raise Refusal(f"{out} already holds a run; go on with --resume or choose another folder.")
    with EventLog(out) as report, _sigterm_asks_to_stop(out):
        try:
            train(recipe, manifest, out, report, best_device(), resume)
        except (Refusal, Diverged) as error:
            report.tell("failed", sentence=str(error))
            raise Refusal(str(error)) from error
        except BaseException as error:
            report.tell("failed", sentence=f"The training program broke: {type(error).__name__}: {error}")
            raise


@contextmanager
def _sigterm_asks_to_stop(out: Path) -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, lambda *_: (out / "stop").write_text("keep"))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
