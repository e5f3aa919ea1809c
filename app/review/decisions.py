"""Decisions: keep, reject or needs work, by a person; what rules suggest meanwhile; nothing is ever edited.

The decisions of one act share `created_at`, and of an act on many photos (`operations`) its number. Taking back is in
`undoing`. Whoever decides holds the catalog's lock (shared for one photo, alone for many) and the photo's row, so that
two people's decisions follow one another and the second is told about the first. The catalog's lock comes before any
row, also where a caption is written that the rules look at afterwards: the other way round two people could wait for
each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    Subquery,
    and_,
    any_,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from app.captions import checking
from app.catalog import reading
from app.catalog.tables import Image
from app.database import array, utc_now
from app.errors import Conflict, NotFound, Refused
from app.people import Person
from app.review import rule_sets, rules, rulings
from app.review.tables import Decision

# What a person may give as the reason of a rejection; keys 1 to 9 on the desk.
REASONS: Final = (
    "blurred", "badly lit", "cropped", "cluttered", "text or logo over it", "wrong product", "copy of another",
    "person in it", "other",
)  # fmt: skip
SAID: Final = {"kept": "kept", "rejected": "rejected", "needs_work": "marked as needing work"}
SUGGESTED: Final = {"kept": "to keep it", "rejected": "to reject it", "needs_work": "to look at it"}
REASON_MAX: Final = 300
# Any fixed number does, it only has to be the same for everybody.
LOCK: Final = 0x64656369
_LOCKED_IMAGE: Final = Image.__table__.alias("locked_image")


@dataclass(frozen=True, slots=True)
class Applied:
    """What the rules did to some photos: new suggestions per verdict, those withdrawn for nothing, those that stay as
    they were, and photos that a person has decided on."""

    kept: int = 0
    rejected: int = 0
    needs_work: int = 0
    withdrawn: int = 0
    unchanged: int = 0
    left_to_people: int = 0

    def __add__(self, other: Applied) -> Applied:
        return Applied(*(getattr(self, name) + getattr(other, name) for name in Applied.__slots__))


def decide(
    session: Session,
    image: Image,
    person: Person,
    verdict: str,
    reason: str | None = None,
    expected_id: int | None = None,
) -> Decision:
    """A person's decision on one photo, in place of the current one. The same decision twice is one, and so are two
    people's of one verdict, unless the second gives a reason of its own.

    `expected_id` is the decision that the person saw (0: none); None asks for no check. Raises Refused for an unknown
    verdict, and Conflict when another person has decided otherwise since.
    """
    reason = checked(verdict, reason)
    lock_photo(session, image.id)
    before = current(session, image.id)
    if before is not None and is_said(session, before, person, verdict, reason, expected_id):
        return before
    return put(session, image.id, person, verdict, reason, before, utc_now())


def is_said(
    session: Session, before: Decision, person: Person, verdict: str, reason: str | None, expected_id: int | None
) -> bool:
    """Whether the decision that stands says this already. Raises Conflict as `decide` does."""
    if before.person_id is None:
        return False
    is_mine = before.person_id == person.id
    if before.verdict == verdict and (before.reason == reason or (reason is None and not is_mine)):
        return True
    if not is_mine and expected_id not in (None, before.id):
        raise _conflict(session, before)
    return False


def put(
    session: Session,
    image_id: int,
    person: Person,
    verdict: str,
    reason: str | None,
    before: Decision | None,
    now: datetime,
    beside: Sequence[CTE] = (),
) -> Decision:
    """A decision in place of the one `before`, in one statement, which does what is `beside` it too.

    Whoever calls holds the photo (`lock_photo`) and has read `before` since.
    """
    row = {"verdict": verdict, "reason": reason, "person_id": person.id, "created_at": now}
    if before is None:
        statement = insert(Decision).values(image_id=image_id, **row)
    else:
        old = superseding(now, Decision.id == before.id)
        given = (literal(value, Decision.__table__.c[name].type) for name, value in row.items())
        names = ["image_id", "parent_id", *row]
        statement = insert(Decision).from_select(names, select(literal(image_id, BigInteger()), old.c.id, *given))
        set_committed_value(before, "superseded_at", now)
    return session.scalars(statement.returning(Decision).add_cte(*beside)).one()


def accept(session: Session, image: Image, person: Person, expected_id: int | None = None) -> Decision:
    """Decide as a rule suggests, with its reason; the decision is the person's. The same acceptance twice is one.

    `expected_id` is the suggestion that the person saw; None asks for no check. Raises Refused where there is none, and
    Conflict when it is another one now or somebody has decided since.
    """
    lock_photo(session, image.id)
    suggestion = current(session, image.id)
    if suggestion is None:
        raise Refused("No rule suggests anything for this photo.")
    if not suggestion.is_suggestion:
        made = (suggestion.person_id, suggestion.parent_id, suggestion.verdict)
        if (seen := session.get(Decision, expected_id or 0)) and made == (person.id, seen.id, seen.verdict):
            return suggestion
        raise _conflict(session, suggestion)
    if expected_id not in (None, suggestion.id):
        raise Conflict(f"A rule suggests {SUGGESTED[suggestion.verdict]} now: {suggestion.reason}")
    return decide(session, image, person, suggestion.verdict, kept_reason(suggestion))


def current(session: Session, image_id: int) -> Decision | None:
    """The current decision or suggestion on a photo as the database has it at this moment, or None without either."""
    return session.scalars(
        select(Decision)
        .where(Decision.image_id == image_id, Decision.superseded_at.is_(None))
        .execution_options(populate_existing=True)
    ).one_or_none()


def history(session: Session, image_id: int) -> list[tuple[Decision, str]]:
    """Every decision on a photo with who took it ("Ana", "a rule"), newest first."""
    rows = session.execute(
        select(Decision, Person.name)
        .outerjoin(Person, Person.id == Decision.person_id)
        .where(Decision.image_id == image_id)
        .order_by(Decision.id.desc())
    )
    return [(decision, name or "a rule") for decision, name in rows]


def apply_rules(session: Session, image_ids: Collection[int]) -> Applied:
    """Let the review rules, as their catalog has set them, suggest something for these photos of one catalog.

    A person's decision stays, and so does a suggestion that still holds; one for which no rule speaks any more is
    withdrawn. A few statements, however many photos. Raises NotFound when none of the photos exists."""
    chosen = array(sorted(image_ids := reading.held(session, image_ids)))
    catalog_id = session.scalar(select(Image.catalog_id).where(Image.id == any_(chosen)).limit(1))
    if catalog_id is None:
        raise NotFound("There is no such photo.")
    checking.check(session, image_ids)
    lock(session, catalog_id)
    now = utc_now()
    judged = rulings.judged(rule_sets.settings_of(session, catalog_id)).where(Image.id == any_(chosen)).cte("judged")
    differs = or_(judged.c.rule.is_distinct_from(Decision.rule), judged.c.reason.is_distinct_from(Decision.reason))
    old = superseding(now, Decision.id == judged.c.decision_id, Decision.rule.is_not(None), differs)
    names = ["image_id", "parent_id", "created_at", "verdict", "rule", "reason"]
    suggestions = (
        select(
            judged.c.image_id, old.c.id, literal(now), rulings.verdict(judged.c.rule), judged.c.rule, judged.c.reason
        )
        .outerjoin(old, old.c.image_id == judged.c.image_id)
        .where(or_(judged.c.decision_id.is_(None), old.c.id.is_not(None)), judged.c.rule.is_not(None))
        # Also where nothing is suggested any more.
        .add_cte(old)
    )
    made = session.execute(
        insert(Decision).from_select(names, suggestions).returning(Decision.verdict, Decision.parent_id)
    ).all()
    verdicts = [verdict for verdict, _ in made]
    is_current, is_old = Decision.superseded_at.is_(None), Decision.superseded_at == now
    counts_of = (
        and_(is_current, Decision.rule.is_not(None)),
        and_(is_current, Decision.person_id.is_not(None)),
        is_old,
    )
    counted = select(*(func.count().filter(condition) for condition in counts_of))
    rows = session.execute(counted.where(Decision.image_id == any_(chosen))).one()
    suggested, decided, superseded = map(int, rows)
    withdrawn = superseded - sum(parent_id is not None for _, parent_id in made)
    session.expire_all()
    counts = {verdict: verdicts.count(verdict) for verdict in rules.VERDICTS}
    return Applied(**counts, withdrawn=withdrawn, unchanged=suggested - len(made), left_to_people=decided)


def follow_texts(session: Session, image_ids: Collection[int]) -> None:
    """After many captions got other texts: let the rules look again at the photos of which something else is said now.

    Of the others no rule can suggest anything else: what a text says counts for rules as far as it contradicts its
    photo, and all else of these photos is as it was when the rules looked."""
    if changed := checking.check(session, reading.held(session, image_ids)):
        apply_rules(session, changed)


def hold(session: Session, image_id: int) -> None:
    """Before a caption of this photo changes: hold its catalog's decisions, as `reconsider` will, if it has one."""
    catalog_id = session.scalar(select(Image.catalog_id).where(Image.id == image_id))
    if catalog_id is not None:
        lock(session, catalog_id)


def reconsider(session: Session, image_id: int) -> None:
    """After a caption has changed, under `hold`: unless a person has decided, let the rules look at the photo again."""
    before = current(session, image_id)
    if before is None or before.is_suggestion:
        apply_rules(session, [image_id])


def in_batches(session: Session, catalog_id: int, size: int = 5000) -> Iterator[list[int]]:
    """The numbers of a catalog's photos, oldest first, in lists of at most `size`."""
    last = 0
    while ids := list(
        session.scalars(
            select(Image.id).where(Image.catalog_id == catalog_id, Image.id > last).order_by(Image.id).limit(size)
        )
    ):
        yield ids
        last = ids[-1]


def lock(session: Session, catalog_id: int, kind: Any = func.pg_advisory_xact_lock) -> None:
    """Hold the catalog's decisions until the transaction ends."""
    session.execute(select(kind(literal(LOCK), cast(catalog_id, Integer))))


def lock_photo(session: Session, image_id: int) -> None:
    """Hold a photo, its catalog's decisions shared before it, until the transaction ends."""
    held = shared_lock(image_id)
    session.execute(
        select(Image.id).join(held, true()).where(Image.id == image_id).with_for_update(key_share=True, of=Image)
    )


def shared_lock(image_id: int | BindParameter[int]) -> Subquery:
    """The lock of a photo's catalog, shared, as one row to join: rows that the statement locks are locked after it, for
    the database locks what a join has given, and asks a function that changes something exactly once."""
    held = func.pg_advisory_xact_lock_shared(literal(LOCK), cast(_LOCKED_IMAGE.c.catalog_id, Integer)).label("held")
    return select(held).where(_LOCKED_IMAGE.c.id == image_id).subquery("held")


def replace(session: Session, ids: Sequence[int], now: datetime, **author_and_verdict: Any) -> None:
    """Supersede what is current on these photos and decide anew; the caller holds the catalog's lock."""
    if not ids:
        return
    chosen = func.unnest(cast(list(ids), ARRAY(BigInteger))).table_valued("id").render_derived()
    old = superseding(now, Decision.image_id.in_(select(chosen.c.id)), Decision.superseded_at.is_(None))
    names = list(author_and_verdict)
    rows = (
        select(chosen.c.id, old.c.id, literal(now), *(literal(author_and_verdict[name]) for name in names))
        .select_from(chosen)
        .outerjoin(old, old.c.image_id == chosen.c.id)
    )
    session.execute(insert(Decision).from_select(["image_id", "parent_id", "created_at", *names], rows))
    session.expire_all()


def says(verdict: str, reason: str | None) -> ColumnElement[bool]:
    """Whether a decision says this already: the verdict, and the reason where one is given."""
    is_same = Decision.verdict == verdict
    return is_same if reason is None else and_(is_same, Decision.reason.is_not_distinct_from(reason))


def superseding(now: datetime, *which: ColumnElement[bool]) -> CTE:
    """These decisions, superseded by the very statement that reads them: the photo index follows each statement."""
    statement = update(Decision).where(*which).values(superseded_at=now)
    return statement.returning(Decision.id, Decision.image_id, Decision.verdict, Decision.reason).cte("superseded")


def name_of(image: Image) -> str:
    """What to call a photo in a sentence."""
    return image.title or image.file_name


def kept_reason(suggestion: Decision) -> str | None:
    """The reason that an accepted suggestion is kept with: to keep a photo needs none."""
    return None if suggestion.verdict == "kept" else suggestion.reason


def checked(verdict: str, reason: str | None) -> str | None:
    """The reason as it is kept. Raises Refused for an unknown verdict or a reason that is too long."""
    if verdict not in rules.VERDICTS:
        raise Refused(f"“{verdict}” is not a decision. Decisions are: {', '.join(rules.VERDICTS)}.")
    tidy = " ".join((reason or "").replace("\0", "").split())
    if len(tidy) > REASON_MAX:
        raise Refused(f"A reason has at most {REASON_MAX} characters.")
    return tidy or None


def _conflict(session: Session, winner: Decision) -> Conflict:
    person = session.get(Person, winner.person_id) if winner.person_id else None
    name = person.name if person else "Somebody"
    because = f": {winner.reason}" if winner.reason else ""
    return Conflict(f"{name} {_DID[winner.verdict]} {_ago(winner.created_at)}{because}.", winner.verdict)


_DID: Final = {
    "kept": "kept this photo", "rejected": "rejected this photo", "needs_work": "marked this photo as needing work",
}  # fmt: skip


def _ago(moment: datetime) -> str:
    """How long ago: "a moment ago", "two minutes ago", "3 hours ago"."""
    minutes = int((utc_now() - moment).total_seconds()) // 60
    if minutes < 1:
        return "a moment ago"
    count, unit = (minutes, "minute") if minutes < 60 else (minutes // 60, "hour")
    if count >= 48 and unit == "hour":
        count, unit = count // 24, "day"
    words = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return f"{words[count] if count <= 10 else count} {unit}{'' if count == 1 else 's'} ago"
