"""The real photos beside a suite's prompts: what a prompt asks for, on photos that no version learns from."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.orm import Session

from app.catalog.tables import Image, Signals
from app.datasets.tables import DatasetVersion, Member
from app.evaluation import suites
from app.evaluation.catalog_products import products_in
from app.evaluation.product_suite import Product, is_seen
from app.evaluation.tables import Prompt, PromptPhoto, Suite
from app.selection.query import parse

LOOKED_AT: Final = 3_000
# What can be held against a photo. A prompt that claims more (a view, a text, a second thing) gets none: nobody can
# tell whether the photo shows it.
_TOLD: Final = frozenset({"object", "colour", "material", "background", "count"})
_COPIES: Final = ("bytes", "pixels", "photo")


def choose(session: Session, suite: Suite) -> int:
    """Put photos beside the prompts of a suite, one for each seed as far as there are; how many.

    They are of its catalog, not rejected, in the train split of no version, and no copy of another photo.
    """
    session.execute(
        delete(PromptPhoto).where(PromptPhoto.prompt_id.in_(select(Prompt.id).where(Prompt.suite_id == suite.id)))
    )
    if suite.catalog_id is None:
        return 0
    candidates = _candidates(session, suite.catalog_id)
    shown = products_in(session, list(candidates))
    rows = []
    for prompt in suites.prompts_of(session, suite):
        fitting = [number for number, product in shown.items() if _fits(prompt, product, candidates[number])]
        # Another photo first for every prompt, so that raters do not see the same few again and again.
        start = prompt.position % len(fitting) if fitting else 0
        turned = [*fitting[start:], *fitting[:start]][: len(suite.seeds)]
        rows += [PromptPhoto(prompt_id=prompt.id, position=place, image_id=it) for place, it in enumerate(turned)]
    session.add_all(rows)
    session.flush()
    return len(rows)


def _candidates(session: Session, catalog_id: int) -> dict[int, str | None]:
    """Photos that may stand beside prompts, with their measured background; the same ones every time."""
    selection = parse("-decision:rejected", catalog_id)
    is_free = ~_is_trained_on(catalog_id) & Image.copies.not_in(_COPIES)
    statement = selection.select(Image.id, Signals.background).where(is_free)
    per_kind = func.row_number().over(partition_by=Image.category_key, order_by=Image.sha256)
    rows = session.execute(statement.order_by(per_kind, Image.sha256).limit(LOOKED_AT))
    return {row.id: row.background for row in rows}


def _is_trained_on(catalog_id: int) -> ColumnElement[bool]:
    return exists().where(
        Member.image_id == Image.id,
        Member.split == "train",
        Member.version_id == DatasetVersion.id,
        DatasetVersion.catalog_id == catalog_id,
    )


def _fits(prompt: Prompt, product: Product, background: str | None) -> bool:
    atoms: dict[str, Any] = prompt.atoms
    if "object" not in atoms or set(atoms) - _TOLD or atoms.get("count", 1) != 1:
        return False
    if "background" in atoms and atoms["background"] != background:
        return False
    return bool(is_seen(atoms, [product]))
