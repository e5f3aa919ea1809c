"""Operations: acts on many photos, from what was chosen to their end and back again.

Which photos are meant is fixed when an act is asked for: a filter that gives others a moment later changes nothing.
They are changed batch by batch, each in a transaction that also notes that it is done, so that an act whose worker is
killed goes on where it was. What was changed carries the operation's number and can be taken back at any time, by
anybody, also when the act was stopped half-way; whatever somebody changed since stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import any_, func, insert, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app import jobs
from app.bulk.acts import Act, Did, TakenBack
from app.bulk.assigning import Assign
from app.bulk.captioning import BringIn
from app.bulk.deciding import Accept, Decide
from app.bulk.filling import Fill
from app.bulk.label_bringing import BringLabelsIn
from app.bulk.labelling import GiveLabel
from app.bulk.recaptioning import Recaption
from app.bulk.rewording import Reword
from app.catalog.reading import Chosen
from app.catalog.tables import Image
from app.database import array, utc_now
from app.errors import Conflict, NotFound, Refused
from app.jobs import Job
from app.people import Person
from app.review import decisions
from app.review.tables import Operation, OperationBatch

# So many photos are decided on in one transaction: about a second, after which a stop is heard. Of what takes longer
# for each photo, fewer are (`Act.weight`).
BATCH: Final = 5000
# As many are done in the request itself; of more the person sees how far they are.
AT_ONCE: Final = 2000
DO: Final = "operation.do"
LOOK: Final = "operation.look"
ASK: Final = "operation.ask"
UNDO: Final = "operation.undo"
ACTS: Final[dict[str, Act]] = {
    "decide": Decide(), "accept": Accept(), "assign": Assign(), "label": GiveLabel(), "recaption": Recaption(),
    "reword": Reword(), "fill": Fill(), "captions": BringIn(),
    "labels": BringLabelsIn(),
}  # fmt: skip
# The photos of a batch lie near each other: by their numbers they are found sooner than by reading a catalog's tables
# whole, which the usual setting, of disks that turn, takes for cheaper from some 50,000 photos on.
_NEAR: Final = text("set local random_page_cost = 1.1")
Step = Callable[[Session, Operation, Sequence[int]], Did | TakenBack]


@dataclass(frozen=True, slots=True)
class OperationRow:
    """An operation with who asked for it, who took it back, and its newest job, where it needed one."""

    operation: Operation
    person: str
    undone_by: str | None
    job: Job | None

    @property
    def noun(self) -> str:
        """What it counts."""
        return act_of(self.operation).noun

    @property
    def is_under_way(self) -> bool:
        """Whether a worker has it, or will."""
        return self.job is not None and not self.job.is_over

    @property
    def is_half_done(self) -> bool:
        """Whether it ended before its end: stopped by somebody, or by a failure."""
        return self.operation.state in ("open", "undoing") and not self.is_under_way

    @property
    def may_be_undone(self) -> bool:
        """Whether there is something of it to take back now."""
        left = self.operation.changed - self.operation.taken_back
        return not self.is_under_way and left > 0 and (self.operation.state != "undone" or self.operation.stayed > 0)


def begin(
    session: Session,
    selection: Chosen,
    person: Person,
    kind: str,
    value: dict[str, Any],
    query: str,
    expected_count: int | None = None,
) -> Operation:
    """Fix what an act is to be done to; nothing is changed yet. `query` is the selection as it is written.

    `expected_count` is how many photos the person was told. Raises Refused for an unknown act, a value that makes no
    sense or a selection of nothing, and Conflict when the selection holds another number of photos now.
    """
    if kind not in ACTS:
        raise Refused(f"“{kind}” is not an act on photos. Acts are: {', '.join(ACTS)}.")
    act = ACTS[kind]
    value = act.checked(session, selection.catalog_id, value)
    decisions.lock(session, selection.catalog_id)
    with session.begin_nested():  # what is refused leaves no line
        operation = _fix(session, selection, person, kind, value, query)
        if expected_count is not None and operation.count != expected_count:
            count = operation.count
            raise Conflict(f"The filter gives {count:,} photos now, not {expected_count:,}; nothing was changed.")
        if not operation.count:
            raise Refused("The filter gives no photo, so nothing was changed.")
        if sentence := act.obstacle(session, selection, value):
            raise Refused(sentence)
    return operation


def _fix(
    session: Session, selection: Chosen, person: Person, kind: str, value: dict[str, Any], query: str
) -> Operation:
    """An operation with the photos that are chosen now, in batches."""
    size = max(1, BATCH // ACTS[kind].weight(value))
    operation = Operation(
        catalog_id=selection.catalog_id, kind=kind, value=value, query=query, person_id=person.id, created_at=utc_now()
    )
    session.add(operation)
    session.flush()
    numbered = selection.select(
        Image.id.label("id"), ((func.row_number().over(order_by=Image.id) - 1) // size).label("number")
    ).subquery()
    batches = select(
        literal(operation.id), numbered.c.number, func.array_agg(aggregate_order_by(numbered.c.id, numbered.c.id))
    ).group_by(numbered.c.number)
    fixed = insert(OperationBatch).from_select(["operation_id", "number", "image_ids"], batches)
    counts = session.scalars(fixed.returning(func.cardinality(OperationBatch.image_ids))).all()
    operation.count = sum(counts)
    return operation


def carry_out(session: Session, operation: Operation, person: Person) -> Job | None:
    """Do what was begun: now, where it is little, or else by a job, which is returned."""
    act = act_of(operation)
    if act.is_for_a_model(operation.value) or operation.count > _at_once(operation):
        return _request(session, operation, _doing(operation), person)
    while do_next(session, operation.id):
        pass
    return None


def do_next(session: Session, operation_id: int) -> int:
    """Do the next batch; how many photos it held, 0 where nothing is left to do or somebody takes it back by now."""
    return _next(session, operation_id, "open", "open", "done", lambda act: partial(_do, act))


def do_batch(session: Session, operation_id: int, number: int, step: Step) -> int:
    """Do one batch in this way; how many photos it held, 0 where it is done, or somebody takes it back by now."""
    operation = _held(session, operation_id)
    batch = session.get(OperationBatch, (operation_id, number), populate_existing=True)
    if operation.state != "open" or batch is None or batch.state != "open":
        return 0
    act_of(operation).look_again(session, operation)
    return _keep(session, operation, batch, "done", step)


def open_batches(session: Session, operation_id: int) -> dict[int, int]:
    """How many photos are in each batch that is still to be done, by its number."""
    query = select(OperationBatch.number, func.cardinality(OperationBatch.image_ids))
    is_open = (OperationBatch.operation_id == operation_id, OperationBatch.state == "open")
    return {row[0]: row[1] for row in session.execute(query.where(*is_open).order_by(OperationBatch.number))}


def photos_of(session: Session, operation_id: int, number: int) -> list[int]:
    """The photos of a batch that is still to be done; none where it is not. Raises Refused or NotFound where the act
    cannot be done any more, before a model looks at them."""
    operation = get(session, operation_id)
    batch = session.get(OperationBatch, (operation_id, number))
    if operation.state != "open" or batch is None or batch.state != "open":
        return []
    act_of(operation).look_again(session, operation)
    return batch.image_ids


def undo(session: Session, operation_id: int, person: Person) -> Job | None:
    """Take back what an operation did, as far as nobody changed it since: now, or by a job, which is returned.

    Raises NotFound, and Refused where there is nothing to take back or it is still being done.
    """
    operation = _held(session, operation_id)
    row = row_of(session, operation)
    if row.is_under_way:
        raise Refused("A worker is still busy with this act. Stop it first.")
    if not row.may_be_undone:
        raise Refused("There is nothing left of this to take back.")
    operation.state, operation.stayed = "undoing", 0
    operation.undone_by_id, operation.undone_at = person.id, utc_now()
    # What stayed the last time is looked at again.
    again = update(OperationBatch).where(OperationBatch.operation_id == operation.id, OperationBatch.state == "undone")
    session.execute(again.values(state="done"))
    session.flush()
    if operation.changed > _at_once(operation):
        return _request(session, operation, UNDO, person)
    while undo_next(session, operation.id):
        pass
    return None


def undo_next(session: Session, operation_id: int) -> int:
    """Take the next batch back; how many photos it held, 0 where nothing is left."""
    return _next(session, operation_id, "undoing", "done", "undone", lambda act: act.take_back)


def go_on(session: Session, operation_id: int, person: Person) -> Job:
    """Ask for the rest of an act, or of its undo, that ended half-way. Raises NotFound, and Refused otherwise, or where
    the act cannot be done any more."""
    operation = _held(session, operation_id)
    if not row_of(session, operation).is_half_done:
        raise Refused("There is nothing left to do of this.")
    if operation.state == "open":
        act_of(operation).look_again(session, operation)
    return _request(session, operation, _doing(operation) if operation.state == "open" else UNDO, person)


def left(session: Session, operation_id: int, state: str) -> int:
    """How many photos are in batches of this state."""
    cardinality = func.coalesce(func.sum(func.cardinality(OperationBatch.image_ids)), 0)
    query = select(cardinality).where(OperationBatch.operation_id == operation_id, OperationBatch.state == state)
    return int(session.scalar(query) or 0)


def only_photo(session: Session, operation: Operation) -> Image | None:
    """The photo of an operation that has only one, if it is still there."""
    if operation.count != 1:
        return None
    batches = select(OperationBatch.image_ids).where(OperationBatch.operation_id == operation.id)
    return session.get(Image, session.scalars(batches).one()[0])


def newest_of(session: Session, person: Person) -> Operation | None:
    """The newest operation of a person of which there is something to take back, or is being taken back."""
    is_left = (Operation.state != "undone", Operation.changed > Operation.taken_back)
    query = select(Operation).where(Operation.person_id == person.id, *is_left).order_by(Operation.id.desc())
    return session.scalars(query.limit(1)).first()


def recent(
    session: Session, catalog_id: int, before: int | None = None, limit: int = 50, kinds: Collection[str] = ()
) -> list[OperationRow]:
    """A catalog's operations, of these kinds where some are named, newest first, from the one behind `before` on. What
    found nothing to change as it was asked for is none of them."""
    is_told = or_(Operation.changed > 0, Operation.state != "done", Operation.job_id.is_not(None))
    query = select(Operation).where(Operation.catalog_id == catalog_id, is_told)
    query = query.order_by(Operation.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Operation.id < before)
    if kinds:
        query = query.where(Operation.kind.in_(kinds))
    return [row_of(session, operation) for operation in session.scalars(query)]


def among(session: Session, operation_ids: Collection[int], image_ids: Collection[int]) -> set[int]:
    """Those of these operations that are of any of these photos."""
    if not operation_ids or not image_ids:
        return set()
    is_of = (
        OperationBatch.operation_id == any_(array(operation_ids)),
        OperationBatch.image_ids.overlap(array(image_ids)),
    )
    return set(session.scalars(select(OperationBatch.operation_id).where(*is_of)))


def under_way(session: Session, catalog_id: int) -> list[OperationRow]:
    """A catalog's operations that a worker has, or will have, oldest first."""
    query = (
        select(Operation)
        .join(Job, Job.id == Operation.job_id)
        .where(Operation.catalog_id == catalog_id, Job.state.in_(("queued", "running")))
        .order_by(Operation.id)
    )
    return [row_of(session, operation) for operation in session.scalars(query)]


def get(session: Session, operation_id: int) -> Operation:
    """The operation with this number. Raises NotFound."""
    operation = session.get(Operation, operation_id)
    if operation is None:
        raise NotFound(f"There is no act {operation_id}.")
    return operation


def row_of(session: Session, operation: Operation) -> OperationRow:
    """An operation with its people and its job."""
    names = {
        number: session.get_one(Person, number).name
        for number in (operation.person_id, operation.undone_by_id)
        if number is not None
    }
    job = session.get(Job, operation.job_id, populate_existing=True) if operation.job_id is not None else None
    undone_by = names[operation.undone_by_id] if operation.undone_by_id is not None else None
    return OperationRow(operation, names[operation.person_id], undone_by, job)


def act_of(operation: Operation) -> Act:
    """The act that an operation is of."""
    return ACTS[operation.kind]


def _at_once(operation: Operation) -> int:
    return max(1, AT_ONCE // act_of(operation).weight(operation.value))


def _doing(operation: Operation) -> str:
    """The kind of job that does it."""
    if not act_of(operation).is_for_a_model(operation.value):
        return DO
    return ASK if operation.value.get("place") == "server" else LOOK


def _next(
    session: Session, operation_id: int, state: str, batch_state: str, end: str, step_of: Callable[[Act], Step]
) -> int:
    """Take the next batch from its state to `end`, while the operation is in `state`; it is at its end without one."""
    operation = _held(session, operation_id)
    if operation.state != state:
        return 0
    waiting = (OperationBatch.operation_id == operation.id, OperationBatch.state == batch_state)
    batch = session.scalars(select(OperationBatch).where(*waiting).order_by(OperationBatch.number).limit(1)).first()
    if batch is None:
        operation.state = end
        session.flush()
        return 0
    return _keep(session, operation, batch, end, step_of(act_of(operation)))


def _do(act: Act, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
    act.look_again(session, operation)
    return act.do(session, operation, image_ids)


def _keep(session: Session, operation: Operation, batch: OperationBatch, end: str, step: Step) -> int:
    """Do a batch and note what it came to; how many photos it held."""
    session.execute(_NEAR)
    more = step(session, operation, batch.image_ids)
    for name in more.__slots__:
        setattr(operation, name, getattr(operation, name) + getattr(more, name))
    batch.state = end
    session.flush()
    return len(batch.image_ids)


def _held(session: Session, operation_id: int) -> Operation:
    """The operation as it is now, nobody else's until the transaction ends; its catalog's decisions first."""
    decisions.lock(session, get(session, operation_id).catalog_id)
    return session.get_one(Operation, operation_id, with_for_update=True, populate_existing=True)


def _request(session: Session, operation: Operation, kind: str, person: Person) -> Job:
    arguments = {"catalog_id": operation.catalog_id, "operation_id": operation.id}
    total = left(session, operation.id, "done" if kind == UNDO else "open")
    job = jobs.request(session, kind, arguments, person, total)
    operation.job_id = job.id
    session.flush()
    return job
