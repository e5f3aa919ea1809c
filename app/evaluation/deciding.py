"""The verdict of a sheet: which candidate, held against which gate, how all columns rank, and how far votes go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from app.evaluation import (
    column_metrics,
    comparison,
    eprocess,
    gate_setting,
    gates,
    ranking,
    raters,
    step_axis,
    verdict_facts,
)
from app.evaluation.column_metrics import KeptMetric
from app.evaluation.comparison import Column
from app.evaluation.gate_setting import KeptGate
from app.evaluation.gates import GateDecision, GateLimits
from app.evaluation.ranking import Ballot, Rating
from app.evaluation.raters import Agreement, SidePicks
from app.evaluation.step_axis import StepSeries
from app.evaluation.tables import Sheet
from app.evaluation.verdict_facts import SheetFacts

TRACK_POINTS: Final = 80
ROUNDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class DuelPoint:
    """How the votes against the baseline stood after `votes` of them: the share won, with bounds that hold at any."""

    votes: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class DuelCounts:
    """Votes between the candidate and the baseline, as they were cast."""

    won: int
    tie: int
    both_bad: int
    lost: int


@dataclass(frozen=True, slots=True)
class VoterCounts:
    """How one voter voted: how often, how often the same when asked again, and which side. `key` is of a `Voter`."""

    key: str
    votes: int
    repeats: Agreement
    sides: SidePicks


@dataclass(frozen=True, slots=True)
class VotersOfSheet:
    """How far the votes of a sheet can be trusted. `leaning` are the voters without whom another column leads."""

    voters: list[VoterCounts]
    between: Agreement
    repeats: Agreement
    sides: SidePicks
    leaning: list[str]


@dataclass(frozen=True)
class SheetVerdict:
    """The verdict on one candidate of a sheet. `gate` is None while none was set: `limits` are then those proposed, and
    nothing ships. `candidate` is None where the sheet has nothing but its baseline, and then there is no decision."""

    columns: list[Column]
    candidate: Column | None
    baseline: Column | None
    gate: KeptGate | None
    limits: GateLimits
    facts: SheetFacts
    decision: GateDecision | None
    ratings: dict[int, Rating]
    duel: DuelCounts
    track: list[DuelPoint]
    voters: VotersOfSheet
    series: list[StepSeries]
    metrics: list[KeptMetric]
    fronts: dict[int, list[str]]

    @property
    def ships(self) -> bool:
        """Whether the candidate may be promoted on it."""
        return self.gate is not None and self.decision is not None and self.decision.kind == "ship"


def decide(session: Session, sheet: Sheet, candidate: str | None = None) -> SheetVerdict:
    """The verdict of a sheet as it stands, on the column of this key, or on the one that leads."""
    facts = verdict_facts.read(session, sheet)
    shown = comparison.columns_shown(session, sheet)
    drawn = [column for column in shown if column.checkpoint_id is not None]
    gate = gate_setting.current(session, sheet)
    limits = gate.limits if gate else gate_setting.usual()
    baseline_id = gate.baseline_id if gate else gate_setting.proposed_baseline(session, sheet)
    baseline = next((column for column in drawn if column.checkpoint_id == baseline_id), None)
    ratings = _ratings(facts, drawn, baseline)
    metrics = column_metrics.kept(session, sheet)
    all_series = step_axis.series(facts, shown, metrics)
    chosen = next((column for column in drawn if column.key == candidate), None)
    chosen = chosen or _leading(drawn, baseline, ratings, facts)
    decision = None
    if chosen is not None and chosen.checkpoint_id is not None:
        decision = gates.judge(facts.of(chosen.checkpoint_id, baseline_id), limits)
    return SheetVerdict(
        columns=shown, candidate=chosen, baseline=baseline, gate=gate, limits=limits, facts=facts, decision=decision,
        ratings=ratings, duel=_duel(facts, chosen, baseline), track=_track(facts, chosen, baseline),
        voters=_voters(facts.ballots, [c.checkpoint_id for c in drawn if c.checkpoint_id is not None]),
        series=all_series, metrics=metrics, fronts=step_axis.candidates(all_series, shown),
    )  # fmt: skip


def judged(session: Session, sheet: Sheet, checkpoint_id: int) -> GateDecision | None:
    """What the gate of a sheet says of one of its checkpoints, for whoever signs it off; None while none was set."""
    gate = gate_setting.current(session, sheet)
    if gate is None:
        return None
    return gates.judge(verdict_facts.read(session, sheet).of(checkpoint_id, gate.baseline_id), gate.limits)


def _ratings(facts: SheetFacts, drawn: Sequence[Column], baseline: Column | None) -> dict[int, Rating]:
    ids = [column.checkpoint_id for column in drawn if column.checkpoint_id is not None]
    if baseline is None or baseline.checkpoint_id is None or len(ids) < 2:
        return {}
    return ranking.rate(facts.ballots, ids, baseline.checkpoint_id, rounds=ROUNDS)


def _leading(
    drawn: Sequence[Column], baseline: Column | None, ratings: dict[int, Rating], facts: SheetFacts
) -> Column | None:
    """Who is judged where nobody says: with votes the likeliest best, before them the lowest validation loss, and else
    the last one."""
    rivals = [column for column in drawn if column is not baseline]
    if not rivals:
        return None
    if any(ballot.choice != "both_bad" for ballot in facts.ballots):
        return max(rivals, key=lambda each: (ratings[each.checkpoint_id or 0].p_best, each.step))
    measured = [column for column in rivals if column.validation_loss is not None]
    return min(measured, key=lambda each: each.validation_loss or 0.0, default=rivals[-1])


def _duel(facts: SheetFacts, chosen: Column | None, baseline: Column | None) -> DuelCounts:
    if chosen is None or baseline is None or chosen.checkpoint_id == baseline.checkpoint_id:
        return DuelCounts(0, 0, 0, 0)
    between = facts.between(chosen.checkpoint_id or 0, baseline.checkpoint_id)
    won = sum({"left": b.left, "right": b.right}.get(b.choice) == chosen.checkpoint_id for b in between)
    tie = sum(ballot.choice == "tie" for ballot in between)
    both_bad = sum(ballot.choice == "both_bad" for ballot in between)
    return DuelCounts(won, tie, both_bad, len(between) - won - tie - both_bad)


def _track(facts: SheetFacts, chosen: Column | None, baseline: Column | None) -> list[DuelPoint]:
    """The duel after each vote, or after some of very many, the last one among them."""
    if chosen is None or chosen.checkpoint_id is None or baseline is None or baseline.checkpoint_id is None:
        return []
    cast = [b for b in facts.between(chosen.checkpoint_id, baseline.checkpoint_id) if b.choice != "both_bad"]
    every = max(1, -(-len(cast) // TRACK_POINTS))
    points = []
    for number in range(1, len(cast) + 1):
        if number % every == 0 or number == len(cast):
            outcomes = ranking.duel(cast[:number], chosen.checkpoint_id, baseline.checkpoint_id)
            low, high = eprocess.clustered_bounds(outcomes)
            count = sum(map(len, outcomes.values()))
            points.append(DuelPoint(count, sum(map(sum, outcomes.values())) / count, low, high))
    return points


def _voters(ballots: Sequence[Ballot], ids: Sequence[int]) -> VotersOfSheet:
    keys = list(dict.fromkeys(ballot.voter for ballot in ballots))
    counted = []
    for key in keys:
        own = [ballot for ballot in ballots if ballot.voter == key]
        counted.append(VoterCounts(key, len(own), raters.with_themselves(ballots, key), raters.side_picks(own)))
    repeats = Agreement(sum(c.repeats.same for c in counted), sum(c.repeats.count for c in counted))
    leader = _leader(ballots, ids)
    leaning = [key for key in keys if len(keys) > 1 and _leader(raters.without(ballots, key), ids) != leader]
    return VotersOfSheet(counted, raters.with_each_other(ballots), repeats, raters.side_picks(ballots), leaning)


def _leader(ballots: Sequence[Ballot], ids: Sequence[int]) -> int | None:
    if not ids or not any(ballot.choice != "both_bad" for ballot in ballots):
        return None
    return ids[int(ranking.posterior(ballots, ids)[0].argmax())]
