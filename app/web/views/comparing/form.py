"""What the page that puts a comparison together shows: what was chosen, what there is to choose, what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from sqlalchemy.orm import Session
from starlette.datastructures import FormData, QueryParams

from app.cycles import ledger
from app.datasets import comparing, reading
from app.datasets.reading import VersionRow
from app.errors import Refused
from app.evaluation import choosing, differing, sheets, suites, tiers
from app.evaluation.choosing import Choices, Drawing
from app.evaluation.columns import MOST_COLUMNS, ColumnWish
from app.evaluation.comparison import PHOTOS_KEY
from app.evaluation.tables import Sheet, Suite
from app.evaluation.tiers import TIERS, Tier
from app.settings import Settings
from app.training.tables import TrainingRun


@dataclass(frozen=True)
class ChosenColumns:
    """What a form or an address asks for. `sheet` is the comparison to change, None for a new one."""

    suite: Suite | None
    sheet: Sheet | None
    name: str
    wishes: list[ColumnWish]


@dataclass(frozen=True)
class ComparingView:
    """The page. `tier_by_key` are the chosen columns; `drawing` and `amount` are None while nothing fits is chosen."""

    suites: Sequence[Suite]
    chosen: ChosenColumns
    choices: Choices
    versions: dict[int, VersionRow]
    recipes: dict[int, str]
    tier_by_key: dict[str, Tier]
    tiers: list[tuple[str, str]]
    drawing: Drawing | None
    amount: Decimal | None
    differences: list[str]
    fault: str
    currency: str
    most: int = MOST_COLUMNS


def understood(session: Session, sent: FormData | QueryParams) -> ChosenColumns:
    """What is asked for. Raises Refused for a column or a tier that is none, NotFound for what is not there."""
    changes = _number(str(sent.get("sheet") or ""), "sheet")
    begun_from = _number(str(sent.get("from") or ""), "sheet")
    sheet = sheets.get(session, changes) if changes else None
    if sheet is not None and sheet.run_id is not None:
        raise Refused("The sheet of a run has its checkpoints as columns; make a comparison to choose others.")
    source = sheet or (sheets.get(session, begun_from) if begun_from else None)
    suite_id = _number(str(sent.get("suite") or ""), "suite") if sheet is None else sheet.suite_id
    if suite_id is None and source is not None:
        suite_id = source.suite_id
    suite = suites.get(session, suite_id) if suite_id else next(iter(choosing.recent_suites(session, 1)), None)
    wishes = [_wish(str(column), str(sent.get(f"tier.{column}") or "")) for column in sent.getlist("column")]
    if not wishes and source is not None and "chosen" not in sent:
        wishes = choosing.chosen_of(session, source)
    name = str(sent.get("name") if "name" in sent else (sheet.name if sheet and sheet.name else ""))[:120]
    return ChosenColumns(suite, sheet, name, choosing.in_order(session, wishes))


def view(session: Session, settings: Settings, chosen: ChosenColumns, is_asked: bool) -> ComparingView:
    """The page for what was chosen. `is_asked`: somebody chose it, so what is wrong with it is said."""
    numbers = [wish.checkpoint_id for wish in chosen.wishes if wish.checkpoint_id is not None]
    there = choosing.choices(session, numbers)
    fault, drawing, amount = "", None, None
    try:
        choosing.refuse_unfit(chosen.wishes)
    except Refused as refusal:
        fault = refusal.sentence
    if chosen.suite is not None and not fault:
        drawing = choosing.drawing(session, chosen.suite, chosen.wishes)
        if drawing.seconds is not None:
            amount = ledger.price("gpu", drawing.seconds, 1, settings)
    listed = [choice.run for choice in there.runs] + [run for run, _ in there.bases]
    has_hold_out = chosen.suite is not None and choosing.has_hold_out(session, chosen.suite)
    return ComparingView(
        suites=choosing.recent_suites(session),
        chosen=chosen,
        choices=there,
        versions={run.id: reading.get(session, run.version_id) for run in listed},
        recipes={run.id: differing.recipe_line(run.recipe) for run in listed},
        tier_by_key={key_of(wish): wish.tier for wish in chosen.wishes},
        tiers=[(tier, tiers.name_of(tier)) for tier in TIERS if tier != "hold_out" or has_hold_out],
        drawing=drawing,
        amount=amount,
        differences=differences(session, choosing.runs_of(session, chosen.wishes)),
        fault=fault if is_asked else "",
        currency=settings.currency,
    )


def key_of(wish: ColumnWish) -> str:
    """A column as the form names it."""
    return PHOTOS_KEY if wish.checkpoint_id is None else str(wish.checkpoint_id)


def differences(session: Session, compared: Sequence[TrainingRun]) -> list[str]:
    """What differs between runs in recipe, photos and captions, a sentence each; nothing for one run."""
    if len(compared) < 2:
        return []
    sentences = differing.among([(str(run.id), run.recipe) for run in compared])
    numbers = sorted({run.version_id for run in compared})
    versions = {number: reading.get(session, number) for number in numbers}
    for older, newer in pairwise(numbers):
        counts = comparing.changes(session, versions[newer].version, versions[older].version)
        by_kind: dict[str, int] = {kind: counts.of(kind) for kind in comparing.KINDS}
        sentences.append(differing.photos(by_kind, _called(versions[newer]), _called(versions[older])))
    if len(numbers) > 1:
        for number in numbers:
            writers = [(writer.written_by, writer.name, writer.count) for writer in reading.writers(session, number)]
            sentences.append(f"Captions of {_called(versions[number])}: {differing.captions(writers)}.")
    return sentences or ["Their recipes, photos and captions are the same."]


def _called(row: VersionRow) -> str:
    return f"{row.catalog_name}, version {row.version.number}"


def _wish(column: str, tier: str) -> ColumnWish:
    if tier not in ("", *TIERS):
        raise Refused(f"There is no tier “{tier[:40]}”.")
    number = None if column == PHOTOS_KEY else _number(column, "checkpoint")
    if column != PHOTOS_KEY and number is None:
        raise Refused("A column is a checkpoint’s number, or “photos”.")
    return ColumnWish(number, tiers.known(tier or "full"))


def _number(text: str, what: str) -> int | None:
    """A number as an address has it; None for none. Raises Refused."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise Refused(f"“{text[:40]}” is not the number of a {what}.")
    return int(text)
