"""Tables of codes: how photos look in 512 bits each, by which the nearest of very many are found."""

from __future__ import annotations

from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import EmbeddingSpace, Image
from app.database import Base


class LookAxis(Base):
    """What one bit of a code tells: whether a vector's part along `axis`, which has as many numbers, is above `bound`.

    A space has as many axes as a code has bits, numbered from 0, or none.
    """

    __tablename__ = "look_axis"

    space_id: Mapped[int] = mapped_column(ForeignKey(EmbeddingSpace.id, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    axis: Mapped[Any] = mapped_column(HALFVEC)
    bound: Mapped[float]


class LookCode(Base):
    """The code of one image's vector by the axes of its space; None where it has no vector any more, or no axes.

    `xact` is the transaction that wrote it, by which readers find what was committed since they looked last: as in
    `app/selection/changes.py`, the order in which transactions become visible is not that of their numbers.
    """

    __tablename__ = "look_code"
    __table_args__ = (Index("ix_look_code_catalog_id_xact", "catalog_id", "xact"),)

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    catalog_id: Mapped[int] = mapped_column(BigInteger)
    space_id: Mapped[int] = mapped_column(BigInteger)
    code: Mapped[str | None] = mapped_column(BIT(512))
    xact: Mapped[int] = mapped_column(BigInteger, server_default=text("pg_current_xact_id()::text::bigint"))
