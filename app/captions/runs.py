"""Caption runs: a captioner asked over some photos, its answers kept photo by photo, current or apart."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import BigInteger, Text, any_, cast, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.orm import Session

from app import jobs
from app.captions.asking import Asking
from app.captions.run_tables import CaptionOffer, CaptionRun
from app.captions.tables import Kind
from app.database import array, utc_now
from app.errors import NotFound, Refused
from app.jobs import Job
from app.people import Person
from app.settings import Settings

FACTS: Final = "facts"
Place = Literal["facts", "device", "server"]
KIND_OF_JOB: Final[dict[Place, str]] = {
    "facts": "captions.propose", "device": "captions.look", "server": "captions.ask",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answered:
    """What a captioner wrote of one photo, and what that took."""

    image_id: int
    texts: dict[Kind, str]
    failure: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spent:
    """What answers took: tokens, and money in the team's currency."""

    tokens_in: int = 0
    tokens_out: int = 0
    amount: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out, self.amount + other.amount
        )  # fmt: skip


def place_of(captioner: str, settings: Settings) -> Place:
    """Where a captioner runs: the facts captioner in the database, others at the server, where one is set."""
    if captioner == FACTS:
        return "facts"
    return "server" if settings.caption_server is not None else "device"


def begin_apart(
    session: Session,
    catalog_id: int,
    image_ids: Sequence[int],
    captioner: str,
    asking: Asking,
    settings: Settings,
    person: Person,
) -> tuple[CaptionRun, Job]:
    """Ask a captioner over these photos, whose captions stay as they are: its answers are kept beside them.

    `captioner` is "facts", a model of this machine or a hub, or, where a caption server is set, one at that. What was
    answered is read by `offers`; a photo that was not yet has none. Raises Refused without photos.
    """
    if not image_ids:
        raise Refused("There is no photo to caption.")
    place = place_of(captioner, settings)
    run = CaptionRun(
        catalog_id=catalog_id, captioner=captioner, place=place, asking=asking.model_dump(mode="json"), is_apart=True,
        person_id=person.id,
    )  # fmt: skip
    session.add(run)
    session.flush()
    arguments = {"catalog_id": catalog_id, "image_ids": sorted(image_ids), "model": captioner, "run_id": run.id}
    job = jobs.request(session, KIND_OF_JOB[place], arguments, person, len(image_ids))
    run.job_id = job.id
    session.flush()
    return run, job


def of_work(
    session: Session,
    catalog_id: int,
    captioner: str,
    place: Place,
    asking: Asking,
    *,
    job_id: int | None = None,
    operation_id: int | None = None,
) -> CaptionRun:
    """The run of a job, or of an act; begun where it is taken up for the first time."""
    new = insert(CaptionRun).values(
        catalog_id=catalog_id, captioner=captioner, place=place, asking=asking.model_dump(mode="json"), is_apart=False,
        job_id=job_id, operation_id=operation_id, created_at=utc_now(),
    )  # fmt: skip
    session.execute(new.on_conflict_do_nothing())
    is_own = CaptionRun.job_id == job_id if operation_id is None else CaptionRun.operation_id == operation_id
    return session.scalars(select(CaptionRun).where(is_own)).one()


def get(session: Session, run_id: int) -> CaptionRun:
    """The run with this number, as it is now. Raises NotFound."""
    run = session.get(CaptionRun, run_id, populate_existing=True)
    if run is None:
        raise NotFound(f"There is no caption run {run_id}.")
    return run


def offers(session: Session, run_id: int, image_ids: Collection[int] | None = None) -> dict[int, CaptionOffer]:
    """What a run's captioner answered, by photo; of `image_ids` alone where given."""
    query = select(CaptionOffer).where(CaptionOffer.run_id == run_id).order_by(CaptionOffer.image_id)
    if image_ids is not None:
        query = query.where(CaptionOffer.image_id == any_(cast(list(image_ids), ARRAY(BigInteger))))
    return {offer.image_id: offer for offer in session.scalars(query)}


def unanswered(session: Session, run_id: int, image_ids: Sequence[int]) -> list[int]:
    """Those of these photos of which the run has no text yet, in their order."""
    has_text = (CaptionOffer.run_id == run_id, CaptionOffer.texts != {})
    of_these = CaptionOffer.image_id == any_(cast(list(image_ids), ARRAY(BigInteger)))
    answered = set(session.scalars(select(CaptionOffer.image_id).where(*has_text, of_these)))
    return [image_id for image_id in image_ids if image_id not in answered]


def keep(session: Session, run_id: int, offers: Sequence[Answered], spent: Spent) -> None:
    """Keep what was answered and what it took, in one transaction with whatever else follows from it."""
    add = {
        "tokens_in": CaptionRun.tokens_in + spent.tokens_in,
        "tokens_out": CaptionRun.tokens_out + spent.tokens_out,
        "spent": CaptionRun.spent + Decimal(str(round(spent.amount, 6))),
    }
    session.execute(update(CaptionRun).where(CaptionRun.id == run_id).values(add))
    if not offers:
        return
    # As arrays it is one statement whatever their number, which SQLAlchemy puts together once.
    ordered = sorted(offers, key=lambda offer: offer.image_id)
    columns = (
        array(offer.image_id for offer in ordered),
        array((json.dumps(offer.texts) for offer in ordered), Text()),
        array((offer.failure for offer in ordered), Text()),
        array((json.dumps(offer.settings) for offer in ordered), Text()),
    )
    fresh = func.unnest(*columns).table_valued("image_id", "texts", "failure", "settings").render_derived()
    rows = select(
        literal(run_id, BigInteger), fresh.c.image_id, cast(fresh.c.texts, JSONB), fresh.c.failure,
        cast(fresh.c.settings, JSONB), literal(utc_now()),
    )  # fmt: skip
    names = ["run_id", "image_id", "texts", "failure", "settings", "created_at"]
    new = insert(CaptionOffer).from_select(names, rows)
    changed = {name: new.excluded[name] for name in names[2:]}
    session.execute(new.on_conflict_do_update(index_elements=names[:2], set_=changed))


def count(session: Session, run_id: int) -> tuple[int, int]:
    """How many photos of a run have texts, and how many were asked about and have none."""
    has_text = CaptionOffer.texts != {}
    query = select(func.count().filter(has_text), func.count().filter(~has_text))
    written, failed = session.execute(query.where(CaptionOffer.run_id == run_id)).one()
    return written, failed
