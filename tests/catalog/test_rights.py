"""Source, licence, credit and opt-out are read from whatever came with a photo, under whatever names."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.catalog import rights
from tests import cast


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({}, (None, None, None, "no")),
        ({"URL": " https://a.example/x.jpg ", "Licence": "CC0"}, ("https://a.example/x.jpg", "CC0", None, "no")),
        ({"source": "Shoot 12", "Photographer": "Ana Łoś"}, ("Shoot 12", None, "Ana Łoś", "no")),
        ({"source": "laion", "url": "http://b.example"}, ("http://b.example", None, None, "no")),
        ({"license": "", "rights": "© Shop"}, (None, "© Shop", None, "no")),
        ({"License-URL": "https://c.example/by"}, (None, "https://c.example/by", None, "no")),
        ({"opt_out": True}, (None, None, None, "yes")),
        ({"Opt-Out": "Yes"}, (None, None, None, "yes")),
        ({"opt_out": "false"}, (None, None, None, "no")),
        ({"opt_out": 0, "noai": 1}, (None, None, None, "yes")),
        ({"tdm_reservation": "1"}, (None, None, None, "yes")),
        ({"X-Robots-Tag": "noindex, NoImageAI"}, (None, None, None, "yes")),
        ({"robots": "noindex, noaither"}, (None, None, None, "no")),
        ({"opt_out": None, "licence": {"deep": 1}, "credit": ["Ana"]}, (None, '{"deep": 1}', '["Ana"]', "no")),
    ],
)  # fmt: skip
def test_columns_are_read_under_the_names_that_tables_have(
    session: Session, extra: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    photo = cast.image(session, cast.catalog(session))
    photo.extra = extra
    session.flush()
    session.refresh(photo)
    assert (photo.source, photo.licence, photo.credit, photo.opt_out) == expected
    assert bool(rights.opt_out_said(extra)) == (photo.opt_out == "yes")


def test_a_photo_taken_in_from_a_web_address_has_it_for_its_source(session: Session) -> None:
    photo = cast.image(session, cast.catalog(session))
    photo.file_name = "https://shop.example/a.jpg"
    session.flush()
    session.refresh(photo)
    assert photo.source == "https://shop.example/a.jpg"


def test_a_corrected_row_corrects_them(session: Session) -> None:
    photo = cast.image(session, cast.catalog(session))
    for said, expected in (("yes", "yes"), ("no", "no")):
        photo.extra = {**photo.extra, "opt_out": said}
        session.flush()
        session.refresh(photo)
        assert photo.opt_out == expected
