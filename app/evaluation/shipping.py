"""A checkpoint written out to be given away: a diffusers folder and, of a LoRA, its files, each with the model card.

What is written lies under `shipped/` by the checkpoint, there whole or not at all, and can be written again as long as
the checkpoint's files are there; these are kept with their run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import jobs, people
from app.catalog.tables import Catalog
from app.datasets.tables import DatasetVersion
from app.errors import NotFound, Refused
from app.evaluation import promoting
from app.evaluation.model_card import ShippedFacts, Usability
from app.evaluation.promotion_tables import Promotion
from app.evaluation.tables import Prompt, Sample, Suite
from app.evaluation.vote_tables import UsableAnswer
from app.exports import archive
from app.exports.archive import Archived
from app.jobs import Job
from app.people import Person
from app.storage import Storage
from app.training.tables import Checkpoint, TrainingRun

KIND: Final = "model.export"
CARD: Final = "README.md"
FACTS: Final = "packshot.json"
Part = Literal["diffusers", "lora"]
FOLDERS: Final[dict[Part, str]] = {"diffusers": "model", "lora": "lora"}
_EACH_SIDE: Final = 0.975
ShippedState = Literal["none", "waiting", "writing", "done", "failed"]


@dataclass(frozen=True, slots=True)
class ShippedFiles:
    """The written form of a checkpoint: how it stands, the newest job that was asked for it, bytes of each part."""

    state: ShippedState
    job: Job | None
    sizes: dict[Part, int]
    sha256: str  # of the card's facts: what names this export; empty until it is written


def folder_of(storage: Storage, checkpoint_id: int) -> Path:
    """Where the written form of a checkpoint lies, once it is whole."""
    return storage.shipped_folder / str(checkpoint_id) / "files"


def request(session: Session, storage: Storage, promotion_id: int, by: Person) -> Job:
    """Ask for a promoted checkpoint to be written out. Asked twice, it is written once.

    Raises NotAllowed below a lead, NotFound, Refused where the files of the checkpoint are not there.
    """
    people.needs_lead(by, "have a model written")
    promotion = promoting.get(session, promotion_id)
    checkpoint = session.get_one(Checkpoint, promotion.checkpoint_id)
    if not promoting.is_there(storage, checkpoint):
        raise Refused("The files of this checkpoint are not whole in the data folder. Bring them back from a backup.")
    storage.refuse_below_reserve(checkpoint.size_bytes)
    arguments = {"checkpoint_id": checkpoint.id}
    return jobs.request_once(session, KIND, arguments, by, is_running_enough=True)


def files_of(session: Session, storage: Storage, checkpoint_id: int) -> ShippedFiles:
    """How the written form of a checkpoint stands."""
    job = newest_job(session, checkpoint_id)
    folder = folder_of(storage, checkpoint_id)
    sizes: dict[Part, int] = {}
    for part, name in FOLDERS.items():
        size = sum(path.stat().st_size for path in (folder / name).rglob("*") if path.is_file())
        if size:
            sizes[part] = size
    state: ShippedState = "done" if sizes else "none"
    if job is not None and not job.is_over:
        state = "waiting" if job.state == "queued" else "writing"
    elif job is not None and job.state == "failed" and not sizes:
        state = "failed"
    return ShippedFiles(state, job, sizes, _facts_hash(folder))


def newest_job(session: Session, checkpoint_id: int) -> Job | None:
    """The last job that was asked to write a checkpoint out."""
    mine = select(Job).where(Job.kind == KIND, Job.arguments["checkpoint_id"].as_integer() == checkpoint_id)
    return session.scalars(mine.order_by(Job.id.desc()).limit(1)).first()


def contents(session: Session, storage: Storage, promotion_id: int, part: Part) -> tuple[str, list[Archived]]:
    """The name of one part of a promoted checkpoint's export, and its files as an archive has them.

    Raises NotFound where it was not written, or lost since.
    """
    promotion = promoting.get(session, promotion_id)
    folder = folder_of(storage, promotion.checkpoint_id) / FOLDERS[part]
    checkpoint = session.get_one(Checkpoint, promotion.checkpoint_id)
    name = f"run-{checkpoint.run_id}-step-{checkpoint.step}-{part}"
    listed = archive.listed(folder, name) if folder.is_dir() else []
    if not listed:
        raise NotFound("This is not in the data folder. Have the model written first.")
    return name, listed


def card_of(session: Session, storage: Storage, promotion_id: int) -> Path:
    """The model card of a promoted checkpoint. Raises NotFound where it was not written."""
    promotion = promoting.get(session, promotion_id)
    file = folder_of(storage, promotion.checkpoint_id) / FOLDERS["diffusers"] / CARD
    if not file.is_file():
        raise NotFound("The model card comes with the model. Have it written first.")
    return file


def facts(session: Session, checkpoint_id: int, currency: str) -> ShippedFacts:
    """What the card of a checkpoint tells, as it is known now."""
    checkpoint = session.get_one(Checkpoint, checkpoint_id)
    run = session.get_one(TrainingRun, checkpoint.run_id)
    version = session.get_one(DatasetVersion, run.version_id)
    catalog = session.get_one(Catalog, version.catalog_id)
    newest = select(Promotion).where(Promotion.checkpoint_id == checkpoint_id).order_by(Promotion.id.desc()).limit(1)
    signed = session.scalars(newest).first()
    names = people.names(session, {signed.signed_by_id}) if signed else {}
    return ShippedFacts(
        run_id=run.id, step=checkpoint.step, version=f"{catalog.name}, version {version.number}",
        sentence=version.sentence, photos=version.train_count or 0, content_hash=version.content_hash or "",
        recipe_name=str(run.recipe.get("name", "")), recipe_hash=run.recipe_hash, seconds=run.actual_s,
        amount=cost_of(run), currency=currency, signed_by=names.get(signed.signed_by_id) if signed else None,
        signed_on=signed.created_at.date() if signed else None, note=signed.note if signed else "",
        verdict=signed.verdict if signed else {}, usability=usability(session, [checkpoint_id]).get(checkpoint_id, []),
    )  # fmt: skip


def cost_of(run: TrainingRun) -> Decimal | None:
    """What a run's time on its devices cost, by the price of its launch; None where that is not known."""
    if run.actual_s is None or run.hour_price is None:
        return None
    return Decimal(str(run.actual_s)) * run.hour_price / 3600


def usability(session: Session, checkpoint_ids: list[int]) -> dict[int, list[Usability]]:
    """Of each checkpoint and suite, the newest suite first: pictures that somebody answered for, and those of them that
    more people would publish than not. Prompts held out are counted with the others."""
    picture = (
        select(
            Sample.checkpoint_id,
            Prompt.suite_id,
            Sample.id,
            (2 * func.count().filter(UsableAnswer.is_usable) > func.count()).label("is_usable"),
        )
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .join(UsableAnswer, UsableAnswer.sample_id == Sample.id)
        .where(Sample.checkpoint_id.in_(checkpoint_ids), UsableAnswer.superseded_at.is_(None))
        .group_by(Sample.checkpoint_id, Prompt.suite_id, Sample.id)
        .subquery()
    )
    rows = session.execute(
        select(picture.c.checkpoint_id, Suite, func.count(), func.count().filter(picture.c.is_usable))
        .join(Suite, Suite.id == picture.c.suite_id)
        .group_by(picture.c.checkpoint_id, Suite.id)
        .order_by(Suite.id.desc())
    )
    counted: dict[int, list[Usability]] = {}
    for checkpoint_id, suite, answered, usable in rows:
        counted.setdefault(checkpoint_id, []).append(
            Usability(f"{suite.name}, suite {suite.version}", answered, usable)
        )
    return counted


def pictures_by_lot(session: Session, checkpoint_id: int, lot: int, count: int) -> tuple[list[int], int]:
    """A few samples of a checkpoint, drawn by lot, the same ones at each look; and how many it drew. None held out."""
    drawn = (
        select(Sample.id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Sample.checkpoint_id == checkpoint_id, Prompt.tier != "hold_out")
    )
    by_lot = drawn.order_by(func.md5(func.concat(Sample.id, ".", lot))).limit(count)
    total = session.scalar(select(func.count()).select_from(drawn.subquery())) or 0
    return list(session.scalars(by_lot)), total


def bounds(said: Usability) -> tuple[float, float]:
    """The share that is usable, bounded on both sides with 95 % together (Clopper-Pearson)."""
    # scipy takes a while to import, and most pages need none of it.
    from app.evaluation import intervals

    lower = intervals.lower(said.usable, said.answered, _EACH_SIDE)
    return lower, intervals.upper(said.usable, said.answered, _EACH_SIDE)


def _facts_hash(folder: Path) -> str:
    try:
        written: dict[str, Any] = json.loads((folder / FOLDERS["diffusers"] / FACTS).read_text())
        return str(written.get("weights_sha256", ""))
    except (OSError, ValueError, AttributeError):
        return ""
