"""Balance: what a version or a selection is made of, counted by value, and where one value has nearly all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, case, cast, func, literal, select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog.tables import Image
from app.datasets import kinds
from app.datasets.tables import Member
from app.selection.query import Selection
from app.selection.tables import PhotoIndex

# From this share on a model learns little of the other values.
NEARLY_ALL: Final = 0.8
# Of fewer photos a share says little.
PHOTOS_TO_JUDGE: Final = 10
LISTED_AT_MOST: Final = 50
BALANCED: Final = {"category": "Category", "colour": "Subject colour", "background": "Background"}
_IN_WORDS: Final = {"category": "in {}", "colour": "{}", "background": "on a {} background"}


@dataclass(frozen=True, slots=True)
class Portion:
    """Photos of one value (None: without one): how many, their share of all (0 to 1), and how many times they are shown
    in one time round, repeats and all, those that are held out included once."""

    value: str | None
    count: int
    share: float
    shown: int


@dataclass(frozen=True, slots=True)
class Balance:
    """The values of one key, the most first; `others` photos have values that are not listed, and are shown
    `others_shown` times in one time round. `suggestion` is empty where no value has nearly all."""

    key: str
    title: str
    portions: Sequence[Portion]
    others: int
    others_shown: int
    suggestion: str


def summarise(session: Session, version_id: int) -> dict[str, Any]:
    """What the members of a version are, counted now; kept with the version, for photos change afterwards.

    For each key a list of (value or None, photos, times shown), the most first, and how many photos are `others`, shown
    `others_shown` times; of `kinds` how many have a caption of each kind beside the one that is learned.
    """
    opted_out = case((Image.opt_out == "no", literal("no")), else_=literal("yes"))
    columns: dict[str, tuple[Any, Any, ColumnElement[Any]]] = {
        "category": (PhotoIndex.image_id, PhotoIndex.category_key, func.min(PhotoIndex.category)),
        "colour": (PhotoIndex.image_id, PhotoIndex.colour, func.min(PhotoIndex.colour)),
        "background": (PhotoIndex.image_id, PhotoIndex.background, func.min(PhotoIndex.background)),
        "licence": (Image.id, Image.licence_key, func.min(Image.licence)),
        "source": (Image.id, _HOST, func.min(_HOST)),
        "author": (Caption.id, AUTHOR, func.min(AUTHOR)),
        "opted_out": (Image.id, opted_out, func.min(opted_out)),
    }
    summary: dict[str, Any] = {name: _counted(session, version_id, *asked) for name, asked in columns.items()}
    return summary | {"kinds": kinds.counted(session, version_id)}


# A source that is a web address counts as its host.
_HOST: Final = func.coalesce(
    func.lower(func.substring(Image.source, r"^https?://(?:[^/@]*@)?([^/:?#]+)")), Image.source
)
# Who wrote a caption: "person", "given" by a file, or the captioner's name.
AUTHOR: Final = case(
    (Caption.written_by == "captioner", func.coalesce(Caption.captioner, literal("captioner"))),
    else_=Caption.written_by,
)


def _counted(session: Session, version_id: int, key: Any, by: Any, value: ColumnElement[Any]) -> dict[str, Any]:
    rows = session.execute(
        select(value, func.count(), cast(func.sum(Member.repeats), Integer))
        .select_from(Member)
        .join(key.class_, key == (Member.caption_id if key.class_ is Caption else Member.image_id))
        .where(Member.version_id == version_id)
        .group_by(by)
        .order_by(func.count().desc(), by)
    ).all()
    return {
        "values": [list(row) for row in rows[:LISTED_AT_MOST]],
        "others": sum(row[1] for row in rows[LISTED_AT_MOST:]),
        "others_shown": sum(row[2] for row in rows[LISTED_AT_MOST:]),
    }


def of_summary(summary: Mapping[str, Any]) -> list[Balance]:
    """The balance of a frozen version, from what was counted; once for others in an older summary."""
    return [
        _balance(key, of["values"], of["others"], of.get("others_shown", of["others"]))
        for key in BALANCED
        for of in [summary[key]]
    ]


def of_selection(session: Session, chosen: Selection) -> list[Balance]:
    """The balance of what a selection would give, photos without a caption left out."""
    columns = {
        "category": (PhotoIndex.category_key, func.min(PhotoIndex.category)),
        "colour": (PhotoIndex.colour, func.min(PhotoIndex.colour)),
        "background": (PhotoIndex.background, func.min(PhotoIndex.background)),
    }
    balances = []
    for key, (by, value) in columns.items():
        count = func.count()
        rows = session.execute(
            chosen.select(value, count, count)
            .where(PhotoIndex.captioned_by != "none")
            .group_by(by)
            .order_by(count.desc(), by)
        ).all()
        rest = sum(row[1] for row in rows[LISTED_AT_MOST:])
        balances.append(_balance(key, rows[:LISTED_AT_MOST], rest, rest))
    return balances


def _balance(key: str, values: Sequence[Sequence[Any]], others: int, others_shown: int) -> Balance:
    total = sum(value[1] for value in values) + others
    portions = [Portion(value, count, count / total, shown) for value, count, shown in values]
    return Balance(key, BALANCED[key], portions, others, others_shown, _suggestion(key, values, others_shown))


def _suggestion(key: str, values: Sequence[Sequence[Any]], others_shown: int) -> str:
    """By what a trainer is shown: where others are repeated enough, nothing is left to suggest."""
    total = sum(value[2] for value in values) + others_shown
    if len(values) < 2 or total < PHOTOS_TO_JUDGE:
        return ""
    value, _, shown = max(values, key=lambda each: each[2])
    if value in (None, "cannot tell") or shown / total < NEARLY_ALL:
        return ""
    return f"{int(100 * shown / total)} % are {_IN_WORDS[key].format(value)}: keep fewer, or repeat others."
