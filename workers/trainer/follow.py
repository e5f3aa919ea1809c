"""Follows one trainer to its end: its events into the database, what people ask and the limits to the trainer."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.exc import OperationalError

from app import jobs
from app.training import drawing, progress, run_events, runs
from app.training.tables import TrainingRun
from workers.celery_app import Work, stopped_for_good
from workers.devices import memory
from workers.events import EventReader
from workers.sampling import previews
from workers.trainer.outcome import TrainerEnd
from workers.trainer.process import Ending, Patience, Trainer
from workers.trainer.watchdog import Remark, Watch, WatchPlan

log = logging.getLogger(__name__)

_BEATS_EVERY_S: Final = 2.0


@dataclass(frozen=True)
class _Request:
    """What is asked of the run now, and how long the trainer may take to stop and keep."""

    state: str
    bound_s: float


class Follower:
    """One attempt, followed by this worker.

    `is_found` says that another worker started it, `is_saved` that the run has a checkpoint.
    """

    def __init__(
        self,
        work: Work,
        run_id: int,
        trainer: Trainer,
        plan: WatchPlan,
        patience: Patience,
        is_found: bool,
        is_saved: bool = False,
    ) -> None:
        self._work, self._run_id, self._trainer, self._patience = work, run_id, trainer, patience
        self._plan = plan
        self._watch = Watch(plan, time.monotonic())
        self._ending = Ending(trainer, patience)
        self._is_found = is_found
        self._is_saved = is_saved
        self._hang: str | None = None
        self._is_past_limit = False
        self._has_progressed = False
        self._drawing_asked = 0  # the note of the last asking that the trainer was told
        self._has_started = False
        self._beat_at = 0.0
        self._kills_before = memory.out_of_memory_kills()

    def to_the_end(self) -> TrainerEnd:
        """Follow until the trainer is gone and all its events are kept. Raises jobs.LeaseLost."""
        reader = EventReader(self._trainer.out, self._trainer.record.after_byte)
        waiting: list[dict[str, Any]] = []
        remarks: list[Remark] = []
        asked = _Request("running", self._patience.discard_s)
        while True:
            is_gone = self._trainer.wait(self._patience.poll_s)
            fresh = reader.read()
            heard = self._watch.hear(fresh, time.monotonic())
            self._has_started = self._has_started or any(event["kind"] == "started" for event in fresh)
            # What an earlier worker has heard and remarked on comes first, all at once.
            remarks += [] if self._is_found else heard
            self._is_found = self._is_found and not fresh
            waiting += fresh
            try:
                asked = self._record(waiting, remarks)
                waiting.clear()
                remarks.clear()
            except OperationalError:
                # The trainer needs no database; its events wait in their file until this one answers again.
                log.warning("run %s: the database does not answer; %s events wait", self._run_id, len(waiting))
            if is_gone and not waiting:
                return self._ended()
            if not is_gone:
                self._press(asked)

    def _record(self, events: Sequence[dict[str, Any]], remarks: Sequence[Remark]) -> _Request:
        """Keep the events under the job's token; what the page asks for. Raises jobs.LeaseLost."""
        work, now = self._work, time.monotonic()
        with work.transaction() as session:
            run = runs.get(session, self._run_id)
            if not events and not remarks and now - self._beat_at < _BEATS_EVERY_S:
                # Only a look: a asked has to be seen quickly, and most looks find nothing.
                return _Request(run.state, runs.stop_bound_s(run))
            self._beat_at = now
            if jobs.beat(session, work.claim, run.step, note=_how_far(run), lease_s=work.lease_s):
                runs.stop(session, run, keep=True)  # cancelled as a job; stopped and kept unless told otherwise
            if run_events.record(session, run, events) and not self._has_progressed:
                jobs.count_anew(session, work.claim)
                self._has_progressed = True
            for event in events:
                previews.keep(session, work.storage, run, event, self._trainer.out)
            if (wish := drawing.asked(session, run)) is not None and wish.id != self._drawing_asked:
                self._drawing_asked = wish.id
                self._trainer.ask_to_draw()
            for remark in remarks:
                runs.note(session, run, remark.kind, remark.sentence)
            return _Request(run.state, runs.stop_bound_s(run))

    def _press(self, asked: _Request) -> None:
        """End the trainer where that is wished for or due: by a person, its worker's end, its limit, its silence."""
        now = time.monotonic()
        if self._hang is None and self._watch.is_hung(now):
            self._hang = self._watch.hang(now)
            self._say("hung", self._hang)
        over_s = self._plan.spent_s + self._trainer.lived_s() - self._plan.limit_s
        self._is_past_limit = self._is_past_limit or over_s > asked.bound_s
        keep_s = asked.bound_s if self._patience.keep_s is None else self._patience.keep_s
        discard_s = self._patience.discard_s
        if not self._has_started:
            # While libraries and the model are loaded there is nothing to wait for, unless it has to write the model of
            # a checkpoint that is there.
            keep_s, discard_s = keep_s if self._is_saved else 0.0, 0.0
        was_forced = self._ending.is_forced
        if asked.state == "discarded":
            self._ending.press(keep=False, within_s=discard_s)
        elif self._hang is not None:
            self._ending.press(keep=True, within_s=0.0)
        elif asked.state != "running" or stopped_for_good.is_set() or self._is_past_limit:
            self._ending.press(keep=True, within_s=keep_s)
        if self._ending.is_forced and not was_forced:
            self._say("forced", "The trainer did not end when asked, so it was ended by force (SIGKILL).")

    def _say(self, kind: str, sentence: str) -> None:
        """A note on the run; while the database is away, the log alone has it."""
        log.warning("run %s: %s", self._run_id, sentence)
        try:
            with self._work.transaction() as session:
                runs.note(session, runs.get(session, self._run_id), kind, sentence)
        except OperationalError:
            log.warning("run %s: the database does not answer; this stays in the log", self._run_id)

    def _ended(self) -> TrainerEnd:
        """It is gone: see that all it started and its device memory are gone too."""
        if not self._trainer.clear_away(self._patience.released_s):
            self._say("held", "Its processes are gone, but the device still shows memory of them.")
        kills = memory.out_of_memory_kills()
        before = self._kills_before
        return TrainerEnd(
            exit_code=self._trainer.exit_code(),
            words=progress.last_lines(self._trainer.out / runs.LOG),
            hang=self._hang,
            is_past_limit=self._is_past_limit,
            is_kernel_short=kills is not None and before is not None and kills > before,
            is_worker_stopping=stopped_for_good.is_set(),
        )


def _how_far(run: TrainingRun) -> str:
    return f"step {run.step:,} of {run.steps:,}"
