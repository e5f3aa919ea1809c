"""A caption template on many photos: what it would say of each, and the act that makes captions of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import any_, select
from sqlalchemy.orm import Session

from app.bulk.acts import Act, Did
from app.captions import filling, proposing, writing
from app.captions.facts import FRAMING_PHRASES
from app.captions.tables import OF_KIND, CaptionText, Kind
from app.catalog import reading
from app.catalog.tables import Image, Lettering, Signals
from app.database import array
from app.errors import Refused
from app.review import decisions
from app.review.tables import Operation

_WEIGHT: Final = 5


@dataclass(frozen=True, slots=True)
class Filled:
    """What a template says of a photo, the caption that it takes the place of, and why that stays where it does."""

    image: Image
    text: str
    before: str
    caption_id: int | None
    stays: str


def filled(session: Session, image_ids: Sequence[int], template: str, kind: Kind, keeps_people: bool) -> list[Filled]:
    """What a template says of these photos, by number."""
    own = OF_KIND[kind]
    rows = session.execute(
        select(Image, Signals, Lettering, own, writing.by_hand())
        .outerjoin(Signals, Signals.image_id == Image.id)
        .outerjoin(Lettering, Lettering.image_id == Image.id)
        .outerjoin(own, (own.image_id == Image.id) & own.superseded_at.is_(None))
        .where(Image.id == any_(array(image_ids)))
        .order_by(Image.id)
    )
    return [
        _filled(image, signals, read, caption, bool(is_by_hand), template, keeps_people)
        for image, signals, read, caption, is_by_hand in rows
    ]


def _filled(
    image: Image,
    signals: Signals | None,
    read: Lettering | None,
    caption: CaptionText | None,
    is_by_hand: bool,
    template: str,
    keeps_people: bool,
) -> Filled:
    text = filling.filled(template, values_of(image, signals, read))
    before = caption.text if caption is not None else ""
    stays = ""
    if caption is not None and keeps_people and (is_by_hand or caption.written_by == "given"):
        stays = "written by a person" if is_by_hand else "given in a file"
    elif not text:
        stays = "no field is known"
    elif text == before:
        stays = "says so already"
    else:
        try:
            text = writing.tidy(text)
        except Refused as error:
            stays = error.sentence
    return Filled(image, text, before, caption.id if caption is not None else None, stays)


def values_of(image: Image, signals: Signals | None, read: Lettering | None) -> dict[str, str]:
    """What is known of a photo, by the fields of templates; what is not known is left out or empty."""
    said, measured = proposing.catalogue_facts(image), proposing.measured_facts(signals)
    of_row = {key.casefold(): value for key, value in image.extra.items() if isinstance(value, str)}
    framing = measured.framing
    values = {
        "title": said.title, "category": said.noun, "material": said.material, "colour": measured.colour,
        "background": measured.background, "framing": FRAMING_PHRASES.get(framing, framing) if framing else None,
        "brand": of_row.get("brand") or of_row.get("marke") or of_row.get("manufacturer"),
        "text": " ".join(read.words.split()) if read is not None and read.place == "product" else None,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value}


class Fill(Act):
    """Captions of a kind by a template, under the name of the person who asks. What people wrote by hand, and what came
    in a file, stays unless `keeps_people` is off; so does what was written after it was asked for."""

    table = CaptionText
    noun = "caption"

    def checked(self, session: Session, catalog_id: int, value: dict[str, Any]) -> dict[str, Any]:
        if value.get("kind") not in OF_KIND:
            raise Refused(f"Choose a kind of caption: {', '.join(OF_KIND)}.")
        template = filling.checked(str(value.get("template", "")))
        return {"template": template, "kind": value["kind"], "keeps_people": bool(value.get("keeps_people"))}

    def weight(self, value: dict[str, Any]) -> int:
        return _WEIGHT

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        there = sorted(reading.held(session, image_ids, operation.catalog_id))
        value, kind = operation.value, cast(Kind, operation.value["kind"])
        photos = filled(session, there, value["template"], kind, value["keeps_people"])
        already = sum(photo.stays == "says so already" for photo in photos)
        open_ones = [photo for photo in photos if not photo.stays]
        replaced = {photo.caption_id: photo.text for photo in open_ones if photo.caption_id is not None}
        fresh = {photo.image.id: photo.text for photo in open_ones if photo.caption_id is None}
        until = operation.created_at
        written = writing.rewrite_many(session, replaced, operation.person_id, operation.id, until)
        written += writing.write_first(session, fresh, kind, operation.person_id, operation.id)
        self.after(session, operation, sorted(written))
        return Did(len(written), already, len(image_ids) - len(written) - already)

    def said(self, operation: Operation, count: int) -> str:
        return f"Wrote {self.counted(count)} by the template “{operation.value['template']}”"

    def said_already(self, count: int) -> str:
        return f"{count:,} said so already"

    def said_passed_over(self, count: int) -> str:
        return f"{count:,} stayed, by people, from files or newer, or with no field that is known"

    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        if image_ids and operation.value["kind"] == "long":
            decisions.apply_rules(session, image_ids)
