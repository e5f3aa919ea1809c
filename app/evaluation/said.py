"""What people have said of a sheet's pictures, one by one, and which of them a filter of the gallery means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Refused
from app.evaluation import failures
from app.evaluation.sheets import Cell
from app.evaluation.tables import Prompt, Sample, Sheet
from app.evaluation.vote_tables import FailureTag, UsableAnswer, Vote
from app.evaluation.voting import Voter
from app.people import Person

PictureVerdict = Literal["usable", "not_usable", "split", "unanswered", "won", "lost", "both_bad"]
VERDICTS: Final[tuple[PictureVerdict, ...]] = get_args(PictureVerdict)
VERDICT_WORDS: Final[dict[PictureVerdict, str]] = {
    "usable": "usable",
    "not_usable": "not usable",
    "split": "usable to some",
    "unanswered": "not answered for",
    "won": "won its votes",
    "lost": "lost its votes",
    "both_bad": "voted both bad",
}
ANY_FAILURE: Final = "any"


@dataclass(slots=True)
class PictureSaid:
    """What was said of one sample: who would publish it and who would not, the votes it won and lost against others of
    its prompt and seed, those that found both bad, and how often each failure was told of."""

    yes: int = 0
    no: int = 0
    won: int = 0
    lost: int = 0
    both_bad: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def verdicts(self) -> set[PictureVerdict]:
        """Every verdict that holds of it."""
        holds: dict[PictureVerdict, bool] = {
            "usable": self.yes > self.no,
            "not_usable": self.no > self.yes,
            "split": self.yes > 0 and self.no > 0,
            "unanswered": self.yes + self.no == 0,
            "won": self.won > self.lost,
            "lost": self.lost > self.won,
            "both_bad": self.both_bad > 0,
        }
        return {verdict for verdict, is_so in holds.items() if is_so}

    @property
    def complaints(self) -> int:
        """How much speaks against it: refusals, failures told of, lost votes and those that found both bad."""
        return self.no + self.failures.total() + self.lost + self.both_bad


NOTHING: Final = PictureSaid()


@dataclass(frozen=True, slots=True)
class GalleryFilter:
    """Which rows of a sheet are shown: those of a category, with a picture of this verdict and with this failure, in
    `column` where one is named. `is_worst_first`: those with most complaints lead."""

    category: str | None = None
    verdict: PictureVerdict | None = None
    failure: str | None = None
    column: str | None = None
    is_worst_first: bool = False

    def means(self, said: PictureSaid) -> bool:
        """Whether a picture of which this was said is one that is looked for."""
        if self.verdict is not None and self.verdict not in said.verdicts:
            return False
        if self.failure == ANY_FAILURE:
            return said.failures.total() > 0
        return self.failure is None or said.failures[self.failure] > 0

    @property
    def is_of_pictures(self) -> bool:
        """Whether it asks for more than a category."""
        return self.verdict is not None or self.failure is not None


def read_filter(category: str, verdict: str, failure: str, column: str, order: str) -> GalleryFilter:
    """A filter from an address; empty texts ask for nothing. Raises Refused for an unknown verdict or failure."""
    known = next((each for each in VERDICTS if each == verdict), None)
    if verdict and known is None:
        raise Refused(f"“{verdict[:40]}” is not one of the verdicts.")
    if failure and failure != ANY_FAILURE:
        failures.known(failure)
    return GalleryFilter(category or None, known, failure or None, column or None, order == "worst")


def of_sheet(session: Session, sheet: Sheet, person: Person, samples: dict[Cell, int]) -> dict[int, PictureSaid]:
    """What was said of the samples of a sheet's suite, by sample; those of which nothing was said are absent.

    Whoever votes sees what they said themselves, so that nobody's answer is led by another's; viewers, who do not
    vote, and leads, who decide, see what everybody said. Answers count wherever they were given, votes on this sheet,
    whose `samples` these are.
    """
    mine = Voter(person_id=person.id) if person.role == "annotator" else None
    said: dict[int, PictureSaid] = {}

    def about(sample_id: int | None) -> PictureSaid:
        return said.setdefault(sample_id or 0, PictureSaid())

    # By the suite: thousands of numbers in a statement take longer than what they find.
    answers = (
        select(UsableAnswer.sample_id, UsableAnswer.is_usable)
        .join(Sample, Sample.id == UsableAnswer.sample_id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Prompt.suite_id == sheet.suite_id, UsableAnswer.superseded_at.is_(None))
    )
    for sample_id, is_usable in session.execute(answers.where(mine.is_of(UsableAnswer)) if mine else answers):
        picture = about(sample_id)
        picture.yes, picture.no = picture.yes + is_usable, picture.no + (not is_usable)
    tags = (
        select(FailureTag.sample_id, FailureTag.tag)
        .join(Sample, Sample.id == FailureTag.sample_id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Prompt.suite_id == sheet.suite_id, FailureTag.removed_at.is_(None))
    )
    for sample_id, tag in session.execute(tags.where(mine.is_of(FailureTag)) if mine else tags):
        about(sample_id).failures[tag] += 1
    votes = select(Vote).where(Vote.sheet_id == sheet.id, Vote.withdrawn_at.is_(None))
    for vote in session.scalars(votes.where(mine.is_of(Vote)) if mine else votes):
        sides = [
            samples.get(Cell(checkpoint_id, vote.prompt_id, vote.seed))
            for checkpoint_id in (vote.left_checkpoint_id, vote.right_checkpoint_id)
        ]
        _count(vote.choice, [about(side) if side else None for side in sides])
    return said


def _count(choice: str, pictures: list[PictureSaid | None]) -> None:
    left, right = pictures
    for picture, is_better in ((left, choice == "left"), (right, choice == "right")):
        if picture is not None:
            picture.both_bad += choice == "both_bad"
            picture.won += is_better
            picture.lost += choice in ("left", "right") and not is_better


def complaints_of(pictures: Iterable[int | None], said: dict[int, PictureSaid]) -> int:
    """How much speaks against the pictures of a row together."""
    return sum(said.get(number, NOTHING).complaints for number in pictures if number)
