"""What the database knows of a version's members: what a plan and the checks need, counted in a few queries."""

from __future__ import annotations

from sqlalchemy import Integer, func, select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog.mend_tables import Mend
from app.catalog.tables import Image
from app.datasets.tables import DatasetVersion, Member
from app.launch.checks import LARGE_PX, MemberCounts
from app.launch.facts import DataFacts

_OBLONG = 1.1
_WORD = r"\S+"
_MORE_SENTENCES = r"[.!?]\s+\S"


def facts(session: Session, version: DatasetVersion) -> DataFacts:
    """What a plan is made from. A version without members gives zeros."""
    sides = func.greatest(Image.width_px, Image.height_px) * 1.0 / func.least(Image.width_px, Image.height_px)
    words = func.regexp_count(Caption.text, _WORD)
    row = session.execute(
        select(
            func.count(Member.group.distinct()),
            func.avg((sides > _OBLONG).cast(Integer)),
            func.percentile_cont(0.5).within_group(words),
            func.avg(Caption.text.regexp_match(_MORE_SENTENCES).cast(Integer)),
        )
        .join(Image, Image.id == Member.image_id)
        .join(Caption, Caption.id == Member.caption_id)
        .where(Member.version_id == version.id)
    ).one()
    return DataFacts(
        train=version.train_count,
        validation=version.validation_count,
        products=row[0],
        oblong_share=float(row[1] or 0),
        caption_words=float(row[2] or 0),
        long_share=float(row[3] or 0),
    )


def counted(session: Session, version: DatasetVersion) -> MemberCounts:
    """What the checks look at: empty captions, what is in both splits, how small photos are, and their masks."""
    of_version = Member.version_id == version.id
    empty = (
        select(func.count())
        .select_from(Member)
        .join(Caption, Caption.id == Member.caption_id)
        .where(of_version, ~Caption.text.regexp_match(_WORD))
    )
    in_both = func.count(Member.split.distinct()) > 1
    products = select(Member.group).where(of_version).group_by(Member.group).having(in_both)
    pictures = (
        select(Image.sha256)
        .join(Member, Member.image_id == Image.id)
        .where(of_version)
        .group_by(Image.sha256)
        .having(in_both)
    )
    side = func.greatest(Image.width_px, Image.height_px)
    small = (
        select(side, func.count())
        .join(Member, Member.image_id == Image.id)
        .where(of_version, side < LARGE_PX)
        .group_by(side)
        .order_by(side)
    )
    masks = (
        select(func.count())
        .select_from(Member)
        .join(Mend, Mend.id == Member.mend_id)
        .where(of_version, Member.split == "train", Mend.mended_mask_sha256.is_not(None))
    )
    return MemberCounts(
        version_id=version.id,
        train=version.train_count,
        validation=version.validation_count,
        empty_captions=session.scalar(empty) or 0,
        leaking_products=session.scalar(select(func.count()).select_from(products.subquery())) or 0,
        leaking_pictures=session.scalar(select(func.count()).select_from(pictures.subquery())) or 0,
        long_sides=tuple((row[0], row[1]) for row in session.execute(small)),
        uncompared=version.uncompared_count,
        masks=session.scalar(masks) or 0,
    )
