"""Suites and sheets: the same prompts and seeds, drawn by every checkpoint of a run."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import jobs
from app.captions.tables import Caption
from app.catalog.spelling import label_key
from app.catalog.tables import Catalog, Image
from app.database import utc_now
from app.datasets.tables import DatasetVersion, Member
from app.errors import NotFound, Refused
from app.evaluation.tables import Prompt, Sample, Sheet, Suite
from app.people import Person
from app.training.recipe import Recipe
from app.training.tables import Checkpoint, TrainingRun
from app.training.validations import sound_checkpoints

SEEDS: Final = (11, 23)
PROMPT_COUNT: Final = 12
COLUMNS: Final = 8
PREVIEWS: Final = 3
"""Prompts drawn by each checkpoint while its run goes on, with the first seed."""
NO_CATEGORY: Final = "No category"


@dataclass(frozen=True)
class PromptText:
    """A prompt to be: its text, the category it is filed under, and the claims it makes."""

    text: str
    category: str
    atoms: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of a sheet: this checkpoint, this prompt, this seed."""

    checkpoint_id: int
    prompt_id: int
    seed: int


@dataclass(frozen=True, slots=True)
class DrawnCell:
    """A cell with its picture, kept in the files as a PNG."""

    cell: Cell
    sha256: str
    width_px: int
    height_px: int


def picture_count(recipe: Recipe) -> int:
    """How many pictures the sheet of such a run has: its checkpoints and the base, as far as a sheet has columns."""
    columns = min(COLUMNS, 1 + math.ceil(recipe.steps / recipe.checkpoint_every))
    return columns * PROMPT_COUNT * len(SEEDS)


def choose_prompts(session: Session, version: DatasetVersion, count: int = PROMPT_COUNT) -> list[PromptText]:
    """Captions of validation members, spread over the categories; of train members where no other are held out.

    The choice depends on the members alone: within a category by the hash of the picture, categories taken in turn.
    Raises Refused for a version without members.
    """
    rows = session.execute(
        select(Image.sha256, Image.category, Caption.text, Member.split)
        .join(Member, Member.image_id == Image.id)
        .join(Caption, Caption.id == Member.caption_id)
        .where(Member.version_id == version.id)
        .order_by(Image.sha256)
    ).all()
    held_out = [row for row in rows if row.split == "validation"] or rows
    by_category: dict[str, list[PromptText]] = defaultdict(list)
    seen: set[str] = set()
    for row in held_out:
        if row.text not in seen:
            seen.add(row.text)
            # Spellings of one category are one, in that of its first photo.
            pile = by_category[label_key(row.category or "")]
            pile.append(PromptText(row.text, pile[0].category if pile else row.category or NO_CATEGORY))
    if not seen:
        raise Refused(f"Version {version.number} has no captions to draw from.")
    piles = [by_category[name] for name in sorted(by_category)]
    turns = max(len(pile) for pile in piles)
    chosen = [pile[turn] for turn in range(turns) for pile in piles if turn < len(pile)][:count]
    return sorted(chosen, key=lambda prompt: prompt.category)


def suite_for(session: Session, version: DatasetVersion, recipe: Recipe, extra: Sequence[PromptText] = ()) -> Suite:
    """The suite that sheets of this version use, sampled as the recipe says.

    `extra` prompts are put behind the chosen captions; without them, the prompts that the version had before are
    kept. Anything that differs makes a new version of the suite. Raises Refused for a version without members.
    """
    session.execute(select(DatasetVersion.id).where(DatasetVersion.id == version.id).with_for_update())
    catalog = session.get_one(Catalog, version.catalog_id)
    name = f"{catalog.name}, version {version.number}"
    latest = session.scalars(select(Suite).where(Suite.name == name).order_by(Suite.version.desc())).first()
    if latest is not None and not extra:
        wanted = [PromptText(p.text, p.category, p.atoms) for p in prompts_of(session, latest)]
    else:
        wanted = [*choose_prompts(session, version), *extra]
    sampling = {
        "steps": recipe.sampling_steps,
        "guidance": recipe.guidance,
        "width_px": recipe.resolution_px,
        "height_px": recipe.resolution_px,
    }
    content_hash = _hash(wanted, SEEDS, sampling)
    # Two versions may come to the same suite at the same moment, on two devices.
    session.execute(select(func.pg_advisory_xact_lock(int(content_hash[:15], 16))))
    same = session.scalars(select(Suite).where(Suite.content_hash == content_hash)).first()
    if same is not None:
        return same
    number = 1 if latest is None else latest.version + 1
    suite = Suite(name=name, version=number, content_hash=content_hash, seeds=list(SEEDS), sampling=sampling)
    session.add(suite)
    session.flush()
    session.add_all(
        Prompt(suite_id=suite.id, position=position, text=p.text, category=p.category, atoms=p.atoms)
        for position, p in enumerate(wanted, start=1)
    )
    session.flush()
    return suite


def request_sheet(
    session: Session, run: TrainingRun, suite: Suite, person: Person | None = None, within_run: bool = False
) -> Sheet:
    """Ask for the run's sheet to be drawn, or for what is missing of it. Asked twice, it is drawn once.

    `within_run`: it follows the run, and ends with what the run has left of its limits. Raises Refused for a run
    without checkpoints.
    """
    session.refresh(run, with_for_update=True)
    if not any(checkpoint.folder for checkpoint in sound_checkpoints(session, run)):
        raise Refused(f"Run {run.id} has no checkpoints to draw with.")
    sheet = open_sheet(session, run, suite)
    job = session.get(jobs.Job, sheet.job_id) if sheet.job_id else None
    todo = missing(session, sheet)
    if todo and (job is None or job.is_over):
        done = cell_count(session, sheet) - len(todo)
        arguments = {"sheet_id": sheet.id, "within_run": within_run}
        job = jobs.request(session, "sheet.draw", arguments, person, total=done + len(todo))
        job.done, sheet.job_id = done, job.id
        session.flush()
    return sheet


def columns(session: Session, run_id: int) -> list[Checkpoint]:
    """The checkpoints a sheet is drawn with: the base, the last, the lowest on validation, the others evenly spaced.

    All of them where there are at most `COLUMNS`; never one that was saved while the loss exploded.
    """
    all_checkpoints = list(sound_checkpoints(session, session.get_one(TrainingRun, run_id)))
    if len(all_checkpoints) <= COLUMNS:
        return all_checkpoints
    measured = [c for c in all_checkpoints[1:] if c.validation_loss is not None]
    lowest = min(measured, key=lambda c: c.validation_loss or 0.0, default=all_checkpoints[-1])
    taken = {all_checkpoints[0].id, all_checkpoints[-1].id, lowest.id}
    spaced = [all_checkpoints[round(i * (len(all_checkpoints) - 1) / (COLUMNS - 1))] for i in range(1, COLUMNS - 1)]
    for checkpoint in spaced:
        if len(taken) < COLUMNS:
            taken.add(checkpoint.id)
    return [checkpoint for checkpoint in all_checkpoints if checkpoint.id in taken]


def missing(session: Session, sheet: Sheet) -> list[Cell]:
    """The cells not drawn yet, checkpoint by checkpoint (loading one is slow), then prompt, then seed.

    The last checkpoint comes first: where time or money ends the drawing, it is the one to see.
    """
    there = {
        Cell(*row)
        for row in session.execute(
            select(Sample.checkpoint_id, Sample.prompt_id, Sample.seed).where(Sample.sheet_id == sheet.id)
        )
    }
    suite = session.get_one(Suite, sheet.suite_id)
    prompts = prompts_of(session, suite)
    drawn_with = columns(session, sheet.run_id)
    wanted = (
        Cell(checkpoint.id, prompt.id, seed)
        for checkpoint in (*drawn_with[-1:], *drawn_with[:-1])
        for prompt in prompts
        for seed in suite.seeds
    )
    return [cell for cell in wanted if cell not in there]


def cell_count(session: Session, sheet: Sheet) -> int:
    """How many cells the sheet has, drawn or not."""
    suite = session.get_one(Suite, sheet.suite_id)
    return len(columns(session, sheet.run_id)) * len(prompts_of(session, suite)) * len(suite.seeds)


def record(session: Session, sheet: Sheet, pictures: Sequence[DrawnCell]) -> None:
    """Keep samples; a cell that was drawn before keeps its first picture."""
    if pictures:
        moment = utc_now()  # one for the batch: the pace is measured between batches
        rows = [
            {
                "sheet_id": sheet.id,
                "checkpoint_id": d.cell.checkpoint_id,
                "prompt_id": d.cell.prompt_id,
                "seed": d.cell.seed,
                "sha256": d.sha256,
                "width_px": d.width_px,
                "height_px": d.height_px,
                "created_at": moment,
            }
            for d in pictures
        ]
        session.execute(insert(Sample).on_conflict_do_nothing(), rows)


def prompts_of(session: Session, suite: Suite) -> Sequence[Prompt]:
    """The suite's prompts in their order."""
    return session.scalars(select(Prompt).where(Prompt.suite_id == suite.id).order_by(Prompt.position)).all()


def preview_prompts(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The few of a suite's prompts that tell most at a glance: of as many categories as there are, in their order."""
    by_category: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        by_category[prompt.category].append(prompt)
    turns = max((len(pile) for pile in by_category.values()), default=0)
    in_turn = [pile[turn] for turn in range(turns) for pile in by_category.values() if turn < len(pile)]
    return sorted(in_turn[:PREVIEWS], key=lambda prompt: prompt.position)


def open_sheet(session: Session, run: TrainingRun, suite: Suite) -> Sheet:
    """The run's sheet of this suite; a new one with nothing drawn, and no job that would, where there is none."""
    session.execute(
        insert(Sheet).values(run_id=run.id, suite_id=suite.id, created_at=utc_now()).on_conflict_do_nothing()
    )
    return session.scalars(select(Sheet).where(Sheet.run_id == run.id, Sheet.suite_id == suite.id)).one()


def drawn(session: Session, sheet: Sheet) -> dict[tuple[int, int, int], int]:
    """The sheet's samples by step of the checkpoint, prompt and seed."""
    rows = session.execute(
        select(Checkpoint.step, Sample.prompt_id, Sample.seed, Sample.id)
        .join(Checkpoint, Checkpoint.id == Sample.checkpoint_id)
        .where(Sample.sheet_id == sheet.id)
    )
    return {(step, prompt_id, seed): sample_id for step, prompt_id, seed, sample_id in rows}


def get(session: Session, sheet_id: int) -> Sheet:
    """The sheet with this id. Raises NotFound."""
    sheet = session.get(Sheet, sheet_id)
    if sheet is None:
        raise NotFound(f"There is no sheet {sheet_id}.")
    return sheet


def suite(session: Session, sheet: Sheet) -> Suite:
    """The suite that the sheet is drawn from."""
    return session.get_one(Suite, sheet.suite_id)


def sample(session: Session, sample_id: int) -> Sample:
    """The sample with this id. Raises NotFound."""
    row = session.get(Sample, sample_id)
    if row is None:
        raise NotFound(f"There is no sample {sample_id}.")
    return row


def latest_of(session: Session, run_id: int) -> Sheet | None:
    """The run's newest sheet."""
    return session.scalars(select(Sheet).where(Sheet.run_id == run_id).order_by(Sheet.id.desc())).first()


def recent(session: Session, limit: int = 200) -> list[tuple[Sheet, int]]:
    """The newest sheets first, each with how many of its samples are drawn."""
    counted = select(Sample.sheet_id, func.count().label("n")).group_by(Sample.sheet_id).subquery()
    rows = session.execute(
        select(Sheet, func.coalesce(counted.c.n, 0))
        .outerjoin(counted, counted.c.sheet_id == Sheet.id)
        .order_by(Sheet.id.desc())
        .limit(limit)
    )
    return [(sheet, count) for sheet, count in rows]


def _hash(prompts: Sequence[PromptText], seeds: Sequence[int], sampling: dict[str, Any]) -> str:
    content = [[[p.text, p.category, p.atoms] for p in prompts], list(seeds), sampling]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
