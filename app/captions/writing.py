"""Writing captions: a captioner proposes, files give, a person rewrites or restores. Nothing is edited.

Two people who write at once cannot both win: the current caption is superseded by a guarded update, and a partial
unique index allows one current caption per image. The second writer gets a Conflict that carries the first one's text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import CTE, BigInteger, ColumnElement, Text, and_, cast, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.util import AliasedClass

from app.captions.tables import MAX_CHARACTERS, OF_KIND, Caption, CaptionText, Kind
from app.catalog.tables import Image
from app.database import array, utc_now
from app.errors import Conflict, NotFound, Refused
from app.people import Person

# Zero-width space, byte order mark, and the marks that turn the reading direction: they change a text unseen.
_UNSEEN = frozenset("\u200b\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


# Whose captions no captioner replaces.
AUTHORS: Final = ("person", "given")

Giving = Literal["same", "new", "replaced", "outranked"]


def tidy(text: str) -> str:
    """Text as it is kept: Unicode NFC, no control characters, runs of white space as one space, none at the ends.

    Raises Refused when nothing is left, or more than MAX_CHARACTERS characters are.
    """
    tidied = unicodedata.normalize("NFC", re.sub(" +", " ", seen(text)).strip())
    if not tidied:
        raise Refused("A caption cannot be empty.")
    if len(tidied) > MAX_CHARACTERS:
        raise Refused(f"This caption has {len(tidied):,} characters; {MAX_CHARACTERS:,} is the most.")
    return tidied


def tidy_kind(text: str, kind: Kind) -> str:
    """Text of a kind as it is kept: of tags, each once, between commas. Raises Refused as `tidy` does."""
    tidied = tidy(text)
    if kind != "tags":
        return tidied
    each: dict[str, str] = {}
    for tag in re.split("[,;、，]", tidied):
        each.setdefault(tag.strip().casefold(), tag.strip())
    return tidy(", ".join(tag for tag in each.values() if tag))


def seen(text: str) -> str:
    """Text with white space as spaces and without what nobody sees: control characters and marks that turn it round."""
    one_line = re.sub(r"\s", " ", text)
    return "".join(c for c in one_line if c not in _UNSEEN and unicodedata.category(c) not in ("Cc", "Cs"))


def propose(
    session: Session, image: Image, text: str, captioner: str, settings: dict[str, Any], kind: Kind = "long"
) -> CaptionText | None:
    """A captioner's caption of a kind. None where nothing was written.

    A person's or a given caption stays, and so does the same text by the same captioner, and whatever somebody writes
    in this very moment. Raises Refused for a text that `tidy` refuses.
    """
    tidied = tidy_kind(text, kind)
    before = _current_now(session, image.id, kind)
    if before is not None:
        is_same = before.text == tidied and before.captioner == captioner
        if before.written_by in AUTHORS or is_same or not _supersede(session, before.id):
            return None
    proposed = OF_KIND[kind](
        image_id=image.id, text=tidied, written_by="captioner", captioner=captioner, settings=settings,
        parent_id=before.id if before is not None else None,
    )  # fmt: skip
    return proposed if _is_first(session, proposed) else None


def propose_many(
    session: Session, captions: Mapping[int, tuple[str, dict[str, Any]]], captioner: str, kind: Kind = "long"
) -> list[int]:
    """As `propose`, of many photos in a few statements, text and settings by photo. The photos that got theirs."""
    return replace(session, captions, captioner, None, CaptionText.written_by.not_in(AUTHORS), kind)[0]


def replace(
    session: Session,
    captions: Mapping[int, tuple[str, dict[str, Any]]],
    captioner: str,
    operation_id: int | None,
    gives_way: ColumnElement[bool],
    kind: Kind = "long",
) -> tuple[list[int], int]:
    """A captioner's captions of a kind of many photos, text and settings by photo, in a few statements.

    The photos that got theirs, and how many have the same words by the same captioner already. Where a caption stands
    that does not give way, as the condition says, or somebody writes in this very moment, that stays; so it does
    where `tidy` refuses the new text.
    """
    table, fresh = OF_KIND[kind], _as_rows(captions)
    if fresh is None:
        return [], 0
    is_same = and_(table.text == fresh.c.text, table.captioner.is_not_distinct_from(captioner))
    is_current = (table.image_id == fresh.c.image_id, table.superseded_at.is_(None))
    already = session.scalar(select(func.count()).select_from(table).where(*is_current, is_same)) or 0
    now = utc_now()
    old = (
        update(table)
        .where(*is_current, gives_way, ~is_same)
        .values(superseded_at=now)
        .returning(table.id, table.image_id)
        .cte("superseded")
    )
    is_open = or_(old.c.id.is_not(None), ~select(1).where(*is_current).correlate(fresh).exists())
    rows = (
        select(
            fresh.c.image_id, fresh.c.text, literal("captioner"), literal(captioner), cast(fresh.c.settings, JSONB),
            old.c.id, literal(now), literal(operation_id, BigInteger), literal(kind),
        )
        .outerjoin_from(fresh, old, old.c.image_id == fresh.c.image_id)
        .where(is_open)
    )  # fmt: skip
    names = [
        "image_id",
        "text",
        "written_by",
        "captioner",
        "settings",
        "parent_id",
        "created_at",
        "operation_id",
        "kind",
    ]
    new = (
        insert(table)
        .from_select(names, rows)
        .on_conflict_do_nothing(index_elements=["image_id", "kind"], index_where=table.superseded_at.is_(None))
    )
    written = list(session.scalars(new.returning(table.image_id)))
    session.expire_all()
    return written, already


def _as_rows(captions: Mapping[int, tuple[str, dict[str, Any]]]) -> CTE | None:
    """Texts and settings by photo as rows of a statement, without those that `tidy` refuses; None without any."""
    tidied = {}
    for image_id, (text, settings) in sorted(captions.items()):
        with suppress(Refused):
            tidied[image_id] = (tidy(text), json.dumps(settings))
    if not tidied:
        return None
    columns = (array(tidied), *(array((row[place] for row in tidied.values()), Text()) for place in (0, 1)))
    return select(func.unnest(*columns).table_valued("image_id", "text", "settings").render_derived()).cte("fresh")


def rewrite_many(
    session: Session, texts: Mapping[int, str], person_id: int, operation_id: int, until: datetime | None = None
) -> list[int]:
    """A person's texts in place of many current captions, by the numbers of these, in one statement; of which photos
    they are. A caption that somebody replaces in this very moment stays theirs, and so does one written after `until`.

    `by_hand` in a caption's settings says of what a bulk edit wrote whether a person had written the text before.
    """
    if not texts:
        return []
    columns = (array(texts), array(texts.values(), Text()))
    fresh = select(func.unnest(*columns).table_valued("caption_id", "text").render_derived()).cte("fresh")
    now = utc_now()
    old = (
        update(CaptionText)
        .where(CaptionText.id == fresh.c.caption_id, CaptionText.superseded_at.is_(None))
        .where(CaptionText.created_at <= (until or now))
        .values(superseded_at=now)
        .returning(CaptionText.id, CaptionText.image_id, CaptionText.kind, fresh.c.text, by_hand().label("by_hand"))
        .cte("superseded")
    )
    rows = select(
        old.c.image_id, old.c.kind, old.c.text, literal("person"), literal(person_id),
        func.jsonb_build_object("by_hand", old.c.by_hand), old.c.id, literal(now), literal(operation_id),
    )  # fmt: skip
    names = [
        "image_id", "kind", "text", "written_by", "person_id", "settings", "parent_id", "created_at", "operation_id"
    ]  # fmt: skip
    new = insert(CaptionText).from_select(names, rows).returning(CaptionText.image_id)
    written = list(session.scalars(new))
    session.expire_all()
    return written


def write_first(session: Session, texts: Mapping[int, str], kind: Kind, person_id: int, operation_id: int) -> list[int]:
    """A person's texts of a kind for photos that have none, by photo; which of them got theirs."""
    if not texts:
        return []
    columns = (array(texts), array(texts.values(), Text()))
    fresh = select(func.unnest(*columns).table_valued("image_id", "text").render_derived()).cte("fresh")
    rows = select(
        fresh.c.image_id, literal(kind), fresh.c.text, literal("person"), literal(person_id),
        func.jsonb_build_object("by_hand", False), literal(utc_now()), literal(operation_id),
    )  # fmt: skip
    names = ["image_id", "kind", "text", "written_by", "person_id", "settings", "created_at", "operation_id"]
    new = insert(CaptionText).from_select(names, rows)
    new = new.on_conflict_do_nothing(
        index_elements=["image_id", "kind"], index_where=CaptionText.superseded_at.is_(None)
    )
    written = list(session.scalars(new.returning(CaptionText.image_id)))
    session.expire_all()
    return written


def by_hand(of: type[CaptionText] | AliasedClass[CaptionText] = CaptionText) -> ColumnElement[bool]:
    """Whether a person wrote the words of a caption, other than by an act on many of which another wrote the text."""
    said = func.coalesce(of.settings["by_hand"].as_boolean(), True)
    return and_(of.written_by == "person", said)


def give(session: Session, image_id: int, text: str, file: str, line: int) -> Giving:
    """A caption that came with a photo, from `line` of `file` (0: the file is nothing else).

    It takes the place of a captioner's caption or of an earlier given one ("replaced"). A person's caption stays
    current: the given one is kept in the history beneath it, once ("outranked"). Raises Refused for a text that `tidy`
    refuses.
    """
    tidied = tidy(text)
    before = _current_now(session, image_id)
    if before is not None and before.text == tidied and before.written_by in AUTHORS:
        return "same"
    if before is not None and before.written_by == "person":
        keep_beneath(session, image_id, tidied, file, line)
        return "outranked"
    given = Caption(
        image_id=image_id, text=tidied, written_by="given", settings={"file": file, "line": line},
        parent_id=before.id if before is not None else None,
    )  # fmt: skip
    if (before is not None and not _supersede(session, before.id)) or not _is_first(session, given):
        return "outranked"
    return "new" if before is None else "replaced"


def give_first(session: Session, given: Mapping[int, tuple[str, str, int]]) -> set[int]:
    """Captions that came with photos which have none: tidied text, file and line by image, written all at once.

    Returns the images that got theirs; somebody wrote for the others in this very moment.
    """
    if not given:
        return set()
    rows = [
        {"image_id": image_id, "text": text, "written_by": "given", "settings": {"file": file, "line": line}}
        for image_id, (text, file, line) in sorted(given.items())
    ]
    new = (
        insert(Caption)
        .values(rows)
        .on_conflict_do_nothing(index_elements=["image_id", "kind"], index_where=Caption.superseded_at.is_(None))
    )
    return set(session.scalars(new.returning(Caption.image_id)))


def keep_beneath(session: Session, image_id: int, text: str, file: str, line: int) -> None:
    """A given caption that does not become current, kept in the photo's history once."""
    tidied = tidy(text)
    has_it = (Caption.image_id == image_id, Caption.written_by == "given", Caption.text == tidied)
    if session.scalar(select(Caption.id).where(*has_it).limit(1)) is None:
        settings = {"file": file, "line": line}
        session.add(
            Caption(image_id=image_id, text=tidied, written_by="given", settings=settings, superseded_at=utc_now())
        )
        session.flush()


def rewrite(
    session: Session, image_id: int, text: str, person: Person, expected_id: int | None, kind: Kind = "long"
) -> CaptionText:
    """A person's caption of a kind in place of the one they saw, `expected_id` (None: they saw none).

    Saving a captioner's text unchanged accepts it under the person's name; a text that a person's current caption
    already has adds nothing, so that a form sent twice does no harm. Raises NotFound for an unknown image, Refused for
    a text that `tidy` refuses, and Conflict with the other text, and the one that both came from, when the current
    caption is not the expected one.
    """
    tidied = tidy_kind(text, kind)
    if session.get(Image, image_id) is None:
        raise NotFound(f"There is no photo {image_id}.")
    before = _current_now(session, image_id, kind)
    if before is not None and before.written_by == "person" and before.text == tidied:
        return before
    if (before.id if before is not None else None) != expected_id:
        raise _conflict(session, image_id, kind, expected_id)
    if before is not None and not _supersede(session, before.id):
        raise _conflict(session, image_id, kind, expected_id)
    rewritten = OF_KIND[kind](
        image_id=image_id, text=tidied, written_by="person", person_id=person.id, settings={}, parent_id=expected_id
    )
    if not _is_first(session, rewritten):
        raise _conflict(session, image_id, kind, expected_id)
    return rewritten


def restore(session: Session, caption_id: int, person: Person) -> CaptionText:
    """An older caption's text, made current again as a new caption of this person.

    Raises NotFound for an unknown caption, and Conflict when somebody else writes in the same moment.
    """
    older = session.get(CaptionText, caption_id)
    if older is None:
        raise NotFound(f"There is no caption {caption_id}.")
    if older.superseded_at is None:
        return older
    before = _current_now(session, older.image_id, older.kind)
    expected_id = before.id if before is not None else None
    return rewrite(session, older.image_id, older.text, person, expected_id, older.kind)


def history(session: Session, image_id: int, kind: Kind = "long") -> list[CaptionText]:
    """Every caption of an image of a kind, the current one first, then from newest to oldest."""
    own = OF_KIND[kind]
    return list(
        session.scalars(
            select(own).where(own.image_id == image_id).order_by(own.superseded_at.is_not(None), own.id.desc())
        )
    )


def histories(session: Session, image_id: int) -> dict[Kind, list[CaptionText]]:
    """Every caption of an image by kind, each kind from newest to oldest; a kind that was never written is empty."""
    rows = session.scalars(select(CaptionText).where(CaptionText.image_id == image_id).order_by(CaptionText.id.desc()))
    by_kind: dict[Kind, list[CaptionText]] = {kind: [] for kind in OF_KIND}
    for row in rows:
        by_kind[row.kind].append(row)
    return by_kind


def current_kinds(session: Session, image_id: int) -> dict[Kind, CaptionText]:
    """The current captions of an image, by kind."""
    rows = session.scalars(
        select(CaptionText).where(CaptionText.image_id == image_id, CaptionText.superseded_at.is_(None))
    )
    return {row.kind: row for row in rows}


def current(session: Session, image_ids: Collection[int]) -> dict[int, Caption]:
    """The current captions of these images, by image id; an image without one is left out."""
    captions = session.scalars(select(Caption).where(Caption.image_id.in_(image_ids), Caption.superseded_at.is_(None)))
    return {caption.image_id: caption for caption in captions}


def author(session: Session, caption: CaptionText) -> str:
    """Who wrote it, in words: "Ana", "the facts captioner", the name of a model, or "metadata.csv"."""
    if caption.written_by == "person":
        if "by" in caption.settings:  # somebody who is not on the team, of whom a file told
            return str(caption.settings["by"])
        person = session.get(Person, caption.person_id) if caption.person_id is not None else None
        return person.name if person is not None else "somebody"
    if caption.written_by == "given":
        return str(caption.settings["file"])
    return "the facts captioner" if caption.captioner == "facts" else caption.captioner or "a captioner"


def _current_now(session: Session, image_id: int, kind: Kind = "long") -> CaptionText | None:
    """The current caption as the database has it at this moment, not as this session once read it."""
    own = OF_KIND[kind]
    return session.scalars(
        select(own)
        .where(own.image_id == image_id, own.superseded_at.is_(None))
        .execution_options(populate_existing=True)
    ).one_or_none()


def _supersede(session: Session, caption_id: int) -> bool:
    """Mark a caption superseded. False when another transaction already did; waits for one that is about to."""
    marked = session.execute(
        update(CaptionText)
        .where(CaptionText.id == caption_id, CaptionText.superseded_at.is_(None))
        .values(superseded_at=utc_now())
        .returning(CaptionText.id)
    ).scalar_one_or_none()
    return marked is not None


def _is_first(session: Session, caption: CaptionText) -> bool:
    """Add a caption as the current one. False when the unique index says that another was first."""
    try:
        with session.begin_nested():
            session.add(caption)
            session.flush()
    except IntegrityError as error:
        if "uq_caption_current" in str(error.orig):
            return False
        raise
    return True


def _conflict(session: Session, image_id: int, kind: Kind, expected_id: int | None) -> Conflict:
    seen = session.get(OF_KIND[kind], expected_id) if expected_id is not None else None
    base = seen.text if seen is not None and seen.image_id == image_id else None
    winner = _current_now(session, image_id, kind)
    if winner is None:
        return Conflict("This caption is not the current one any more.", base=base)
    name = author(session, winner)
    return Conflict(f"{name[0].upper()}{name[1:]} wrote another caption meanwhile.", winner.text, base)
