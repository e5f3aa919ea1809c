"""First captions from facts: which photos get one, and what it says."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app.captions import proposing, writing
from app.catalog.colours import MULTICOLOUR
from app.catalog.tables import Image, Signals
from app.errors import NotFound, Refused
from app.settings import Settings
from tests import cast

SURE = {
    "version": 1, "background": "white", "background_colour": "pure white", "subject_colour": "blue", "confidence": 0.9,
    "box": [0.2, 0.2, 0.8, 0.8], "is_cropped": False, "cropped_edges": [],
}  # fmt: skip


def said(title: str | None, category: str | None, **measured: object) -> str:
    """The facts caption of a photo with these texts and signals."""
    image = Image(title=title, category=category, description=None)
    return proposing.describe(image, Signals(**{**SURE, **measured}))


@pytest.mark.parametrize(
    ("title", "category", "measured", "caption"),
    [
        ("Red kettle", "Kettles", {}, "Red kettle, centred on a pure white background."),
        (None, "dress", {}, "Blue dress, centred on a pure white background."),
        (None, "Hats", {"background": "scene"}, "Blue hat, centred on a busy background."),
        (None, "shoes", {"background": "cannot tell"}, "Blue shoes, centred."),
        (None, "pants", {"is_cropped": True}, "Blue pants, cropped at the edge on a pure white background."),
        (None, "skirt", {"subject_colour": MULTICOLOUR}, "Multicolour skirt, centred on a pure white background."),
        (None, "shirt", {"box": [0.0, 0.3, 0.7, 0.7]}, "Blue shirt, left of centre on a pure white background."),
        (None, "Summer Shorts", {"box": None, "is_cropped": None}, "Blue summer shorts on a pure white background."),
        (None, "shoes", {"confidence": 0.2}, "Shoes on a pure white background."),
        (None, "Not sure", {"subject_colour": None, "box": None}, "Product on a pure white background."),
        (None, None, {"background": "cannot tell", "confidence": 0.0}, "Product."),
    ],
)
def test_a_caption_says_what_is_known_and_leaves_out_the_rest(
    title: str | None, category: str | None, measured: dict[str, object], caption: str
) -> None:
    assert said(title, category, **measured) == caption


def test_a_photo_without_signals_is_captioned_from_the_catalogue_alone() -> None:
    assert proposing.describe(Image(title="Red kettle", category="Kettles"), None) == "Red kettle."


def test_facts_are_proposed_once_and_again_when_a_measurement_changes(session: Session) -> None:
    photo = cast.image(session, cast.catalog(session), title="Kettle")
    assert proposing.propose_facts(session, [photo.id]) == 1
    assert proposing.propose_facts(session, [photo.id]) == 0
    session.get_one(Signals, photo.id).subject_colour = "orange"
    assert proposing.propose_facts(session, [photo.id]) == 1
    assert writing.current(session, [photo.id])[photo.id].text.startswith("Orange kettle")


def test_a_catalog_awaits_where_no_person_and_no_model_has_written(session: Session) -> None:
    pile = cast.catalog(session)
    bare, from_facts, looked_at, by_hand = (cast.image(session, pile) for _ in range(4))
    cast.red_kettle(session, cast.catalog(session))
    writing.propose(session, from_facts, "Red kettle.", "facts", {})
    writing.propose(session, looked_at, "Red kettle.", "org/model", {})
    writing.rewrite(session, by_hand.id, "Red kettle.", cast.person(session), None)

    assert proposing.awaiting(session, pile.id) == [bare.id, from_facts.id]
    named = [by_hand.id, looked_at.id, bare.id]
    assert proposing.awaiting(session, pile.id, named) == [bare.id, looked_at.id]


def test_the_setting_chooses_the_captioner(session: Session, settings: Settings) -> None:
    pile, person = cast.catalog(session), cast.person(session)
    photo = cast.red_kettle(session, pile)
    asked = proposing.request_captions(session, pile.id, settings, person)
    assert (asked.kind, asked.arguments) == ("captions.propose", {"catalog_id": pile.id, "image_ids": None})
    looking = settings.model_copy(update={"caption_model": "org/model"})
    asked = proposing.request_captions(session, pile.id, looking, person, [photo.id])
    assert asked.kind == "captions.look"
    assert asked.arguments == {"catalog_id": pile.id, "image_ids": [photo.id], "model": "org/model"}


def test_a_captioner_is_not_asked_for_what_a_person_wrote(session: Session, settings: Settings) -> None:
    pile = cast.catalog(session)
    photo = cast.image(session, pile)
    writing.rewrite(session, photo.id, "Ana's words.", cast.person(session), None)
    with pytest.raises(Refused, match="A captioner never replaces a person's caption, and this one is by Ana"):
        proposing.request_captions(session, pile.id, settings, None, [photo.id])
    with pytest.raises(Refused, match="no photo to caption"):
        proposing.request_captions(session, pile.id, settings, None, [])
    with pytest.raises(NotFound):
        proposing.request_captions(session, pile.id, settings, None, [photo.id + 1_000_000])
    with pytest.raises(NotFound):
        proposing.request_captions(session, pile.id + 1_000_000, settings)
