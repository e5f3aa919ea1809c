"""The step that moves the cycle on, in words and with its address. The first one is the one filled button."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.cycles.clock import CycleClock
from app.cycles.report import CycleReport
from app.web.formats import number, plural, to_freeze

_DOING: Final = {"intake.take_in": "Photos are being taken in", "signals.measure": "Photos are being measured"}


@dataclass(frozen=True)
class Step:
    """What to do, what is known about it, and the button that leads there.

    `route`: what the person must be allowed to call to do it, "METHOD /template"; "" where everybody may look.
    """

    title: str
    detail: str
    label: str
    href: str
    route: str = ""


def next_steps(clock: CycleClock, report: CycleReport) -> list[Step]:
    """What comes next, the most important first."""
    key, state = clock.stage.key, clock.stage.state
    if report.catalog is None or report.photos == 0:
        return [_take_in(report)]
    if state == "failed":
        return [_failed(clock, report)]
    if key in ("take_in", "caption") and report.under_way:
        return [_wait_for_photos(report, report.under_way)]
    if key in ("take_in", "caption") and state == "running":
        return _meanwhile(report)
    # Photos that are there, taken in before this cycle or in it, wait for nobody.
    if key in ("take_in", "caption"):
        return [*_review(report), _look_through(report)]
    if key == "review":
        first = clock.stages[0]
        is_older = first.key == "take_in" and first.state == "done" and first.began_at is None
        return [*_review(report), *([_look_through(report)] if is_older else [])]
    if key == "freeze" and state == "running":
        return [Step("A version is being frozen", _decided(report), "Open the datasets", "/datasets")]
    if key in ("freeze", "train"):
        return [_train(report)]
    return [_compare(report, is_drawn=state != "running")]


def _take_in(report: CycleReport) -> Step:
    href = f"/catalogs/{report.catalog.id}" if report.catalog else "/catalogs"
    sentence = "Everything starts with a folder of product photos."
    return Step("Take in the photos", sentence, "Take in photos", href, "POST /intakes")


def _failed(clock: CycleClock, report: CycleReport) -> Step:
    catalog = f"/catalogs/{report.catalog.id}" if report.catalog else "/catalogs"
    places = {"freeze": "/datasets", "train": "/runs", "compare": "/compare"}
    sentence = "Its last job failed; the page says why. What was done before is safe."
    return Step(f"{clock.stage.name} failed", sentence, "See why", places.get(clock.stage.key, catalog))


def _wait_for_photos(report: CycleReport, kind: str) -> Step:
    catalog = report.catalog.id if report.catalog else 0
    doing = _DOING.get(kind, "Captions are being written")
    return Step(doing, f"{plural(report.photos, 'photo')} so far.", "Open the catalog", f"/catalogs/{catalog}")


def _meanwhile(report: CycleReport) -> list[Step]:
    """What is taken in or written now is another catalog's; this one is as far as it was."""
    if report.sheet is not None:
        return [_compare(report)]
    return [_train(report)] if report.version is not None else [*_review(report), _look_through(report)]


def _look_through(report: CycleReport) -> Step:
    catalog = report.catalog.id if report.catalog else 0
    here = f"{plural(report.photos, 'photo')} {'is' if report.photos == 1 else 'are'} there."
    return Step("Look through the catalog, or take in more", here, "Open the catalog", f"/catalogs/{catalog}")


def _review(report: CycleReport) -> list[Step]:
    catalog = report.catalog.id if report.catalog else 0
    waiting = report.unseen + report.needs_work
    kept, suggested = report.kept, report.suggested.get("kept", 0)
    more = f" Rules suggest to keep {number(suggested)} more that no person has seen." if suggested else ""
    freeze = Step(
        to_freeze(kept, suggested), f"A frozen version never changes; runs are trained from it.{more}",
        "See what is frozen", f"/catalogs/{catalog}/freeze", "GET /catalogs/{catalog_id}/freeze",
    )  # fmt: skip
    if waiting == 0:
        return [freeze]
    looks = f"{number(report.unseen)} not seen yet, {number(report.needs_work)} need work. {_decided(report)}"
    review = Step(f"Review {plural(waiting, 'photo')}", f"{looks}{_suggested(report)}", "Open the desk", "/desk")
    return [review, freeze] if kept or suggested else [review]


def _train(report: CycleReport) -> Step:
    run = report.run
    if run is not None and run.ended_at is None:
        is_waiting = run.state == "queued"
        far = "It waits for the worker." if is_waiting else f"Step {number(run.step)} of {number(run.steps)}."
        title = f"Run {run.id} is next" if is_waiting else f"Run {run.id} is training"
        return Step(title, far, "Follow the run", f"/runs/{run.id}")
    if report.version is None:
        return Step("Freeze the kept photos", _decided(report), "Open the datasets", "/datasets")
    version = report.version
    detail = f"{number(version.train_count)} photos to learn from, {number(version.validation_count)} held out."
    href = f"/runs/new?version_id={version.id}"
    return Step(f"Fine-tune from version {version.number}", detail, "Plan the run", href, "GET /runs/new")


def _compare(report: CycleReport, *, is_drawn: bool = True) -> Step:
    if report.sheet is None:
        href = f"/runs/{report.run.id}" if report.run else "/runs"
        return Step("Draw a sheet", "The same prompts and seeds, drawn by every checkpoint.", "Open the run", href)
    title = "Compare the checkpoints" if is_drawn else "The sheet is being drawn"
    detail = "The same prompts and seeds, drawn by every checkpoint."
    return Step(title, detail, "Open the comparison", f"/compare/{report.sheet.id}")


def _decided(report: CycleReport) -> str:
    return f"People kept {number(report.kept)} and rejected {number(report.rejected)}."


def _suggested(report: CycleReport) -> str:
    """What rules suggest of the unseen photos, nothing where they suggest nothing."""
    words = {"kept": "to keep {}", "rejected": "to reject {}", "needs_work": "to look at {}"}
    parts = [word.format(number(count)) for name, word in words.items() if (count := report.suggested.get(name, 0))]
    return (
        f" Rules suggest {' and '.join([', '.join(parts[:-1]), parts[-1]] if parts[1:] else parts)}." if parts else ""
    )
