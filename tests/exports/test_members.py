"""What goes out of a version belongs to the photo that it is said of, and is what was frozen."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import yaml
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from app.catalog.tables import Image
from app.datasets import card, freezing
from app.datasets.manifest import content_hash, read_manifest
from app.datasets.tables import DatasetVersion, Member
from app.errors import Refused
from app.exports.card import COLUMNS
from app.exports.card import card as export_card
from app.exports.members import Outgoing, gather
from app.exports.webdataset import head_of
from app.storage import Storage
from tests import cast
from tests.datasets.cast import frozen, kept

NEW_FIELDS = ("image_id", "original_name", "product", "category", "labels", "caption_by")


@pytest.fixture
def views(session: Session, storage: Storage) -> tuple[DatasetVersion, dict[str, Image]]:
    """A version of three views of one product, which have one caption, and its photos by the digest of their files."""
    pile = cast.catalog(session)
    photos = [kept(session, storage, pile, product="P", category=f"Kind {number}") for number in range(3)]
    return frozen(session, storage, pile), {Path(photo.render_path).stem: photo for photo in photos}


def turn_round(storage: Storage, version: DatasetVersion, without: tuple[str, ...] = ()) -> None:
    """Another order of the manifest's lines, which its hash does not depend on; without some fields, as of old."""
    manifest = storage.dataset_folder(version.id) / freezing.MANIFEST
    rows = [json.loads(line) for line in reversed(manifest.read_text("utf-8").splitlines())]
    lines = [{name: value for name, value in row.items() if name not in without} for row in rows]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert content_hash(read_manifest(manifest)) == version.content_hash
    if without:
        version.facts_hash = None


@pytest.mark.parametrize("without", [(), NEW_FIELDS])
def test_each_photo_has_its_own_facts_whatever_the_order(
    without: tuple[str, ...], session: Session, storage: Storage, views: tuple[DatasetVersion, dict[str, Image]]
) -> None:
    version, photos = views
    turn_round(storage, version, without)
    members = gather(session, storage, version.id).members
    assert len(members) == 3
    for member in members:
        photo = photos[member.row.sha256]
        facts = (member.image_id, member.file_name, member.category, member.product)
        assert facts == (photo.id, photo.file_name, photo.category, "P")
        assert member.file.stem == member.row.sha256


def test_a_version_from_before_members_told_their_files_still_goes_out(
    session: Session, storage: Storage, views: tuple[DatasetVersion, dict[str, Image]]
) -> None:
    version, photos = views
    session.execute(update(Member).where(Member.version_id == version.id).values(sha256=None))
    manifest = storage.dataset_folder(version.id) / freezing.MANIFEST
    turn_round(storage, version, NEW_FIELDS)
    turn_round(storage, version)
    members = gather(session, storage, version.id).members
    assert [member.image_id for member in members] == sorted(photo.id for photo in photos.values())
    assert manifest.is_file()


def test_what_people_correct_afterwards_changes_no_export(
    session: Session, storage: Storage, views: tuple[DatasetVersion, dict[str, Image]]
) -> None:
    version, _ = views
    before = [member.facts for member in gather(session, storage, version.id).members]
    session.execute(
        update(Image)
        .where(Image.catalog_id == version.catalog_id)
        .values(category="Mugs", product="Q", extra={"a": "b"})
    )
    assert [member.facts for member in gather(session, storage, version.id).members] == before


def test_a_row_that_is_no_member_is_refused(
    session: Session, storage: Storage, views: tuple[DatasetVersion, dict[str, Image]]
) -> None:
    version, photos = views
    first = min(photos.values(), key=lambda photo: photo.id)
    session.execute(delete(Member).where(Member.version_id == version.id, Member.image_id == first.id))
    with pytest.raises(Refused, match="not the one that was frozen"):
        gather(session, storage, version.id)


def test_facts_that_were_changed_since_are_refused_where_they_were_recorded(
    session: Session, storage: Storage, views: tuple[DatasetVersion, dict[str, Image]]
) -> None:
    version, _ = views
    manifest = storage.dataset_folder(version.id) / freezing.MANIFEST
    manifest.write_text(manifest.read_text("utf-8").replace('"product": "P"', '"product": "Q"'), "utf-8")
    with pytest.raises(
        Refused, match="licence, opt-out, labels, product, category or short caption, does not give the facts hash"
    ):
        gather(session, storage, version.id)
    version.facts_hash = None
    assert {member.product for member in gather(session, storage, version.id).members} == {"Q"}
    assert "- **Facts hash (SHA-256):** not recorded" in card.card(session, version.id)


def test_the_readme_is_the_card_of_the_version_with_where_the_files_lie(
    session: Session, storage: Storage, views: tuple[DatasetVersion, dict[str, Image]]
) -> None:
    version, _ = views
    outgoing: Outgoing = gather(session, storage, version.id)
    text = export_card(outgoing, "configs:\n- config_name: default\n", ["a|b.jpg is missing"])
    _, head, body = text.split("---\n", 2)
    _, own_head, own_body = card.card(session, version.id).split("---\n", 2)
    assert yaml.safe_load(head) == {**yaml.safe_load(own_head), "configs": [{"config_name": "default"}]}
    assert body.startswith(own_body.rstrip()) and "a\\|b.jpg is missing" in body
    assert list(COLUMNS) == list(outgoing.members[0].facts)


@pytest.mark.parametrize(
    ("name", "size_bytes"), [("000000001.jpg", 0), ("123456789.webp", 123_456), ("a" * 100, 8**11 - 1), ("b" * 99, 511)]
)
def test_the_head_of_a_file_is_the_one_of_tarfile(name: str, size_bytes: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    assert head_of(name, size_bytes) == info.tobuf(tarfile.USTAR_FORMAT)
    assert tarfile.TarInfo.frombuf(head_of(name, size_bytes), "ascii", "strict").size == size_bytes
