"""Two runs held against each other: three sentences first, then their curves, their recipes, their photos."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sqlalchemy.orm import Session

from app.cycles import hard_stop
from app.datasets import comparing, reading
from app.datasets.comparing import VersionChanges
from app.datasets.reading import VersionRow
from app.errors import Refused
from app.evaluation import differing, sheets
from app.evaluation.differing import KnobChange
from app.settings import Settings
from app.training import learning, progress, runs, validations
from app.training.learning import Look
from app.training.tables import Checkpoint, TrainingRun
from app.units import duration
from app.web.formats import loss, money

WIDTH: Final = 640
HEIGHT: Final = 220
POINTS: Final = 120
_EDGE: Final = 8


@dataclass(frozen=True)
class RunSide:
    """One of the two runs. `chosen` is the checkpoint with the lowest validation loss, the last one without any."""

    run: TrainingRun
    version: VersionRow
    chosen: Checkpoint | None
    seconds: float | None
    amount: Decimal | None
    last_loss: float | None
    captions: str
    line: str  # of validation losses, as points of a polyline


@dataclass(frozen=True)
class Ends:
    """The ends of the curves' axes."""

    steps: int
    low: float
    high: float


@dataclass(frozen=True)
class BandLines:
    """The training losses of both runs in one noise band, on one scale, as points of polylines."""

    name: str
    a: str
    b: str


@dataclass(frozen=True)
class TwoRunsView:
    """The page. `changes` is None where both learned from one version."""

    a: RunSide
    b: RunSide
    others: list[TrainingRun]
    concluded: str
    cannot: str
    would_tell: str
    compare_href: str
    knobs: list[KnobChange]
    same: int
    changes: VersionChanges | None
    photos: str
    ends: Ends | None
    bands: list[BandLines]
    currency: str


def view(session: Session, settings: Settings, a: int, b: int) -> TwoRunsView:
    """The page of two runs. Raises Refused for one run twice, NotFound for one that is not there."""
    if a == b:
        raise Refused("A run cannot be compared with itself; choose another one.")
    first, second = runs.get(session, a), runs.get(session, b)
    looks = [validations.looks(session, run.id) for run in (first, second)]
    ends = _ends([(look.step, look.loss) for side in looks for look in side])
    left, right = (_side(session, settings, run, own, ends) for run, own in zip((first, second), looks, strict=True))
    is_one_version = first.version_id == second.version_id
    changes, photos = None, f"Both learned from {_called(left.version)}."
    if not is_one_version:
        changes = comparing.changes(session, left.version.version, right.version.version)
        counts: dict[str, int] = {kind: changes.of(kind) for kind in comparing.KINDS}
        photos = differing.photos(counts, _called(left.version), _called(right.version))
    knobs = differing.changed(second.recipe, first.recipe)
    concluded, cannot = _sentences(left, right, looks[0], looks[1], is_one_version)
    columns = "&".join(f"column={side.chosen.id}" for side in (left, right) if side.chosen is not None)
    sheet = sheets.latest_of(session, first.id)
    return TwoRunsView(
        a=left,
        b=right,
        others=[run for run in runs.recent(session) if run.id not in (a, b)],
        concluded=concluded,
        cannot=cannot,
        would_tell=_would_tell(settings, left, right, is_one_version, bool(knobs)),
        compare_href=f"/compare/new?{columns}{f'&suite={sheet.suite_id}' if sheet else ''}" if columns else "",
        knobs=knobs,
        same=differing.same_count(second.recipe, first.recipe),
        changes=changes,
        photos=photos,
        ends=ends,
        bands=_bands(session, first, second),
        currency=settings.currency,
    )


def _side(session: Session, settings: Settings, run: TrainingRun, looks: list[Look], ends: Ends | None) -> RunSide:
    saved = [each for each in validations.sound_checkpoints(session, run) if each.step and each.folder]
    measured = [each for each in saved if each.validation_loss is not None]
    chosen = min(measured, key=lambda each: each.validation_loss or 0.0, default=saved[-1] if saved else None)
    price = hard_stop.price_of(settings, run)
    writers = [(writer.written_by, writer.name, writer.count) for writer in reading.writers(session, run.version_id)]
    return RunSide(
        run=run,
        version=reading.get(session, run.version_id),
        chosen=chosen,
        seconds=run.actual_s,
        amount=None if price is None or run.actual_s is None else price * Decimal(run.actual_s) / 3600,
        last_loss=looks[-1].loss if looks else None,
        captions=differing.captions(writers),
        line="" if ends is None else _points([(look.step, look.loss) for look in looks], ends),
    )


def _bands(session: Session, first: TrainingRun, second: TrainingRun) -> list[BandLines]:
    """The training losses of both by noise band, most noise first."""
    curves = [progress.curves(session, run, points=POINTS) for run in (first, second)]
    lines = []
    for number in reversed(range(len(progress.BANDS))):
        readings = [
            [
                (step, level)
                for step, level in zip(each.steps, each.bands[number].mean, strict=True)
                if level is not None
            ]
            for each in curves
        ]
        ends = _ends([pair for pairs in readings for pair in pairs])
        lines.append(BandLines(progress.BANDS[number], *(_points(pairs, ends) for pairs in readings)))
    return lines


def _ends(pairs: list[tuple[int, float]]) -> Ends | None:
    if not pairs:
        return None
    losses = [level for _, level in pairs]
    room = (max(losses) - min(losses)) * 0.05 or 0.01
    return Ends(max(1, *(step for step, _ in pairs), 1), min(losses) - room, max(losses) + room)


def _points(pairs: list[tuple[int, float]], ends: Ends | None) -> str:
    if not pairs or ends is None:
        return ""
    wide, high = WIDTH - 2 * _EDGE, HEIGHT - 2 * _EDGE
    return " ".join(
        f"{_EDGE + wide * step / ends.steps:.1f},{_EDGE + high * (ends.high - value) / (ends.high - ends.low):.1f}"
        for step, value in pairs
    )


def _sentences(
    left: RunSide, right: RunSide, looks: list[Look], other_looks: list[Look], is_one_version: bool
) -> tuple[str, str]:
    """What can be concluded, and what cannot be told."""
    costs = _costs(left, right)
    if not looks or not other_looks:
        return costs, "Which one learned more: one of them has no validation."
    best, other_best = (min(side, key=lambda look: look.loss) for side in (looks, other_looks))
    if not is_one_version:
        return costs, (
            "Which one is better by its validation loss: they held out other photos, so their losses are not of one"
            " thing. Nor which change did it, where photos and recipe moved together."
        )
    can_tell = len(best.products) >= learning.LEAST_PRODUCTS and learning.is_paired(best, other_best)
    by_name = ((left, best, other_best), (right, other_best, best))
    for side, own, against in by_name:
        if can_tell and learning.is_above(against, own):
            return (
                f"Run {side.run.id} has the lower validation loss beyond noise: {loss(own.loss)} at step {own.step:,}"
                f" against {loss(against.loss)}, on the same {len(own.products):,} products. {costs}".strip(),
                "Whether its pictures are better: a loss tells of learning, not of what a buyer sees.",
            )
    why = "too few products were held out" if not can_tell else "the difference is within noise"
    losses = f"{loss(best.loss)} and {loss(other_best.loss)} at their lowest"
    return costs, f"Which one has the lower validation loss: {losses}, and {why}."


def _costs(left: RunSide, right: RunSide) -> str:
    if left.seconds is None or right.seconds is None:
        return "Nothing yet: one of them has not ended."
    quick, slow = sorted((left, right), key=lambda side: side.seconds or 0.0)
    return f"Run {quick.run.id} took {duration(quick.seconds or 0)}, run {slow.run.id} {duration(slow.seconds or 0)}."


def _would_tell(settings: Settings, left: RunSide, right: RunSide, is_one_version: bool, differ: bool) -> str:
    vote = "Their best checkpoints on one suite, and blind votes between them."
    if is_one_version or not differ or left.seconds is None:
        return vote
    cost = f" and {money(left.amount, settings.currency, True)}" if left.amount is not None else ""
    return (
        f"The recipe of run {left.run.id} on {_called(right.version)} parts photos from recipe:"
        f" about {duration(left.seconds)}{cost}. {vote}"
    )


def _called(row: VersionRow) -> str:
    return f"{row.catalog_name}, version {row.version.number}"
