"""The bodies of `operation.look` and `operation.ask`: a model's new captions for the photos of an operation, kept batch
by batch.

Shared by many workers: a part is some of the operation's batches. What a killed worker had been answered of a batch is
kept, and not asked again; a batch whose captions are current is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.orm import Session

from app import jobs
from app.bulk import operations, recaptioning
from app.bulk.acts import Did
from app.captions import runs
from app.captions.run_tables import CaptionRun
from app.captions.runs import Place
from app.review.tables import Operation
from workers.captions import caption_job, transformer
from workers.captions.asking_job import AskingRun, asking_of, at_server
from workers.captions.caption_job import Load, Ready
from workers.celery_app import Cut, Results, Work, cut_evenly, shared
from workers.devices.model_cache import ModelCache

BATCHES_AT_ONCE: Final = 4


def look(work: Work, models: ModelCache, load: Load = transformer.load) -> dict[str, Any] | Cut:
    """Caption the rest of an operation's photos anew. Raises Refused when the model cannot be used, Cancelled between
    batches; what was captioned stays, and can be taken back."""
    return _write(work, "device", lambda work, run: caption_job.model_of(models, run.captioner, load), BATCHES_AT_ONCE)


def ask(work: Work) -> dict[str, Any] | Cut:
    """The same by a model at the caption server, by one worker. Raises Refused too when it is gone, or the spend limit
    is reached."""
    return _write(work, "server", lambda work, run: at_server(work, run.captioner, run), None)


def _write(work: Work, place: Place, ready: Ready, at_most: int | None) -> dict[str, Any] | Cut:
    def plan(work: Work) -> list[jobs.JobPart]:
        with work.transaction() as session:
            sizes = operations.open_batches(session, int(work.arguments["operation_id"]))
        most = len(sizes) if at_most is None else at_most
        return [
            jobs.JobPart({**work.arguments, "numbers": list(some)}, sum(sizes[number] for number in some))
            for some in cut_evenly(list(sizes), at_least=1 if at_most else most, at_most=max(1, most))
        ]

    return shared(work, plan, lambda part: _look_part(part, place, ready), _end)


def _look_part(work: Work, place: Place, ready: Ready) -> dict[str, Any]:
    operation_id = int(work.arguments["operation_id"])
    with work.transaction() as session:
        run = _run_of(session, operations.get(session, operation_id), place)
    if place == "device":
        work.tell(note=f"Loading {run.captioner}")
    asked = AskingRun(work, ready(work, run), run, asking_of(run.asking))
    done = 0
    for number in work.arguments["numbers"]:
        with work.transaction() as session:
            chosen = operations.photos_of(session, operation_id, number)
            ids = recaptioning.open_ones(session, operations.get(session, operation_id), chosen)
        asked.done = done
        asked.all_of(ids)
        with work.transaction() as session:
            done += operations.do_batch(
                session, operation_id, number, lambda *batch: _adopt(*batch, captioner=asked.captioner.name, run=run)
            )
            # Under the job's token: a worker whose lease is lost keeps nothing.
            work.keep(session, done)
        work.go_on()
    return {"passed_over": asked.passed_over}


def _run_of(session: Session, operation: Operation, place: Place) -> CaptionRun:
    asking = asking_of(operation.value.get("asking"))
    model = str(operation.value["model"])
    return runs.of_work(session, operation.catalog_id, model, place, asking, operation_id=operation.id)


def _adopt(session: Session, operation: Operation, image_ids: Sequence[int], *, captioner: str, run: CaptionRun) -> Did:
    return recaptioning.adopt(session, operation, image_ids, captioner, run.id)


def _end(work: Work, parts: Results) -> dict[str, Any]:
    """Note that nothing is left."""
    with work.transaction() as session:
        operations.do_next(session, int(work.arguments["operation_id"]))
    return {
        "passed_over": [sentence for part in parts for sentence in part["passed_over"]][: caption_job.NAMED_AT_MOST]
    }
