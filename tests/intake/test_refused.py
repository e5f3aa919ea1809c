"""The files that an intake refused, as a list for people."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.catalog.tables import Intake, SourceFile
from app.intake import quarantine
from app.intake.quarantine import Which
from tests import cast


def test_refused_files_stand_in_the_order_of_their_numbers(session: Session) -> None:
    pile = cast.catalog(session)
    asked = Intake(catalog_id=pile.id, folder="/photos")
    session.add(asked)
    session.flush()
    names = ["p1.jpg", "p2.jpg", "P9.jpg", "p10.jpg", "p11.jpg"]
    for name in sorted(names):
        session.add(
            SourceFile(
                catalog_id=pile.id, intake_id=asked.id, file_name=name, sha256=name, outcome="refused", reason="-"
            )
        )
    session.flush()
    which = Which(pile.id, asked.id)
    files = quarantine.page(session, which)
    assert [file.file_name for file in files] == names
    assert [file.file_name for file in quarantine.page(session, which, files[2].id, 1)] == ["p10.jpg"]
