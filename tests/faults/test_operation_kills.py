"""Acts on many photos whose workers are killed at random moments, and their undo, end as if nobody had killed them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from sqlalchemy import Engine, Text, cast, func, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.bulk import operations
from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.database import transaction, utc_now
from app.labels import sets
from app.labels.tables import Labelling, LabelSet
from app.people import Person
from app.review import decisions
from app.review.tables import Assignment, Decision, Operation
from app.selection.query import parse
from app.selection.tables import PhotoIndex
from app.settings import Settings
from tests import cast as actors
from tests.faults.lost_workers import LostWorkers, lost_workers
from tests.workers.captions import tiny_captioners

PHOTOS = 12_000
KILLS = 4
HISTORIES = (Decision, Labelling, Assignment, Caption)
# What tells one doing of an act from another one of the same act.
OF_THE_DOING = {"id", "operation_id", "created_at", "superseded_at", "undone_at"}


@dataclass(frozen=True)
class Pile:
    """A catalog of photos to which much was done, a quarter each by Mei, by Ana, by rules and files, and by nobody."""

    catalog_id: int
    ana_id: int
    mei_id: int
    tags: LabelSet
    season: LabelSet
    model: str


Value = Callable[[Pile], dict[str, Any]]
# An act, to how many photos of which state of things.
ACTS: dict[str, tuple[str, int, Value]] = {
    "keep": ("decide", PHOTOS, lambda _: {"verdict": "kept"}),
    "reject": ("decide", PHOTOS, lambda _: {"verdict": "rejected", "reason": "blurred"}),
    "needs work": ("decide", PHOTOS, lambda _: {"verdict": "needs_work"}),
    "accept": ("accept", PHOTOS, lambda _: {}),
    "tag": ("label", PHOTOS, lambda pile: labelled(pile.tags, 1)),
    "tag taken away": ("label", PHOTOS, lambda pile: labelled(pile.tags, 0, is_taken=True)),
    "answer in place of others'": ("label", PHOTOS, lambda pile: labelled(pile.season, 1, replaces=True)),
    "all of a set taken away": (
        "label",
        PHOTOS,
        lambda pile: labelled(pile.season, None, is_taken=True, replaces=True),
    ),
    "assign": ("assign", PHOTOS, lambda pile: {"person_id": pile.ana_id}),
    "assign to nobody": ("assign", PHOTOS, lambda _: {"person_id": None}),
    "recaption": ("recaption", 3000, lambda _: {"model": None}),
    "recaption by a model": ("recaption", 600, lambda pile: {"model": pile.model, "replaces": True}),
}


def labelled(label_set: LabelSet, place: int | None, **more: bool) -> dict[str, Any]:
    """A label of a set, given or taken away; all of its labels where `place` is None."""
    value_id = None if place is None else label_set.values[place].id
    return {"set_id": label_set.id, "value_id": value_id, "is_taken": False, **more}


@pytest.mark.parametrize("name", ACTS)
def test_what_was_asked_for_is_done_once_and_taken_back_whole(
    engine: Engine, emptied: None, settings: Settings, tmp_path: Path, name: str
) -> None:
    kind, photos, value_of = ACTS[name]
    with transaction(engine) as session:
        pile = piled(session, settings, photos, str(tmp_path))
        value = value_of(pile)
    is_by_a_model = operations.ACTS[kind].is_for_a_model(value)
    if is_by_a_model:
        tiny_captioners.blip(tmp_path)
    with lost_workers(engine, settings, ("cpu", "gpu") if is_by_a_model else ("cpu",)) as workers:
        before, undisturbed = state(engine, pile), done(workers, pile, kind, value, kills=0)
        after = state(engine, pile, undisturbed)
        assert undisturbed.changed > 0 and after != before
        taken_back(workers, pile, undisturbed, kills=0)
        assert state(engine, pile) == before
        # The same once more, by workers that are killed.
        killed = done(workers, pile, kind, value, KILLS)
        assert workers.kills, "nobody was killed while it was done"
        assert counts(killed) == counts(undisturbed)
        assert state(engine, pile, killed) == after
        hits = len(workers.kills)
        taken_back(workers, pile, killed, KILLS)
        assert len(workers.kills) > hits, "nobody was killed while it was taken back"
        assert state(engine, pile) == before
        print(f"{name}: {hits} kills while it was done, {len(workers.kills) - hits} while it was taken back")


def done(workers: LostWorkers, pile: Pile, kind: str, value: dict[str, Any], kills: int) -> Operation:
    """An act of Ana on all photos, by workers of which so many are killed; as it is then."""
    with transaction(workers.engine) as session:
        ana = session.get_one(Person, pile.ana_id)
        operation = operations.begin(session, parse("", pile.catalog_id), ana, kind, value, "")
        asked = operations.carry_out(session, operation, ana)
        assert asked is not None
    job = workers.do(asked.id, kills)
    assert (job.state, job.done) == ("done", operation.count), job.failure
    return ended(workers.engine, operation, "done")


def taken_back(workers: LostWorkers, pile: Pile, operation: Operation, kills: int) -> None:
    """Let Mei take an act back, by workers of which so many are killed."""
    with transaction(workers.engine) as session:
        asked = operations.undo(session, operation.id, session.get_one(Person, pile.mei_id))
        assert asked is not None or operation.changed <= operations.AT_ONCE
    if asked is not None:
        job = workers.do(asked.id, kills)
        assert job.state == "done", job.failure
    undone = ended(workers.engine, operation, "undone")
    assert (undone.taken_back, undone.stayed) == (operation.changed, 0)


def ended(engine: Engine, operation: Operation, state: str) -> Operation:
    """The operation as it is now, at its end."""
    with transaction(engine) as session:
        now = session.get_one(Operation, operation.id)
        assert now.state == state
        return now


def counts(operation: Operation) -> tuple[int, int, int]:
    return operation.changed, operation.already, operation.passed_over


def state(engine: Engine, pile: Pile, operation: Operation | None = None) -> dict[str, tuple[int, str | None]]:
    """What stands of each photo in each history and in the photo index, and each row that an operation wrote with what
    was before it: how many rows these are, and a hash of all that they say."""
    said = {}
    with transaction(engine) as session:
        for table in HISTORIES:
            names = [column for column in table.__table__.columns if column.name not in OF_THE_DOING]
            # An undo lets rules say again what they said: other rows, but the same words.
            names = [column for column in names if operation is not None or column.name != "parent_id"]
            # A caption's settings name the run that it came from, which is another one each time.
            names = [column.op("-")("run") if column.name == "settings" else column for column in names]
            said[table.__tablename__] = hashed(session, names, table.superseded_at.is_(None))
            if operation is not None:
                said[f"{table.__tablename__} by it"] = hashed(session, names, table.operation_id == operation.id)
        moments = {"decided_at", "captioned_at"}
        names = [column for column in PhotoIndex.__table__.columns if column.name not in moments]
        said["photo index"] = hashed(session, names, PhotoIndex.catalog_id == pile.catalog_id)
    return said


def hashed(session: Session, columns: list[Any], which: Any) -> tuple[int, str | None]:
    """How many rows there are, and a hash of these columns of them in an order of their own."""
    row = cast(func.jsonb_build_array(*columns), Text)
    rows = select(row.label("said")).where(which).subquery()
    query = select(func.count(), func.md5(func.string_agg(rows.c.said, aggregate_order_by("\n", rows.c.said))))
    count, digest = session.execute(query.select_from(rows)).one()
    return count, digest


def piled(session: Session, settings: Settings, photos: int, model: str) -> Pile:
    """So many photos, all alike but for what people, rules and files said of them."""
    catalog, ana, mei = actors.catalog(session), actors.person(session), actors.person(session, "Mei")
    ids = fill(session, settings, catalog, photos)
    tags, _ = sets.tag(session, catalog.id, mei, "summer")
    sets.tag(session, catalog.id, mei, "winter")
    season = sets.define(session, catalog.id, mei, "Season", "one", ["Cold", "Warm"])
    pile = Pile(catalog.id, ana.id, mei.id, sets.get(session, tags.id), season, model)
    by_mei, by_ana, by_others = (ids[start::4] for start in range(3))
    for who, some, kind, value in (
        (mei, by_mei, "decide", {"verdict": "rejected", "reason": "not ours"}),
        (ana, by_ana, "decide", {"verdict": "kept"}),
        (mei, by_mei, "label", labelled(pile.tags, 0)),
        (ana, by_ana, "label", labelled(pile.tags, 1)),
        (mei, by_mei, "label", labelled(season, 0)),
        (ana, by_ana, "label", labelled(season, 1)),
        (mei, by_mei, "assign", {"person_id": mei.id}),
        (mei, by_ana, "assign", {"person_id": ana.id}),
    ):
        chosen = parse(f"id:{','.join(map(str, some))}", catalog.id)
        earlier = operations.begin(session, chosen, who, kind, value, "")
        while operations.do_next(session, earlier.id):
            pass
    decisions.replace(session, by_others, utc_now(), verdict="rejected", rule="blurred", reason="blurred")
    for author, some in (("captioner", by_mei), ("person", by_ana), ("given", by_others)):
        session.execute(
            text(
                "insert into caption (image_id, text, written_by, person_id, captioner, settings, created_at) "
                "select unnest(cast(:ids as bigint[])), 'A mug.', cast(:author as text), "
                "case when :author = 'person' then cast(:ana as bigint) end, "
                "case when :author = 'captioner' then 'an older one' end, '{}', now()"
            ),
            {"ids": some, "author": author, "ana": ana.id},
        )
    decisions.apply_rules(session, ids)
    return pile


def fill(session: Session, settings: Settings, catalog: Catalog, photos: int) -> list[int]:
    """So many photos with the same picture; their numbers."""
    first = actors.image(session, catalog)
    picture = settings.data_dir / (first.render_path or "")
    picture.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new("RGB", (48, 48), (200, 30, 30)).save(picture)
    columns = [column.name for column in Image.__table__.columns if column.computed is None]
    own = {"id": "nextval(pg_get_serial_sequence('image', 'id'))", "sha256": "md5(n::text)", "file_name": "n::text"}
    wanted = ", ".join(own.get(name, name) for name in columns)
    session.execute(
        text(
            f"insert into image ({', '.join(columns)}) select {wanted} from image, "  # noqa: S608
            f"generate_series(2, {photos}) as n where id = {first.id}"
        )
    )
    return list(session.scalars(select(Image.id).where(Image.catalog_id == catalog.id).order_by(Image.id)))
