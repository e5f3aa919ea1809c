"""What people say of groups of duplicates: keep the best and link the rest, keep all, no duplicates, another best.

Nothing is deleted. A linked photo stays in the catalog; it is rejected as a copy of another, so that no selection of
kept photos holds it, and comes back when the ruling is taken back. Rulings and the decisions that go with them are one
act, which is how it is undone as one. No duplicates is remembered: such photos are never put in one group again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any, Final, Literal

from sqlalchemy import BigInteger, and_, any_, cast, delete, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.catalog import duplicates, grouping
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, DuplicateMember
from app.catalog.grouping import Edge
from app.catalog.tables import Image
from app.database import utc_now
from app.errors import Conflict, NotFound, Refused
from app.people import Person
from app.review import best_order, decisions, undoing
from app.review.tables import Decision, GroupRuling
from app.review.undoing import Undone

Ruling = Literal["linked", "kept", "apart", "best"]
LINKED_REASON: Final = "copy of another"
SETTLED: Final = ("linked", "kept", "apart")
SAID: Final = {
    "linked": "Kept the best and linked the rest", "kept": "Kept all", "apart": "Set apart", "best": "Chose the best",
}  # fmt: skip
# Groups whose photos differ by no more than this are linked all at once; the others want a look at each.
SURE_REST: Final = 0.08
SURE_AT_MOST: Final = 24
LOCK: Final = 0x64757065


@dataclass(frozen=True, slots=True)
class Ruled:
    """What an act changed: groups settled, photos linked."""

    groups: int
    linked: int


def rule(
    session: Session,
    group_id: int,
    person: Person,
    kind: Ruling,
    best_id: int | None = None,
    seen_id: int | None = None,
) -> Ruled:
    """Say something of one group. `best_id` is a photo of it that is to be the best; None leaves the one it has.

    `seen_id` is the ruling that the person saw (0: none); None asks for no check. Raises NotFound, Refused for a photo
    that is not in the group, and Conflict when somebody else has ruled since.
    """
    catalog_id = session.scalar(select(DuplicateGroup.catalog_id).where(DuplicateGroup.id == group_id))
    if catalog_id is not None:
        lock(session, catalog_id)
    # While this waited for the lock, new groups may have taken its place.
    group = session.get(DuplicateGroup, group_id, populate_existing=True)
    if group is None:
        raise NotFound("There is no such group any more: other photos have come, or gone.")
    before = current(session, group_id)
    if before is not None and seen_id is not None and seen_id != before.id and before.person_id != person.id:
        name = session.get_one(Person, before.person_id).name
        raise Conflict(f"{name} has settled this group otherwise: {SAID[before.kind].lower()}.")
    members = _members(session, [group_id])
    if best_id is not None and best_id not in {member.image_id for member in members}:
        raise Refused("That photo is not in this group.")
    return _record(session, [(group, best_id or group.best_id)], members, person, kind)


def link_sure(session: Session, catalog_id: int, person: Person, expected_count: int | None = None) -> Ruled:
    """Keep the best of every sure group that nobody has settled, and link the rest, as one act.

    Raises Conflict when there are not as many as the person was told, and Refused when there are none.
    """
    lock(session, catalog_id)
    groups = list(session.scalars(select(DuplicateGroup).where(is_sure(catalog_id)).order_by(DuplicateGroup.id)))
    if not groups:
        raise Refused("There is no sure group that is not settled.")
    if expected_count is not None and len(groups) != expected_count:
        raise Conflict(f"There are {len(groups):,} sure groups now, not {expected_count:,}; nothing was linked.")
    members = _members(session, [group.id for group in groups])
    return _record(session, [(group, group.best_id) for group in groups], members, person, "linked")


def is_sure(catalog_id: int) -> Any:
    """The condition on groups that nobody has settled, and whose photos are so alike that no look is needed."""
    settled = exists().where(GroupRuling.group_id == DuplicateGroup.id, GroupRuling.superseded_at.is_(None))
    return and_(
        DuplicateGroup.catalog_id == catalog_id, DuplicateGroup.is_current, DuplicateGroup.grade != "product",
        DuplicateGroup.spread <= SURE_REST, DuplicateGroup.size <= SURE_AT_MOST,
        ~settled.where(GroupRuling.kind != "best"),
    )  # fmt: skip


def current(session: Session, group_id: int) -> GroupRuling | None:
    """What was last said of a group and not taken back."""
    return session.scalars(
        select(GroupRuling).where(GroupRuling.group_id == group_id, GroupRuling.superseded_at.is_(None))
    ).one_or_none()


def regroup(session: Session, catalog_id: int) -> int:
    """Make the groups anew from what was compared, the catalog's products, and what people said. Returns how many."""
    lock(session, catalog_id)
    groups = duplicates.current_groups(
        session, catalog_id, _apart(session, catalog_id), best_order.order_of(session, catalog_id)
    )
    ruled = select(GroupRuling.group_id).where(GroupRuling.superseded_at.is_(None))
    duplicates.keep(session, catalog_id, groups, set(session.scalars(ruled)))
    duplicates.mark(session, catalog_id)
    return len(groups)


def drop(session: Session, catalog_id: int) -> None:
    """Forget the groups of a catalog that goes as a whole, and what was said of them: rulings that follow one another
    go together, for photos alone would take away some of them."""
    session.execute(delete(CopyPair).where(CopyPair.catalog_id == catalog_id))
    session.execute(delete(DuplicateGroup).where(DuplicateGroup.catalog_id == catalog_id))


def newest(session: Session, person: Person) -> GroupRuling | None:
    """The newest ruling of this person that still stands."""
    mine = (GroupRuling.person_id == person.id, GroupRuling.superseded_at.is_(None))
    return session.scalars(select(GroupRuling).where(*mine).order_by(GroupRuling.id.desc()).limit(1)).first()


def undo(session: Session, ruling: GroupRuling) -> Undone:
    """Take back the act that a ruling is of, with its decisions."""
    catalog_id = session.scalar(select(DuplicateGroup.catalog_id).where(DuplicateGroup.id == ruling.group_id)) or 0
    lock(session, catalog_id)
    now = utc_now()
    of_act = (GroupRuling.person_id == ruling.person_id, GroupRuling.created_at == ruling.created_at)
    undone = session.execute(
        update(GroupRuling)
        .where(*of_act, GroupRuling.superseded_at.is_(None))
        .values(superseded_at=now, undone_at=now)
        .returning(GroupRuling.group_id, GroupRuling.parent_id, GroupRuling.kind, GroupRuling.best_id)
        .execution_options(synchronize_session=False)
    ).all()
    parents = [row.parent_id for row in undone if row.parent_id is not None]
    session.execute(
        update(GroupRuling)
        .where(GroupRuling.id == any_(cast(parents, ARRAY(BigInteger))))
        .values(superseded_at=None)
        .execution_options(synchronize_session=False)
    )
    decided = session.scalars(
        select(Decision)
        .where(Decision.person_id == ruling.person_id, Decision.created_at == ruling.created_at)
        .where(Decision.superseded_at.is_(None))
        .limit(1)
    ).first()
    if decided is not None:
        undoing.undo_act(session, decided)
    numbers = [row.group_id for row in undone]
    _after(session, catalog_id, numbers)
    many = f"{len(undone):,} groups are" if len(undone) > 1 else "The group is"
    back = "as before" if parents else "open again"
    return Undone(f"{many} {back}.", undone[0].best_id if undone else None, len(undone))


def lock(session: Session, catalog_id: int) -> None:
    """Hold the catalog's groups until the transaction ends; before its decisions, never after."""
    session.execute(select(func.pg_advisory_xact_lock(LOCK, catalog_id)))


def _members(session: Session, group_ids: Sequence[int]) -> list[DuplicateMember]:
    chosen = any_(cast(list(group_ids), ARRAY(BigInteger)))
    return list(session.scalars(select(DuplicateMember).where(DuplicateMember.group_id == chosen)))


def _record(
    session: Session,
    groups: Sequence[tuple[DuplicateGroup, int]],
    members: Sequence[DuplicateMember],
    person: Person,
    kind: Ruling,
) -> Ruled:
    now = utc_now()
    numbers = any_(cast([group.id for group, _ in groups], ARRAY(BigInteger)))
    superseded = (
        update(GroupRuling)
        .where(GroupRuling.group_id == numbers, GroupRuling.superseded_at.is_(None))
        .values(superseded_at=now)
        .returning(GroupRuling.group_id, GroupRuling.id)
        .execution_options(synchronize_session=False)
    )
    before: dict[int, int] = {row.group_id: row.id for row in session.execute(superseded)}
    rows = [
        {
            "group_id": group.id, "kind": kind, "best_id": best_id, "person_id": person.id, "created_at": now,
            "parent_id": before.get(group.id),
        }
        for group, best_id in groups
    ]  # fmt: skip
    catalog_id, best_of = groups[0][0].catalog_id, {group.id: best_id for group, best_id in groups}
    session.execute(insert(GroupRuling), rows)
    _after(session, catalog_id, list(best_of), best_of)
    linked = 0
    if kind == "linked":
        rest = [m for m in _members(session, list(best_of)) if m.image_id != best_of[m.group_id] and not m.is_variant]
        linked = len(rest)
        verdicts: list[tuple[int, str, str | None]] = [(m.image_id, "rejected", LINKED_REASON) for m in rest]
        verdicts += [(number, "kept", None) for number in _takes_over(session, rest, best_of)]
        _decide_together(session, catalog_id, verdicts, person, now)
    return Ruled(len(groups), linked)


def _decide_together(
    session: Session, catalog_id: int, verdicts: Sequence[tuple[int, str, str | None]], person: Person, now: datetime
) -> None:
    """Decisions on photos of one catalog, as (photo, verdict, reason), in an act that something else belongs to.

    `now` is when the act is done. A photo that is so already by a person's decision stays as it is.
    """
    decisions.lock(session, catalog_id)
    for verdict, reason in sorted({(verdict, reason or "") for _, verdict, reason in verdicts}):
        ids = [number for number, *said in verdicts if said == [verdict, reason or None]]
        is_so = (Decision.verdict == verdict, Decision.person_id.is_not(None), Decision.superseded_at.is_(None))
        chosen = any_(cast(ids, ARRAY(BigInteger)))
        already = set(session.scalars(select(Decision.image_id).where(Decision.image_id == chosen, *is_so)))
        others = [number for number in ids if number not in already]
        decisions.replace(session, others, now, verdict=verdict, reason=reason or None, person_id=person.id)


def _takes_over(session: Session, rest: Sequence[DuplicateMember], best_of: dict[int, int]) -> set[int]:
    """The best photos that nobody decided on, where somebody kept one that is now linked to them."""
    chosen = any_(cast([*{member.image_id for member in rest}, *best_of.values()], ARRAY(BigInteger)))
    decided = select(Decision.image_id, Decision.verdict).where(
        Decision.image_id == chosen, Decision.superseded_at.is_(None), Decision.person_id.is_not(None)
    )
    verdicts = {row.image_id: row.verdict for row in session.execute(decided)}
    kept = {best_of[member.group_id] for member in rest if verdicts.get(member.image_id) == "kept"}
    return kept - set(verdicts)


def _after(session: Session, catalog_id: int, group_ids: Sequence[int], best_of: dict[int, int] | None = None) -> None:
    """Bring groups and photos in line with what is said of these groups now."""
    chosen = any_(cast(list(group_ids), ARRAY(BigInteger)))
    rulings = select(GroupRuling).where(GroupRuling.group_id == chosen, GroupRuling.superseded_at.is_(None))
    best_now = best_of or {ruling.group_id: ruling.best_id for ruling in session.scalars(rulings)}
    members, order = _members(session, group_ids), best_order.order_of(session, catalog_id)
    for group in session.scalars(select(DuplicateGroup).where(DuplicateGroup.id == chosen)):
        wanted = best_now.get(group.id)
        if wanted == group.best_id:
            continue
        photos = duplicates.photos_of(session, [m.image_id for m in members if m.group_id == group.id])
        pairs = duplicates.pairs_of(session, catalog_id, [photo.image_id for photo in photos])
        anew = grouping.ranked(grouping.grade_named(group.grade), photos, pairs, wanted, order)
        if wanted is None and group.best_id == anew.members[0].image_id:
            continue
        group.best_id, group.reason = anew.members[0].image_id, anew.reason
        duplicates.write_members(session, {group.id: anew})
    session.flush()
    numbers = {member.image_id for member in members}
    duplicates.mark(session, catalog_id, numbers)
    linked = (
        exists()
        .where(DuplicateMember.image_id == Image.id, DuplicateMember.group_id == GroupRuling.group_id)
        .where(GroupRuling.kind == "linked", GroupRuling.superseded_at.is_(None))
        .where(GroupRuling.best_id != Image.id, DuplicateMember.is_variant.is_(False))
    )
    session.execute(
        update(Image)
        .where(Image.id == any_(cast(sorted(numbers), ARRAY(BigInteger))), Image.is_linked != linked)
        .values(is_linked=linked)
        .execution_options(synchronize_session=False)
    )
    session.expire_all()


def _apart(session: Session, catalog_id: int) -> set[Edge]:
    """Pairs of photos that somebody said are no duplicates."""
    rows = session.scalars(
        select(func.array_agg(DuplicateMember.image_id))
        .join(GroupRuling, GroupRuling.group_id == DuplicateMember.group_id)
        .join(DuplicateGroup, DuplicateGroup.id == DuplicateMember.group_id)
        .where(DuplicateGroup.catalog_id == catalog_id, GroupRuling.kind == "apart")
        .where(GroupRuling.superseded_at.is_(None))
        .group_by(GroupRuling.group_id)
    )
    return {edge for numbers in rows for edge in combinations(sorted(numbers), 2)}
