"""The task that groups duplicates: what it finds and suggests, what people say of it, and that it all comes back."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageOps
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from app import jobs
from app.bulk import undoing
from app.catalog import embeddings, look_codes, look_pairs
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, DuplicateMember
from app.catalog.embeddings import EmbedderFacts
from app.catalog.tables import Catalog, EmbeddingSpace, Image, Signals
from app.database import transaction, utc_now
from app.errors import Conflict, Refused
from app.jobs import Job
from app.people import Person
from app.removal import photos
from app.review import decisions, duplicates
from app.settings import Settings
from app.storage import Storage
from benchmarks.copies import turned_in_hue
from tests import cast
from tests.pictures import Picture, again, coloured, cut, patches
from workers import celery_app, cpu
from workers.signals.fingerprint import fingerprint

pytestmark = pytest.mark.usefixtures("committed")


def measured(session: Session, pile: Catalog, picture: Picture, product: str | None = None) -> Image:
    """A photo of this picture, measured."""
    image, mark = cast.image(session, pile, product=product), fingerprint(picture)
    image.width_px, image.height_px = picture.size
    image.size_bytes = picture.width * picture.height
    signals = session.get_one(Signals, image.id)
    signals.frame_keys, signals.frame_thumbs = mark.keys, mark.thumbs
    session.flush()
    return image


@pytest.fixture
def pile(engine: Engine) -> Catalog:
    """A photo with four copies, two others, and two more of the second one's product."""
    with transaction(engine) as session:
        pile, first = cast.catalog(session), patches(1, 400)
        for picture in (
            first, again(first.resize((200, 200)), "JPEG", quality=70), cut(first, 0.02),
            ImageOps.expand(first, 60, "white"), ImageOps.mirror(first),
        ):  # fmt: skip
            measured(session, pile, picture)
        for seed, product in ((2, None), (3, "K-1"), (4, "K-1")):
            measured(session, pile, patches(seed), product)
        return pile


@pytest.fixture
def ana(engine: Engine) -> Person:
    with transaction(engine) as session:
        return cast.person(session)


def group(engine: Engine, settings: Settings, pile: Catalog) -> Job:
    with transaction(engine) as session:
        job_id = jobs.request(session, "photos.group", {"catalog_id": pile.id}).id
    celery_app.do(job_id, cpu.group_photos, settings)
    with transaction(engine) as session:
        return jobs.get(session, job_id)


def state(session: Session, pile: Catalog) -> list[tuple[str, list[int]]]:
    """Grade and photos of each current group."""
    query = select(DuplicateGroup).where(DuplicateGroup.catalog_id == pile.id, DuplicateGroup.is_current)
    rows = session.scalars(query.order_by(DuplicateGroup.grade))
    members = DuplicateMember.image_id
    return [
        (row.grade, sorted(session.scalars(select(members).where(DuplicateMember.group_id == row.id)))) for row in rows
    ]


def photo_group(session: Session) -> DuplicateGroup:
    return session.scalars(select(DuplicateGroup).where(DuplicateGroup.grade == "photo")).one()


def test_copies_are_grouped_and_the_whole_large_one_is_the_best(
    engine: Engine, settings: Settings, pile: Catalog
) -> None:
    job = group(engine, settings, pile)
    assert (job.state, job.result["photos"], job.result["groups"]) == ("done", 8, 2)
    with Session(engine) as session:
        first, *rest = session.scalars(select(Image.id).order_by(Image.id))
        assert state(session, pile) == [("photo", [first, *rest[:4]]), ("product", rest[5:])]
        assert photo_group(session).best_id == first
        members = session.scalars(select(DuplicateMember).where(DuplicateMember.image_id.in_([first, *rest[:4]])))
        differs = {member.image_id: member.differs for member in members}
        assert differs[first] == []
        expected = (["smaller"], ["cropped"], ["bordered"], ["mirrored"])
        assert [differs[number][:1] for number in rest[:4]] == list(expected)
        marks = session.execute(select(Image.copies, Image.copy_count, Image.is_best).order_by(Image.id)).all()
        assert marks[0] == ("photo", 4, True) and marks[1] == ("photo", 4, False) and marks[5] == ("none", 0, False)


def test_only_new_photos_are_compared_and_the_groups_are_those_of_one_run(
    engine: Engine, settings: Settings, pile: Catalog
) -> None:
    group(engine, settings, pile)
    again_done = group(engine, settings, pile)
    assert again_done.result["photos"] == 0
    with transaction(engine) as session:
        late = measured(session, pile, again(patches(1, 400), "JPEG", quality=60)).id
    assert group(engine, settings, pile).result["photos"] == 1
    with transaction(engine) as session:
        grown = state(session, pile)
        assert late in grown[0][1] and len(grown[0][1]) == 6
        session.execute(text("update signals set compared_at = null"))
    group(engine, settings, pile)
    with Session(engine) as session:
        assert state(session, pile) == grown
        assert session.scalar(select(CopyPair.first_id).where(CopyPair.first_id >= CopyPair.second_id)) is None


def test_linked_photos_are_rejected_as_copies_and_come_back(
    engine: Engine, settings: Settings, pile: Catalog, ana: Person
) -> None:
    group(engine, settings, pile)
    with transaction(engine) as session:
        best, copy, *_ = session.scalars(select(Image).order_by(Image.id))
        decisions.decide(session, copy, ana, "kept")
        ruled = duplicates.rule(session, photo_group(session).id, ana, "linked")
        assert (ruled.groups, ruled.linked) == (1, 4)
        now = decisions.current(session, copy.id)
        assert now is not None and (now.verdict, now.reason) == ("rejected", "copy of another")
        kept = decisions.current(session, best.id)
        assert kept is not None and kept.verdict == "kept"  # for somebody had kept one that is linked now
        assert session.get_one(Image, copy.id).is_linked and not session.get_one(Image, best.id).is_linked
    group(engine, settings, pile)  # changes nothing of what people said
    with transaction(engine) as session:
        assert session.get_one(Image, copy.id).is_linked
        assert undoing.undo(session, ana).count == 1
        now = decisions.current(session, copy.id)
        assert now is not None and now.verdict == "kept" and not session.get_one(Image, copy.id).is_linked
        assert decisions.current(session, best.id) is None
        assert duplicates.current(session, photo_group(session).id) is None


def test_what_is_no_duplicate_is_never_proposed_again(
    engine: Engine, settings: Settings, pile: Catalog, ana: Person
) -> None:
    group(engine, settings, pile)
    with transaction(engine) as session:
        duplicates.rule(session, photo_group(session).id, ana, "apart")
        session.execute(text("update signals set compared_at = null"))
    group(engine, settings, pile)
    with transaction(engine) as session:
        assert [grade for grade, _ in state(session, pile)] == ["product"]
        undoing.undo(session, ana)
        assert duplicates.regroup(session, pile.id) == 2


def test_another_best_is_remembered_and_taken_back(
    engine: Engine, settings: Settings, pile: Catalog, ana: Person
) -> None:
    group(engine, settings, pile)
    with transaction(engine) as session:
        first, second, *_ = session.scalars(select(Image.id).order_by(Image.id))
        number, product = (each.id for each in session.scalars(select(DuplicateGroup).order_by(DuplicateGroup.grade)))
        with pytest.raises(Refused, match="not in this group"):
            duplicates.rule(session, product, ana, "best", second)
        duplicates.rule(session, number, ana, "best", second)
        assert session.get_one(DuplicateGroup, number).best_id == second and session.get_one(Image, second).is_best
        duplicates.rule(session, number, ana, "linked")
        assert session.get_one(Image, first).is_linked and not session.get_one(Image, second).is_linked
        undoing.undo(session, ana)
        assert session.get_one(DuplicateGroup, number).best_id == second
        undoing.undo(session, ana)
        assert session.get_one(DuplicateGroup, number).best_id == first and session.get_one(Image, first).is_best


def test_all_sure_groups_are_linked_at_once_and_come_back_at_once(
    engine: Engine, settings: Settings, pile: Catalog, ana: Person
) -> None:
    with transaction(engine) as session:
        for _ in range(2):
            measured(session, pile, patches(9))
    group(engine, settings, pile)
    with transaction(engine) as session:
        with pytest.raises(Conflict, match="2 sure groups now, not 7"):
            duplicates.link_sure(session, pile.id, ana, 7)
        assert duplicates.link_sure(session, pile.id, ana, 2).linked == 5
        with pytest.raises(Refused):
            duplicates.link_sure(session, pile.id, ana)
        assert session.scalar(select(Image.id).where(Image.is_linked).limit(1)) is not None
        assert undoing.undo(session, ana).count == 2
        assert session.scalar(select(Image.id).where(Image.is_linked).limit(1)) is None


def test_the_second_of_two_people_hears_of_the_first(
    engine: Engine, settings: Settings, pile: Catalog, ana: Person
) -> None:
    group(engine, settings, pile)
    with transaction(engine) as session:
        ben, number = cast.person(session, "Ben"), photo_group(session).id
        duplicates.rule(session, number, ana, "kept", seen_id=0)
        with pytest.raises(Conflict, match="Ana has settled this group otherwise"):
            duplicates.rule(session, number, ben, "linked", seen_id=0)


def embedded(engine: Engine, vectors: dict[int, list[float]]) -> None:
    """As if an embedder had seen these photos."""
    with transaction(engine) as session:
        space = embeddings.space_of(session, EmbedderFacts("drawn", "1", "middle", 40, False))
        embeddings.record(session, space, vectors)


def seen(near: int, share: float, count: int = 40) -> list[float]:
    """A vector that is `share` alike to the photo seen as `near`, and to nothing else."""
    vector = np.zeros(count)
    vector[near] = share
    vector[near + count // 2] = np.sqrt(1 - share * share)
    return [float(value) for value in vector]


@pytest.mark.parametrize("is_coded", [False, True])
def test_looks_that_come_after_the_grouping_and_later_photos_join_the_product(
    engine: Engine, settings: Settings, is_coded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(engine) as session:
        pile = cast.catalog(session)
        numbers = [measured(session, pile, coloured(20 + at)).id for at in range(14)]
        other_view = measured(session, pile, cut(coloured(20), 0.2)).id
        variant = measured(session, pile, turned_in_hue(cut(coloured(21), 0.2), 60)).id
        copies = [measured(session, pile, again(coloured(22), "JPEG", quality=60 + at)).id for at in range(12)]
    assert group(engine, settings, pile).result["groups"] == 1  # the copies
    vectors = {number: seen(at, 1.0) for at, number in enumerate(numbers)}
    vectors |= {other_view: seen(0, 0.9), variant: seen(1, 0.9)} | {copy: seen(2, 1.0) for copy in copies}
    embedded(engine, vectors)
    if is_coded:
        monkeypatch.setattr(look_pairs, "COMPARED_AT_MOST", 0)
        monkeypatch.setattr(look_codes, "CODED_FROM", 1)
        with transaction(engine) as session:
            assert look_codes.lay(session, session.scalars(select(EmbeddingSpace.id)).one())
    looked = group(engine, settings, pile)
    assert (looked.result["looked"], looked.result["groups"]) == (28, 2), looked.failure
    with transaction(engine) as session:
        assert state(session, pile)[1] == ("product", [numbers[0], other_view])
        late = measured(session, pile, cut(coloured(20), 0.25)).id
        by_looks = measured(session, pile, cut(coloured(22), 0.25)).id
    embedded(engine, {late: seen(0, 0.95), by_looks: seen(2, 0.9)})
    assert group(engine, settings, pile).result["groups"] == 3
    with transaction(engine) as session:
        groups = state(session, pile)
        assert groups[1:] == [
            ("product", [numbers[0], other_view, late]), ("product", [best_of(session), by_looks]),
        ]  # fmt: skip
        session.execute(text("update embedding set compared_at = null"))
    assert group(engine, settings, pile).result["looked"] == 30
    with Session(engine) as session:
        assert state(session, pile) == groups
    assert group(engine, settings, pile).result["looked"] == 0


def best_of(session: Session) -> int:
    return photo_group(session).best_id


def test_a_worker_that_lost_its_lease_writes_nothing(
    engine: Engine, settings: Settings, pile: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(engine) as session:
        job_id = jobs.request(session, "photos.group", {"catalog_id": pile.id}).id
    find = cpu.group_job.copies.find

    def find_and_lose(*arguments: object) -> object:
        with transaction(engine) as other:
            other.execute(text("update job set token = token + 1"))
        return find(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cpu.group_job.copies, "find", find_and_lose)
    celery_app.do(job_id, cpu.group_photos, settings)
    with Session(engine) as session:
        assert state(session, pile) == []
        assert session.scalar(select(CopyPair.first_id).limit(1)) is None


@pytest.fixture
def owner(engine: Engine) -> Person:
    with transaction(engine) as session:
        return cast.person(session, "Olga", "owner")


def remove(engine: Engine, settings: Settings, number: int, owner: Person) -> None:
    """Remove a photo, and do the grouping that this asks for."""
    with transaction(engine) as session:
        photos.remove(session, Storage(settings.data_dir), number, owner, "")
        asked = select(Job.id).where(Job.kind == "photos.group", Job.state == "queued")
        job_id = session.scalars(asked).one()
    celery_app.do(job_id, cpu.group_photos, settings)


def test_groups_are_right_again_when_photos_are_removed(
    engine: Engine, settings: Settings, pile: Catalog, owner: Person
) -> None:
    group(engine, settings, pile)
    with Session(engine) as session:
        first, *rest = session.scalars(select(Image.id).order_by(Image.id))
    remove(engine, settings, first, owner)
    with Session(engine) as session:
        assert state(session, pile) == [("photo", rest[:4]), ("product", rest[5:])]
        best = session.get_one(Image, photo_group(session).best_id)
        assert best.is_best and best.copy_count == 3 and photo_group(session).size == 4
    remove(engine, settings, rest[6], owner)
    with Session(engine) as session:
        # One is left of the product: no group.
        assert state(session, pile) == [("photo", rest[:4])]
        alone = session.get_one(Image, rest[5])
        assert (alone.copies, alone.copy_count, alone.is_best) == ("none", 0, False)


def test_a_photo_linked_to_one_that_is_removed_is_open_again(
    engine: Engine, settings: Settings, pile: Catalog, ana: Person, owner: Person
) -> None:
    group(engine, settings, pile)
    with transaction(engine) as session:
        first, second, third, *_ = session.scalars(select(Image.id).order_by(Image.id))
        decisions.decide(session, session.get_one(Image, second), ana, "kept")
        duplicates.rule(session, photo_group(session).id, ana, "linked")
    remove(engine, settings, third, owner)
    with Session(engine) as session:
        # What was said holds for those that stay.
        ruling = duplicates.current(session, photo_group(session).id)
        assert ruling is not None and (ruling.kind, photo_group(session).size) == ("linked", 4)
        assert session.get_one(Image, second).is_linked
    remove(engine, settings, first, owner)
    with Session(engine) as session:
        assert session.scalar(select(Image.id).where(Image.is_linked).limit(1)) is None
        kept = decisions.current(session, second)
        assert kept is not None and kept.verdict == "kept"
        anew = photo_group(session)
        assert anew.is_current and anew.best_id != first and duplicates.current(session, anew.id) is None


def test_a_photo_removed_while_photos_are_compared_is_in_no_pair(
    engine: Engine, settings: Settings, pile: Catalog, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(engine) as session:
        gone = session.scalars(select(Image.id).order_by(Image.id)).first() or 0
    find = cpu.group_job.copies.find

    def find_and_remove(*arguments: object) -> object:
        matches = list(find(*arguments))  # type: ignore[arg-type]
        with transaction(engine) as other:
            photos.remove(other, Storage(settings.data_dir), gone, owner, "")
        return matches

    monkeypatch.setattr(cpu.group_job.copies, "find", find_and_remove)
    assert group(engine, settings, pile).state == "done"
    with Session(engine) as session:
        assert gone not in state(session, pile)[0][1] and len(state(session, pile)[0][1]) == 4


def test_a_photo_taken_in_again_joins_its_group(
    engine: Engine, settings: Settings, pile: Catalog, owner: Person
) -> None:
    group(engine, settings, pile)
    with Session(engine) as session:
        first, *rest = session.scalars(select(Image.id).order_by(Image.id))
    remove(engine, settings, first, owner)
    with transaction(engine) as session:
        photos.allow_again(session, photos.removed(session)[0][0].id, owner)
        again_there = measured(session, pile, patches(1, 400)).id
    group(engine, settings, pile)
    with Session(engine) as session:
        assert state(session, pile)[0] == ("photo", sorted([again_there, *rest[:4]]))
        assert session.get_one(Image, again_there).copy_count == 4


def test_what_is_no_duplicate_stays_so_when_the_best_is_removed(
    engine: Engine, settings: Settings, pile: Catalog, ana: Person, owner: Person
) -> None:
    group(engine, settings, pile)
    with transaction(engine) as session:
        first, second, third, *_ = session.scalars(select(Image.id).order_by(Image.id))
        number = photo_group(session).id
        for best in (first, second, third):
            duplicates.rule(session, number, ana, "best", best)
        duplicates.rule(session, number, ana, "apart")
    # The third is the best, and an earlier ruling said so of the second.
    for number in (second, third):
        remove(engine, settings, number, owner)
    with Session(engine) as session:
        assert [grade for grade, _ in state(session, pile)] == ["product"]
        said = duplicates.current(session, photo_group(session).id)
        assert said is not None and said.kind == "apart"


def test_a_catalog_goes_whatever_was_said_of_its_groups(
    engine: Engine, settings: Settings, pile: Catalog, ana: Person
) -> None:
    group(engine, settings, pile)
    with transaction(engine) as session:
        first, second, *_ = session.scalars(select(Image.id).order_by(Image.id))
        for best in (second, first):
            duplicates.rule(session, photo_group(session).id, ana, "best", best)
        session.get_one(Catalog, pile.id).removed_at = utc_now()
        # A share of it, as the job takes: one ruling follows another whose best goes first.
        assert photos.take_away(session, Storage(settings.data_dir), pile.id, [second]).gone == 1
        assert session.scalar(select(DuplicateGroup.id).limit(1)) is None
