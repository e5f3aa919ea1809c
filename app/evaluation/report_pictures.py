"""Which pictures of a sheet a report shows: rows that chance picked, and the samples that people judged best and worst.

Prompts that are held out are never among them: a report travels, and what was seen of them cannot be unseen.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.evaluation import columns, failures, suites
from app.evaluation.comparison import Column, Comparison, ComparisonCell, ComparisonRow
from app.evaluation.hold_out import HOLD_OUT
from app.evaluation.tables import Prompt, PromptPhoto, Sample, Sheet, Suite
from app.evaluation.vote_tables import FailureTag, UsableAnswer, Vote

ROWS: Final = 12
"""Picked by chance; fewer where a sheet has many columns, so that a report stays small."""
LEAST_ROWS: Final = 3
MOST_PICTURES: Final = 120
"""In the rows picked by chance, if `LEAST_ROWS` of them have no more."""
EXTREMES: Final = 6


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """What people said of one sample: how many would publish it, of how many who answered; how its votes went; what
    was said to be wrong with it, in words and how often."""

    sample_id: int
    usable: int = 0
    answers: int = 0
    won: int = 0
    tied: int = 0
    lost: int = 0
    both_bad: int = 0
    wrong: tuple[tuple[str, int], ...] = ()

    @property
    def liking(self) -> float:
        """The share of good words in all that was said, 0 to 1; a tie is half of one. One good and one bad word are
        added, so that few words do not outrank many (Laplace's rule of succession)."""
        good = self.usable + self.won + self.tied / 2
        said = self.answers + self.won + self.tied + self.lost + self.both_bad + sum(count for _, count in self.wrong)
        return (good + 1) / (said + 2)


@dataclass(frozen=True, slots=True)
class PlacedSample:
    """A sample with the column and the row in which it stands."""

    sample_id: int
    column: Column
    row: ComparisonRow


def open_rows(session: Session, suite: Suite, page: Comparison) -> list[ComparisonRow]:
    """The rows of a sheet without those of prompts that are held out, whichever tier a column has."""
    held_out = {prompt.text for prompt in suites.prompts_of(session, suite) if prompt.tier == HOLD_OUT}
    return [row for row in page.rows if row.text not in held_out]


def by_chance(rows: Sequence[ComparisonRow], columns: int, seed: int) -> list[ComparisonRow]:
    """Some of the rows that have a picture, picked by `seed` alone, in the order of the suite.

    What is drawn later does not change which come first, so a report cannot be waited for until it pleases.
    """
    count = max(LEAST_ROWS, min(ROWS, MOST_PICTURES // max(1, columns)))
    shuffled = list(range(len(rows)))
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - chance, not a secret
    has_picture = [any(cell.sample_id or cell.image_id for cell in row.pictures) for row in rows]
    return [rows[place] for place in sorted([place for place in shuffled if has_picture[place]][:count])]


def placed(rows: Sequence[ComparisonRow], columns: Sequence[Column]) -> dict[int, PlacedSample]:
    """The samples of these rows by number."""
    return {
        cell.sample_id: PlacedSample(cell.sample_id, column, row)
        for row in rows
        for column, cell in zip(columns, row.pictures, strict=True)
        if cell.sample_id
    }


def extremes(
    judged: Mapping[int, JudgedSample], count: int = EXTREMES
) -> tuple[list[JudgedSample], list[JudgedSample]]:
    """The samples that people liked most, best first, and least, worst first; never one of which as much good as bad
    was said, so that none is in both."""
    in_order = sorted(judged.values(), key=lambda each: (-each.liking, each.sample_id))
    best = [each for each in in_order[:count] if each.liking > 0.5]
    worst = [each for each in reversed(in_order[-count:]) if each.liking < 0.5]
    return best, worst


def judged(session: Session, sheet: Sheet, places: Mapping[int, PlacedSample]) -> dict[int, JudgedSample]:
    """What people said of these samples of a sheet; those of which nothing was said are left out."""
    usable, answers = _answers(session, places)
    won, tied, lost, both_bad = _votes(session, sheet)
    wrong = _wrong(session, places)
    known = (answers.keys() | won.keys() | tied.keys() | lost.keys() | both_bad.keys() | wrong.keys()) & places.keys()
    return {
        number: JudgedSample(
            number, usable[number], answers[number], won[number], tied[number], lost[number], both_bad[number],
            tuple(wrong.get(number, ())),
        )
        for number in known
    }  # fmt: skip


def key_of(cell: ComparisonCell) -> str:
    """What names a picture in addresses: "s12" a sample, "i34" a real photo."""
    return f"s{cell.sample_id}" if cell.sample_id else f"i{cell.image_id}"


def cell_of(session: Session, sheet: Sheet, key: str) -> ComparisonCell | None:
    """The picture of this key, if it is on the sheet and not of a prompt that is held out."""
    digits = key[1:]
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 18 else 0
    places = columns.columns_of(session, sheet)
    of_suite = (Prompt.suite_id == sheet.suite_id, Prompt.tier != HOLD_OUT)
    if key.startswith("s"):
        own = [place.checkpoint.id for place in places if place.checkpoint is not None]
        of_sheet = select(Sample.id).join(Prompt, Prompt.id == Sample.prompt_id).where(Sample.checkpoint_id.in_(own))
        sample_id = session.scalar(of_sheet.where(Sample.id == number, *of_suite))
        return None if sample_id is None else ComparisonCell("", 0, sample_id, "")
    if not key.startswith("i") or all(place.checkpoint is not None for place in places):
        return None
    of_photos = select(PromptPhoto.image_id).join(Prompt, Prompt.id == PromptPhoto.prompt_id)
    image_id = session.scalars(of_photos.where(PromptPhoto.image_id == number, *of_suite)).first()
    return None if image_id is None else ComparisonCell("", 0, None, "", image_id)


def samples(session: Session, numbers: Collection[int]) -> dict[int, Sample]:
    """Samples by number."""
    return {sample.id: sample for sample in session.scalars(select(Sample).where(Sample.id.in_(numbers)))}


def photos(session: Session, numbers: Collection[int]) -> dict[int, Image]:
    """Photos by number, but for those that an owner took down: they are shown nowhere."""
    shown = select(Image).join(Catalog, Catalog.id == Image.catalog_id).where(Catalog.removed_from_id.is_(None))
    return {photo.id: photo for photo in session.scalars(shown.where(Image.id.in_(numbers)))}


def _answers(session: Session, places: Mapping[int, PlacedSample]) -> tuple[Counter[int], Counter[int]]:
    usable: Counter[int] = Counter()
    answers: Counter[int] = Counter()
    current = (UsableAnswer.superseded_at.is_(None), UsableAnswer.sample_id.in_(list(places)))
    for number, is_usable in session.execute(select(UsableAnswer.sample_id, UsableAnswer.is_usable).where(*current)):
        answers[number or 0] += 1
        usable[number or 0] += is_usable
    return usable, answers


def _votes(session: Session, sheet: Sheet) -> tuple[Counter[int], Counter[int], Counter[int], Counter[int]]:
    """How often each sample won, tied, lost, and was found bad together with the other."""
    rows = session.execute(
        select(Vote.prompt_id, Vote.seed, Vote.left_checkpoint_id, Vote.right_checkpoint_id, Vote.choice).where(
            Vote.sheet_id == sheet.id, Vote.withdrawn_at.is_(None)
        )
    ).all()
    of_votes = select(Sample.checkpoint_id, Sample.prompt_id, Sample.seed, Sample.id).where(
        Sample.prompt_id.in_({row.prompt_id for row in rows})
    )
    numbers = {(checkpoint, prompt, seed): number for checkpoint, prompt, seed, number in session.execute(of_votes)}
    won, tied, lost, both_bad = Counter[int](), Counter[int](), Counter[int](), Counter[int]()
    for prompt_id, seed, left_id, right_id, choice in rows:
        left, right = (numbers.get((checkpoint_id, prompt_id, seed), 0) for checkpoint_id in (left_id, right_id))
        if choice in ("left", "right"):
            won[left if choice == "left" else right] += 1
            lost[right if choice == "left" else left] += 1
        else:
            (tied if choice == "tie" else both_bad).update((left, right))
    return won, tied, lost, both_bad


def _wrong(session: Session, places: Mapping[int, PlacedSample]) -> dict[int, list[tuple[str, int]]]:
    """What was said to be wrong with each sample, in words, the commonest first."""
    current = (FailureTag.removed_at.is_(None), FailureTag.sample_id.in_(list(places)))
    rows = session.execute(select(FailureTag.sample_id, FailureTag.tag).where(*current))
    counts: Counter[tuple[int, str]] = Counter((number, tag) for number, tag in rows)
    wrong: dict[int, list[tuple[str, int]]] = {}
    for (number, tag), count in counts.most_common():
        wrong.setdefault(number, []).append((failures.WORDS[failures.known(tag)], count))
    return wrong
