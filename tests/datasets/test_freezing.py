"""Freezing a selection: exact captions, a split by product, and a version that nothing changes afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import jobs
from app.captions import writing
from app.catalog.duplicate_tables import DuplicateGroup, DuplicateMember
from app.datasets import card, freezing, verifying
from app.datasets.arranging import Placed, arrange
from app.datasets.leaks import Leak, refuse_leaks
from app.datasets.manifest import content_hash, read_manifest
from app.datasets.tables import DatasetVersion, Member
from app.errors import NotFound, Refused
from app.review import decisions
from app.review.tables import Decision
from app.selection.kinds import NotUnderstood
from app.storage import Storage
from tests import cast
from tests.datasets.cast import CAPTION, frozen, kept, suggested
from tests.intake.conftest import encoded, picture


def members(session: Session, version: DatasetVersion) -> dict[int, Member]:
    found = session.scalars(select(Member).where(Member.version_id == version.id))
    return {member.image_id: member for member in found}


def test_a_version_holds_the_kept_photos_with_their_captions(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photos = [kept(session, storage, pile, product=f"P{number // 2}") for number in range(20)]
    cast.image(session, pile, caption="Not looked at yet.")
    person = cast.person(session)

    version = freezing.request_freeze(session, pile.id, person=person)
    job = jobs.get(session, version.job_id or 0)
    assert (job.kind, job.arguments, job.requested_by_id) == ("dataset.freeze", {"version_id": version.id}, person.id)
    assert version.content_hash is None
    freezing.freeze(session, storage, version)

    found = members(session, version)
    captions = writing.current(session, [photo.id for photo in photos])
    assert {image_id: member.caption_id for image_id, member in found.items()} == {
        photo.id: captions[photo.id].id for photo in photos
    }
    assert (version.number, version.train_count, version.validation_count) == (1, 18, 2)
    assert version.sentence == "20 kept photos."
    assert version.frozen_at is not None


def test_the_manifest_says_the_same_and_moves_with_the_data_folder(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photo = kept(session, storage, pile, product="P1")
    version = frozen(session, storage, pile)

    (row,) = read_manifest(storage.dataset_folder(version.id) / freezing.MANIFEST)
    assert (row.caption, row.group, row.split, row.width_px, row.height_px) == (CAPTION, "p1", "train", 800, 600)
    assert row.sha256 == Path(photo.render_path).stem
    assert version.content_hash == content_hash([row])

    moved = storage.root.with_name("moved")
    shutil.move(storage.root, moved)
    folder = Storage(moved).dataset_folder(version.id)
    assert not Path(row.file).is_absolute()
    assert (folder / row.file).name == Path(photo.render_path).name and (folder / row.file).is_file()


def test_no_product_is_in_both_splits(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    for number in range(60):
        kept(session, storage, pile, product=f"P{number % 12}", category=f"Kind {number % 3}")
    version = frozen(session, storage, pile)

    splits: dict[str, set[str]] = {}
    for member in members(session, version).values():
        splits.setdefault(member.group, set()).add(member.split)
    assert len(splits) == 12
    assert all(len(kinds) == 1 for kinds in splits.values())
    assert 0 < version.validation_count <= 12


def test_the_leak_test_refuses_a_split_that_cuts_a_product(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    for number in range(6):
        kept(session, storage, pile, product=f"P{number // 2}")
    version = freezing.request_freeze(session, pile.id)
    one, other, *rest = arrange(storage, freezing.gather(session, version))
    cut = [Placed(one.candidate, "P0", "train"), freezing.Placed(other.candidate, "P0 again", "validation")]
    with pytest.raises(Refused, match="The product “P0” would be in both train and validation, so nothing was frozen"):
        refuse_leaks([*cut, *rest])


def test_the_leak_test_refuses_a_split_that_cuts_copies(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    for _ in range(2):
        kept(session, storage, pile)
    version = freezing.request_freeze(session, pile.id)
    one, other = arrange(storage, freezing.gather(session, version))
    cut = [
        Placed(one.candidate, "a", "train", copies=3),
        Placed(other.candidate, "b", "validation", copies=3),
    ]
    with pytest.raises(Leak, match="would be in both train and validation") as caught:
        refuse_leaks(cut)
    leak = caught.value
    assert (leak.kind, leak.learned_id, leak.held_out_id) == (
        "copies",
        one.candidate.image_id,
        other.candidate.image_id,
    )
    assert one.candidate.file_name in leak.sentence and other.candidate.file_name in leak.sentence


def test_a_later_caption_changes_neither_members_nor_hash(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photo = kept(session, storage, pile)
    version = frozen(session, storage, pile)
    before = (version.content_hash, members(session, version)[photo.id].caption_id)
    bytes_before = (storage.dataset_folder(version.id) / freezing.MANIFEST).read_bytes()

    old = writing.current(session, [photo.id])[photo.id]
    writing.rewrite(session, photo.id, "Maroon kettle.", cast.person(session), old.id)
    freezing.freeze(session, storage, version)

    session.expire_all()
    assert (version.content_hash, members(session, version)[photo.id].caption_id) == before
    assert (storage.dataset_folder(version.id) / freezing.MANIFEST).read_bytes() == bytes_before
    again = frozen(session, storage, pile)
    assert again.number == 2
    assert again.content_hash != version.content_hash


def test_the_same_selection_frozen_again_has_the_same_hash(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    for number in range(12):
        kept(session, storage, pile, product=None if number % 2 else f"P{number}")
    first, second = frozen(session, storage, pile), frozen(session, storage, pile)
    assert first.id != second.id
    assert first.content_hash == second.content_hash
    split_of = [{key: one.split for key, one in members(session, version).items()} for version in (first, second)]
    assert split_of[0] == split_of[1]


def test_a_job_taken_up_again_after_a_crash_before_the_commit_freezes_once(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile)
    version = freezing.request_freeze(session, pile.id)
    with session.begin_nested() as attempt:
        freezing.freeze(session, storage, version)
        attempt.rollback()  # the worker died: its manifest lies on the disk, its rows do not exist
    session.expire_all()
    assert version.content_hash is None
    freezing.freeze(session, storage, version)
    assert version.train_count == len(members(session, version)) == 1


def test_a_worker_that_comes_late_changes_nothing(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photo = kept(session, storage, pile)
    version = freezing.request_freeze(session, pile.id)
    late = arrange(storage, freezing.gather(session, version))
    old = writing.current(session, [photo.id])[photo.id]
    writing.rewrite(session, photo.id, "Maroon kettle.", cast.person(session), old.id)
    freezing.freeze(session, storage, version)
    content = version.content_hash

    freezing.record(session, storage, version, late)

    assert version.content_hash == content
    (row,) = read_manifest(storage.dataset_folder(version.id) / freezing.MANIFEST)
    assert row.caption == "Maroon kettle."


def test_a_double_click_is_one_version(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile)
    first = freezing.request_freeze(session, pile.id)
    assert freezing.request_freeze(session, pile.id, "  ") is first
    assert freezing.request_freeze(session, pile.id, "decision:kept,rejected").number == 2


def test_photos_without_a_caption_are_left_out_and_counted(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photo = kept(session, storage, pile)
    kept(session, storage, pile, caption=None)
    version = freezing.request_freeze(session, pile.id)
    gathered = freezing.gather(session, version)
    assert [one.image_id for one in gathered.candidates] == [photo.id]
    assert gathered.left_out == 1


@pytest.mark.parametrize("count", [1, 2])
def test_photos_all_without_captions_are_refused_with_their_count(
    session: Session, storage: Storage, count: int
) -> None:
    pile = cast.catalog(session)
    for _ in range(count):
        kept(session, storage, pile, caption=None)
    said = "The one selected photo does not have" if count == 1 else "None of the 2 selected photos has"
    with pytest.raises(Refused, match=f"^{said} a caption yet"):
        freezing.request_freeze(session, pile.id)


def test_an_empty_selection_is_refused(session: Session) -> None:
    pile = cast.catalog(session)
    cast.red_kettle(session, pile)
    with pytest.raises(Refused, match="No photo matches decision:kept, so there is nothing to freeze"):
        freezing.request_freeze(session, pile.id)
    assert session.scalar(select(func.count(DatasetVersion.id)).where(DatasetVersion.catalog_id == pile.id)) == 0


def test_a_missing_picture_file_is_named(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile)
    gone = kept(session, storage, pile)
    (storage.root / gone.render_path).unlink()
    version = freezing.request_freeze(session, pile.id)
    with pytest.raises(Refused, match=f"The picture file of {gone.file_name} .* is missing"):
        freezing.freeze(session, storage, version)
    assert version.content_hash is None


def test_a_changed_picture_file_is_named(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile)
    changed = kept(session, storage, pile)
    (storage.root / changed.render_path).write_bytes(b"other bytes")
    version = freezing.request_freeze(session, pile.id)
    with pytest.raises(Refused, match=f"The picture file of {changed.file_name} .* is not the one that was taken in"):
        freezing.freeze(session, storage, version)
    assert version.content_hash is None


def test_photos_of_before_are_read_strictly_once_and_a_damaged_one_is_named(session: Session, storage: Storage) -> None:
    """Versions that read tolerantly took in a PNG with a flipped bit; its render is a whole file of half a picture."""
    pile = cast.catalog(session)
    whole, torn = kept(session, storage, pile), kept(session, storage, pile)
    data = encoded(picture(), "PNG")
    for photo, original in ((whole, data), (torn, data[:100] + bytes([data[100] ^ 1]) + data[101:])):
        photo.was_read_strictly, photo.format = False, "PNG"
        photo.sha256 = storage.put("originals", original, ".png")
    session.flush()
    version = freezing.request_freeze(session, pile.id)
    with pytest.raises(Refused) as refusal:
        freezing.freeze(session, storage, version)
    assert refusal.value.sentence == (
        f"The picture file of {torn.file_name} ({torn.render_path}) is damaged. "
        "Reject that photo, take in a whole copy of it, then freeze."
    )
    session.scalars(
        select(Decision).where(Decision.image_id == torn.id, Decision.superseded_at.is_(None))
    ).one().verdict = "rejected"
    session.flush()
    freezing.freeze(session, storage, version)
    session.expire_all()
    assert (whole.was_read_strictly, torn.was_read_strictly, version.train_count) == (True, False, 1)


def test_a_query_that_does_not_parse_and_a_catalog_that_is_not_there(session: Session) -> None:
    pile = cast.catalog(session)
    with pytest.raises(NotUnderstood):
        freezing.request_freeze(session, pile.id, "sharpness:blue")
    with pytest.raises(NotFound):
        freezing.request_freeze(session, pile.id + 1_000_000)


@pytest.mark.parametrize(
    ("q", "told", "people", "all_of_them"),
    [
        ("decision:kept", "decision:kept", 2, 3),
        ("", "decision:kept", 2, 3),
        ("category:Kettles", "by:person category:Kettles", 3, 6),
        ("decision:kept,unseen", "decision:kept,unseen by:person", 2, 5),
        ("decision:kept by:person", "decision:kept by:person", 2, 2),
        ("decision:kept by:person,rule", "decision:kept by:person", 2, 3),
    ],
)
def test_photos_that_no_person_has_seen_are_taken_only_when_told(
    session: Session, storage: Storage, q: str, told: str, people: int, all_of_them: int
) -> None:
    pile = cast.catalog(session)
    for number in range(2):
        kept(session, storage, pile, product=f"P{number}")
    decisions.decide(session, kept(session, storage, pile), cast.person(session), "rejected")
    suggested(session, storage, pile)
    doubtful = suggested(session, storage, pile)
    decisions.current(session, doubtful.id).verdict = "needs_work"  # type: ignore[union-attr]
    cast.image(session, pile, caption="Red kettle.")
    session.flush()
    offered = freezing.offer(session, pile.id, q)
    assert (offered.seen, offered.seen + offered.unseen) == (people, all_of_them)
    version = freezing.request_freeze(session, pile.id, q)
    assert version.selection == told
    assert len(freezing.gather(session, version).candidates) == people
    version = freezing.request_freeze(session, pile.id, q, takes_unseen=True)
    gathered = freezing.gather(session, version).candidates
    assert len(gathered) == all_of_them
    assert sum(not candidate.is_seen for candidate in gathered) == all_of_them - people


def test_only_unseen_photos_are_refused_until_told(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photos = [suggested(session, storage, pile) for _ in range(55)]
    for q in ("decision:kept", "decision:kept by:rule", "by:rule"):
        with pytest.raises(Refused, match="No person has decided on any of these 55 photos yet"):
            freezing.request_freeze(session, pile.id, q)
    version = freezing.request_freeze(session, pile.id, takes_unseen=True)
    freezing.freeze(session, storage, version)
    assert (version.unseen_count, version.train_count + version.validation_count) == (len(photos), len(photos))


def test_a_version_counts_its_unseen_members(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile)
    suggested(session, storage, pile)
    version = freezing.request_freeze(session, pile.id, takes_unseen=True)
    freezing.freeze(session, storage, version)
    assert version.unseen_count == 1
    assert frozen(session, storage, pile).unseen_count == 0


def test_duplicates_that_the_catalog_knows_are_never_cut(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photos = [kept(session, storage, pile, product=f"P{number}") for number in range(40)]
    pairs = [(photos[number], photos[number + 20]) for number in range(20)]
    for number, pair in enumerate(pairs):
        group = DuplicateGroup(
            catalog_id=pile.id, grade="product", members_hash=str(number), size=2, best_id=pair[0].id, reason="largest"
        )
        session.add(group)
        session.flush()
        session.add_all(DuplicateMember(group_id=group.id, image_id=photo.id) for photo in pair)
    session.flush()
    version = frozen(session, storage, pile)
    found = members(session, version)
    assert {member.split for member in found.values()} == {"train", "validation"}
    assert all(found[one.id].group == found[other.id].group for one, other in pairs)


def test_the_same_photos_and_seed_split_alike_and_another_seed_not(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    for number in range(60):
        kept(session, storage, pile, product=f"P{number}")

    def held_out(seed: int) -> set[int]:
        version = freezing.request_freeze(session, pile.id, seed=seed)
        freezing.freeze(session, storage, version)
        return {image_id for image_id, member in members(session, version).items() if member.split == "validation"}

    assert held_out(3) == held_out(3) != held_out(4)
    with pytest.raises(Refused, match="seed of a split is a whole number"):
        freezing.request_freeze(session, pile.id, seed=-1)


def test_a_version_keeps_the_captions_of_every_kind_as_they_were(session: Session, storage: Storage) -> None:
    pile, by = cast.catalog(session), cast.person(session)
    photos = [kept(session, storage, pile) for _ in range(2)]
    short = writing.rewrite(session, photos[0].id, "A red kettle.", by, None, "short")
    writing.rewrite(session, photos[0].id, "kettle, red", by, None, "tags")
    version = frozen(session, storage, pile)
    writing.rewrite(session, photos[0].id, "A pot.", by, short.id, "short")
    first, second = verifying.manifest_of(session, storage, version)
    assert (first.caption_short, first.caption_tags, first.caption_facts) == ("A red kettle.", "kettle, red", None)
    assert (second.caption_short, second.caption_tags, second.caption_facts) == (None, None, None)
    assert version.summary is not None and version.summary["kinds"] == {"short": 1, "tags": 1, "facts": 0}
    assert "### Further captions\n\n| Kind | Photos |\n|---|---:|\n| short caption | 1 |" in card.card(
        session, version.id
    )
    # What is learned is the same with and without them; a change of one of them is seen.
    again = frozen(session, storage, pile)
    assert again.content_hash == version.content_hash and again.facts_hash != version.facts_hash
    manifest = storage.dataset_folder(version.id) / freezing.MANIFEST
    manifest.write_text(manifest.read_text("utf-8").replace("A red kettle.", "A rad kettle."), "utf-8")
    with pytest.raises(Refused, match="short caption, does not give the facts hash"):
        verifying.as_frozen(storage, version)
