"""The previews of a run: a few prompts of its suite that the trainer draws at each checkpoint, kept in the run's sheet.

The pictures are seen while the run goes on, and the sheet that is drawn at the end finds them there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.datasets.tables import DatasetVersion
from app.errors import Refused
from app.evaluation import sheets, suites, thumbs
from app.evaluation.tables import Sheet, Suite
from app.storage import Storage, atomic_file
from app.training.recipe import Recipe
from app.training.tables import IS_MILESTONE, Checkpoint, RunEvent, TrainingRun
from workers.sampling.png import png

log = logging.getLogger(__name__)

FILE: Final = "previews.json"
MOST_BYTES: Final = 64 << 20  # a picture of 4,096 pixels a side, hardly compressed


class Unfit(ValueError):
    """A file that the trainer named is no sample of the suite; the message says why."""


def write(session: Session, run: TrainingRun, out: Path) -> None:
    """Tell the trainer in OUT/previews.json what to draw: the suite's `preview_prompts` with its first seed.

    A run whose version has no captions draws nothing. Raises DiskFull.
    """
    try:
        suite = _suite(session, run)
    except Refused as refusal:
        log.warning("run %s draws no samples while it goes on: %s", run.id, refusal)
        return
    prompts = suites.preview_prompts(suites.prompts_of(session, suite))
    asked = [{"prompt_id": prompt.id, "text": prompt.text, "seed": suite.seeds[0]} for prompt in prompts]
    with atomic_file(out / FILE) as file:
        file.write(json.dumps(asked, ensure_ascii=False).encode())


def keep(session: Session, storage: Storage, run: TrainingRun, event: Mapping[str, Any], out: Path) -> int:
    """Keep the samples that an event makes known, in the run's sheet. Returns how many were kept.

    Called for each event once it is recorded; told again it keeps nothing new. Samples and the checkpoint that drew
    them may be told in either order: the later one of the two counts. A picture that cannot be kept is left to the
    sheet, which draws what is missing.
    """
    samples: Mapping[str, Any] | None = event if event["kind"] == "samples" else None
    if event["kind"] == "checkpoint":
        samples = _told(session, run.id, int(event["step"]))
    if samples is None:
        return 0
    checkpoint = session.scalars(
        select(Checkpoint).where(Checkpoint.run_id == run.id, Checkpoint.step == int(samples["step"]))
    ).first()
    if checkpoint is None:
        return 0
    suite = _suite(session, run)
    sheet = sheets.open_sheet(session, run, suite)
    known = {prompt.id for prompt in suites.prompts_of(session, suite)}
    already_drawn = sheets.drawn(session, sheet)
    drawn: list[sheets.DrawnCell] = []
    for sample in samples["files"]:
        if (checkpoint.step, sample["prompt_id"], sample["seed"]) in already_drawn:
            continue
        try:
            if sample["prompt_id"] not in known or sample["seed"] not in suite.seeds:
                raise Unfit("the suite has no such prompt and seed")
            picture = _read(out, str(sample["file"]), suite)
            drawn_png = png(picture)
            sha256 = storage.put("samples", drawn_png, ".png")
            thumbs.keep(storage, sha256, drawn_png)
        except (Unfit, Refused) as error:
            log.warning("run %s: %s at step %s is not kept: %s", run.id, sample["file"], samples["step"], error)
            continue
        cell = sheets.Cell(checkpoint.id, sample["prompt_id"], sample["seed"])
        drawn.append(sheets.DrawnCell(cell, sha256, picture.width, picture.height))
    sheets.record(session, drawn)
    return len(drawn)


def _suite(session: Session, run: TrainingRun) -> Suite:
    """The suite of the run's sheet, or the one it will be drawn from. Raises Refused where there is nothing to draw."""
    sheet: Sheet | None = sheets.latest_of(session, run.id)
    if sheet is not None:
        return sheets.suite(session, sheet)
    version = session.get_one(DatasetVersion, run.version_id)
    return suites.suite_for(session, version, Recipe.model_validate(run.recipe))


def _told(session: Session, run_id: int, step: int) -> Mapping[str, Any] | None:
    """The newest `samples` event of a step."""
    return session.scalar(
        select(RunEvent.data)
        .where(IS_MILESTONE, RunEvent.run_id == run_id, RunEvent.kind == "samples")
        .where(RunEvent.data["step"].as_integer() == step)
        .order_by(RunEvent.seq.desc())
        .limit(1)
    )


def _read(out: Path, name: str, suite: Suite) -> Image.Image:
    """A picture of the run's folder, decoded, RGB and of the suite's size. Raises Unfit."""
    path = (out / name).resolve()
    if not path.is_relative_to(out.resolve()):
        raise Unfit("it lies outside of the run's folder")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Unfit(f"it has more than {MOST_BYTES >> 20} MiB")
        with Image.open(path, formats=["PNG"]) as opened:
            wanted = (suite.sampling["width_px"], suite.sampling["height_px"])
            if opened.size != wanted:
                raise Unfit(f"it is {opened.width} × {opened.height} pixels; the suite's are {wanted[0]} × {wanted[1]}")
            return opened.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unfit(f"it cannot be read ({error})") from error
