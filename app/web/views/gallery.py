"""A sheet in the gallery: its rows as a filter picks them, all its cells in few bytes for the page's script, and what
came since the page asked last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app.evaluation import comparison, failures, hold_out, said, sheets
from app.evaluation.comparison import Comparison, ComparisonCell, ComparisonRow
from app.evaluation.said import ANY_FAILURE, VERDICT_WORDS, GalleryFilter, PictureSaid
from app.evaluation.tables import Sheet
from app.people import Person
from app.web.formats import loss

WHOLE: Final = 400
"""A sheet of so many cells is written into the page whole."""
FIRST_ROWS: Final = 8
"""Of a larger one so many rows are: what a tall window shows. Scripts put in the others as they come into sight."""


@dataclass(frozen=True)
class FilterChoice:
    """One choice of a filter: its value in the address, its words, and whether it is on."""

    value: str
    words: str
    is_on: bool


@dataclass(frozen=True)
class Gallery:
    """What the gallery shows: the sheet with the rows that the filter picks, and the cells that it means (`hits`).

    `shown` are the rows written into the page, those from `first` on, counted from 0.
    """

    page: Comparison
    filter: GalleryFilter
    said: dict[int, PictureSaid]
    hits: set[int]
    first: int
    shown: list[ComparisonRow]
    here: str

    @property
    def is_whole(self) -> bool:
        """Whether every row is written into the page."""
        return len(self.shown) == len(self.page.rows)

    def at(self, **changed: str | int | None) -> str:
        """The address of this view with parts of its filter changed, or from row `at` on; None takes one away."""
        words = {
            "category": self.filter.category, "verdict": self.filter.verdict, "failure": self.filter.failure,
            "of": self.filter.column, "order": "worst" if self.filter.is_worst_first else None,
        }  # fmt: skip
        asked = {name: value for name, value in (words | changed).items() if value}
        return f"{self.here}?{urlencode(asked)}" if asked else self.here

    @property
    def query(self) -> str:
        """The filter as it stands in the address, with its question mark; empty where there is none."""
        return self.at()[len(self.here) :]

    @property
    def verdicts(self) -> list[FilterChoice]:
        """The verdicts to choose from."""
        return [FilterChoice(key, words, key == self.filter.verdict) for key, words in VERDICT_WORDS.items()]

    @property
    def failures(self) -> list[FilterChoice]:
        """The failures to choose from."""
        words = {ANY_FAILURE: "any failure"} | dict(failures.WORDS)
        return [FilterChoice(key, word, key == self.filter.failure) for key, word in words.items()]

    @property
    def columns(self) -> list[FilterChoice]:
        """The columns to look in."""
        return [FilterChoice(each.key, each.label, each.key == self.filter.column) for each in self.page.columns]

    @property
    def orders(self) -> list[FilterChoice]:
        """The orders of rows beside the suite's own."""
        return [FilterChoice("worst", "Worst first", self.filter.is_worst_first)]

    def failures_of(self, sample_id: int | None) -> list[str]:
        """What was said to be wrong with a sample, in words, what was said most often first."""
        return failure_words(self.said[sample_id]) if sample_id in self.said else []


def of(session: Session, sheet: Sheet, me: Person, asked: GalleryFilter, at: int = 1) -> Gallery:
    """The sheet as `me` may see it, with the rows that the filter picks, from row `at` on."""
    prompts = hold_out.shown(session, sheets.suite(session, sheet), me)
    page = comparison.compare(session, sheet, asked.category, prompts)
    opinions = said.of_sheet(session, sheet, me, page.samples)
    rows, hits = _picked(page.rows, asked, opinions)
    page = replace(page, rows=rows)
    is_small = len(rows) * len(page.columns) <= WHOLE
    first = min(max(at, 1), max(len(rows), 1)) - 1
    shown = rows if is_small else rows[first : first + FIRST_ROWS]
    return Gallery(page, asked, opinions, hits, 0 if is_small else first, shown, f"/compare/{sheet.id}")


def failure_words(about: PictureSaid) -> list[str]:
    """The failures told of a picture, in words, the most frequent first."""
    words = dict(failures.WORDS)
    return [words[failures.known(tag)] for tag, count in about.failures.most_common() if count > 0]


def _picked(
    rows: Sequence[ComparisonRow], asked: GalleryFilter, opinions: dict[int, PictureSaid]
) -> tuple[list[ComparisonRow], set[int]]:
    """The rows that have a picture which the filter means, in its order, and those pictures."""
    picked, hits = [], set[int]()
    for row in rows:
        looked_at = [
            picture.sample_id
            for picture in row.pictures
            if picture.sample_id and (asked.column is None or picture.key == asked.column)
        ]
        meant = {number for number in looked_at if asked.means(opinions.get(number, said.NOTHING))}
        if not asked.is_of_pictures or meant:
            picked.append((said.complaints_of(looked_at, opinions), row))
            hits |= meant
    if asked.is_worst_first:
        picked.sort(key=lambda weighed: -weighed[0])
    return [row for _, row in picked], hits if asked.is_of_pictures else set()


def cells(gallery: Gallery) -> dict[str, Any]:
    """All cells of the shown rows in few bytes. A cell above 0 is the number of its picture, 0 waits to be drawn for
    the reason that `waits` has for it, and -n is empty for the n-th of `whys`.

    `waits`: by column, from the top, [reason, of how many waiting cells on end]. `said`: by sample, [usable, failures].
    `newest` is the newest sample, `held` how many there are: what the page asks with for what came since.
    """
    page, whys = gallery.page, dict[str, int]()
    texts: dict[tuple[str, str], int] = {}
    numbers = [[_number(picture, whys) for picture in row.pictures] for row in page.rows]
    samples = [picture.sample_id for row in page.rows for picture in row.pictures if picture.sample_id]
    return {
        "columns": [
            [c.key, c.label, c.name, "samples" if c.checkpoint_id else "images", _loss(c.validation_loss)]
            for c in page.columns
        ],
        "rows": [[row.key, texts.setdefault((row.text, row.category), len(texts)), row.seed] for row in page.rows],
        "prompts": list(texts),
        "cells": numbers,
        "whys": list(whys),
        "waits": waits(page),
        "said": {number: _said(gallery.said[number]) for number in samples if number in gallery.said},
        "hits": sorted(gallery.hits),
        "newest": max(samples, default=0),
        "held": len(samples),
    }


def changes(gallery: Gallery, since: int, held: int) -> dict[str, Any]:
    """What a page lacks that knows `held` samples up to number `since`: cells, by row and column, and why others wait.

    Samples that were committed late have lower numbers than others that were seen: where the counts differ, `whole`
    has every cell anew.
    """
    page = gallery.page
    fresh = [
        (row.key, place, picture.sample_id)
        for row in page.rows
        for place, picture in enumerate(row.pictures)
        if picture.sample_id and picture.sample_id > since
    ]
    count = sum(1 for row in page.rows for picture in row.pictures if picture.sample_id)
    if held + len(fresh) != count:
        return {"whole": cells(gallery)}
    newest = max((number for _, _, number in fresh), default=since)
    return {"cells": fresh, "waits": waits(page), "newest": newest, "held": count}


def waits(page: Comparison) -> list[list[tuple[str, int]]]:
    """By column, from the top: why cells wait to be drawn, and how many on end for the same reason."""
    return [
        [
            (why, sum(1 for _ in same))
            for why, same in groupby(row.pictures[place].why for row in page.rows if row.pictures[place].is_due)
        ]
        for place in range(len(page.columns))
    ]


def _number(cell: ComparisonCell, whys: dict[str, int]) -> int:
    if number := cell.sample_id or cell.image_id:
        return number
    return 0 if cell.is_due else -1 - whys.setdefault(cell.why, len(whys))


def _loss(measured: float | None) -> str:
    return "" if measured is None else loss(measured)


def _said(about: PictureSaid) -> list[Any]:
    verdict = (about.yes > about.no) - (about.no > about.yes)
    return [verdict, failure_words(about)]
