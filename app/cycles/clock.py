"""The cycle's clock: starting a cycle, and reading where in its day, its stages and its budget it stands.

Nothing is stored but when a cycle began. Stages are read off what exists: jobs asked for since then or paid for by the
cycle, and decisions made by people. When a stage began and ended is what the ledger says of its attempts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from sqlalchemy import ColumnElement, ScalarSelect, exists, func, or_, select
from sqlalchemy.orm import Session

from app import audit
from app.catalog.tables import Catalog, Image
from app.cycles import ledger
from app.cycles.ledger import Cost
from app.cycles.tables import Cycle, LedgerEntry
from app.database import utc_now
from app.jobs import Job
from app.people import Person, needs_owner
from app.review.tables import Decision
from app.settings import Settings

State = Literal["done", "running", "failed", "next", "to come"]

# A stage, its name on the page, and the kinds of job that belong to it, in the order of the day.
STAGES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("take_in", "Take in", ("intake.take_in", "signals.measure")),
    ("caption", "Caption", ("captions.propose", "captions.look", "captions.ask", "operation.look", "operation.ask")),
    ("review", "Review", ("review.apply_rules",)),
    ("freeze", "Freeze", ("dataset.freeze",)),
    ("train", "Train", ("run.preflight", "run.train")),
    ("compare", "Compare", ("sheet.draw",)),
)

# Begins its stage and costs, but neither ends it nor lets it fail: the run that it was for may come or not.
_BEFORE: Final = "run.preflight"

# What the clock warns at: little time, little money.
SHORT_OF_TIME_S: Final = 3600.0
SHORT_OF_MONEY: Final = Decimal("0.1")

_ONE_CYCLE_LOCK: Final = 0x7061636B


@dataclass(frozen=True, slots=True)
class CycleStage:
    """One stage of the day. `ended_at` is None while it runs or before it began; `cost` includes what runs now."""

    key: str
    name: str
    state: State
    began_at: datetime | None
    ended_at: datetime | None
    cost: Cost


@dataclass(frozen=True, slots=True)
class Piece:
    """A span of the day line: where it starts and how long it is, in shares of the day, 0 to 1."""

    key: str
    name: str
    state: State
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class CycleClock:
    """Where the current cycle stands at `now`. `spent` is None while an hour has no price and nothing was paid."""

    cycle_id: int
    number: int
    catalog_id: int | None
    started_at: datetime
    ends_at: datetime
    now: datetime
    budget: Decimal
    currency: str
    spent: Decimal | None
    stages: tuple[CycleStage, ...]

    @property
    def stage(self) -> CycleStage:
        """The stage that the cycle is in: the furthest that runs, failed or comes next; else the last one."""
        current = (stage for stage in reversed(self.stages) if stage.state in ("running", "failed", "next"))
        return next(current, self.stages[-1])

    @property
    def seconds_left(self) -> float:
        """Time to the end of the day; negative when it is over."""
        return (self.ends_at - self.now).total_seconds()

    @property
    def share_gone(self) -> float:
        """How much of the day is gone, 0 to 1."""
        return min(1.0, (self.now - self.started_at) / (self.ends_at - self.started_at))

    @property
    def money_left(self) -> Decimal | None:
        """Budget less what was spent; negative when overspent, None while an hour has no price."""
        return None if self.spent is None else self.budget - self.spent

    @property
    def is_short_of_time(self) -> bool:
        """Whether under an hour is left."""
        return self.seconds_left < SHORT_OF_TIME_S

    @property
    def is_short_of_money(self) -> bool:
        """Whether under a tenth of the budget is left."""
        left = self.money_left
        return left is not None and left < SHORT_OF_MONEY * self.budget

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The stages that began, as spans of the day line, cut at its end."""
        day = self.ends_at - self.started_at
        pieces = []
        for stage in self.stages:
            if stage.began_at is None:
                continue
            start = max(0.0, (stage.began_at - self.started_at) / day)
            end = min(1.0, ((stage.ended_at or self.now) - self.started_at) / day)
            if start < 1.0:
                pieces.append(Piece(stage.key, stage.name, stage.state, start, max(0.0, end - start)))
        return tuple(pieces)


def current(session: Session) -> Cycle | None:
    """The cycle that runs, if one does."""
    return session.scalars(select(Cycle).where(Cycle.ended_at.is_(None))).first()


def start_cycle(session: Session, settings: Settings, catalog: Catalog | None, by: Person | None = None) -> Cycle:
    """Begin a cycle, ending the one that runs. Budget, currency and hours are those of the settings at this moment.

    It sets money aside anew, so it is an owner's act, and the audit log says what the one before had spent. `by` None:
    the machine's own terminal. Raises NotAllowed for anybody but an owner.
    """
    if by is not None:
        needs_owner(by, "start a cycle, for it sets its money aside anew")
    # Two people starting at once queue up here; the second ends the first one's cycle.
    session.execute(select(func.pg_advisory_xact_lock(_ONE_CYCLE_LOCK)))
    now = utc_now()
    running = current(session)
    if running is not None:
        running.ended_at = now
        session.flush()
    cycle = Cycle(
        number=(session.scalar(select(func.max(Cycle.number))) or 0) + 1,
        catalog_id=catalog.id if catalog else None,
        hours=settings.cycle_hours,
        budget=settings.budget,
        currency=settings.currency,
        started_at=now,
    )
    session.add(cycle)
    session.flush()
    audit.record(
        session,
        "cycle_started",
        by.id if by else None,
        cycle=cycle.number,
        budget=str(cycle.budget),
        ended=running.number if running else None,
        spent=str(ledger.spent(session, running)) if running else None,
    )
    return cycle


def read(session: Session, settings: Settings, now: datetime | None = None) -> CycleClock | None:
    """The clock of the current cycle; None when no cycle runs. A handful of small queries: every page shows it."""
    cycle = current(session)
    if cycle is None:
        return None
    now = now or utc_now()
    costs = ledger.by_kind(session, cycle)
    for kind, cost in ledger.running(session, cycle, settings).items():
        costs[kind] = costs.get(kind, Cost()) + cost
    total = sum(costs.values(), Cost())
    return CycleClock(
        cycle_id=cycle.id,
        number=cycle.number,
        catalog_id=cycle.catalog_id,
        started_at=cycle.started_at,
        ends_at=cycle.started_at + timedelta(hours=cycle.hours),
        now=now,
        budget=cycle.budget,
        currency=cycle.currency,
        spent=total.amount if total.amount is not None or settings.gpu_hour_price is None else Decimal(0),
        stages=_stages(session, cycle, costs),
    )


def recent(session: Session, limit: int = 12) -> Sequence[Cycle]:
    """The newest cycles first."""
    return session.scalars(select(Cycle).order_by(Cycle.number.desc()).limit(limit)).all()


@dataclass(frozen=True, slots=True)
class _Trace:
    """What the jobs of some kinds left behind."""

    is_running: bool = False
    is_done: bool = False
    has_failed: bool = False  # newer than anything done
    began_at: datetime | None = None
    ended_at: datetime | None = None

    def __add__(self, other: _Trace) -> _Trace:
        return _Trace(
            self.is_running or other.is_running,
            self.is_done or other.is_done,
            self.has_failed or other.has_failed,
            min((at for at in (self.began_at, other.began_at) if at), default=None),
            max((at for at in (self.ended_at, other.ended_at) if at), default=None),
        )


def _stages(session: Session, cycle: Cycle, costs: dict[str, Cost]) -> tuple[CycleStage, ...]:
    traces = _traces(session, cycle)
    if _BEFORE in traces:
        traces[_BEFORE] = replace(traces[_BEFORE], is_done=False, has_failed=False)
    merged = [sum((traces[kind] for kind in kinds if kind in traces), _Trace()) for _, _, kinds in STAGES]
    merged[2] += _reviewing(session, cycle)
    if not any(trace.began_at or trace.is_running for trace in merged[:2]) and _has_photos(session, cycle):
        # What earlier cycles took in waits for nobody: this one begins with what comes after it.
        merged[:2] = [replace(trace, is_done=True) for trace in merged[:2]]
    states = _states(merged)
    return tuple(
        CycleStage(
            key, name, state, trace.began_at, None if state == "running" else trace.ended_at,
            sum((costs[kind] for kind in kinds if kind in costs), Cost()),
        )
        for (key, name, kinds), state, trace in zip(STAGES, states, merged, strict=True)
    )  # fmt: skip


def _states(traces: list[_Trace]) -> list[State]:
    """The state of each stage. One that nothing was asked of comes next when the one before it is done.

    Review goes on until something is frozen: no job says when people are done with it.
    """
    begun = [trace.began_at or trace.is_running or trace.is_done for trace in traces]
    furthest = max((place for place, has_begun in enumerate(begun) if has_begun), default=-1)
    states: list[State] = []
    for place, trace in enumerate(traces):
        if trace.is_running:
            states.append("running")
        elif trace.has_failed:
            states.append("failed")
        elif place == furthest and (STAGES[place][0] == "review" or not trace.is_done):
            states.append("next")
        elif trace.is_done:
            states.append("done")
        else:
            is_next = place == furthest + 1 and (place == 0 or states[place - 1] == "done")
            states.append("next" if is_next else "to come")
    return states


def _has_photos(session: Session, cycle: Cycle) -> bool:
    """Whether there are photos in the cycle's catalog, or in the newest one where it has none."""
    newest = select(func.max(Catalog.id)).scalar_subquery()
    return session.scalar(select(exists().where(Image.catalog_id == (cycle.catalog_id or newest)))) or False


def _traces(session: Session, cycle: Cycle) -> dict[str, _Trace]:
    def newest(state: str) -> ColumnElement[int]:
        return func.coalesce(func.max(Job.id).filter(Job.state == state, Job.whole_id.is_(None)), 0)

    began_at = LedgerEntry.at - func.make_interval(0, 0, 0, 0, 0, 0, LedgerEntry.seconds)
    paid = (
        select(
            LedgerEntry.job_id,
            func.greatest(func.min(began_at), cycle.started_at).label("began_at"),
            func.max(LedgerEntry.at).label("ended_at"),
        )
        .where(LedgerEntry.cycle_id == cycle.id)
        .group_by(LedgerEntry.job_id)
        .subquery()
    )
    rows = session.execute(
        select(
            Job.kind,
            func.bool_or(Job.state.in_(("queued", "running"))),
            func.coalesce(func.bool_or(Job.state == "done").filter(Job.whole_id.is_(None)), False),
            newest("failed") > newest("done"),
            func.min(func.coalesce(paid.c.began_at, Job.started_at)),
            func.max(func.coalesce(paid.c.ended_at, Job.ended_at)),
        )
        .outerjoin(paid, paid.c.job_id == Job.id)
        .where(or_(Job.requested_at >= cycle.started_at, paid.c.job_id.is_not(None)))
        .group_by(Job.kind)
    )
    return {kind: _Trace(*rest) for kind, *rest in rows}


def _reviewing(session: Session, cycle: Cycle) -> _Trace:
    """From the first to the last decision that a person made in the cycle. One index lookup per person."""

    def decided(order: ColumnElement[int]) -> ScalarSelect[datetime]:
        return (
            select(Decision.created_at)
            .where(Decision.person_id == Person.id, Decision.created_at >= cycle.started_at)
            .order_by(order)
            .limit(1)
            .correlate(Person)
            .scalar_subquery()
        )

    first, last = session.execute(
        select(func.min(decided(Decision.id.asc())), func.max(decided(Decision.id.desc()))).select_from(Person)
    ).one()
    return _Trace(is_done=first is not None, began_at=first, ended_at=last)
