"""The body of `operation.look`: a model's new captions for the photos of an operation, kept batch by batch.

Shared by many workers: a part is some of the operation's batches. What a killed worker had looked at of one batch is
looked at again; a batch that was kept is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy.orm import Session

from app import jobs
from app.bulk import operations, recaptioning
from app.bulk.acts import Did
from app.review.tables import Operation
from workers.captions import caption_job, captioner
from workers.captions.caption_job import Load
from workers.captions.captioner import Captioner
from workers.celery_app import Cut, Results, Work, cut_evenly, shared
from workers.devices.model_cache import ModelCache

Captions = dict[int, tuple[str, dict[str, Any]]]
BATCHES_AT_ONCE: Final = 4


def look(work: Work, models: ModelCache, load: Load = captioner.load) -> dict[str, Any] | Cut:
    """Caption the rest of an operation's photos anew. Raises Refused when the model cannot be used, Cancelled between
    batches; what was captioned stays, and can be taken back."""
    return shared(work, _plan, lambda part: _look_part(part, models, load), _end)


def _plan(work: Work) -> list[jobs.JobPart]:
    with work.transaction() as session:
        sizes = operations.open_batches(session, int(work.arguments["operation_id"]))
    return [
        jobs.JobPart({**work.arguments, "numbers": list(some)}, sum(sizes[number] for number in some))
        for some in cut_evenly(list(sizes), at_least=1, at_most=BATCHES_AT_ONCE)
    ]


def _look_part(work: Work, models: ModelCache, load: Load) -> dict[str, Any]:
    operation_id, done = int(work.arguments["operation_id"]), 0
    with work.transaction() as session:
        model = str(operations.get(session, operation_id).value["model"])
    work.tell(note=f"Loading {model}")
    looking = caption_job.model_of(models, model, load)
    for number in work.arguments["numbers"]:
        captions = _captions(work, operation_id, number, looking)
        with work.transaction() as session:
            done += operations.do_batch(
                session, operation_id, number, partial(_write, captioner=looking.name, captions=captions)
            )
            # Under the job's token: a worker whose lease is lost keeps nothing.
            work.keep(session, done)
        work.go_on()
    return {}


def _captions(work: Work, operation_id: int, number: int, looking: Captioner) -> Captions:
    """What the model says of the photos of a batch; a photo that cannot be read, or of which it says nothing, is left
    out."""
    with work.transaction() as session:
        chosen = operations.photos_of(session, operation_id, number)
        ids = recaptioning.open_ones(session, operations.get(session, operation_id), chosen)
    settings = caption_job.settings_of(looking)
    captions: Captions = {}
    for _, some in caption_job.batches(ids, caption_job.LOOKS_AT_ONCE):
        photos, _ = caption_job.read(work, some)
        texts = looking.caption([photo.picture for photo in photos])
        captions.update({photo.image_id: (text, settings) for photo, text in zip(photos, texts, strict=True) if text})
        work.go_on()
    return captions


def _write(
    session: Session, operation: Operation, image_ids: Sequence[int], *, captioner: str, captions: Captions
) -> Did:
    return recaptioning.write(session, operation, image_ids, captioner, captions)


def _end(work: Work, _: Results) -> dict[str, Any]:
    """Note that nothing is left."""
    with work.transaction() as session:
        operations.do_next(session, int(work.arguments["operation_id"]))
    return {}
