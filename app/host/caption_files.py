"""`packshot captions`: a catalog's captions written to a file, or brought in from one, from the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Final

from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.orm import Session

from app import people
from app.bulk import importing, operations, undoing
from app.captions import files
from app.captions.tables import Kind
from app.catalog import reading
from app.catalog.tables import Image
from app.database import transaction
from app.errors import Refused
from app.host.state import host_state
from app.intake import sidecars
from app.people import Person
from app.selection.query import parse
from app.settings import Settings

ENDINGS: Final = (".csv", ".jsonl", ".ndjson", ".zip")


@dataclass(frozen=True, slots=True)
class CaptionsWanted:
    """What goes out: kinds (none: all, of sidecars the long one), every earlier text or not, of a filter's photos."""

    kinds: tuple[Kind, ...] = ()
    with_history: bool = False
    query: str = ""


def write(settings: Settings, catalog_id: int, file: Path, wanted: CaptionsWanted) -> str:
    """Write captions to a new file: CSV, JSON lines or a ZIP of sidecars by its ending; what was done, in a sentence.

    Raises Refused, NotFound, OSError.
    """
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        raise Refused(f"Captions are written as {', '.join(ENDINGS)}; “{file.name}” ends otherwise.")
    with transaction(_engine(settings)) as session:
        reading.get(session, catalog_id)
        photos = parse(wanted.query, catalog_id).select(Image.id)
        if ending == ".zip":
            if len(wanted.kinds) > 1:
                raise Refused("Sidecars hold one kind of caption; name one.")
            names = sidecars.names_of(reading.named(session, catalog_id))
            texts = files.texts(session, photos, wanted.kinds[0] if wanted.kinds else "long")
            with _new(file) as packed:
                packed.writelines(sidecars.packed((names[number], text) for number, text in texts))
            return f"Wrote {file}."
        every = files.records(session, photos, wanted.kinds or files.KINDS, with_history=wanted.with_history)
        with _new(file) as made, TextIOWrapper(made, "utf-8", newline="") as out:
            if ending == ".csv":
                out.write("\ufeff")  # by which spreadsheets know UTF-8
                csv.writer(out).writerows([list(files.FIELDS), *files.csv_rows(every)])
            else:
                out.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in every)
    return f"Wrote {file}."


def bring_in(
    settings: Settings,
    catalog_id: int,
    file: Path,
    email: str,
    kind: Kind,
    writer: str,
    *,
    takes_over: bool,
    looks: bool,
) -> Iterator[str]:
    """Bring a file of captions in, in a person's name, as one operation; with `looks` only tell what it would do.

    Tells a line each. Each batch is kept as it is done: what was interrupted goes on from the catalog's page of
    operations. Raises Refused, NotFound, NotAllowed, OSError.
    """
    engine = _engine(settings)
    with transaction(engine) as session:
        reading.get(session, catalog_id)
        person = _person(session, email)
        with file.open("rb") as content:
            read = importing.read_in(session, catalog_id, person, file.name, content, kind, writer)
        yield from read.assumed
        yield importing.sentence(read, importing.preview(session, read))
        yield from read.named
        if looks:
            return
        operation = importing.carry_out(session, read, person, takes_over=takes_over)
        number = operation.id
    while True:
        with transaction(engine) as session:
            if not operations.do_next(session, number):
                break
    with transaction(engine) as session:
        yield f"{undoing.said(operations.get(session, number))}."


@contextmanager
def _new(file: Path) -> Iterator[IO[bytes]]:
    """A new file, there whole or not at all. Raises FileExistsError where there is one."""
    with file.open("xb") as made:
        try:
            yield made
        except BaseException:
            file.unlink()
            raise


def _person(session: Session, email: str) -> Person:
    person = people.by_email(session, email)
    people.needs_lead(person, "bring captions in")
    return person


def _engine(settings: Settings) -> Engine:
    state = host_state(settings.data_dir.resolve())
    url = state.database_url if state else settings.database_url
    if not url:
        raise Refused(f"Nothing runs on {settings.data_dir}. Start it first: `packshot up`")
    return create_engine(url, poolclass=NullPool)
