"""What a cycle has led to so far, and what earlier cycles took and cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Intake
from app.cycles.tables import Cycle, LedgerEntry
from app.datasets.tables import DatasetVersion
from app.evaluation.tables import Sheet
from app.jobs import Job
from app.selection.tables import PhotoIndex
from app.training.tables import TrainingRun


@dataclass(frozen=True, slots=True)
class CycleReport:
    """The catalog's photos by what people decided, and the newest frozen version, run and sheet; None for what is not
    there yet. `suggested` counts some of the unseen photos by what a rule suggests for them; `under_way` is the kind of
    the oldest job that still brings photos or captions into this catalog.
    """

    catalog: Catalog | None
    photos: int
    kept: int
    rejected: int
    needs_work: int
    unseen: int
    suggested: dict[str, int]
    version: DatasetVersion | None
    run: TrainingRun | None
    sheet: Sheet | None
    under_way: str | None = None


@dataclass(frozen=True, slots=True)
class PastCycle:
    """A cycle that ended: how long it took in seconds, and its money; None where an hour had no price."""

    number: int
    catalog: str | None
    took_s: float
    spent: Decimal | None
    currency: str


def read(session: Session, catalog_id: int | None) -> CycleReport:
    """How far this catalog is on its way, or the newest one for None."""
    catalog = session.get(Catalog, catalog_id) if catalog_id else newest_catalog(session)
    if catalog is None:
        return CycleReport(None, 0, 0, 0, 0, 0, {}, None, None, None)
    rows = session.execute(
        select(PhotoIndex.verdict, PhotoIndex.suggested, func.count())
        .where(PhotoIndex.catalog_id == catalog.id)
        .group_by(PhotoIndex.verdict, PhotoIndex.suggested)
    )
    counts, suggested = Counter[str](), Counter[str]()
    for verdict, suggestion, count in rows:
        counts[verdict] += count
        if suggestion is not None:
            suggested[suggestion] += count
    version = session.scalars(
        select(DatasetVersion)
        .where(DatasetVersion.catalog_id == catalog.id, DatasetVersion.content_hash.is_not(None))
        .order_by(DatasetVersion.id.desc())
    ).first()
    run = session.scalars(
        select(TrainingRun)
        .join(DatasetVersion, DatasetVersion.id == TrainingRun.version_id)
        .where(DatasetVersion.catalog_id == catalog.id)
        .order_by(TrainingRun.id.desc())
    ).first()
    sheet = None
    if run is not None:
        sheet = session.scalars(select(Sheet).where(Sheet.run_id == run.id).order_by(Sheet.id.desc())).first()
    return CycleReport(
        catalog=catalog,
        photos=counts.total(),
        kept=counts["kept"],
        rejected=counts["rejected"],
        needs_work=counts["needs_work"],
        unseen=counts["unseen"],
        suggested=dict(suggested),
        version=version,
        run=run,
        sheet=sheet,
        under_way=_under_way(session, catalog),
    )


def _under_way(session: Session, catalog: Catalog) -> str | None:
    kinds = ("signals.measure", "captions.propose", "captions.look", "captions.ask")
    query = (
        select(Job.kind)
        .outerjoin(Intake, Intake.job_id == Job.id)
        .where(
            Job.state.in_(("queued", "running")),
            or_(
                Intake.catalog_id == catalog.id,
                and_(Job.kind.in_(kinds), Job.arguments["catalog_id"].as_integer() == catalog.id),
            ),
        )
    )
    return session.scalars(query.order_by(Job.id)).first()


def newest_catalog(session: Session) -> Catalog | None:
    """The catalog that was made last."""
    return session.scalars(select(Catalog).where(Catalog.removed_at.is_(None)).order_by(Catalog.id.desc())).first()


def past(session: Session, limit: int = 8) -> list[PastCycle]:
    """Cycles that ended, the newest first."""
    spent = select(func.sum(LedgerEntry.amount)).where(LedgerEntry.cycle_id == Cycle.id)
    rows = session.execute(
        select(
            Cycle, Catalog.name, func.extract("epoch", Cycle.ended_at - Cycle.started_at),
            spent.correlate(Cycle).scalar_subquery(),
        )
        .outerjoin(Catalog, Catalog.id == Cycle.catalog_id)
        .where(Cycle.ended_at.is_not(None))
        .order_by(Cycle.number.desc())
        .limit(limit)
    )  # fmt: skip
    return [
        PastCycle(cycle.number, name, float(took_s), amount, cycle.currency) for cycle, name, took_s, amount in rows
    ]
