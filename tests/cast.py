"""A small named cast: plain typed functions that put people, photos and their histories in the database."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog import duplicates
from app.catalog.duplicate_tables import DuplicateGroup
from app.catalog.grouping import Grade, GroupMember, PhotoGroup
from app.catalog.tables import Catalog, Image, Intake, Signals, SourceFile
from app.intake import quarantine
from app.intake.quarantine import Which
from app.people import Person, Role

_numbers = itertools.count(1)


def person(session: Session, name: str = "Ana", role: Role = "lead") -> Person:
    """Somebody on the team."""
    someone = Person(name=name, email=f"{name.lower()}{next(_numbers)}@example.org", role=role)
    session.add(someone)
    session.flush()
    return someone


def catalog(session: Session, name: str | None = None) -> Catalog:
    """An empty catalog."""
    pile = Catalog(name=name or f"Autumn {next(_numbers)}")
    session.add(pile)
    session.flush()
    return pile


def image(
    session: Session,
    pile: Catalog,
    title: str | None = "Red kettle",
    product: str | None = None,
    category: str | None = "Kettles",
    sharpness: float | None = 0.8,
    background: str = "white",
    caption: str | None = None,
) -> Image:
    """An accepted photo with signals, and a caption where one is given. Its files do not exist on disk."""
    number = next(_numbers)
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    intake = Intake(catalog_id=pile.id, folder="/photos")
    session.add(intake)
    session.flush()
    photo = Image(
        catalog_id=pile.id, intake_id=intake.id, sha256=sha256, file_name=f"{number}.jpg", format="JPEG",
        size_bytes=1000, width_px=800, height_px=600, render_path=f"files/originals/{sha256[:2]}/{sha256}.jpg",
        thumb_sha256=sha256, view_sha256=sha256, title=title, category=category, product=product, extra={},
    )  # fmt: skip
    session.add(photo)
    session.flush()
    session.add(
        Signals(
            image_id=photo.id, version=1, sharpness=sharpness, background=background, whiteness=0.99, uniformity=0.98,
            coverage=0.4, fill=0.9, offset_x=0.0, offset_y=0.0, box=[0.1, 0.1, 0.9, 0.9], is_cropped=False,
            cropped_edges=[], subject_lab=[50.0, 60.0, 40.0], subject_colour="red", background_colour="white",
        )
    )  # fmt: skip
    if caption is not None:
        session.add(Caption(image_id=photo.id, text=caption, written_by="captioner", captioner="facts", settings={}))
    session.flush()
    return photo


def refused(session: Session, intake: Intake) -> list[SourceFile]:
    """The files that an intake refused, by name."""
    return quarantine.page(session, Which(intake.catalog_id, intake.id))


def red_kettle(session: Session, pile: Catalog) -> Image:
    """A sharp, well captioned packshot."""
    return image(session, pile, "Red kettle", caption="Red kettle, centred on a pure white background.")


def blurred_shoe(session: Session, pile: Catalog) -> Image:
    """A photo that a review rule rejects."""
    return image(session, pile, "Brown shoe", category="Shoes", sharpness=0.02, caption="Brown shoe.")


def alike(session: Session, pile: Catalog, photos: Sequence[Image], grade: Grade = "photo") -> int:
    """The only group of duplicates of a catalog, of these photos, the first of them the best; its number."""
    members = [
        GroupMember(photo.id, () if photo is photos[0] else ("smaller", "recompressed"), 0.05) for photo in photos
    ]
    duplicates.keep(session, pile.id, [PhotoGroup(grade, tuple(members), "largest")], ())
    duplicates.mark(session, pile.id)
    return session.scalars(select(DuplicateGroup.id).where(DuplicateGroup.catalog_id == pile.id)).one()
