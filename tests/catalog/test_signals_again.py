"""After an update, what an earlier version measured is measured again, behind everything that somebody waits for."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from app import urgency
from app.catalog import signals
from app.catalog.tables import Signals
from tests import cast
from workers.signals.measure import SIGNALS_VERSION


def test_what_an_earlier_version_measured_is_asked_for_once_and_later(session: Session) -> None:
    old, new = cast.catalog(session), cast.catalog(session)
    for pile in (old, new):
        cast.image(session, pile)
    session.execute(update(Signals).values(version=SIGNALS_VERSION))
    assert signals.request_again(session, SIGNALS_VERSION) == []
    photo = cast.image(session, old)
    session.execute(update(Signals).where(Signals.image_id == photo.id).values(version=SIGNALS_VERSION - 1))
    (asked,) = signals.request_again(session, SIGNALS_VERSION)
    assert (asked.arguments["catalog_id"], asked.urgency) == (old.id, urgency.LATER)
    assert signals.request_again(session, SIGNALS_VERSION) == [asked], "a second start asks for nothing more"
    assert urgency.of("signals.measure", {"catalog_id": old.id}, is_asked_at_a_screen=False) == urgency.IN_TURN
