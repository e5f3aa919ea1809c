"""A frozen version with real pictures, and exports of it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from PIL import Image as Pillow
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.captions import writing as captions
from app.catalog import mends
from app.catalog.tables import Catalog, Image
from app.datasets import freezing
from app.datasets.repeats import Repeat
from app.datasets.tables import DatasetVersion
from app.jobs import Job
from app.labels import giving, sets
from app.labels.giving import LabelAct
from app.people import Person
from app.storage import Storage
from tests import cast
from tests.datasets.cast import kept

CAPTION = "Kettle number {}, “très rouge”,\nwith a second line | and\ta tab."


def picture(number: int, form: str, height_px: int = 64) -> bytes:
    """A small picture of a colour of its own."""
    file = io.BytesIO()
    Pillow.new("RGB", (64 + number, height_px), (number * 7 % 256, 40, 200)).save(file, form)
    return file.getvalue()


def version(session: Session, storage: Storage, photos: int = 12) -> DatasetVersion:
    """A frozen version of photos in three formats, with captions of two kinds of authors and their rights.

    Later photos have a short caption, and one has tags. Every second of them is labelled "fit=slim" and "view=front"
    and shown three times, the last but one is mended, and the last alone tells whom to credit: what tells a loader of
    its kind comes late.
    """
    pile = cast.catalog(session, "Autumn <b>& Co</b>")
    by = cast.person(session)
    labels = _labels(session, pile, by)
    for number in range(photos):
        form, suffix = (("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"))[number % 3]
        data = picture(number, form)
        photo = kept(session, storage, pile, product=f"P{number}", caption=CAPTION.format(number))
        photo.file_name = f"shop/kettle.v{number}{suffix}"
        photo.render_path = _put(storage, data, suffix)
        photo.width_px, photo.height_px = 64 + number, 64
        photo.extra = {"licence": "CC0", "source_url": f"https://shop.example/{number}"}
        if number == photos - 1:
            photo.extra |= {"credit": "Ana Lund"}
        if number % 4 == 0:
            captions.rewrite(
                session, photo.id, f"By a person {number}.", by, captions.current(session, [photo.id])[photo.id].id
            )
        if number > 6:
            captions.propose(session, photo, f"Kettle {number}, short", "blip", {}, "short")
        if number == 8:
            captions.rewrite(session, photo.id, "kettle, “red”", by, None, "tags")
        session.flush()
        session.refresh(photo)
        if number % 2 and number > photos // 2:
            for label in labels:
                giving.give(session, photo, by, label)
        if number == photos - 2:
            # As a worker leaves it: the picture cropped to its upper half.
            mend = mends.request(session, photo.id, mends.Edits(crop=(0.0, 0.0, 1.0, 0.5)), None, by, 0)
            mend.render_path = _put(storage, picture(number, form, 32), suffix)
            mend.thumb_sha256 = mend.view_sha256 = photo.thumb_sha256
            mend.width_px, mend.height_px = 64 + number, 32
            mends.show(session, mend, by)
    asked = freezing.request_freeze(session, pile.id, repeated=[Repeat("label:fit=slim", 3)])
    freezing.freeze(session, storage, asked)
    session.execute(update(Job).values(state="done"))  # nothing waits that is more urgent than an export
    return asked


def _labels(session: Session, pile: Catalog, by: Person) -> list[LabelAct]:
    """One label of each of two sets."""
    fit = sets.define(session, pile.id, by, "fit", "one", ["slim", "wide"])
    view = sets.define(session, pile.id, by, "view", "many", ["front", "back"])
    return [LabelAct(each, each.values[0]) for each in (fit, view)]


def _put(storage: Storage, data: bytes, suffix: str) -> str:
    sha256 = storage.put("originals", data, suffix)
    return storage.path("originals", sha256, suffix).relative_to(storage.root).as_posix()


def file_of(storage: Storage, photo: Image) -> Path:
    """The picture file of a photo."""
    return storage.root / photo.render_path


def digest(folder: Path) -> str:
    """SHA-256 of all files of a folder, with their names."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
