"""What was measured is kept once per image and asked for only where it is missing or old."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy.orm import Session

from app.catalog import signals
from app.catalog.tables import Image, Intake
from tests import cast
from workers.signals.measure import SignalValues


def unmeasured_image(session: Session, measured: Image) -> Image:
    """An image beside another, without signals."""
    intake = Intake(catalog_id=measured.catalog_id, folder="/photos")
    session.add(intake)
    session.flush()
    photo = Image(
        catalog_id=measured.catalog_id, intake_id=intake.id, sha256="0" * 64, file_name="new.jpg", format="JPEG",
        size_bytes=1, width_px=64, height_px=64, render_path="x", thumb_sha256="1" * 64, view_sha256="2" * 64, extra={},
    )  # fmt: skip
    session.add(photo)
    session.flush()
    return photo


def test_images_without_signals_of_this_version_are_unmeasured(session: Session) -> None:
    pile = cast.catalog(session)
    old = cast.red_kettle(session, pile)
    new = unmeasured_image(session, old)
    cast.red_kettle(session, cast.catalog(session))
    assert [one.image_id for one in signals.unmeasured(session, pile.id, version=1)] == [new.id]
    assert [one.image_id for one in signals.unmeasured(session, pile.id, version=2)] == [old.id, new.id]
    assert [one.image_id for one in signals.unmeasured(session, pile.id, version=2, image_ids=[old.id])] == [old.id]


def test_values_are_kept_and_replaced(session: Session) -> None:
    photo = cast.red_kettle(session, cast.catalog(session))
    values = SignalValues(
        background="plain", confidence=0.5, contrast=30.0, box=[0.1, 0.2, 0.3, 0.4], cropped_edges=["left"]
    )
    signals.record(session, 7, {photo.id: asdict(values)})
    session.expire_all()
    kept = signals.of(session, photo.id)
    assert kept is not None
    assert (kept.version, kept.background, kept.confidence) == (7, "plain", 0.5)
    assert (kept.box, kept.cropped_edges, kept.sharpness) == ([0.1, 0.2, 0.3, 0.4], ["left"], None)


def test_nothing_measured_is_nothing_kept(session: Session) -> None:
    signals.record(session, 1, {})
    assert signals.of(session, 12345) is None
