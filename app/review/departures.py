"""What becomes of groups of duplicates when photos leave a catalog for good.

What people said of a group goes on for those that are left. Only where the best goes are the photos that were linked to
it as they were before: they are copies of nothing that is there any more.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import BigInteger, any_, cast, delete, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.catalog import duplicates
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, DuplicateMember
from app.catalog.grouping import GroupMember, PhotoGroup
from app.catalog.tables import Image
from app.database import utc_now
from app.review import decisions
from app.review.duplicates import LINKED_REASON, lock
from app.review.tables import Decision, GroupRuling


def linked_to(session: Session, image_id: int) -> list[int]:
    """The photos that somebody linked to this one as its copies."""
    query = (
        select(DuplicateMember.image_id)
        .join(GroupRuling, GroupRuling.group_id == DuplicateMember.group_id)
        .join(Image, Image.id == DuplicateMember.image_id)
        .where(GroupRuling.best_id == image_id, GroupRuling.kind == "linked", GroupRuling.superseded_at.is_(None))
        .where(DuplicateMember.image_id != image_id, DuplicateMember.is_variant.is_(False), Image.is_linked)
        .order_by(DuplicateMember.image_id)
    )
    return list(session.scalars(query.distinct()))


def let_go(session: Session, catalog_id: int, image_id: int) -> None:
    """Take a photo out of its catalog's groups, before it is removed."""
    lock(session, catalog_id)
    freed = linked_to(session, image_id)
    held = select(DuplicateMember.group_id).where(DuplicateMember.image_id == image_id)
    groups = session.scalars(select(DuplicateGroup).where(DuplicateGroup.id.in_(held)).order_by(DuplicateGroup.id))
    left = set[int]()
    for group in groups.all():
        left |= _shrink(session, group, image_id)
    session.execute(delete(DuplicateMember).where(DuplicateMember.image_id == image_id))
    session.execute(delete(CopyPair).where(or_(CopyPair.first_id == image_id, CopyPair.second_id == image_id)))
    session.flush()
    _free(session, catalog_id, freed)
    duplicates.mark(session, catalog_id, left)
    session.expire_all()


def _shrink(session: Session, group: DuplicateGroup, image_id: int) -> set[int]:
    """A group without one of its photos, which a group of one is no more; the photos that are left."""
    its = select(DuplicateMember).where(DuplicateMember.group_id == group.id, DuplicateMember.image_id != image_id)
    members = session.scalars(its.order_by(DuplicateMember.is_variant, DuplicateMember.image_id)).all()
    left = {member.image_id for member in members}
    if len(left) < 2:
        session.delete(group)
        session.flush()
        return left
    named = PhotoGroup("photo", tuple(GroupMember(number) for number in sorted(left)), "")
    same = (DuplicateGroup.grade == group.grade, DuplicateGroup.members_hash == named.members_hash)
    # One that was found before other photos came, and is what this one becomes.
    older = select(DuplicateGroup.id).where(DuplicateGroup.catalog_id == group.catalog_id, *same)
    session.execute(delete(DuplicateGroup).where(DuplicateGroup.id.in_(older)))
    group.size, group.members_hash = len(left), named.members_hash
    of_group = (GroupRuling.group_id == group.id, GroupRuling.best_id == image_id)
    if group.best_id == image_id:
        group.best_id = members[0].image_id
    now = utc_now()
    is_linked = (GroupRuling.kind.in_(("linked", "best")), GroupRuling.superseded_at.is_(None))
    session.execute(update(GroupRuling).where(*of_group, *is_linked).values(superseded_at=now, undone_at=now))
    session.execute(update(GroupRuling).where(*of_group).values(best_id=group.best_id))
    session.flush()
    return left


def _free(session: Session, catalog_id: int, image_ids: Collection[int]) -> None:
    """Take back that these photos are copies: what was decided of them before counts again, or what rules say."""
    if not image_ids:
        return
    decisions.lock(session, catalog_id)
    chosen, now = any_(cast(list(image_ids), ARRAY(BigInteger))), utc_now()
    undone = session.execute(
        update(Decision)
        .where(Decision.image_id == chosen, Decision.superseded_at.is_(None), Decision.reason == LINKED_REASON)
        .values(superseded_at=now, undone_at=now)
        .returning(Decision.parent_id)
        .execution_options(synchronize_session=False)
    ).all()
    parents = any_(cast([parent for (parent,) in undone if parent is not None], ARRAY(BigInteger)))
    back = update(Decision).where(Decision.id == parents).values(superseded_at=None)
    session.execute(back.execution_options(synchronize_session=False))
    unlinked = update(Image).where(Image.id == chosen).values(is_linked=False)
    session.execute(unlinked.execution_options(synchronize_session=False))
    session.expire_all()
    decisions.apply_rules(session, image_ids)
