"""Whether somebody would publish a picture, and what is wrong with it: samples and real photos alike, told blind."""

from __future__ import annotations

import hashlib
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.database import utc_now
from app.errors import Refused
from app.evaluation import columns, failures, voting
from app.evaluation.tables import Prompt, PromptPhoto, Sample, Sheet
from app.evaluation.vote_tables import FailureTag, UsableAnswer
from app.evaluation.voting import Voter


@dataclass(frozen=True, slots=True)
class SinglePicture:
    """A picture to answer for: a sample, or a real photo of a prompt. Exactly one of the two is set."""

    sample_id: int | None = None
    prompt_photo_id: int | None = None

    @property
    def key(self) -> str:
        """What names it."""
        return f"s{self.sample_id}" if self.prompt_photo_id is None else f"r{self.prompt_photo_id}"


@dataclass(frozen=True, slots=True)
class SaidOfPicture:
    """What one voter says of one picture; None: nothing yet."""

    is_usable: bool | None = None
    failures: frozenset[str] = field(default_factory=frozenset)


def pictures_of(session: Session, sheet: Sheet) -> list[SinglePicture]:
    """Every sample that the sheet shows, and where real photos are one of its columns, those."""
    samples = [SinglePicture(sample_id=number) for number in voting.drawn(session, sheet).values()]
    if all(place.checkpoint is not None for place in columns.columns_of(session, sheet)):
        return samples
    photos = session.scalars(
        select(PromptPhoto.id)
        .join(Prompt, Prompt.id == PromptPhoto.prompt_id)
        .join(Image, Image.id == PromptPhoto.image_id)
        .join(Catalog, Catalog.id == Image.catalog_id)
        .where(Prompt.suite_id == sheet.suite_id, Prompt.tier != "hold_out", Catalog.removed_from_id.is_(None))
    )
    return samples + [SinglePicture(prompt_photo_id=number) for number in photos]


def next_pictures(
    session: Session, sheet: Sheet, voter: Voter, count: int = 1, held: Collection[SinglePicture] = ()
) -> list[SinglePicture]:
    """Up to `count` pictures that the voter has not answered for: those with the fewest answers first, then by chance,
    which is the same whenever it is asked. `held` were handed out already.
    """
    there = pictures_of(session, sheet)
    answers = _answers(session, there)
    said_by = Counter(picture for picture, _, _ in answers)
    mine = {picture for picture, by, _ in answers if by == voter}
    left = [each for each in there if each not in mine and each not in held]

    def chance(each: SinglePicture) -> bytes:
        return hashlib.sha256(f"{sheet.id} {voter.key} {each.key}".encode()).digest()

    return sorted(left, key=lambda each: (said_by[each], chance(each)))[:count]


def answer(
    session: Session, sheet: Sheet, voter: Voter, picture: SinglePicture, is_usable: bool, seconds: float
) -> UsableAnswer:
    """Keep whether a voter would publish a picture; a second thought stands in for the first.

    Raises Refused for a picture that is gone.
    """
    voting.hold(session, voter)
    _needs_there(session, picture)
    before = _current(session, voter, picture)
    if before is not None and before.is_usable == is_usable:
        return before
    if before is not None:
        before.superseded_at = utc_now()
        session.flush()
    kept = UsableAnswer(
        sheet_id=sheet.id, sample_id=picture.sample_id, prompt_photo_id=picture.prompt_photo_id,
        person_id=voter.person_id, guest_id=voter.guest_id, is_usable=is_usable, seconds=voting.clamped(seconds),
    )  # fmt: skip
    session.add(kept)
    session.flush()
    return kept


def take_back(
    session: Session, sheet: Sheet, voter: Voter, picture: SinglePicture | None = None
) -> SinglePicture | None:
    """Take the voter's answer for a picture back, or their newest one on the sheet; the picture, to be shown again."""
    voting.hold(session, voter)
    if picture is not None:
        taken = _current(session, voter, picture)
    else:
        mine = (UsableAnswer.sheet_id == sheet.id, UsableAnswer.superseded_at.is_(None), voter.is_of(UsableAnswer))
        taken = session.scalars(select(UsableAnswer).where(*mine).order_by(UsableAnswer.id.desc()).limit(1)).first()
    if taken is None:
        return None
    taken.superseded_at = utc_now()
    session.flush()
    return SinglePicture(taken.sample_id, taken.prompt_photo_id)


def tag(
    session: Session, sheet: Sheet, voter: Voter, picture: SinglePicture, failure: str, is_so: bool | None
) -> FailureTag | None:
    """Say that something is wrong with a sample, or that it is not; said twice, it is said once.

    `is_so` None turns over what was said. Of a real photo nothing is kept: failures are those of models, and a voter
    cannot tell which is which. Raises Refused for an unknown failure and for a picture that is gone.
    """
    name = failures.known(failure)
    voting.hold(session, voter)
    _needs_there(session, picture)
    if picture.sample_id is None:
        return None
    same = (
        FailureTag.sample_id == picture.sample_id, FailureTag.tag == name, FailureTag.removed_at.is_(None),
        voter.is_of(FailureTag),
    )  # fmt: skip
    before = session.scalars(select(FailureTag).where(*same)).first()
    if is_so is None:
        is_so = before is None
    if before is not None and not is_so:
        before.removed_at = utc_now()
        session.flush()
        return None
    if before is None and is_so:
        before = FailureTag(sample_id=picture.sample_id, tag=name, person_id=voter.person_id, guest_id=voter.guest_id)
        session.add(before)
        session.flush()
    return before


def said(session: Session, voter: Voter, pictures: Sequence[SinglePicture]) -> dict[SinglePicture, SaidOfPicture]:
    """What the voter has said of these pictures, for each of them."""
    answers = session.scalars(
        select(UsableAnswer).where(
            UsableAnswer.superseded_at.is_(None), voter.is_of(UsableAnswer), _is_one_of(pictures)
        )
    )
    usable = {SinglePicture(row.sample_id, row.prompt_photo_id): row.is_usable for row in answers}
    tags = session.execute(
        select(FailureTag.sample_id, FailureTag.tag).where(
            FailureTag.removed_at.is_(None),
            voter.is_of(FailureTag),
            FailureTag.sample_id.in_(_numbers(each.sample_id for each in pictures)),
        )
    ).all()
    return {
        each: SaidOfPicture(usable.get(each), frozenset(name for number, name in tags if number == each.sample_id))
        for each in pictures
    }


def progress(session: Session, sheet: Sheet, voter: Voter) -> voting.VoteProgress:
    """For how many pictures of the sheet the voter has answered, and how long one took them. What was said of a sample
    on another sheet counts: it is the same picture."""
    paces = [seconds for _, by, seconds in _answers(session, pictures_of(session, sheet)) if by == voter]
    return voting.VoteProgress(len(paces), statistics.median(paces) if paces else None)


def _answers(session: Session, pictures: Sequence[SinglePicture]) -> list[tuple[SinglePicture, Voter, float]]:
    """What everybody says of these pictures now: which one, who, and how long it took."""
    rows = session.execute(
        select(
            UsableAnswer.sample_id, UsableAnswer.prompt_photo_id, UsableAnswer.person_id, UsableAnswer.guest_id,
            UsableAnswer.seconds,
        ).where(UsableAnswer.superseded_at.is_(None), _is_one_of(pictures))
    )  # fmt: skip
    return [(SinglePicture(row[0], row[1]), Voter(row[2], row[3]), row[4]) for row in rows]


def _current(session: Session, voter: Voter, picture: SinglePicture) -> UsableAnswer | None:
    same = (
        UsableAnswer.sample_id == picture.sample_id
        if picture.sample_id is not None
        else UsableAnswer.prompt_photo_id == picture.prompt_photo_id
    )
    current = (UsableAnswer.superseded_at.is_(None), voter.is_of(UsableAnswer), same)
    return session.scalars(select(UsableAnswer).where(*current)).first()


def _is_one_of(pictures: Sequence[SinglePicture]) -> ColumnElement[bool]:
    samples = UsableAnswer.sample_id.in_(_numbers(each.sample_id for each in pictures))
    return samples | UsableAnswer.prompt_photo_id.in_(_numbers(each.prompt_photo_id for each in pictures))


def _needs_there(session: Session, picture: SinglePicture) -> None:
    row = (
        session.get(Sample, picture.sample_id)
        if picture.sample_id is not None
        else session.get(PromptPhoto, picture.prompt_photo_id)
    )
    if row is None:
        raise Refused("This picture is not in the comparison any more, so the answer was not kept.")


def _numbers(numbers: Iterable[int | None]) -> list[int]:
    return [number for number in numbers if number is not None]
