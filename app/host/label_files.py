"""`packshot labels`: a catalog's labels written to a file, or brought in from one, from the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from sqlalchemy.orm import Session

from app.bulk import imports, label_importing
from app.bulk.tables import FileImport
from app.catalog import reading
from app.catalog.table_cells import JSON_LINES
from app.database import transaction
from app.host.files_in import brought_in, engine_of, new_file
from app.intake import sidecars
from app.labels import files, sets
from app.people import Person
from app.review.tables import Operation
from app.settings import Settings


def write(settings: Settings, catalog_id: int, file: Path, set_name: str = "") -> str:
    """Write the labels of a catalog to a new file, CSV or JSON lines by its ending, or those of the set `set_name` as a
    ZIP of sidecars; what was done, in a sentence. Raises Refused, NotFound, OSError."""
    with transaction(engine_of(settings)) as session:
        reading.get(session, catalog_id)
        if imports.is_of_sidecars(file.name):
            texts = files.texts(session, sets.named(session, catalog_id, set_name))
            names = sidecars.names_of(reading.named(session, catalog_id))
            with new_file(file) as packed:
                packed.writelines(sidecars.packed((names[number], text) for number, text in texts))
            return f"Wrote {file}."
        every = files.records(session, catalog_id)
        with new_file(file) as made, TextIOWrapper(made, "utf-8", newline="") as out:
            if file.name.lower().endswith(JSON_LINES):
                out.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in every)
            else:
                out.write("\ufeff")  # by which spreadsheets know UTF-8
                csv.writer(out).writerows([list(files.FIELDS), *files.csv_rows(every)])
    return f"Wrote {file}."


def bring_in(
    settings: Settings, catalog_id: int, file: Path, email: str, set_name: str, *, takes_over: bool, looks: bool
) -> Iterator[str]:
    """Bring a file of labels in as `brought_in` does; the labels in a ZIP of sidecars are of the set `set_name`."""

    def read_in(session: Session, person: Person, content: IO[bytes]) -> tuple[FileImport, str]:
        read = label_importing.read_in(session, catalog_id, person, file.name, content, set_name)
        return read, imports.sentence(read, label_importing.preview(session, read), label_importing.WORDS)

    def begin(session: Session, read: FileImport, person: Person) -> Operation | None:
        return label_importing.carry_out(session, read, person, takes_over=takes_over)

    yield from brought_in(settings, catalog_id, file, email, read_in, begin, looks=looks)
