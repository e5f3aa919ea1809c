"""The ledger: what each attempt at a job cost, in seconds and, where an hour has a price, in money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.cycles.tables import Cycle, LedgerEntry
from app.database import utc_now
from app.jobs import Job
from app.settings import Settings
from app.training.tables import TrainingRun

_HOUR_S = Decimal(3600)
_DEVICES = func.coalesce(Job.arguments["devices"].as_integer(), 1)
_AGREED = (
    select(TrainingRun.hour_price)
    .where(Job.kind == "run.train", TrainingRun.id == Job.arguments["run_id"].as_integer())
    .correlate(Job)
    .scalar_subquery()
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of work, seconds of devices, and money. `amount` is None while an hour has no price."""

    seconds: float = 0.0
    device_seconds: float = 0.0
    amount: Decimal | None = None

    def __add__(self, other: Cost) -> Cost:
        amounts = [amount for amount in (self.amount, other.amount) if amount is not None]
        return Cost(
            self.seconds + other.seconds,
            self.device_seconds + other.device_seconds,
            sum(amounts, Decimal(0)) if amounts else None,
        )


def hour_price(settings: Settings, devices: int) -> Decimal | None:
    """What an hour of so many devices costs today; None while an hour has no price."""
    return None if settings.gpu_hour_price is None else settings.gpu_hour_price * devices


def price(
    queue: str, seconds: float, devices: int, settings: Settings, agreed: Decimal | None = None
) -> Decimal | None:
    """What `seconds` cost: an hour of each device on queue `gpu`, nothing on `cpu`. None while an hour has no price.

    `agreed`: the price of an hour of all devices that a run was launched at; it holds whatever an hour costs today.
    """
    an_hour = hour_price(settings, devices) if agreed is None else agreed
    if an_hour is None or queue != "gpu":
        return None if an_hour is None else Decimal(0)
    return an_hour * Decimal(seconds) / _HOUR_S


def record(session: Session, job: Job, seconds: float, settings: Settings) -> LedgerEntry | None:
    """Write down what one attempt cost. None when no cycle runs: then nobody's budget is touched."""
    cycle_id = session.scalar(select(Cycle.id).where(Cycle.ended_at.is_(None)))
    if cycle_id is None:
        return None
    agreed = session.scalar(select(_AGREED).where(Job.id == job.id))
    amount = price(job.queue, seconds, job.devices, settings, agreed)
    entry = LedgerEntry(cycle_id=cycle_id, job_id=job.id, seconds=seconds, amount=amount, at=utc_now())
    session.add(entry)
    session.flush()
    return entry


def spend(session: Session, job_id: int, amount: float) -> None:
    """Write down money that a job has just spent outside, beside its seconds. Nothing when no cycle runs."""
    cycle_id = session.scalar(select(Cycle.id).where(Cycle.ended_at.is_(None)))
    if cycle_id is not None:
        session.add(
            LedgerEntry(
                cycle_id=cycle_id, job_id=job_id, seconds=0.0, amount=Decimal(str(round(amount, 4))), at=utc_now()
            )
        )  # fmt: skip
        session.flush()


def spent(session: Session, cycle: Cycle) -> Decimal:
    """Money written down for the cycle; attempts that had no price count as nothing."""
    return session.scalar(select(func.sum(LedgerEntry.amount)).where(LedgerEntry.cycle_id == cycle.id)) or Decimal(0)


def by_kind(session: Session, cycle: Cycle) -> dict[str, Cost]:
    """What each kind of job cost in the cycle."""
    device_seconds = func.sum(LedgerEntry.seconds * _DEVICES).filter(Job.queue == "gpu")
    rows = session.execute(
        select(
            Job.kind, func.sum(LedgerEntry.seconds), func.coalesce(device_seconds, 0.0), func.sum(LedgerEntry.amount)
        )
        .join(Job, Job.id == LedgerEntry.job_id)
        .where(LedgerEntry.cycle_id == cycle.id)
        .group_by(Job.kind)
    )
    return {kind: Cost(seconds, device_s, amount) for kind, seconds, device_s, amount in rows}


def of_sheet(session: Session, sheet_id: int) -> Cost:
    """What drawing a sheet has cost in whichever cycles."""
    seconds, amount = session.execute(
        select(func.coalesce(func.sum(LedgerEntry.seconds), 0.0), func.sum(LedgerEntry.amount))
        .join(Job, Job.id == LedgerEntry.job_id)
        .where(Job.kind == "sheet.draw", Job.arguments["sheet_id"].as_integer() == sheet_id)
    ).one()
    return Cost(seconds, seconds, amount)


def running(session: Session, cycle: Cycle, settings: Settings) -> dict[str, Cost]:
    """What the attempts under way have cost so far, by kind."""
    costs: dict[str, Cost] = {}
    for kind, cost in under_way(session, cycle, settings).values():
        costs[kind] = costs.get(kind, Cost()) + cost
    return costs


def under_way(session: Session, cycle: Cycle, settings: Settings) -> dict[int, tuple[str, Cost]]:
    """Each job at work, with its kind and what its attempt has cost so far, less what is written down of it.

    Time in the queue between two attempts costs nothing.
    """
    now = utc_now()
    written = select(func.coalesce(func.sum(LedgerEntry.seconds), 0.0)).where(
        LedgerEntry.job_id == Job.id, LedgerEntry.at >= Job.claimed_at
    )
    rows = session.execute(
        select(
            Job.id, Job.kind, Job.queue, _DEVICES, _AGREED, Job.claimed_at, written.correlate(Job).scalar_subquery()
        ).where(Job.state == "running", Job.claimed_at >= cycle.started_at)
    )
    costs = {}
    for job_id, kind, queue, devices, agreed, claimed_at, known_s in rows:
        seconds = max(0.0, (now - claimed_at).total_seconds() - float(known_s))
        device_s = seconds * devices if queue == "gpu" else 0.0
        costs[job_id] = kind, Cost(seconds, device_s, price(queue, seconds, devices, settings, agreed))
    return costs
