"""What captions are better without, found of many and kept by kind: filters ask for it (`lint:hedging`).

What finds it is a worker (`workers/captions/lint_job.py`). The sweeper asks for captions that were not looked at as
they stand (`app/selection/counting.py`), whoever wrote them; a list of words that is changed asks for all of a catalog.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, func, or_, select, text
from sqlalchemy.orm import Session

from app.captions import dictionary, word_lists
from app.captions.colour_words import words_of
from app.captions.lint import LINT_VERSION, Lint, lint
from app.captions.tables import Caption, CaptionLint
from app.catalog.tables import Image, Lettering

AT_ONCE: Final = 1_000
ANY: Final = "any"
"""Stands beside the kinds of what was found."""
_CATALOGUE: Final = func.md5(func.concat_ws("\x1f", Image.title, Image.category, Image.description, Image.product))


@dataclass(frozen=True, slots=True)
class Lists:
    """The words that a catalog's captions are held to; `own` are right as they are, in lower case."""

    banned: Sequence[str]
    own: frozenset[str]
    version: str


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A caption that nobody looked at as it stands, with what it is held against."""

    image_id: int
    caption_id: int
    text: str
    of_catalogue: Sequence[str | None]
    printed: Sequence[str]
    read_at: datetime | None
    catalogue: str


def lists(session: Session, catalog_id: int) -> Lists:
    """The lists of a catalog as they are now."""
    own = [
        word for kind in ("locked", "known") for words in word_lists.current(session, catalog_id, kind)
        for word in words_of(words)
    ]  # fmt: skip
    numbers = [word_lists.number(session, catalog_id, kind) for kind in word_lists.USUAL]
    version = "-".join(map(str, (LINT_VERSION, *numbers)))
    return Lists(word_lists.current(session, catalog_id, "banned"), frozenset(own), version)


def found(caption: str, lists: Lists, of_catalogue: Sequence[str | None], printed: Sequence[str]) -> list[Lint]:
    """What a caption is better without, beside what the catalogue says of its photo and the lines that stand in it."""
    accepted = lists.own.union(*(words_of(words) for words in of_catalogue if words))
    return lint(caption, lists.banned, accepted, printed, dictionary.meant)


def unchecked(session: Session, catalog_id: int, version: str, after: int) -> list[Unchecked]:
    """Up to AT_ONCE current captions whose findings do not hold or are of another version, of photos behind `after`."""
    holds = and_(
        CaptionLint.caption_id == Caption.id,
        CaptionLint.read_at.is_not_distinct_from(Lettering.read_at),
        CaptionLint.catalogue == _CATALOGUE,
    )
    rows = session.execute(
        select(
            Caption.image_id, Caption.id, Caption.text, Image.title, Image.category, Image.description, Image.product,
            Lettering.words, Lettering.read_at, _CATALOGUE,
        )
        .join(Image, Image.id == Caption.image_id)
        .outerjoin(Lettering, Lettering.image_id == Caption.image_id)
        .outerjoin(CaptionLint, CaptionLint.image_id == Caption.image_id)
        .where(Image.catalog_id == catalog_id, Caption.superseded_at.is_(None), Caption.image_id > after)
        .where(or_(CaptionLint.image_id.is_(None), CaptionLint.version != version, ~holds))
        .order_by(Caption.image_id)
        .limit(AT_ONCE)
    )  # fmt: skip
    return [
        Unchecked(image_id, caption_id, caption, of_catalogue, (words or "").splitlines(), read_at, catalogue)
        for image_id, caption_id, caption, *of_catalogue, words, read_at, catalogue in rows
    ]


def record(session: Session, some: Sequence[Unchecked], findings: Sequence[Sequence[Lint]], version: str) -> None:
    """Keep what was found of each. A caption that is gone by now is passed over."""
    kinds = [sorted({each.kind for each in lints}) for lints in findings]
    columns: dict[str, list[Any]] = {
        "captions": [each.caption_id for each in some],
        "read": [each.read_at for each in some],
        "catalogues": [each.catalogue for each in some],
        "kinds": [",".join([ANY, *each] if each else []) for each in kinds],
    }
    session.execute(_KEEP, {"version": version, **columns})


_KEEP: Final = text("""
    insert into caption_lint (image_id, caption_id, read_at, catalogue, version, kinds)
    select caption.image_id, caption.id, fresh.read_at, fresh.catalogue, :version, string_to_array(fresh.kinds, ',')
    from unnest(
        cast(:captions as bigint[]), cast(:read as timestamptz[]), cast(:catalogues as text[]), cast(:kinds as text[])
    ) as fresh (id, read_at, catalogue, kinds)
    join caption on caption.id = fresh.id
    on conflict (image_id) do update set caption_id = excluded.caption_id, read_at = excluded.read_at,
        catalogue = excluded.catalogue, version = excluded.version, kinds = excluded.kinds
""")
