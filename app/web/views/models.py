"""What the pages of models show: which is live, what was before, what each was judged by, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy.orm import Session

from app import people
from app.catalog.tables import Catalog
from app.database import utc_now
from app.datasets import reading
from app.datasets.reading import VersionRow
from app.evaluation import judging, promoting, sheets, shipping
from app.evaluation.model_card import Usability
from app.evaluation.promotion_tables import Promotion
from app.evaluation.shipping import ShippedFiles
from app.evaluation.shipping_tables import Candidacy
from app.evaluation.tables import Sheet
from app.launch import licences
from app.launch.facts import LicensedPart
from app.settings import PROJECT, Settings
from app.storage import Storage
from app.training import runs
from app.training.tables import Checkpoint, TrainingRun

PICTURES: Final = 8
SHOWN_AT_MOST: Final = 200
_STATES: Final = {
    "live": ("keep", "tick", "live"),
    "replaced": ("", "", "before"),
    "rolled_back": ("work", "undo", "rolled back"),
    "withdrawn": ("work", "undo", "withdrawn"),
    "candidate": ("act", "plus", "candidate"),
}


@dataclass(frozen=True)
class ModelRow:
    """A line of the history: a promotion, or a candidate where `promotion` is None.

    `tag` is its state as kind, icon and word. `low` and `high` bound the share that is usable with 95 %.
    """

    promotion: Promotion | None
    candidacy: Candidacy | None
    checkpoint: Checkpoint
    run: TrainingRun
    version: VersionRow
    by: str
    tag: tuple[str, str, str]
    usability: Usability | None
    low: float
    high: float
    is_there: bool


@dataclass(frozen=True)
class Span:
    """How long a model was live, as shares of the time that is shown."""

    start: float
    width: float
    label: str
    is_live: bool
    is_taken_back: bool
    words: str


@dataclass(frozen=True)
class ModelShown:
    """The one model that is looked at, with all that belongs to it."""

    row: ModelRow
    files: ShippedFiles
    pictures: list[int]
    picture_count: int
    parts: Sequence[LicensedPart]
    cost: Decimal | None
    sheet: Sheet | None
    sheet_title: str
    asked_by: str
    lines: list[dict[str, Any]]
    decision: str
    earlier: ModelRow | None
    is_live: bool


@dataclass(frozen=True)
class ModelsView:
    """The models of a catalog. `catalog` is None where nothing was ever asked for."""

    catalog: Catalog | None
    catalogs: list[Catalog]
    rows: list[ModelRow]
    spans: list[Span]
    since: datetime | None
    shown: ModelShown | None
    shipped: int
    taken_back: int
    waiting: int
    currency: str
    refusal: str = ""
    note: str = ""


@dataclass(frozen=True)
class CandidateView:
    """A checkpoint before it is asked for (`candidacy` None), while it waits, or once somebody ended that."""

    row: ModelRow
    candidacy: Candidacy | None
    catalog: Catalog
    sheet: Sheet | None
    sheet_title: str
    decision: str
    lines: list[dict[str, Any]]
    needs_note: bool
    live: ModelRow | None
    expected_id: int
    is_own: bool
    others: list[Checkpoint]
    obstacle: str
    refusal: str = ""
    note: str = ""


def view(
    session: Session,
    config: Settings,
    storage: Storage,
    catalog_id: int | None,
    shown_id: int | None,
    refusal: str = "",
    note: str = "",
) -> ModelsView:
    """The page of models: of one catalog, or of the first that has a live one; `shown_id` is a promotion of it."""
    there = promoting.catalogs(session)
    if shown_id is not None:
        catalog_id = promoting.get(session, shown_id).catalog_id
    if catalog_id is None and there:
        catalog_id = next((each.id for each in there if promoting.live(session, each.id)), there[0].id)
    catalog = promoting.catalog(session, catalog_id) if catalog_id is not None else None
    if catalog is None:
        return ModelsView(None, there, [], [], None, None, 0, 0, 0, config.currency)
    past = list(promoting.history(session, catalog.id))
    waiting = list(promoting.candidates(session, catalog.id))
    made = _rows(session, storage, past[-SHOWN_AT_MOST:], waiting)
    rows = sorted(made, key=lambda row: (row.promotion is None or row.promotion.ended_at is not None, -_moment(row)))
    wanted = shown_id if shown_id is not None else next((each.id for each in past if each.ended_at is None), None)
    chosen = next((row for row in rows if row.promotion and row.promotion.id == wanted), None)
    return ModelsView(
        catalog=catalog,
        catalogs=there,
        rows=rows,
        spans=_spans(past, {row.promotion.id: row for row in rows if row.promotion}),
        since=past[0].created_at if past else None,
        shown=_shown(session, storage, chosen, past, rows) if chosen else None,
        shipped=sum(each.rolls_back_id is None for each in past),
        taken_back=sum(each.end_cause in ("rolled_back", "withdrawn") for each in past),
        waiting=len(waiting),
        currency=config.currency,
        refusal=refusal,
        note=note,
    )


def candidate(
    session: Session,
    storage: Storage,
    me: people.Person,
    checkpoint_id: int,
    sheet_id: int | None,
    candidacy: Candidacy | None = None,
    refusal: str = "",
    note: str = "",
) -> CandidateView:
    """A checkpoint that somebody wants to ship, with what its gate says as it stands."""
    checkpoint, run, catalog = promoting.origin_of(session, checkpoint_id)
    sheet = sheets.get(session, sheet_id) if sheet_id is not None else None
    decision = judging.decision(session, sheet_id, checkpoint_id)
    now = promoting.live(session, catalog.id)
    obstacle = ""
    if candidacy is None or candidacy.ended_at is None:
        obstacle = promoting.why_not(session, storage, checkpoint, run, catalog) or ""
    return CandidateView(
        row=_row(session, storage, None, candidacy, checkpoint_id),
        candidacy=candidacy,
        catalog=catalog,
        sheet=sheet,
        sheet_title=_title(sheet) if sheet else "",
        decision=str(decision["kind"]) if decision else "",
        lines=list(decision["lines"]) if decision else [],
        needs_note=decision is None or decision["kind"] != promoting.SHIPS,
        live=_row(session, storage, now.promotion, None, now.checkpoint.id) if now else None,
        expected_id=now.promotion.id if now else 0,
        is_own=candidacy is not None and candidacy.asked_by_id == me.id,
        others=promoting.choices(session, run) if candidacy is None else [],
        obstacle=obstacle,
        refusal=refusal,
        note=note,
    )


def _title(sheet: Sheet) -> str:
    return f"Run {sheet.run_id}" if sheet.run_id else sheet.name or f"Comparison {sheet.id}"


def _moment(row: ModelRow) -> float:
    at = row.promotion.created_at if row.promotion else row.candidacy.created_at if row.candidacy else utc_now()
    return at.timestamp()


def _rows(
    session: Session, storage: Storage, past: Sequence[Promotion], waiting: Sequence[Candidacy]
) -> list[ModelRow]:
    promoted = [_row(session, storage, each, None, each.checkpoint_id) for each in past]
    return promoted + [_row(session, storage, None, each, each.checkpoint_id) for each in waiting]


def _row(
    session: Session,
    storage: Storage,
    promotion: Promotion | None,
    candidacy: Candidacy | None,
    checkpoint_id: int,
) -> ModelRow:
    checkpoint = session.get_one(Checkpoint, checkpoint_id)
    run = session.get_one(TrainingRun, checkpoint.run_id)
    said = next(iter(shipping.usability(session, [checkpoint_id]).get(checkpoint_id, [])), None)
    low, high = shipping.bounds(said) if said else (0.0, 1.0)
    person_id = promotion.signed_by_id if promotion else candidacy.asked_by_id if candidacy else 0
    state = (promotion.end_cause or "live") if promotion else "candidate"
    return ModelRow(
        promotion=promotion,
        candidacy=candidacy,
        checkpoint=checkpoint,
        run=run,
        version=reading.get(session, run.version_id),
        by=people.names(session, {person_id}).get(person_id, ""),
        tag=_STATES[state],
        usability=said,
        low=low,
        high=high,
        is_there=promoting.is_there(storage, checkpoint),
    )


def _spans(past: Sequence[Promotion], rows: dict[int, ModelRow]) -> list[Span]:
    """Which model was live when, since the first one."""
    if not past:
        return []
    now = utc_now()
    first, whole = past[0].created_at, max(1.0, (now - past[0].created_at).total_seconds())
    spans = []
    for each in past:
        row = rows.get(each.id)
        if row is None:
            continue
        end = each.ended_at or now
        label = f"{row.run.id} · {row.checkpoint.step:,}"
        spans.append(
            Span(
                start=(each.created_at - first).total_seconds() / whole,
                width=max(0.002, (end - each.created_at).total_seconds() / whole),
                label=label,
                is_live=each.ended_at is None,
                is_taken_back=each.end_cause in ("rolled_back", "withdrawn"),
                words=f"Run {row.run.id}, step {row.checkpoint.step:,}: {row.tag[2]}",
            )
        )
    return spans


def _shown(
    session: Session, storage: Storage, row: ModelRow, past: Sequence[Promotion], rows: Sequence[ModelRow]
) -> ModelShown:
    promotion = row.promotion
    assert promotion is not None  # noqa: S101 -- only promotions are looked at
    sheet = session.get(Sheet, promotion.sheet_id) if promotion.sheet_id else None
    earlier = promoting.before(past, promotion)
    asked_by_id = int(promotion.verdict.get("asked_by_id") or 0)
    base = PROJECT / row.run.base
    pictures, picture_count = shipping.pictures_by_lot(session, row.checkpoint.id, promotion.id, PICTURES)
    return ModelShown(
        row=row,
        files=shipping.files_of(session, storage, row.checkpoint.id),
        pictures=pictures,
        picture_count=picture_count,
        parts=licences.of_folder(base, row.run.base) if runs.is_here(row.run.base) else (),
        cost=shipping.cost_of(row.run),
        sheet=sheet,
        sheet_title=_title(sheet) if sheet else "",
        asked_by=people.names(session, {asked_by_id}).get(asked_by_id, "") if asked_by_id else "",
        lines=list(promotion.verdict.get("lines", ())),
        decision=str(promotion.verdict.get("kind", "")),
        earlier=next((each for each in rows if earlier and each.promotion and each.promotion.id == earlier.id), None),
        is_live=promotion.ended_at is None,
    )
