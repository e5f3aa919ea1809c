"""Which checkpoint ships: asked for by a lead, signed by an owner, one live at a time in a catalog, and taken back.

Who is lead and owner may do both, and the history says that one person did. What was live is never edited away: rolling
back is one more promotion, of the checkpoint before. A run of which something shipped is closed, so that what is live
stays what was judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import audit, people
from app.catalog import reading
from app.catalog.tables import Catalog
from app.database import utc_now
from app.datasets.tables import DatasetVersion
from app.errors import Conflict, NotFound, Refused
from app.evaluation import columns, judging, sheets
from app.evaluation.promotion_tables import Promotion
from app.evaluation.shipping_tables import Candidacy
from app.people import Person
from app.storage import Storage
from app.training import runs, validations
from app.training.tables import Checkpoint, TrainingRun

NOTE_AT_MOST: Final = 2000
SIDECAR: Final = "checkpoint.json"  # as `workers.finetune.checkpoint` writes it
SHIPS: Final = "ship"
ENDED: Final = ("completed", "stopped", "failed")


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A catalog's live model: its promotion, the checkpoint and the run that it is of."""

    promotion: Promotion
    checkpoint: Checkpoint
    run: TrainingRun


def ask(
    session: Session, storage: Storage, checkpoint_id: int, by: Person, note: str = "", sheet_id: int | None = None
) -> Candidacy:
    """Ask for a checkpoint to be made the live model of its catalog; asked twice, it is asked once.

    Raises NotAllowed below a lead, NotFound, and Refused for what cannot ship: see `refuse_unfit`. Against the gate, or
    where none has judged it, a note says why.
    """
    people.needs_lead(by, "ask for a model to ship")
    checkpoint, run, catalog = origin_of(session, checkpoint_id)
    refuse_unfit(session, storage, checkpoint, run, catalog)
    note = noted(note, judging.decision(session, sheet_id, checkpoint_id))
    if sheet_id is not None and checkpoint_id not in {
        each.id for each in columns.drawn_columns(session, sheets.get(session, sheet_id))
    }:
        raise Refused("This sheet has no column of this checkpoint, so it says nothing of it.")
    values = {"catalog_id": catalog.id, "checkpoint_id": checkpoint_id, "sheet_id": sheet_id, "note": note}
    asked = insert(Candidacy).values(**values, answer="", asked_by_id=by.id, created_at=utc_now())
    number = session.scalar(asked.on_conflict_do_nothing().returning(Candidacy.id))
    if number is not None:
        audit.record(session, "candidate_asked", by.id, run=run.id, step=checkpoint.step, candidate=number)
    open_one = select(Candidacy).where(Candidacy.checkpoint_id == checkpoint_id, Candidacy.ended_at.is_(None))
    return session.scalars(open_one).one()


def refuse_unfit(
    session: Session, storage: Storage, checkpoint: Checkpoint, run: TrainingRun, catalog: Catalog
) -> None:
    """Raises Refused for what cannot ship; see `why_not`."""
    if sentence := why_not(session, storage, checkpoint, run, catalog):
        raise Refused(sentence)


def why_not(
    session: Session, storage: Storage, checkpoint: Checkpoint, run: TrainingRun, catalog: Catalog
) -> str | None:
    """Why a checkpoint cannot ship, in a sentence: it is the base, its run is not over, its loss had exploded, its
    files are not there, its catalog was removed, or it is live already. None when it can."""
    step = f"Step {checkpoint.step:,} of run {run.id}"
    current = live(session, catalog.id)
    if checkpoint.step == 0 or checkpoint.folder is None:
        return "The base ships by itself: nothing was learned in it."
    if run.ended_at is None or run.state not in ENDED:
        return f"Run {run.id} is {run.state}. A checkpoint ships once its run is over."
    if checkpoint.id not in {each.id for each in validations.sound_checkpoints(session, run)}:
        return f"{step} was saved when the loss had begun to explode."
    if catalog.removed_at is not None:
        return "The catalog that this model learned from was removed."
    if not is_there(storage, checkpoint):
        return f"The files of step {checkpoint.step:,} of run {run.id} are not whole in the data folder."
    if current is not None and current.checkpoint.id == checkpoint.id:
        return f"{step} is the live model already."
    return None


def decline(session: Session, candidacy_id: int, by: Person, answer: str = "") -> Candidacy:
    """End a candidacy without a promotion: withdrawn by whoever asked, or declined by another lead or an owner.

    Raises NotAllowed below a lead, NotFound, and Conflict where somebody ended it meanwhile.
    """
    people.needs_lead(by, "decline a candidate")
    candidacy = _held(session, candidacy_id)
    is_own = candidacy.asked_by_id == by.id
    _end(session, candidacy, by, "withdrawn" if is_own else "declined", _text(answer))
    audit.record(session, "candidate_ended", by.id, candidate=candidacy.id, outcome=candidacy.outcome)
    return candidacy


def sign(
    session: Session, storage: Storage, candidacy_id: int, by: Person, expected_id: int = 0, note: str = ""
) -> Promotion:
    """Make a candidate the live model. `expected_id` is the promotion that was live on the signer's page, 0 for none.

    Raises NotAllowed for anybody but an owner, NotFound, Refused as `ask` does and where the gate says otherwise and no
    note says why, and Conflict where somebody else signed, declined or changed what is live meanwhile.
    """
    people.needs_owner(by, "sign a model off")
    candidacy = _held(session, candidacy_id)
    checkpoint, run, catalog = origin_of(session, candidacy.checkpoint_id)
    # Held until the end: whoever lets the run go on, or discards it, comes before or sees that it shipped.
    session.refresh(run, with_for_update=True)
    refuse_unfit(session, storage, checkpoint, run, catalog)
    decision = judging.decision(session, candidacy.sheet_id, checkpoint.id)
    note = noted(note, decision)
    _end_live(session, catalog.id, expected_id, by, "replaced")
    verdict = {**(decision or {}), "asked_by_id": candidacy.asked_by_id, "asked_note": candidacy.note}
    promotion = _begin(session, catalog.id, checkpoint.id, candidacy.sheet_id, verdict, note, by)
    run.shipped_at = run.shipped_at or promotion.created_at
    candidacy.promotion_id = promotion.id
    _end(session, candidacy, by, "signed", note)
    said = str(decision["kind"]) if decision else "not judged"
    audit.record(
        session, "model_promoted", by.id, candidacy.asked_by_id, run=run.id, step=checkpoint.step, catalog=catalog.id,
        promotion=promotion.id, gate=said,
    )  # fmt: skip
    return promotion


def roll_back(session: Session, storage: Storage, promotion_id: int, by: Person, note: str) -> Promotion | None:
    """Take the live model back: the one before is live again, as one more promotion. None where none was before.

    Raises NotAllowed for anybody but an owner, NotFound, Refused without a reason or where the files of the one before
    are not there, and Conflict where it is not the live model any more.
    """
    people.needs_owner(by, "roll a model back")
    note = _text(note)
    if not note:
        raise Refused("Say in a word what was wrong with it: whoever looks at the history wants to know.")
    promotion = get(session, promotion_id)
    earlier = before(history(session, promotion.catalog_id), promotion)
    if earlier is not None and not is_there(storage, session.get_one(Checkpoint, earlier.checkpoint_id)):
        raise Refused("The files of the model before are not whole in the data folder. Bring them back from a backup.")
    _end_live(session, promotion.catalog_id, promotion_id, by, "rolled_back" if earlier else "withdrawn")
    checkpoint = session.get_one(Checkpoint, promotion.checkpoint_id)
    facts: dict[str, Any] = {"run": checkpoint.run_id, "step": checkpoint.step, "catalog": promotion.catalog_id}
    if earlier is None:
        audit.record(session, "model_withdrawn", by.id, promotion=promotion_id, why=note, **facts)
        return None
    again = _begin(
        session, promotion.catalog_id, earlier.checkpoint_id, earlier.sheet_id, earlier.verdict, note, by, promotion_id
    )
    audit.record(session, "model_rolled_back", by.id, promotion=again.id, back_from=promotion_id, **facts)
    return again


def live(session: Session, catalog_id: int) -> LiveModel | None:
    """The live model of a catalog."""
    row = session.execute(
        select(Promotion, Checkpoint, TrainingRun)
        .join(Checkpoint, Checkpoint.id == Promotion.checkpoint_id)
        .join(TrainingRun, TrainingRun.id == Checkpoint.run_id)
        .where(Promotion.catalog_id == catalog_id, Promotion.ended_at.is_(None))
    ).first()
    return LiveModel(*row) if row else None


def history(session: Session, catalog_id: int) -> Sequence[Promotion]:
    """Every promotion of a catalog, oldest first."""
    rows = select(Promotion).where(Promotion.catalog_id == catalog_id).order_by(Promotion.id)
    return session.scalars(rows).all()


def before(past: Sequence[Promotion], promotion: Promotion) -> Promotion | None:
    """The promotion that rolling this one back brings again; `past` are those of its catalog, oldest first.

    What was rolled back or withdrawn itself is passed over: it is not good enough to come again.
    """
    lasting: list[Promotion] = []
    for each in past:
        if each.rolls_back_id is not None:
            # What it took back goes, and it takes the place of the promotion that it brought again.
            del lasting[-2:]
        lasting.append(each)
        if each.id == promotion.id:
            return lasting[-2] if len(lasting) > 1 else None
        if each.end_cause == "withdrawn":
            lasting.pop()
    return None


def get(session: Session, promotion_id: int) -> Promotion:
    """The promotion with this id. Raises NotFound."""
    promotion = session.get(Promotion, promotion_id)
    if promotion is None:
        raise NotFound(f"There is no promotion {promotion_id}.")
    return promotion


def candidates(session: Session, catalog_id: int) -> Sequence[Candidacy]:
    """The candidacies of a catalog that wait for a signature, oldest first."""
    waiting = select(Candidacy).where(Candidacy.catalog_id == catalog_id, Candidacy.ended_at.is_(None))
    return session.scalars(waiting.order_by(Candidacy.id)).all()


def candidate(session: Session, candidacy_id: int) -> Candidacy:
    """The candidacy with this id. Raises NotFound."""
    candidacy = session.get(Candidacy, candidacy_id)
    if candidacy is None:
        raise NotFound(f"There is no candidate {candidacy_id}.")
    return candidacy


def origin_of(session: Session, checkpoint_id: int) -> tuple[Checkpoint, TrainingRun, Catalog]:
    """A checkpoint, its run, and the catalog that it learned from, for which it can ship. Raises NotFound."""
    checkpoint = session.get(Checkpoint, checkpoint_id)
    if checkpoint is None:
        raise NotFound(f"There is no checkpoint {checkpoint_id}.")
    run = session.get_one(TrainingRun, checkpoint.run_id)
    version = session.get_one(DatasetVersion, run.version_id)
    return checkpoint, run, session.get_one(Catalog, version.catalog_id)


def likely(session: Session, run_id: int) -> Checkpoint:
    """The checkpoint of a run that its validations favour: proved best, else the lowest, else the last one.

    Raises NotFound for no run, Refused for one without checkpoints.
    """
    run = runs.get(session, run_id)
    saved = choices(session, run)
    if not saved:
        raise Refused(f"Run {run_id} has no checkpoint that could ship.")
    proved = validations.insight_once(session, run).verdict
    by_step = {checkpoint.step: checkpoint for checkpoint in saved}
    return by_step.get(proved.best or 0) or by_step.get(proved.lowest or 0) or saved[-1]


def choices(session: Session, run: TrainingRun) -> list[Checkpoint]:
    """The checkpoints of a run that may ship, by step."""
    return [each for each in validations.sound_checkpoints(session, run) if each.step and each.folder]


def is_there(storage: Storage, checkpoint: Checkpoint) -> bool:
    """Whether the weights of a checkpoint are there, each file as long as it was saved."""
    if checkpoint.folder is None:
        return False
    folder = storage.root / checkpoint.folder
    try:
        listed: Mapping[str, Mapping[str, Any]] = json.loads((folder / SIDECAR).read_text())["files"]
        return _has_weights(folder, listed)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _has_weights(folder: Path, listed: Mapping[str, Mapping[str, Any]]) -> bool:
    weights = {name: facts["size_bytes"] for name, facts in listed.items() if name.startswith("weights/")}
    return bool(weights) and all((folder / name).stat().st_size == size for name, size in weights.items())


def noted(note: str, decision: Mapping[str, Any] | None) -> str:
    """The note as it is kept. Raises Refused where it is empty and the gate did not say that the checkpoint ships."""
    note = _text(note)
    if not note and (decision is None or decision["kind"] != SHIPS):
        said = "No gate has judged this checkpoint" if decision is None else "The gate does not say that it ships"
        raise Refused(f"{said}. Say in a note why it ships all the same.")
    return note


def _text(note: str) -> str:
    note = "\n".join(" ".join(line.split()) for line in note.strip().splitlines())
    if len(note) > NOTE_AT_MOST:
        raise Refused(f"A note has at most {NOTE_AT_MOST:,} characters; this one has {len(note):,}.")
    return note


def _held(session: Session, candidacy_id: int) -> Candidacy:
    """A candidacy that waits, which nobody else ends until the transaction does. Raises NotFound, Conflict."""
    candidacy = session.get(Candidacy, candidacy_id, with_for_update=True, populate_existing=True)
    if candidacy is None:
        raise NotFound(f"There is no candidate {candidacy_id}.")
    if candidacy.ended_at is not None:
        who = people.names(session, {candidacy.ended_by_id or 0}).get(candidacy.ended_by_id or 0, "Somebody")
        raise Conflict(f"{who} has {candidacy.outcome} it meanwhile. Look at the models again.", other=who)
    return candidacy


def _end(session: Session, candidacy: Candidacy, by: Person, outcome: str, answer: str) -> None:
    candidacy.ended_at, candidacy.ended_by_id, candidacy.outcome, candidacy.answer = utc_now(), by.id, outcome, answer
    session.flush()


def _end_live(session: Session, catalog_id: int, expected_id: int, by: Person, cause: str) -> None:
    """End the promotion that is live, which has to be the expected one. Of two people at once the second waits here for
    the first, and finds nothing to end. Raises Conflict."""
    mine = (Promotion.catalog_id == catalog_id, Promotion.ended_at.is_(None))
    if expected_id:
        ended = update(Promotion).where(*mine, Promotion.id == expected_id)
        values = {"ended_at": utc_now(), "ended_by_id": by.id, "end_cause": cause}
        if session.scalar(ended.values(**values).returning(Promotion.id)) is not None:
            session.expire_all()
            return
    now = session.scalars(select(Promotion).where(*mine)).first()
    if expected_id or now is not None:
        raise _changed(session, now)


def _begin(
    session: Session,
    catalog_id: int,
    checkpoint_id: int,
    sheet_id: int | None,
    verdict: Mapping[str, Any],
    note: str,
    by: Person,
    rolls_back_id: int | None = None,
) -> Promotion:
    """A new live promotion. The index on live ones lets one in; raises Conflict for the second."""
    row = insert(Promotion).values(
        catalog_id=catalog_id, checkpoint_id=checkpoint_id, sheet_id=sheet_id, verdict=dict(verdict), note=note,
        signed_by_id=by.id, created_at=utc_now(), rolls_back_id=rolls_back_id,
    )  # fmt: skip
    number = session.scalar(row.on_conflict_do_nothing().returning(Promotion.id))
    if number is None:
        raise _changed(session, None)
    return session.get_one(Promotion, number)


def _changed(session: Session, now: Promotion | None) -> Conflict:
    if now is None:
        return Conflict("Somebody changed what is live meanwhile. Nothing was done; look at the models again.")
    who = people.names(session, {now.signed_by_id}).get(now.signed_by_id, "Somebody")
    checkpoint = session.get_one(Checkpoint, now.checkpoint_id)
    what = f"step {checkpoint.step:,} of run {checkpoint.run_id}"
    return Conflict(f"{who} made {what} live meanwhile. Nothing was done; look at the models again.", other=what)


def catalogs(session: Session) -> list[Catalog]:
    """The catalogs that have, had or may have a live model: those with promotions or candidates, by name."""
    of = select(Promotion.catalog_id).union(select(Candidacy.catalog_id))
    rows = select(Catalog).where(Catalog.id.in_(of), Catalog.removed_at.is_(None)).order_by(Catalog.name)
    return list(session.scalars(rows))


def catalog(session: Session, catalog_id: int) -> Catalog:
    """The catalog with this id. Raises NotFound, also for one that was removed."""
    return session.get_one(Catalog, reading.get(session, catalog_id).id)
