"""A frozen version with real pictures, and exports of it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from PIL import Image as Pillow
from sqlalchemy.orm import Session

from app.captions import writing as captions
from app.catalog.tables import Image
from app.datasets.tables import DatasetVersion
from app.storage import Storage
from tests import cast
from tests.datasets.cast import frozen, kept

CAPTION = "Kettle number {}, “très rouge”,\nwith a second line | and\ta tab."


def picture(number: int, form: str) -> bytes:
    """A small picture of a colour of its own."""
    file = io.BytesIO()
    Pillow.new("RGB", (24 + number, 16), (number * 7 % 256, 40, 200)).save(file, form)
    return file.getvalue()


def version(session: Session, storage: Storage, photos: int = 12) -> DatasetVersion:
    """A frozen version of photos in three formats, with captions of three kinds of authors and their rights."""
    pile = cast.catalog(session, "Autumn <b>& Co</b>")
    by = cast.person(session)
    for number in range(photos):
        form, suffix = (("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"))[number % 3]
        data = picture(number, form)
        photo = kept(session, storage, pile, product=f"P{number}", caption=CAPTION.format(number))
        photo.file_name = f"shop/kettle.v{number}{suffix}"
        photo.render_path = _put(storage, data, suffix)
        photo.width_px, photo.height_px = 24 + number, 16
        photo.extra = {"licence": "CC0", "source_url": f"https://shop.example/{number}"}
        if number % 4 == 0:
            captions.rewrite(
                session, photo.id, f"By a person {number}.", by, captions.current(session, [photo.id])[photo.id].id
            )
        session.flush()
        session.refresh(photo)
    return frozen(session, storage, pile)


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
