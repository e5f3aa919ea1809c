"""Captions as records: every text of every kind with its photo, author, captioner and settings, time and history.

A record is a row of a table or an object of JSON lines; one that is read again says exactly what was written. Photos
are in the order of their names and bytes, not of their numbers, so that two copies of a catalog give equal files.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, get_args

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from app.captions.tables import CaptionText, Kind
from app.captions.writing import tidy
from app.catalog.table_cells import guarded, json_value
from app.catalog.tables import Image
from app.errors import Refused
from app.people import Person

FIELDS: Final = (
    "file", "sha256", "kind", "text", "written_by", "by", "captioner", "settings", "at", "version", "parent", "until",
    "taken_back",
)  # fmt: skip
"""The photo by name and bytes; the text and its kind; who wrote it (`person`, `given`, `captioner`), a person's name, a
captioner's; its settings as JSON; when. With the history also its place among the photo's texts of that kind from 1 on,
the place of the one it followed, until when it was current (empty: it is), and when it was taken back."""
# What else tables of captions have these columns as; `photo` is the number in the address of its page.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(FIELDS, ()),
    "file": ("file_name", "filename", "image", "image_path", "path"), "text": ("caption", "prompt"),
    "photo": ("image_id", "photo_id"), "captioner": ("model",),
}  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
AUTHORS: Final = ("person", "given", "captioner")
_IN_A_BLIND_PASS: Final = ("file", "sha256", "kind", "text")
_BATCH: Final = 5_000
_MAX_SETTINGS: Final = 20_000
_MAX_NAME: Final = 300
_MAX_PLACE: Final = 1_000_000

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WrittenCaption:
    """A caption as a file has it, checked. `by` is the name of its person; `at` is None where the file tells no time.

    A text whose `until` is told is one of the history."""

    kind: Kind
    text: str
    written_by: str
    by: str
    captioner: str | None
    settings: dict[str, Any]
    at: datetime | None
    version: int | None
    parent: int | None
    until: datetime | None
    taken_back: datetime | None


def records(
    session: Session,
    photos: Select[Any],
    kinds: Collection[Kind] = KINDS,
    *,
    with_history: bool = False,
    unseen: Collection[int] = (),
) -> Iterator[Record]:
    """The captions of photos, chosen by a query of their numbers: current ones, or all that were ever written.

    Of the photos `unseen`, in a blind pass, only the words that stand now, and not who or what wrote any. Empty values
    are left out. Read as they are asked for, so that a million take no memory.
    """
    place = (
        func.row_number().over(partition_by=(CaptionText.image_id, CaptionText.kind), order_by=CaptionText.id)
    ).label("version")
    every = select(CaptionText.__table__, place).where(CaptionText.image_id.in_(photos), CaptionText.kind.in_(kinds))
    if not with_history:
        every = every.where(CaptionText.superseded_at.is_(None))
    texts = every.cte("texts")
    query = (
        select(
            Image.id, Image.file_name, Image.sha256, texts.c.kind, texts.c.text, texts.c.written_by, Person.name,
            texts.c.captioner, texts.c.settings, texts.c.created_at, texts.c.superseded_at, texts.c.undone_at,
        )
        .join(texts, texts.c.image_id == Image.id)
        .outerjoin(Person, Person.id == texts.c.person_id)
        .order_by(Image.name_key, Image.sha256, texts.c.kind, texts.c.id)
        .execution_options(yield_per=_BATCH)
    )  # fmt: skip
    if with_history:
        before = aliased(texts)
        query = query.outerjoin(before, before.c.id == texts.c.parent_id)
        query = query.add_columns(texts.c.version, before.c.version.label("parent"))
    for row in session.execute(query).mappings():
        record = _record(dict(row))
        if row["id"] in unseen:
            if row["superseded_at"] is not None:
                continue
            record = {name: record[name] for name in _IN_A_BLIND_PASS}
        yield {name: value for name, value in record.items() if value not in ("", None)}


def _record(row: Mapping[str, Any]) -> Record:
    settings = dict(row["settings"] or {})
    # A person whom nobody here is called like is kept with the text, in the name of who brought it in.
    by = settings.pop("by", "") if row["written_by"] == "person" else ""
    return {
        "file": row["file_name"], "sha256": row["sha256"], "kind": row["kind"], "text": row["text"],
        "written_by": row["written_by"], "by": by or row["name"], "captioner": row["captioner"],
        "settings": settings or "", "at": _told(row["created_at"]), "version": row.get("version"),
        "parent": row.get("parent"), "until": _told(row["superseded_at"]), "taken_back": _told(row["undone_at"]),
    }  # fmt: skip


def csv_rows(every: Iterable[Record]) -> Iterator[list[str]]:
    """Records as rows under `FIELDS`; a cell that would run as a formula gets a ' in front."""
    for record in every:
        yield [guarded(_cell(record.get(name, ""))) for name in FIELDS]


def counts(session: Session, photos: Select[Any]) -> dict[Kind, int]:
    """How many photos have a current text of each kind, of those that a query of numbers chooses."""
    current = (CaptionText.image_id.in_(photos), CaptionText.superseded_at.is_(None))
    rows = session.execute(select(CaptionText.kind, func.count()).where(*current).group_by(CaptionText.kind))
    by_kind = {row[0]: row[1] for row in rows}
    return {kind: by_kind.get(kind, 0) for kind in KINDS}


def texts(session: Session, photos: Select[Any], kind: Kind) -> Iterator[tuple[int, str]]:
    """The current text of a kind of each photo that has one, by the photo's number."""
    query = (
        select(Image.id, CaptionText.text)
        .join(CaptionText, CaptionText.image_id == Image.id)
        .where(Image.id.in_(photos), CaptionText.kind == kind, CaptionText.superseded_at.is_(None))
        .order_by(Image.name_key, Image.sha256)
        .execution_options(yield_per=_BATCH)
    )
    return ((row[0], row[1]) for row in session.execute(query))


def written(row: Mapping[str, Any], kind: Kind, author: str, file: str, line: int, now: datetime) -> WrittenCaption:
    """What a row of a file says. `kind` and `author` hold where it tells none; `file` and `line` are where it stands.

    A time that is still to come is taken for `now`. Raises Refused with what is wrong, fit to follow "Row 3: ".
    """
    told_kind = _text(row, "kind").lower() or kind
    if told_kind not in KINDS:
        raise Refused(f"“{told_kind[:80]}” is no kind of caption. Kinds are: {', '.join(KINDS)}.")
    captioner, by = (str(row.get(key) or "").replace("\0", "") for key in ("captioner", "by"))
    written_by = _text(row, "written_by").lower() or _author(captioner, by, author)
    if written_by not in AUTHORS:
        raise Refused(f"“{written_by[:80]}” writes no captions; {', '.join(AUTHORS)} do.")
    if written_by == "captioner" and not captioner.strip():
        raise Refused("it names no captioner.")
    if max(len(captioner), len(by)) > _MAX_NAME:
        raise Refused(f"a name in it has more than {_MAX_NAME} characters.")
    settings = _settings(row.get("settings"))
    if written_by == "given":
        settings = {"file": file, "line": line} | settings
        settings["file"] = str(settings["file"])
    text = row.get("text")
    if isinstance(text, (dict, list)):
        raise Refused("its text is a list or an object.")
    until = _time(row, "until", now)
    return WrittenCaption(
        kind=next(each for each in KINDS if each == told_kind),
        text=tidy("" if text is None else str(text)),
        written_by=written_by,
        by=by if written_by == "person" else "",
        captioner=captioner if written_by == "captioner" else None,
        settings=settings,
        at=_time(row, "at", now),
        version=_place(row, "version"),
        parent=_place(row, "parent"),
        until=until,
        taken_back=_time(row, "taken_back", now) if until else None,
    )


def _author(captioner: str, by: str, otherwise: str) -> str:
    """Who wrote a text, where the row says only by what or by whom."""
    return "captioner" if captioner.strip() else "person" if by.strip() else otherwise


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return "" if value is None else str(value).strip().replace("\0", "")


def _cell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict) else str(value)


def _told(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment is not None else ""


def _time(row: Mapping[str, Any], key: str, now: datetime) -> datetime | None:
    if not (text := _text(row, key)):
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(f"“{text[:80]}” is no time; write it like 2026-11-30T14:05:00Z.") from None
    return min(moment, now)


def _place(row: Mapping[str, Any], key: str) -> int | None:
    if not (text := _text(row, key)):
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and 0 < int(text) <= _MAX_PLACE):
        raise Refused(f"“{text[:80]}” is no {key}; a whole number from 1 on is.")
    return int(text)


def _settings(value: Any) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    settings = json_value(value) if isinstance(value, str) and len(value) <= _MAX_SETTINGS else value
    if not isinstance(settings, dict) or len(json.dumps(settings)) > _MAX_SETTINGS:
        raise Refused(f"its settings are no JSON object of at most {_MAX_SETTINGS:,} characters.")
    return settings
