"""`python -m workers.finetune RECIPE MANIFEST OUT [--resume]`: run a recipe, with no queue and no database.

`python -m workers.finetune preflight RECIPE MANIFEST OUT` measures instead what the run would take: OUT/preflight.json.

Ends with 0 when the run finished or was stopped; with one sentence as the last word and 3 when what it was given cannot
be worked on, 4 when the device's memory is too small, 5 when the disk is full, 6 when the loss broke down; and with 1
when the program is at fault. SIGTERM asks as OUT/stop does: keep, then stop.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from app.errors import DiskFull, is_disk_full
from app.training.causes import EXIT_CODES, Cause
from app.training.recipe import Recipe, RecipeError, read_recipe
from workers.disk import leaving_free
from workers.errors import InputError
from workers.events import FILE as EVENTS

if TYPE_CHECKING:
    from workers.finetune.report import Report


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    began = time.monotonic()
    words = list(sys.argv[1:] if arguments is None else arguments)
    is_preflight = words[:1] == ["preflight"]
    parser = argparse.ArgumentParser(prog="python -m workers.finetune", description="Run a fine-tune.")
    parser.add_argument("recipe", type=Path, help="a recipe file, YAML")
    parser.add_argument("manifest", type=Path, help="a manifest of members, JSON Lines")
    parser.add_argument("out", type=Path, help="the folder for events, checkpoints and the finished model")
    parser.add_argument("--cache", type=Path, help="the folder for encoded pictures and captions, else OUT/cache")
    parser.add_argument("--leave-free", type=int, default=0, metavar="BYTES", help="of the disk, for others")
    if not is_preflight:
        parser.add_argument("--resume", action="store_true", help="go on from the latest complete checkpoint in OUT")
    given = parser.parse_args(words[1:] if is_preflight else words)
    cache = given.cache or given.out / "cache"
    try:
        recipe = read_recipe(given.recipe)
        _make_folder(given.out)
        with leaving_free(given.leave_free):
            _run(recipe, given.manifest, given.out, None if is_preflight else given.resume, cache, words, began)
    except (InputError, RecipeError) as refusal:
        print(refusal, file=sys.stderr)
        return EXIT_CODES[refusal.cause if isinstance(refusal, _Failed) else "refused"]
    return 0


def _make_folder(out: Path) -> None:
    """Make the folder for all that comes of it. Raises `InputError` where something else is in its place."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_disk_full(error):
            raise _Failed(*_disk_full(out)) from error
        raise InputError(f"The folder {out} cannot be made: {error.strerror or error}.") from error


class _Failed(InputError):
    """A failure whose sentence was told already; `cause` is one of `EXIT_CODES`."""

    def __init__(self, sentence: str, cause: Cause) -> None:
        super().__init__(sentence)
        self.cause = cause


def _run(
    recipe: Recipe, manifest: Path, out: Path, resume: bool | None, cache: Path, words: Sequence[str], began: float
) -> None:
    """Train, or measure where `resume` is None. Raises `_Failed` for everything but a fault of the program.

    `words` is the command line, for the run's other processes.
    """
    # torch takes seconds to import; a refused recipe should not wait for it. Nothing that an import makes is garbage:
    # a collector that looks again and again takes a quarter of those seconds, and later some of each step.
    gc.disable()
    from workers.finetune.preflight import preflight
    from workers.finetune.process_group import joined
    from workers.finetune.report import EventLog, Silence
    from workers.finetune.train import train
    from workers.finetune.train_state import Diverged

    gc.freeze()
    gc.enable()

    try:
        with joined(recipe, words) as group:
            ranks, device = group.ranks, group.device
            if resume is False and ranks.is_main and (out / EVENTS).exists():
                raise InputError(f"{out} already holds a run; go on with --resume or choose another folder.")
            with EventLog(out, began) if ranks.is_main else Silence() as report, _sigterm_asks_to_stop(out):
                group.tell_for_others = lambda sentence, cause: _tell_failed(report, sentence, cause)
                try:
                    if resume is None:
                        preflight(recipe, manifest, out, report, device, cache, ranks)
                    elif resume and report.is_completed:
                        done = f"All {recipe.steps:,} steps of the run in {out} are done"
                        raise InputError(f"{done}: nothing is left to train.")
                    else:
                        train(recipe, manifest, out, report, device, resume, cache, ranks)
                except BaseException as error:
                    sentence, cause = group.blame(error, why(error, out))
                    _tell_failed(report, sentence, cause, error.facts if isinstance(error, Diverged) else {})
                    if cause == "broken":
                        raise
                    raise _Failed(sentence, cause) from error
    except OSError as error:
        sentence, cause = why(error, out)
        if cause == "broken":
            raise
        raise _Failed(sentence, cause) from error


def _tell_failed(report: Report, sentence: str, cause: Cause, facts: Mapping[str, int] = MappingProxyType({})) -> int:
    """Tell a failure and more `facts` of it; its exit code."""
    # On a full disk the event list cannot tell it either; the last line of the log still can.
    with suppress(OSError):
        report.tell("failed", sentence=sentence, cause=cause, **facts)
    return EXIT_CODES[cause]


def why(error: BaseException, out: Path) -> tuple[str, Cause]:
    """A failure in a sentence, and its cause: one of `EXIT_CODES`."""
    import torch

    from workers.finetune.train_state import Diverged

    if isinstance(error, DiskFull):
        return f"{error.sentence} The last whole checkpoint is kept.", "disk_full"
    if is_disk_full(error) or is_disk_full(error.__cause__ or error):
        return _disk_full(out)
    if isinstance(error, Diverged):
        return str(error), "diverged"
    if isinstance(error, InputError):
        return str(error), "refused"
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
        words = " ".join(str(error).split("\n")[0].split()) or "no more memory"
        return f"The device's memory is too small for this recipe: {words}", "out_of_memory"
    return f"The training program broke: {type(error).__name__}: {error}", "broken"


def _disk_full(out: Path) -> tuple[str, Cause]:
    return f"The disk with {out} is full. The last whole checkpoint is kept.", "disk_full"


@contextmanager
def _sigterm_asks_to_stop(out: Path) -> Iterator[None]:
    stop, asked = out / "stop", []

    def ask(*_: object) -> None:
        if not stop.exists():
            asked.append(stop.write_text("keep"))

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if asked:
            # The signal was for this attempt alone, whatever became of it.
            stop.unlink(missing_ok=True)


if __name__ == "__main__":
    code = main()
    # All is on disk; taking torch apart in order would keep the device for seconds, and whoever waits for it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
