"""When a run has to end: its limit in seconds, a person's wish, and signs of life while nothing else is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from app.training import trainer_limits
from app.training.recipe import Recipe
from app.training.trainer_limits import TrainerLimits
from workers import disk
from workers.errors import InputError
from workers.finetune.ranks import ALONE, Ranks
from workers.finetune.report import Report

Reason = Literal["completed", "stopped", "out_of_time", "out_of_money", "no_better"]
SIGN_OF_LIFE_S = 5.0
DRAW_NOW = "draw"
_ENDS: tuple[Reason | None, ...] = (None, "stopped", "out_of_time", "out_of_money")


class RunEnded(Exception):
    """The run has to end now, before its next piece of work."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Clock:
    """Knows how long the run may go on, and what its ending will take as far as it was measured."""

    def __init__(self, recipe: Recipe, out: Path, report: Report, ranks: Ranks = ALONE) -> None:
        self._ranks = ranks
        given, most_s = _given(out), recipe.max_wall_clock_s
        self._limits = given if given.seconds < most_s else replace(given, seconds=most_s, binding="time")
        self._report = report
        self._told_at = time.monotonic()
        self._longest: dict[str, float] = {}

    def took(self, what: str, seconds: float) -> None:
        """Remember how long a step, a save, an export or a picture took; the longest of each counts."""
        self._longest[what] = max(seconds, self._longest.get(what, 0.0))

    @property
    def ending_s(self) -> float:
        """Seconds to keep back: one more step, the last save and export, and what others need afterwards."""
        save_s = self._longest.get("save", 0.0)
        export_s = self._longest.get("export", save_s)
        reserved_s = self._limits.reserved_s(self._longest.get("picture", 0.0))
        return trainer_limits.ending_s(self._longest.get("step", 0.0), save_s, export_s, reserved_s)

    def reason_to_end(self) -> Reason | None:
        """Why the run has to end now, if it has to."""
        if self._report.stop_request() is not None:
            return "stopped"
        if self._report.spent_s() + self.ending_s >= self._limits.seconds:
            return "out_of_money" if self._limits.binding == "money" else "out_of_time"
        return None

    def begin(self, phase: str, total: int | None = None) -> None:
        """Tell that a phase begins. Raises `RunEnded`."""
        self._tell(phase, 0, total)
        self.look(phase, 0, total)

    def look(self, phase: str, done: int, total: int | None = None) -> None:
        """Between two pieces of work: a sign of life now and then. Raises `RunEnded` when the run has to end.

        For all processes: the first one decides, so that all end at the same place.
        """
        self.sign_of_life(phase, done, total)
        reason = _ENDS[self._ranks.same(_ENDS.index(self.reason_to_end()))]
        if reason is not None:
            raise RunEnded(reason)

    def sign_of_life(self, phase: str, done: int, total: int | None = None) -> None:
        """Tell how far a phase is, at most every few seconds, so that silence means that it hangs."""
        if time.monotonic() - self._told_at >= SIGN_OF_LIFE_S:
            self._tell(phase, done, total)

    def looking(self, phase: str) -> Callable[[int, int], None]:
        """`look` for work that counts its own pieces."""
        return lambda done, total: self.look(phase, done, total)

    @contextmanager
    def moving(self, phase: str) -> Iterator[None]:
        """Inside the block a phase goes on that has no pieces to count: each byte that moved is a sign of its life.

        Not a timer: a disk that hangs has to look as it is.
        """
        self._tell(phase, 0, None)
        with disk.heard(lambda: self.sign_of_life(phase, 0)):
            yield

    def heard(self) -> None:
        """Something else was told just now."""
        self._told_at = time.monotonic()

    def _tell(self, phase: str, done: int, total: int | None) -> None:
        self._report.tell("phase", phase=phase, done=done, total=total)
        self.heard()


def asked_to_draw(out: Path, ranks: Ranks) -> bool:
    """Whether somebody asked, by the file OUT/draw, for a checkpoint and its samples now; it is asked for once.

    For all processes: the first one decides.
    """
    is_asked = bool(ranks.same(int((out / DRAW_NOW).exists())))
    if is_asked and ranks.is_main:
        (out / DRAW_NOW).unlink(missing_ok=True)
    return is_asked


def _given(out: Path) -> TrainerLimits:
    try:
        return trainer_limits.read(out)
    except ValueError as error:
        raise InputError(str(error)) from error
