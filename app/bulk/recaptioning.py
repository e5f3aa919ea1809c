"""Asking the captioner anew for many photos; what it writes takes the place of what it wrote before.

A caption by a person or from a file stays, unless the person who asks says that these go too; and even then one that
was written after that stays. Without a model the facts captioner writes, from the database alone; a model looks at
the pictures (`workers/captions/recaption_job.py`) and hands its texts to `write`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, any_, func, or_, select
from sqlalchemy.orm import Session

from app.bulk.acts import Act, Did, TakenBack, give_back, photos
from app.captions import proposing, runs, writing
from app.captions.asking import read_asking
from app.captions.tables import OF_KIND, Caption, CaptionText, Kind
from app.catalog import reading
from app.catalog.reading import Chosen
from app.catalog.tables import Image
from app.database import array
from app.review import decisions
from app.review.tables import Operation

# A caption from facts is made in Python, and the rules look at the photo again; a model looks at pixels besides.
_WEIGHT: Final = 10
_WEIGHT_OF_LOOKING: Final = 80
_OTHER_KINDS: Final[tuple[Kind, ...]] = ("short", "tags")


class Recaption(Act):
    """A captioner's new caption for every photo: by `model`, or from facts where that is None. People's and given
    captions stay unless it `replaces` them."""

    table = Caption

    def checked(self, session: Session, catalog_id: int, value: dict[str, Any]) -> dict[str, Any]:
        """`model` with where it runs (`place`) and how it is asked (`asking`), or None for facts."""
        kept: dict[str, Any] = {"model": value.get("model"), "replaces": bool(value.get("replaces"))}
        if kept["model"] is not None:
            place = "server" if value.get("place") == "server" else "device"
            kept |= {"place": place, "asking": read_asking(value.get("asking") or {}).model_dump(mode="json")}
        return kept

    def obstacle(self, session: Session, selection: Chosen, value: dict[str, Any]) -> str:
        is_open = or_(Caption.id.is_(None), Caption.written_by.not_in(writing.AUTHORS))
        if value["replaces"] or session.scalar(selection.select(Image.id).where(is_open).limit(1)) is not None:
            return ""
        return "A captioner never replaces a person’s or a given caption, and each of these photos has one."

    def weight(self, value: dict[str, Any]) -> int:
        return _WEIGHT_OF_LOOKING if self.is_for_a_model(value) else _WEIGHT

    def is_for_a_model(self, value: dict[str, Any]) -> bool:
        return value["model"] is not None

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        captions = proposing.facts_of(session, open_ones(session, operation, image_ids))
        return write(session, operation, image_ids, proposing.FACTS, captions)

    def said(self, operation: Operation, count: int) -> str:
        return f"Captioned {photos(count)} anew"

    def said_already(self, count: int) -> str:
        return f"{count:,} got the same words again"

    def said_passed_over(self, count: int) -> str:
        keeps = "keeps its caption" if count == 1 else "keep their captions"
        return f"{count:,} {keeps}, by a person, from a file or newer, or cannot be captioned"

    def take_back(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> TakenBack:
        """Those of the other kinds too; photos are counted by their long captions, where these were asked for."""
        others = [give_back(session, OF_KIND[kind], operation, image_ids) for kind in _OTHER_KINDS]
        long = super().take_back(session, operation, image_ids)
        kinds = (operation.value.get("asking") or {}).get("kinds", ["long"])
        if "long" in kinds:
            return long
        return max((TakenBack(len(rows), stayed) for rows, stayed in others), key=lambda taken: taken.taken_back)

    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        if image_ids:
            decisions.apply_rules(session, image_ids)


def open_ones(session: Session, operation: Operation, image_ids: Sequence[int]) -> list[int]:
    """Those of these photos that the captioner is to caption."""
    there = sorted(reading.held(session, image_ids, operation.catalog_id))
    is_current = (Caption.image_id == any_(array(there)), Caption.superseded_at.is_(None))
    stays = set(session.scalars(select(Caption.image_id).where(*is_current, ~_gives_way(operation))))
    return [image_id for image_id in there if image_id not in stays]


def adopt(session: Session, operation: Operation, image_ids: Sequence[int], captioner: str, run_id: int) -> Did:
    """What a caption run has of these photos as their current captions, kind by kind; the long one is counted."""
    offers = runs.offers(session, run_id, image_ids)
    for kind in _OTHER_KINDS:
        of_kind = {number: (each.texts[kind], each.settings) for number, each in offers.items() if kind in each.texts}
        writing.replace(session, of_kind, captioner, operation.id, _gives_way(operation), kind)
    long = {number: (each.texts["long"], each.settings) for number, each in offers.items() if "long" in each.texts}
    did = write(session, operation, image_ids, captioner, long)
    if long or not any(each.texts for each in offers.values()):
        return did
    # The long caption was not asked for: photos that have texts at all are those that were changed.
    changed = sum(bool(each.texts) for each in offers.values())
    return Did(changed, 0, len(image_ids) - changed)


def write(
    session: Session,
    operation: Operation,
    image_ids: Sequence[int],
    captioner: str,
    captions: Mapping[int, tuple[str, dict[str, Any]]],
) -> Did:
    """What a captioner wrote of these photos, text and settings by photo, as their current captions; then the rules
    look again. Photos of which it wrote nothing are passed over."""
    changed, already = writing.replace(session, captions, captioner, operation.id, _gives_way(operation))
    if changed:
        decisions.apply_rules(session, changed)
    return Did(len(changed), already, len(image_ids) - len(changed) - already)


def _gives_way(operation: Operation) -> ColumnElement[bool]:
    """Whether a caption may be replaced: never one of an act that was asked for later."""
    gives_way: ColumnElement[bool] = CaptionText.written_by.not_in(writing.AUTHORS)
    if operation.value["replaces"]:
        gives_way = or_(gives_way, CaptionText.created_at <= operation.created_at)
    return and_(gives_way, func.coalesce(CaptionText.operation_id, 0) <= operation.id)
