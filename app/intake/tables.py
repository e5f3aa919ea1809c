"""What an intake has listed and not yet brought to its end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Intake
from app.database import Base, BigId


class IntakeFile(Base):
    """One entry of a source, staged until its intake is over, so that any worker can take in a share of them.

    `place` is the SHA-256 of the locator: listed again, an entry is the same row. Kinds: `picture`, to be read;
    `refused`, for `reason`; `caption`, a file beside pictures whose `text` is a caption or whose fields are `said`;
    `photo`, one that the catalog has already and that words came for; `other`. `stem` is what the names of a picture
    and of what stands beside it have in common. `said` are the fields of the metadata row that is for a picture,
    `given` the captions that came with it, the one that counts first. `outcome` and `image_id` are set once the entry
    is in the catalog; they are those of its source file.
    """

    __tablename__ = "intake_file"
    __table_args__ = (
        UniqueConstraint("intake_id", "place"),
        Index("ix_intake_file_intake_id_stem_id", "intake_id", "stem", "id"),
        Index("ix_intake_file_intake_id_image_id", "intake_id", "image_id"),
        Index("ix_intake_file_intake_id_id", "intake_id", "id"),
        CheckConstraint("kind in ('picture','refused','caption','other','photo')", name="kind"),
        CheckConstraint("outcome in ('accepted','same_bytes','refused')", name="outcome"),
    )

    id: Mapped[BigId]
    intake_id: Mapped[int] = mapped_column(ForeignKey(Intake.id, ondelete="CASCADE"))
    place: Mapped[bytes] = mapped_column(LargeBinary)
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    stem: Mapped[str] = mapped_column(Text(collation="C"))
    locator: Mapped[dict[str, Any]] = mapped_column(JSONB)
    said: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    given: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    text: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(Text)
    image_id: Mapped[int | None] = mapped_column(BigInteger)
