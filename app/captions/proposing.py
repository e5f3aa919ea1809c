"""First captions from facts, for many photos: which photos wait for one, and what the facts captioner says of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Row, and_, any_, cast, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app import jobs
from app.captions import facts, naming_history, runs
from app.captions.facts import CatalogueFacts, MeasuredFacts
from app.captions.naming_rules import NameRule
from app.captions.nouns import is_of_folder
from app.captions.tables import Caption
from app.captions.writing import AUTHORS, author, current, propose
from app.catalog import reading
from app.catalog.colours import EMPTY_BELOW
from app.catalog.tables import Catalog, Image, Signals
from app.errors import NotFound, Refused
from app.jobs import Job
from app.people import Person
from app.settings import Settings

FACTS: Final = runs.FACTS
FACTS_VERSION: Final = 5
# Below this confidence the subject's mask is a guess, and with it its colour and its place.
SURE: Final = 0.35


def request_captions(
    session: Session,
    catalog_id: int,
    settings: Settings,
    person: Person | None = None,
    image_ids: Sequence[int] | None = None,
) -> Job:
    """Ask for captions of these photos, or of every photo of the catalog without a person's or a given caption.

    Asked again while the same waits, it is the same job. The captioner is the model of `settings.caption_model`, or the
    facts captioner where none is set. Raises NotFound for an unknown catalog or photo, and Refused when every
    photo named has a person's or a given caption.
    """
    if session.get(Catalog, catalog_id) is None:
        raise NotFound(f"There is no catalog {catalog_id}.")
    if image_ids is not None:
        _refuse_written(session, catalog_id, image_ids)
    # Of a whole catalog, a job at work may be past a photo that has just come.
    is_named = image_ids is not None
    arguments: dict[str, Any] = {"catalog_id": catalog_id, "image_ids": None if image_ids is None else list(image_ids)}
    if settings.caption_model is None:
        return jobs.request_once(session, "captions.propose", arguments, person, is_named)
    arguments |= {"model": settings.caption_model}
    kind = runs.KIND_OF_JOB[runs.place_of(settings.caption_model, settings)]
    return jobs.request_once(session, kind, arguments, person, is_named)


def awaiting(session: Session, catalog_id: int, image_ids: Sequence[int] | None = None) -> list[int]:
    """Ids of the photos that a captioner may caption, in the order of their taking in.

    Of the photos named: all without a person's or a given caption. Of a whole catalog: those without a caption, and
    those with one from facts, for a model knows more and the measurements may have changed; never those a model
    captioned, and none that are empty: there is nothing on them to caption.
    """
    is_current = and_(Caption.image_id == Image.id, Caption.superseded_at.is_(None))
    statement = select(Image.id).outerjoin(Caption, is_current).where(Image.catalog_id == catalog_id).order_by(Image.id)
    statement = statement.outerjoin(Signals, Signals.image_id == Image.id)
    if image_ids is not None:
        is_open = or_(Caption.id.is_(None), Caption.written_by.not_in(AUTHORS))
        statement = statement.where(Image.id == any_(_array(image_ids)), is_open)
    else:
        statement = statement.where(
            or_(Caption.id.is_(None), Caption.captioner == FACTS),
            or_(Signals.contrast.is_(None), Signals.contrast >= EMPTY_BELOW),
        )
    return list(session.scalars(statement))


def propose_facts(session: Session, image_ids: Collection[int]) -> int:
    """Propose the facts captioner's caption for each photo; how many captions were new."""
    return sum(
        propose(session, image, text, FACTS, settings) is not None
        for image, text, settings in _described(session, reading.held(session, image_ids))
    )


def facts_of(session: Session, image_ids: Collection[int]) -> dict[int, tuple[str, dict[str, Any]]]:
    """The facts captioner's text and settings for each of these photos; nothing is kept."""
    return {image.id: (text, settings) for image, text, settings in _described(session, image_ids)}


def _described(session: Session, image_ids: Collection[int]) -> Iterator[tuple[Image, str, dict[str, Any]]]:
    rows = session.execute(
        select(Image, Signals)
        .outerjoin(Signals, Signals.image_id == Image.id)
        .where(Image.id == any_(_array(sorted(image_ids))))
        .order_by(Image.id)
    ).all()
    rules = naming_history.rules_of(session, {row[0].catalog_id for row in rows})
    for image, signals in rows:
        rule = rules.get(image.catalog_id)
        settings: dict[str, Any] = {
            "version": FACTS_VERSION,
            "signals": signals.version if signals is not None else None,
        }
        if rule is not None:
            settings["naming"] = rule.key
        yield image, describe(image, signals, rule), settings


def describe(image: Image, signals: Signals | None, rule: NameRule | None = None) -> str:
    """The facts captioner's sentence for one photo. A signal that could not be told is left out."""
    return facts.sentence(catalogue_facts(image, rule), measured_facts(signals))


def catalogue_facts(image: Image, rule: NameRule | None = None) -> CatalogueFacts:
    """What the catalogue row says. Neither file nor folder names the thing but by a rule that a person accepted.

    A category that is only a folder's name is no word of the catalogue's.
    """
    is_of_path = image.category is not None and is_of_folder(image.category, image.file_name)
    name = rule.name_of(image.file_name) if rule is not None else None
    return facts.read_catalogue(image.title, None if is_of_path else image.category, image.description, name)


def measured_facts(signals: Signals | Row[*tuple[Any, ...]] | None) -> MeasuredFacts:
    """What was measured, as the words that captions use; what cannot be told is None. A row has the columns' names."""
    if signals is None:
        return MeasuredFacts()
    is_one_colour = signals.background in ("white", "plain")
    background = signals.background_colour if is_one_colour else "busy" if signals.background == "scene" else None
    if signals.confidence < SURE:
        return MeasuredFacts(background=background)
    box = None
    if signals.box is None:
        framing = None
    else:
        left, top, right, bottom = box = (signals.box[0], signals.box[1], signals.box[2], signals.box[3])
        # Whether it is cut off was measured: a rough outline may reach the frame where the product does not.
        framing = facts.name_framing(left, top, right, bottom, margin=-1.0)
    framing = "cropped at the edge" if signals.is_cropped else framing
    return MeasuredFacts(signals.subject_colour, background, framing, box, signals.is_cropped, signals.parts)


def _refuse_written(session: Session, catalog_id: int, image_ids: Sequence[int]) -> None:
    known = set(
        session.scalars(select(Image.id).where(Image.catalog_id == catalog_id, Image.id == any_(_array(image_ids))))
    )
    for image_id in image_ids:
        if image_id not in known:
            raise NotFound(f"There is no photo {image_id} in this catalog.")
    if not image_ids:
        raise Refused("There is no photo to caption.")
    is_open = or_(Caption.id.is_(None), Caption.written_by.not_in(AUTHORS))
    is_current = and_(Caption.image_id == Image.id, Caption.superseded_at.is_(None))
    open_ones = select(Image.id).outerjoin(Caption, is_current).where(Image.id == any_(_array(image_ids)), is_open)
    if session.scalar(open_ones.limit(1)) is None:
        written = list(current(session, image_ids).values())
        names = ", ".join(sorted({author(session, caption) for caption in written}))
        kind = "person's" if any(caption.written_by == "person" for caption in written) else "given"
        raise Refused(f"A captioner never replaces a {kind} caption, and this one is by {names}.")


def _array(image_ids: Sequence[int]) -> ColumnElement[Any]:
    """Ids as one value: a statement has room for 65,535."""
    return cast(list(image_ids), ARRAY(BigInteger))
