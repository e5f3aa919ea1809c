"""What is known of a run's learning, in words: what is best, since when it gets worse, what to take instead."""

from __future__ import annotations

from dataclasses import dataclass

from app.jobs import Job
from app.training.learning import LEAST_PRODUCTS, Verdict
from app.training.validations import Insight
from app.web.formats import number, plural


@dataclass(frozen=True)
class Notice:
    """A warning about a run's checkpoints, and the one that is offered instead of the newest, 0 the base.

    `model_step` is what the finished model was written from, None without one; `job` is the last that was asked to
    write it.
    """

    title: str
    sentence: str
    is_broken: bool
    offered: int | None
    model_step: int | None
    job: Job | None


def notice(known: Insight, model_step: int | None, job: Job | None) -> Notice | None:
    """What to warn of; None where nothing is known to be wrong."""
    since = known.verdict.worse_since
    if known.has_diverged:
        sentence = "What was saved after that is in no sheet."
        title = f"Diverged: the last good checkpoint is {name(known.offered or 0)}"
        return Notice(title, sentence, True, known.offered, model_step, job)
    if since is None:
        return None
    where = f"on {plural(known.verdict.products, 'held-out product')}, photo by photo and beyond noise"
    if known.verdict.is_overfitting:
        title = f"Overfitting since step {number(since)}"
        sentence = (
            f"Measured {where}, it gets worse than {name(known.verdict.lowest or 0)} was, while it still learns its "
            "own photos: it memorises them."
        )
    else:
        title = f"Worse since step {number(since)}"
        sentence = (
            f"Measured {where}, it gets worse than {name(known.verdict.lowest or 0)} was, and does not learn its own "
            "photos better either: the learning rate may be too high."
        )
    return Notice(title, sentence, False, known.offered, model_step, job)


def tag(known: Insight) -> tuple[str, str, str] | None:
    """A warning about a run's checkpoints as a tag of a list: its kind, icon and words; None where there is none."""
    since = known.verdict.worse_since
    if known.has_diverged:
        return ("drop", "warn", "diverged")
    if since is None:
        return None
    return ("work", "warn", f"{'overfitting' if known.verdict.is_overfitting else 'worse'} since step {number(since)}")


def ranking(verdict: Verdict) -> str:
    """Which column is best, in a sentence; empty where fewer than two were measured."""
    if verdict.lowest is None:
        return ""
    if not verdict.can_tell:
        if verdict.products:
            held_out = plural(verdict.products, "product")
            return f"Which is best cannot be told: {held_out} held out, {LEAST_PRODUCTS} are needed."
        return "Which is best cannot be told: this run kept only the means of its validations."
    on = f"on {plural(verdict.products, 'held-out product')}"
    if verdict.alike:
        alike = sorted([verdict.lowest, *verdict.alike])
        names = f"{', '.join(name(step) for step in alike[:-1])} and {name(alike[-1])}"
        return f"None is best: {names} cannot be told apart {on}."
    if verdict.best == 0:
        return f"The base is best {on}: no checkpoint beats it."
    return f"{name(verdict.best or 0).capitalize()} is best {on}, by more than noise." if verdict.best else ""


def name(step: int) -> str:
    """A checkpoint in words."""
    return f"step {number(step)}" if step else "the base"
