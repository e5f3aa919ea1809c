"""One photo, captioned anew: a captioner's texts are kept beside what stands, for a person to take or to leave."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions import runs
from app.captions.asking import Asking
from app.captions.run_tables import CaptionOffer, CaptionRun
from app.catalog.tables import Image
from app.jobs import Job
from app.people import Person
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class AskedBeside:
    """What a captioner was asked of one photo, who asked, how far it is, and its answer once it came."""

    run: CaptionRun
    job: Job
    offer: CaptionOffer | None
    by: str


def request(
    session: Session, image: Image, captioner: str, asking: Asking, settings: Settings, person: Person
) -> CaptionRun:
    """Ask a captioner about one photo. The same, asked again while it is not answered, is the same run."""
    before = newest(session, image.id)
    if before is not None and not before.job.is_over:
        run = before.run
        if run.captioner == captioner and run.asking == asking.model_dump(mode="json"):
            return run
    run, _ = runs.begin_apart(session, image.catalog_id, [image.id], captioner, asking, settings, person)
    run.image_id = image.id
    session.flush()
    return run


def newest(session: Session, image_id: int) -> AskedBeside | None:
    """The newest run that was asked of this photo alone; None: no captioner was."""
    row = session.execute(
        select(CaptionRun, Job, CaptionOffer, Person.name)
        .join(Job, Job.id == CaptionRun.job_id)
        .outerjoin(CaptionOffer, CaptionOffer.run_id == CaptionRun.id)
        .outerjoin(Person, Person.id == CaptionRun.person_id)
        .where(CaptionRun.image_id == image_id)
        .order_by(CaptionRun.id.desc())
        .limit(1)
    ).one_or_none()
    return AskedBeside(row[0], row[1], row[2], row[3] or "somebody") if row is not None else None
