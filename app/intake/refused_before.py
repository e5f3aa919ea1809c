"""What the rows of refused files mean when the same files are met again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ARRAY, ColumnElement, Select, Text, any_, cast, delete, func, select, tuple_
from sqlalchemy.orm import Session, aliased

from app.catalog.tables import Intake, SourceFile

Key = tuple[str, str]
"""A file's name and the SHA-256 of its bytes, empty where they were not read."""


def left_out(session: Session, catalog_id: int, keys: Sequence[Key]) -> set[Key]:
    """Those of the files that somebody left out of this catalog for good."""
    query = select(SourceFile.file_name, SourceFile.sha256).where(
        SourceFile.catalog_id == catalog_id,
        SourceFile.outcome == "left_out",
        tuple_(SourceFile.file_name, SourceFile.sha256).in_(_unnested(keys)),
    )
    return {(row.file_name, row.sha256) for row in session.execute(query)}


def forget_replaced(session: Session, intake_id: int, keys: Sequence[Key]) -> None:
    """Forget what was refused of earlier bytes of these files: somebody mended them where they lie.

    Only files of the same folder are the same files; another folder may have others of these names.
    """
    if not keys:
        return
    now = session.get_one(Intake, intake_id)
    earlier = aliased(Intake)
    session.execute(
        delete(SourceFile).where(
            SourceFile.catalog_id == now.catalog_id,
            SourceFile.outcome == "refused",
            SourceFile.file_name == any_(_texts([name for name, _ in keys])),
            tuple_(SourceFile.file_name, SourceFile.sha256).not_in(_unnested(keys)),
            SourceFile.intake_id.in_(
                select(earlier.id).where(earlier.catalog_id == now.catalog_id, earlier.folder == now.folder)
            ),
        )
    )


def _unnested(keys: Sequence[Key]) -> Select[tuple[str, str]]:
    """The keys as rows. Two arrays are sent: a parameter for each name and hash took longer to write than to ask."""
    return select(*(func.unnest(_texts([key[at] for key in keys])) for at in (0, 1)))


def _texts(values: Sequence[str]) -> ColumnElement[Sequence[str]]:
    return cast(list(values), ARRAY(Text))
