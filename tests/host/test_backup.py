"""A backup holds what the database names, and comes back whole or not at all."""

from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import asdict
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, select
from sqlalchemy.orm import Session

from app import people
from app.catalog.tables import Image, RemovedPhoto
from app.database import migrate, transaction
from app.errors import Refused
from app.host import backup, servers
from app.people import Person, SignIn
from app.removal import backups
from app.removal.backups import TakenDown
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.datasets import cast as datasets


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data folder in which nothing runs, and its backup."""
    place = tmp_path_factory.mktemp("backup")
    data_dir = place / "data"
    data_dir.mkdir()
    storage = Storage(data_dir)
    with servers.run(server := servers.postgres(data_dir, is_durable=False)):
        migrate(server.url)
        with transaction(create_engine(server.url, poolclass=NullPool)) as session:
            ana = cast.person(session, "Ana", "owner")
            people.begin_session(session, ana)
            pile = cast.catalog(session, "Autumn")
            cast.red_kettle(session, pile)
            taken_down = datasets.kept(session, storage, pile, caption="A lamp.")
            gone = TakenDown(taken_down.id, taken_down.sha256, "lamp.jpg", pile.id, "2026-11-30T10:00:00+00:00")
    storage.put("originals", b"a photo", ".jpg")
    step = "runs/1/checkpoints"
    left_out = ("cache/ab", "uploads/1-00", "logs", f"{step}/.step-000020.7.new")
    for name in (f"{step}/step-000010/weights", *(f"{folder}/left-out" for folder in left_out)):
        path = data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (data_dir / "runs" / "1" / "link").symlink_to("/etc/passwd")
    file = place / "kept.tar"
    assert "the database and" in backup.back_up(Settings(data_dir=data_dir), file)
    # Written anew when an owner removes a photo.
    assert list(backups.read(place / backups.LIST)) == []
    (place / backups.LIST).write_text(json.dumps(asdict(gone)) + "\n")
    return data_dir, file


@pytest.mark.slow
def test_what_was_there_comes_back_and_nobody_is_signed_in(kept: tuple[Path, Path], tmp_path: Path) -> None:
    data_dir, file = kept
    assert file.stat().st_mode & 0o077 == 0, "it holds hashes of passwords"
    new = tmp_path / "new"
    said = backup.restore(Settings(data_dir=new), file)
    assert "Everybody is signed out" in said and "removed again that an owner removed since: 1." in said
    (taken_down,) = backups.read(file.parent / backups.LIST)
    lost = {
        path
        for path in (data_dir / "files").rglob("*")
        if path.is_file() and not (new / path.relative_to(data_dir)).exists()
    }
    assert taken_down.sha256 in {path.stem for path in lost}
    for path in lost:
        path.unlink()
    for folder in ("files", "runs/1/checkpoints/step-000010"):
        before, after = (
            {path.relative_to(place): path.read_bytes() for path in (place / folder).rglob("*") if path.is_file()}
            for place in (data_dir, new)
        )
        assert before == after
    assert not [path for path in new.iterdir() if path.stat().st_mode & 0o066], "photos are nobody else's"
    assert not [path for path in (new / "files").rglob("*") if path.stat().st_mode & 0o077]
    assert not [path for path in new.rglob("*") if path.name in ("left-out", "link", backup.DUMP)]
    with servers.run(server := servers.postgres(new, is_durable=False)):
        migrate(server.url)
        with Session(create_engine(server.url, poolclass=NullPool)) as session:
            assert session.scalars(select(Person.name)).all() == ["Ana"]
            assert session.scalars(select(SignIn)).all() == []
            assert len(session.scalars(select(Image)).all()) == 1
            assert [row.sha256 for row in session.scalars(select(RemovedPhoto))] == [taken_down.sha256]
    server = servers.postgres(data_dir, is_durable=False)
    with servers.run(server), Session(create_engine(server.url, poolclass=NullPool)) as session:
        assert [known.file for known in backups.known(session)] == [str(file)]
    with pytest.raises(Refused, match="not empty"):
        backup.restore(Settings(data_dir=new), file)
    with pytest.raises(Refused, match="there already"):
        backup.back_up(Settings(data_dir=data_dir), file)


@pytest.mark.parametrize("sheet", [b"", b"{", b"[]", b'{"format":1}', b'{"format":1,"at":2}', b"\xff\xfe{"])
def test_a_backup_whose_sheet_is_damaged_is_refused_in_words(sheet: bytes, tmp_path: Path) -> None:
    file, new = tmp_path / "damaged.tar", tmp_path / "new"
    with tarfile.open(file, "w") as archive:
        backup._add_bytes(archive, backup.SHEET, sheet)
    with pytest.raises(Refused, match="no whole backup"):
        backup.restore(Settings(data_dir=new), file)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "name", ["../escaped", "/escaped", "files/../../escaped", "postgres/postgresql.conf", "up.json", "", "."]
)
def test_a_hostile_archive_writes_nothing(name: str, tmp_path: Path) -> None:
    file = tmp_path / "hostile.tar"
    with tarfile.open(file, "w") as archive:
        for each, kind in (("packshot.json", tarfile.REGTYPE), (name, tarfile.REGTYPE)):
            facts = tarfile.TarInfo(each)
            data = b'{"format": 1, "at": "2026-11-30T10:00:00+00:00"}'
            facts.size, facts.type = len(data), kind
            archive.addfile(facts, io.BytesIO(data))
    with pytest.raises(Refused, match="no backup of Packshot"):
        backup.restore(Settings(data_dir=tmp_path / "a" / "new"), file)
    assert [path.name for path in tmp_path.rglob("*")] in (["hostile.tar", "a"], ["a", "hostile.tar"])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_half_a_backup_leaves_nothing(kept: tuple[Path, Path], tmp_path: Path, share: float) -> None:
    data = kept[1].read_bytes()
    half = tmp_path / "half.tar"
    half.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(Refused):
        backup.restore(Settings(data_dir=tmp_path / "new"), half)
    assert os.listdir(tmp_path) == ["half.tar"]  # noqa: PTH208
