"""`packshot labels`: a catalog's labels written to a file, or brought in from one, from the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import NullPool, create_engine

from app import people
from app.catalog import reading
from app.database import transaction
from app.errors import NotFound, Refused
from app.host.state import host_state
from app.intake import sidecars
from app.labels import files, sets
from app.settings import Settings


def label_files(
    settings: Settings, catalog_id: int, file: Path, email: str | None, set_name: str = ""
) -> Iterator[str]:
    """Write the labels of a catalog to `file`, CSV or JSON lines by its ending, or those of the set `set_name` as a ZIP
    of sidecars; with `email`, bring in what it says in that person's name. Tells what was done, a line each.

    Raises Refused, NotFound, OSError.
    """
    state = host_state(settings.data_dir.resolve())
    url = state.database_url if state else settings.database_url
    if not url:
        raise Refused(f"Nothing runs on {settings.data_dir}. Start it first: `packshot up`")
    with transaction(create_engine(url, poolclass=NullPool)) as session:
        reading.get(session, catalog_id)
        if email is not None:
            person = people.by_email(session, email)
            if person is None:
                raise NotFound(f"Nobody here has the address {email}.")
            with file.open("rb") as content:
                is_zip = file.suffix.lower() == ".zip"
                labels = (
                    files.read_sidecars(session, catalog_id, content, set_name)
                    if is_zip
                    else files.read(file.name, content.read())
                )
                outcome = files.bring_in(session, catalog_id, person, labels)
            yield outcome.sentence
            yield from filter(None, [outcome.assumed])
            yield from outcome.named
            return
        if file.suffix.lower() == ".zip":
            texts = files.texts(session, sets.named(session, catalog_id, set_name))
            names = sidecars.names_of(reading.named(session, catalog_id))
            with file.open("xb") as packed:
                packed.writelines(sidecars.packed((names[number], text) for number, text in texts))
            yield f"Wrote {file}."
            return
        every = files.records(session, catalog_id)
        with file.open("x", encoding="utf-8", newline="") as out:
            if file.suffix.lower() == ".jsonl":
                out.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in every)
            else:
                csv.writer(out).writerows([list(files.FIELDS), *files.csv_rows(every)])
        yield f"Wrote {file}."
