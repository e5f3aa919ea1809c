"""`packshot captions`: a catalog's captions written to a file, or brought in from one, from the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Final

from sqlalchemy.orm import Session

from app.bulk import importing, imports
from app.bulk.tables import FileImport
from app.captions import files
from app.captions.tables import Kind
from app.catalog import reading
from app.catalog.tables import Image
from app.database import transaction
from app.errors import Refused
from app.host.files_in import brought_in, engine_of, new_file
from app.intake import sidecars
from app.people import Person
from app.review.tables import Operation
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
    with transaction(engine_of(settings)) as session:
        reading.get(session, catalog_id)
        photos = parse(wanted.query, catalog_id).select(Image.id)
        if ending == ".zip":
            if len(wanted.kinds) > 1:
                raise Refused("Sidecars hold one kind of caption; name one.")
            names = sidecars.names_of(reading.named(session, catalog_id))
            texts = files.texts(session, photos, wanted.kinds[0] if wanted.kinds else "long")
            with new_file(file) as packed:
                packed.writelines(sidecars.packed((names[number], text) for number, text in texts))
            return f"Wrote {file}."
        every = files.records(session, photos, wanted.kinds or files.KINDS, with_history=wanted.with_history)
        with new_file(file) as made, TextIOWrapper(made, "utf-8", newline="") as out:
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

    def read_in(session: Session, person: Person, content: IO[bytes]) -> tuple[FileImport, str]:
        read = importing.read_in(session, catalog_id, person, file.name, content, kind, writer)
        return read, imports.sentence(read, importing.preview(session, read), importing.WORDS)

    def begin(session: Session, read: FileImport, person: Person) -> Operation:
        return imports.carry_out(session, read, person, takes_over=takes_over)

    yield from brought_in(settings, catalog_id, file, email, read_in, begin, looks=looks)
