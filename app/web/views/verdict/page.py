"""The verdict page: one of three outcomes, the gate behind it, all columns ranked, steps, voters and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app import people
from app.evaluation import deciding, gate_setting, sheets, voting
from app.evaluation.comparison import Column
from app.evaluation.deciding import SheetVerdict, VoterCounts
from app.evaluation.gate_setting import KeptGate
from app.evaluation.gates import GateLine
from app.evaluation.ranking import Rating, both_bad_share
from app.evaluation.tables import Sheet, Suite
from app.people import Person
from app.settings import Settings
from app.web.formats import plural
from app.web.views.verdict import gate_form, metrics, plots, wording
from app.web.views.verdict.gate_form import GateFormView
from app.web.views.verdict.metrics import ShownMetric
from app.web.views.verdict.pictures import address
from app.web.views.verdict.plots import BoundPlot, RatingPlot, StepsPlot, TrackPlot


@dataclass(frozen=True)
class VerdictCard:
    """One of the three: `is_so` is the true one."""

    key: str
    title: str
    sentence: str
    is_so: bool


@dataclass(frozen=True)
class ShownLine:
    """A line of the gate. `pictures` is where those behind it are, called `pictures_word`; empty where hidden."""

    line: GateLine
    name: str
    sub: str
    value: tuple[str, str]
    bound: str
    asked: str
    state: tuple[str, str, str]
    plot: BoundPlot | None
    pictures: str
    pictures_word: str


@dataclass(frozen=True)
class RankedColumn:
    """A column in the ranking. `says` is what its difference to the baseline proves."""

    column: Column
    href: str
    votes: int
    both_bad: int
    usable: str
    rating: Rating | None
    plot: RatingPlot | None
    says: tuple[str, str]


@dataclass(frozen=True)
class ShownVoter:
    """A voter by name, with how often they said the same again."""

    name: str
    counts: VoterCounts
    is_leaning: bool


@dataclass(frozen=True)
class VerdictView:
    """The page."""

    sheet: Sheet
    suite: Suite
    title: str
    here: str
    verdict: SheetVerdict
    candidate_name: str
    baseline_name: str
    outcomes: list[VerdictCard]
    lines: list[ShownLine]
    passed: int
    ranked: list[RankedColumn]
    track: TrackPlot | None
    voters: list[ShownVoter]
    steps: StepsPlot
    fronts: list[str]
    metrics: list[ShownMetric]
    form: GateFormView
    history: list[KeptGate]
    is_hold_out_waiting: bool
    candidates: list[tuple[str, str]]


def view(
    session: Session,
    settings: Settings,
    sheet: Sheet,
    title: str,
    me: Person,
    candidate: str | None = None,
    form: GateFormView | None = None,
) -> VerdictView:
    """The page of a sheet, on the candidate of this key or on the one that leads. `form`: a gate that was refused."""
    verdict = deciding.decide(session, sheet, candidate)
    here = f"/compare/{sheet.id}/verdict"
    facts, chosen = verdict.facts, verdict.candidate
    lines = _lines(verdict, sheet, me)
    drawn = [column for column in verdict.columns if column.checkpoint_id is not None]
    return VerdictView(
        sheet=sheet, suite=sheets.suite(session, sheet), title=title, here=here, verdict=verdict,
        candidate_name=wording.called(chosen) if chosen else "",
        baseline_name=wording.called(verdict.baseline) if verdict.baseline else "",
        outcomes=_outcomes(verdict), lines=lines, passed=sum(line.line.passes is True for line in lines),
        ranked=_ranked(verdict, here), track=plots.track_plot(verdict.track, 0.5 - (verdict.limits.margin or 0.1)),
        voters=_named(session, verdict), steps=plots.steps_plot(here, verdict.series, verdict.columns, chosen),
        fronts=_fronts(verdict), metrics=metrics.shown(session, settings, sheet, verdict),
        form=form or gate_form.shown(session, sheet, verdict.gate), history=list(gate_setting.history(session, sheet)),
        is_hold_out_waiting=facts.has_hold_out and not facts.is_opened and people.at_least(me, "lead"),
        candidates=[(c.key, wording.called(c).capitalize()) for c in drawn if c != verdict.baseline],
    )  # fmt: skip


def _outcomes(verdict: SheetVerdict) -> list[VerdictCard]:
    """In the same order always: ship, need more, train more."""
    decision = verdict.decision
    if decision is None:
        return []
    name = wording.called(verdict.candidate) if verdict.candidate else ""
    is_shipping, title = decision.kind == "ship", f"Ship {name}" if verdict.ships else "Ship"
    return [
        VerdictCard("ship", title, wording.ship(verdict, decision), verdict.ships),
        VerdictCard(
            "need_votes", wording.needed(decision) if decision.kind == "need_votes" else "Need more votes",
            wording.need(decision) if not is_shipping or verdict.ships else "Nothing is open but the gate itself.",
            decision.kind == "need_votes",
        ),
        VerdictCard("train_more", "Train more", wording.train(decision), decision.kind == "train_more"),
    ]  # fmt: skip


def _lines(verdict: SheetVerdict, sheet: Sheet, me: Person) -> list[ShownLine]:
    if verdict.decision is None or verdict.candidate is None:
        return []
    rows = []
    for line in verdict.decision.lines:
        name, sub = wording.NAMES[line.key]
        is_hidden = line.key == "hold_out" and not (verdict.facts.is_opened and people.at_least(me, "lead"))
        rows.append(
            ShownLine(
                line=line, name=name, sub=line.category or sub, value=wording.value(line), bound=wording.bound(line),
                asked=wording.asked(line), state=wording.state(line), plot=plots.bound_plot(line),
                pictures="" if is_hidden else address(sheet, verdict.candidate, line.key, line.category),
                pictures_word=_pictures_word(line),
            )
        )  # fmt: skip
    return rows


def _pictures_word(line: GateLine) -> str:
    if line.value is None:
        return "pictures"
    if line.key == "not_worse":
        return plural(line.n, "vote")
    if line.key == "copies_unseen":
        return plural(int(line.bound), "pair")
    against = round((line.value if line.is_upper and line.key != "category" else 1 - line.value) * line.n)
    if not against:
        return "none"
    return (
        plural(against, "prompt")
        if line.key == "best_of"
        else f"{against:,}" + ("" if line.is_upper and line.key != "category" else " not")
    )


def _ranked(verdict: SheetVerdict, here: str) -> list[RankedColumn]:
    """The likeliest best first; before any vote in the order of the sheet."""
    shown = plots.rating_plots(verdict.ratings)
    usable = next(measure for measure in verdict.series if measure.key == "usable").readings
    rows = []
    for column in verdict.columns:
        if column.checkpoint_id is None:
            continue
        rating = verdict.ratings.get(column.checkpoint_id)
        reading = usable.get(column.checkpoint_id)
        both_bad, votes = both_bad_share(verdict.facts.ballots, column.checkpoint_id)
        rows.append(
            RankedColumn(
                column=column, href=f"{here}?{urlencode({'candidate': column.key})}", votes=votes, both_bad=both_bad,
                usable="" if reading is None else f"{reading.value * 100:.0f} % of {reading.count:,}",
                rating=rating if votes else None, plot=shown.get(column.checkpoint_id) if votes else None,
                says=_says(column, verdict.baseline, rating, votes),
            )
        )  # fmt: skip
    if any(row.votes for row in rows):
        rows.sort(key=lambda row: -(row.rating.p_best if row.rating else 0.0))
    return rows


def _says(column: Column, baseline: Column | None, rating: Rating | None, votes: int) -> tuple[str, str]:
    if column == baseline:
        return "baseline", "mute"
    if rating is None or not votes:
        return "no votes yet", "mute"
    if rating.difference_low > 0:
        return "better", "keep"
    return ("worse", "drop") if rating.difference_high < 0 else ("not distinguishable yet", "mute")


def _named(session: Session, verdict: SheetVerdict) -> list[ShownVoter]:
    counted = verdict.voters.voters
    names = voting.names_of(session, [each.key for each in counted])
    return [ShownVoter(names.get(each.key, "somebody"), each, each.key in verdict.voters.leaning) for each in counted]


def _fronts(verdict: SheetVerdict) -> list[str]:
    """A sentence for each candidate that is worth choosing from, by its step."""
    columns = {column.checkpoint_id: column for column in verdict.columns}
    own = [(columns[number], why) for number, why in verdict.fronts.items() if number in columns]
    if len(own) == 1:
        return [
            f"{wording.called(own[0][0]).capitalize()} is the only candidate: no other is better at anything measured."
        ]
    return [
        f"{wording.called(column).capitalize()} {_and(why)}."
        if why
        else f"{wording.called(column).capitalize()} is between them: best at nothing, beaten by none."
        for column, why in own
    ]


def _and(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
