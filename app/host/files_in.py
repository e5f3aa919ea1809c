"""Files written and brought in from the terminal, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.orm import Session

from app import people
from app.bulk import operations, undoing
from app.bulk.tables import FileImport
from app.catalog import reading
from app.database import transaction
from app.errors import Refused
from app.host.state import host_state
from app.people import Person
from app.review.tables import Operation
from app.settings import Settings

ReadIn = Callable[[Session, Person, IO[bytes]], tuple[FileImport, str]]
Begin = Callable[[Session, FileImport, Person], Operation | None]


def brought_in(
    settings: Settings, catalog_id: int, file: Path, email: str, read_in: ReadIn, begin: Begin, *, looks: bool
) -> Iterator[str]:
    """Bring a file in, in a lead's name, as one operation; with `looks` only tell what it would do. Tells a line each.

    Each batch is kept as it is done: what was interrupted goes on from the catalog's page of operations. `read_in` also
    says what the file would do; `begin` gives None where that is nothing to photos. Raises Refused, NotFound,
    NotAllowed, OSError.
    """
    engine = engine_of(settings)
    with transaction(engine) as session:
        reading.get(session, catalog_id)
        person = people.by_email(session, email)
        people.needs_lead(person, "bring such files in")
        with file.open("rb") as content:
            read, sentence = read_in(session, person, content)
        yield from read.assumed
        yield sentence
        yield from read.named
        if looks:
            return
        operation = begin(session, read, person)
        number = operation.id if operation is not None else None
    if number is None:
        yield "Made what it names; it says nothing of photos."
        return
    while True:
        with transaction(engine) as session:
            if not operations.do_next(session, number):
                break
    with transaction(engine) as session:
        yield f"{undoing.said(operations.get(session, number))}."


@contextmanager
def new_file(file: Path) -> Iterator[IO[bytes]]:
    """A new file, there whole or not at all. Raises FileExistsError where there is one."""
    with file.open("xb") as made:
        try:
            yield made
        except BaseException:
            file.unlink()
            raise


def engine_of(settings: Settings) -> Engine:
    """The database of a data folder. Raises Refused where nothing runs on it."""
    state = host_state(settings.data_dir.resolve())
    url = state.database_url if state else settings.database_url
    if not url:
        raise Refused(f"Nothing runs on {settings.data_dir}. Start it first: `packshot up`")
    return create_engine(url, poolclass=NullPool)
