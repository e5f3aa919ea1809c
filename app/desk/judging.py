"""Two captioners compared before one is adopted: the same sample captioned by both, judged blind, side by side.

The sides are drawn by chance for each judge and photo. Who is who is told to a judge who has judged the whole sample.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from app import audit, people
from app.bulk import operations
from app.captions import runs, writing
from app.captions.asking import Asking
from app.captions.run_tables import CaptionRun
from app.captions.tables import Caption
from app.catalog.tables import Image
from app.database import utc_now
from app.desk.comparison_tables import CaptionerComparison, CaptionVote, Choice, ComparedPhoto
from app.errors import NotFound, Refused
from app.jobs import Job
from app.people import Person
from app.review import decisions
from app.review.tables import Operation
from app.selection import browse
from app.selection.query import Selection, parse
from app.selection.tables import PhotoIndex
from app.settings import Settings

SAMPLE: Final = 50
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)
_SENTENCE_ENDS: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9“\"(])")


@dataclass(frozen=True, slots=True)
class AskedCaptioner:
    """A captioner ("facts", or the name of a model) and how it is asked."""

    captioner: str
    asking: Asking


@dataclass(frozen=True, slots=True)
class Turn:
    """A photo to judge: its two captions, left and right, each in sentences; `left_is_a` stays out of sight."""

    image: Image
    left: str
    right: str
    left_is_a: bool
    caption: Caption | None

    @property
    def sentences(self) -> tuple[list[str], list[str]]:
        """Both captions cut into sentences."""
        return sentences(self.left), sentences(self.right)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How the votes fell: better A, better B, ties, neither. `share` is A's of those decided, surely between `low` and
    `high` (two-sided 95 %, Clopper and Pearson 1934); `needed` is how many decided photos would settle it at this
    share. None: nothing is decided, or nothing would."""

    a: int
    b: int
    tie: int
    neither: int
    share: float | None
    low: float | None
    high: float | None
    needed: int | None

    @property
    def better(self) -> str:
        """Which is better: `a`, `b`, or nothing while chance could have made it so."""
        if self.low is None or self.high is None:
            return ""
        return "a" if self.low > 0.5 else "b" if self.high < 0.5 else ""


@dataclass(frozen=True, slots=True)
class WinRate:
    """A captioner over comparisons: how often it was found better, of the photos that were decided."""

    captioner: str
    won: int
    decided: int


def begin(
    session: Session, by: Person, chosen: Selection, a: AskedCaptioner, b: AskedCaptioner, settings: Settings,
    sample: int = SAMPLE,
) -> tuple[CaptionerComparison, list[Job]]:  # fmt: skip
    """Draw a sample of a selection and let both caption it; captions stay as they are meanwhile.

    Raises NotAllowed for anybody but a lead, Refused for the same captioner asked in the same way, or for no photos.
    """
    people.needs_lead(by, "compare captioners")
    if a == b:
        raise Refused("These are the same. Choose another captioner, or ask it in another way.")
    photos = browse.count(session, chosen)
    if not photos:
        raise Refused("No photo is so. A comparison needs some.")
    seed = random.SystemRandom().getrandbits(32)
    chance = func.md5(func.concat(PhotoIndex.image_id, " ", str(seed)))
    image_ids = list(session.scalars(chosen.select(PhotoIndex.image_id).order_by(chance).limit(sample)))
    begun = [
        runs.begin_apart(session, chosen.catalog_id, image_ids, each.captioner, each.asking, settings, by)
        for each in (a, b)
    ]
    comparison = CaptionerComparison(
        catalog_id=chosen.catalog_id, query=chosen.query, photos=photos, a_id=begun[0][0].id, b_id=begun[1][0].id,
        seed=seed, created_by_id=by.id,
    )  # fmt: skip
    session.add(comparison)
    session.flush()
    session.execute(
        insert(ComparedPhoto).values(
            [
                {"comparison_id": comparison.id, "image_id": image_id, "place": place}
                for place, image_id in enumerate(image_ids)
            ]
        )
    )
    return comparison, [job for _, job in begun]


def get(session: Session, comparison_id: int) -> CaptionerComparison:
    """The comparison with this number. Raises NotFound."""
    comparison = session.get(CaptionerComparison, comparison_id)
    if comparison is None:
        raise NotFound("There is no such comparison.")
    return comparison


def of_catalog(session: Session, catalog_id: int) -> list[CaptionerComparison]:
    """A catalog's comparisons, the newest first."""
    asked = select(CaptionerComparison).where(CaptionerComparison.catalog_id == catalog_id)
    return list(session.scalars(asked.order_by(CaptionerComparison.id.desc())))


def runs_of(session: Session, comparison: CaptionerComparison) -> tuple[CaptionRun, CaptionRun]:
    """Its two runs, A and B."""
    return runs.get(session, comparison.a_id), runs.get(session, comparison.b_id)


def turn(session: Session, comparison: CaptionerComparison, person: Person, image_id: int | None = None) -> Turn | None:
    """The photo that is this person's to judge next, or the one that is asked for; None where there is none.

    Photos that one of the two could not caption are nobody's to judge.
    """
    there = ready(session, comparison)
    judged = voted(session, comparison, person)
    if image_id is None:
        image_id = next((each for each in there if each not in judged), None)
    if image_id is None or image_id not in there:
        return None
    a, b = (runs.offers(session, run_id, [image_id])[image_id].texts for run_id in (comparison.a_id, comparison.b_id))
    left_is_a = side(comparison, person, image_id)
    texts = (a["long"], b["long"]) if left_is_a else (b["long"], a["long"])
    caption = writing.current(session, [image_id]).get(image_id)
    return Turn(session.get_one(Image, image_id), *texts, left_is_a, caption)


def ready(session: Session, comparison: CaptionerComparison) -> list[int]:
    """Photos of the sample that both have captioned, in its order."""
    a, b = (runs.offers(session, run_id) for run_id in (comparison.a_id, comparison.b_id))
    sample = session.scalars(
        select(ComparedPhoto.image_id).where(ComparedPhoto.comparison_id == comparison.id).order_by(ComparedPhoto.place)
    )
    return [
        image_id for image_id in sample
        if all(image_id in offers and "long" in offers[image_id].texts for offers in (a, b))
    ]  # fmt: skip


def side(comparison: CaptionerComparison, person: Person, image_id: int) -> bool:
    """Whether A is on the left for this judge on this photo: by chance, and the same whenever it is asked."""
    drawn = hashlib.sha256(f"{comparison.seed} {person.id} {image_id}".encode()).digest()
    return drawn[0] % 2 == 0


def voted(session: Session, comparison: CaptionerComparison, person: Person) -> dict[int, CaptionVote]:
    """This person's votes, by photo."""
    mine = (CaptionVote.comparison_id == comparison.id, CaptionVote.person_id == person.id)
    return {vote.image_id: vote for vote in session.scalars(select(CaptionVote).where(*mine))}


def vote(
    session: Session,
    comparison: CaptionerComparison,
    person: Person,
    image_id: int,
    choice: str,
    text: str = "",
    expected_id: int | None = None,
) -> CaptionVote:
    """Judge: `left`, `right`, `tie` or `neither`; `text` is the person's own caption, made of the words of both.

    A text that is given becomes the photo's caption, by this person. Raises Refused for another choice or for a photo
    that is not there to judge, and Conflict where somebody wrote another caption meanwhile.
    """
    shown = turn(session, comparison, person, image_id)
    if shown is None:
        raise Refused("This photo is not one to judge here.")
    sides: dict[str, Choice] = {
        "left": "a" if shown.left_is_a else "b", "right": "b" if shown.left_is_a else "a", "tie": "tie",
        "neither": "neither",
    }  # fmt: skip
    if choice not in sides:
        raise Refused("A vote is left, right, tie or neither.")
    taken: tuple[int | None, int | None] = (None, None)
    if text.strip():
        left, right = taken_over(text, shown.left, shown.right)
        taken = (left, right) if shown.left_is_a else (right, left)
        decisions.hold(session, image_id)
        writing.rewrite(session, image_id, text, person, expected_id)
        decisions.reconsider(session, image_id)
    kept = voted(session, comparison, person).get(image_id) or CaptionVote(
        comparison_id=comparison.id, image_id=image_id, person_id=person.id
    )
    kept.choice, kept.created_at = sides[choice], utc_now()
    kept.taken_a, kept.taken_b = taken
    session.add(kept)
    session.flush()
    return kept


def take_back(session: Session, comparison: CaptionerComparison, person: Person) -> int | None:
    """Take this person's newest vote back; its photo, or None where there is none."""
    newest = session.scalars(
        select(CaptionVote)
        .where(CaptionVote.comparison_id == comparison.id, CaptionVote.person_id == person.id)
        .order_by(CaptionVote.created_at.desc(), CaptionVote.id.desc())
        .limit(1)
    ).first()
    if newest is None:
        return None
    session.execute(delete(CaptionVote).where(CaptionVote.id == newest.id))
    session.expire_all()
    return newest.image_id


def verdicts(session: Session, comparison: CaptionerComparison) -> Verdicts:
    """How all votes fell. Where several judged a photo, it is decided by most of them."""
    rows = session.execute(
        select(CaptionVote.image_id, CaptionVote.choice).where(CaptionVote.comparison_id == comparison.id)
    ).all()
    by_photo: dict[int, Counter[str]] = {}
    for image_id, choice in rows:
        by_photo.setdefault(image_id, Counter())[choice] += 1
    counts = Counter(_most(votes) for votes in by_photo.values())
    return weighed(counts["a"], counts["b"], counts["tie"], counts["neither"])


def weighed(a: int, b: int, tie: int, neither: int) -> Verdicts:
    """Counts with what they tell."""
    decided = a + b
    if not decided:
        return Verdicts(a, b, tie, neither, None, None, None, None)
    from scipy.special import betaincinv

    low = float(betaincinv(a, b + 1, 0.025)) if a else 0.0
    high = float(betaincinv(a + 1, b, 0.975)) if b else 1.0
    share = a / decided
    needed = round(0.25 * (1.96 / (share - 0.5)) ** 2) if a != b else None
    return Verdicts(a, b, tie, neither, share, low, high, needed)


def adopt(
    session: Session, comparison: CaptionerComparison, by: Person, which: str, settings: Settings
) -> tuple[Operation, Job | None]:
    """Let one of the two caption the whole selection, as one act that can be taken back. People's captions stay.

    Raises NotAllowed for anybody but a lead, Refused where one was adopted already.
    """
    people.needs_lead(by, "adopt a captioner")
    if which not in ("a", "b"):
        raise Refused("Adopt A or B.")
    if comparison.adopted is not None:
        raise Refused("One of the two was adopted already.")
    if left := to_judge(session, comparison):
        raise Refused(f"{left:,} of the sample {'is' if left == 1 else 'are'} to be judged first.")
    run = runs.get(session, comparison.a_id if which == "a" else comparison.b_id)
    value: dict[str, object] = {"model": None if run.captioner == runs.FACTS else run.captioner, "replaces": False}
    if run.captioner != runs.FACTS:
        value |= {"place": runs.place_of(run.captioner, settings), "asking": run.asking}
    selection = parse(comparison.query, comparison.catalog_id)
    operation = operations.begin(session, selection, by, "recaption", value, comparison.query, None)
    job = operations.carry_out(session, operation, by)
    comparison.adopted, comparison.adopted_at, comparison.operation_id = which, utc_now(), operation.id
    session.flush()
    audit.record(session, "captioner_adopted", by.id, comparison=comparison.id, captioner=run.captioner)
    return operation, job


def to_judge(session: Session, comparison: CaptionerComparison) -> int:
    """How many photos of the sample nobody has judged yet; those still being captioned count, too."""
    votes = select(CaptionVote.image_id).where(CaptionVote.comparison_id == comparison.id)
    there, judged = ready(session, comparison), set(session.scalars(votes))
    is_over = all(job.is_over for job in jobs_of(session, comparison))
    waiting = [image_id for image_id in there if image_id not in judged]
    return len(waiting) if is_over and there else max(len(waiting), sample_size(session, comparison) - len(judged))


def jobs_of(session: Session, comparison: CaptionerComparison) -> list[Job]:
    """The jobs of its two runs."""
    return [session.get_one(Job, run.job_id) for run in runs_of(session, comparison) if run.job_id is not None]


def win_rates(session: Session, comparisons: Sequence[CaptionerComparison]) -> list[WinRate]:
    """Each captioner of these comparisons, the one that was found better most often first. Who has still to judge one
    is not to be told of it."""
    won: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    for comparison in comparisons:
        said, (a, b) = verdicts(session, comparison), runs_of(session, comparison)
        if a.captioner == b.captioner:
            continue
        won[a.captioner] += said.a
        won[b.captioner] += said.b
        decided[a.captioner] += said.a + said.b
        decided[b.captioner] += said.a + said.b
    rates = [WinRate(name, won[name], count) for name, count in decided.items() if count]
    return sorted(rates, key=lambda rate: (-rate.won / rate.decided, rate.captioner))


def sentences(text: str) -> list[str]:
    """A text cut where a sentence ends; never an empty one."""
    return [part for part in _SENTENCE_ENDS.split(text.strip()) if part]


def taken_over(text: str, left: str, right: str) -> tuple[int, int]:
    """How many words of a text are those of `left`, and of what remains those of `right`; case does not count."""
    own = _words(text)
    from_left = own & _words(left)
    from_right = (own - from_left) & _words(right)
    return from_left.total(), from_right.total()


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def _most(votes: Counter[str]) -> str:
    """What most judges said of a photo; as many for each is a tie."""
    ((first, most), *others) = votes.most_common()
    return "tie" if others and others[0][1] == most else first


def sample_size(session: Session, comparison: CaptionerComparison) -> int:
    """How many photos the sample has."""
    own = ComparedPhoto.comparison_id == comparison.id
    return session.scalar(select(func.count()).select_from(ComparedPhoto).where(own)) or 0


def judged_by(session: Session, comparison: CaptionerComparison) -> Sequence[str]:
    """Who has voted."""
    return session.scalars(
        select(Person.name)
        .where(Person.id.in_(select(CaptionVote.person_id).where(CaptionVote.comparison_id == comparison.id)))
        .order_by(Person.name)
    ).all()
