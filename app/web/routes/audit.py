"""The audit log, for owners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy.orm import Session

from app import audit, people
from app.audit import ACTS, AuditEntry, LogFilter
from app.web import tables
from app.web.dependencies import Owner, Page, Read
from app.web.views import acts
from app.web.views.acts import AuditLine

router = APIRouter()

PAGE: Final = 100


def asked_for(act: str = "", person_id: str = "", since: str = "", until: str = "") -> LogFilter:
    """The filter in the address; what cannot be read is not asked for."""
    number = int(person_id) if person_id.isascii() and person_id.isdigit() and len(person_id) < 18 else None
    return LogFilter(act if act in ACTS else None, number, _day(since), _day(until))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class AuditView:
    """Lines of the log, newest first. `older` starts the next page; None on the last. `asked` is the filter as the
    address has it."""

    lines: Sequence[AuditLine]
    act: str
    acts: dict[str, str]
    people: list[tuple[str, str]]
    person_id: str
    since: str
    until: str
    asked: str
    older: int | None


@router.get("/audit")
def show(
    session: Read, page: Page, me: Owner, wanted: Annotated[LogFilter, Depends(asked_for)], before: int | None = None
) -> HTMLResponse:
    """Who signed in, tried to, and everything that somebody changed: of an act, of a person, of some days."""
    entries = audit.page(session, before, wanted, PAGE)
    names = _names(session, entries)
    view = AuditView(
        lines=[acts.line(entry, names) for entry in entries],
        act=wanted.act or "",
        acts=acts.CHOICES,
        people=[("", "Everybody"), *((str(person.id), person.name) for person in people.everybody(session))],
        person_id=str(wanted.person_id or ""),
        since=str(wanted.since or ""),
        until=str(wanted.until or ""),
        asked=_address(wanted),
        older=entries[-1].id if len(entries) == PAGE else None,
    )
    return page("people/audit.html", view)


@router.get("/audit.csv")
def as_table(request: Request, me: Owner, wanted: Annotated[LogFilter, Depends(asked_for)]) -> Response:
    """The lines that are wanted as a table, all of them."""

    def rows(session: Session) -> Iterator[list[str]]:
        lines = audit.every(session, wanted)
        while some := list(islice(lines, tables.CHUNK)):
            names = _names(session, some)
            for entry in some:
                shown = acts.line(entry, names)
                yield [entry.at.isoformat(), shown.by, shown.what, shown.about, shown.facts, shown.source]

    return tables.answer(request, "audit-log.csv", ["when", "who", "what", "of", "details", "from"], rows)


def _names(session: Session, entries: Sequence[AuditEntry]) -> dict[int, str]:
    ids = {person_id for entry in entries for person_id in (entry.by_id, entry.about_id) if person_id is not None}
    return people.names(session, ids)


def _address(wanted: LogFilter) -> str:
    chosen = {"act": wanted.act, "person_id": wanted.person_id, "since": wanted.since, "until": wanted.until}
    return urlencode({name: value for name, value in chosen.items() if value})
