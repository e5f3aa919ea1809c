"""Trying refused files again: they alone are looked for, wherever they lie, with the words beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image, Intake, SourceFile
from app.intake import folders, ingest, planning, retrying, settling
from app.intake.fetching import Fetched
from app.intake.finding import Wanted
from app.intake.sources import archives, listing
from app.intake.sources.entry import Unopened
from app.intake.taking import Share, take_share
from app.storage import Storage
from tests import cast
from tests.intake.conftest import encoded, picture
from tests.intake.test_sources import captions, outcomes, pictures, tarred, zipped
from tests.intake.test_sources import pile as pile

Begin = Callable[[], AbstractContextManager[Session]]
CUT = encoded(picture(8))[:-300]


class Taking:
    """Takes a source in, and tries again what of it was refused."""

    def __init__(self, session: Session, begin: Begin, storage: Storage, pile: Catalog) -> None:
        self.session, self.begin, self.storage, self.pile = session, begin, storage, pile
        self.fetched: list[str] = []
        self.dead: set[str] = set()

    def fetch(self, url: str, max_bytes: int) -> Fetched:
        self.fetched.append(url)
        if url in self.dead:
            raise Unopened("The server answers 404 Not Found.")
        return Fetched(encoded(picture(50 + int(url[-5]))))

    def _share(self, intake: Intake, ids: Any) -> None:
        if ids:
            share = Share(intake.id, ids[0], ids[-1])
            take_share(self.begin, lambda **_: None, self.storage, share, 50, fetch=self.fetch)  # type: ignore[misc]

    def take_in(self, source: Path) -> Intake:
        intake = ingest.request_intake(self.session, self.pile, source, cast.person(self.session))
        self._share(intake, planning.plan(self.begin, lambda **_: None, intake.id).ids)  # type: ignore[misc]
        settling.settle(self.begin, intake.id)
        self.session.expire_all()
        return intake

    def again(self, intake: Intake) -> dict[str, int]:
        listed = retrying.plan(self.begin, lambda **_: None, {"intake_id": intake.id})  # type: ignore[misc]
        self._share(intake, listed.ids)
        result = retrying.end(self.begin, intake.id)
        self.session.expire_all()
        return result


@pytest.fixture
def taking(session: Session, begin: Begin, storage: Storage, pile: Catalog) -> Taking:
    return Taking(session, begin, storage, pile)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The archives that are listed meanwhile; walking a whole folder is an error."""
    names = list[str]()
    real = archives.walk_archive

    def walk_archive(path: Path, name: str, beat: Any) -> Any:
        names.append(name)
        return real(path, name, beat)

    monkeypatch.setattr(listing, "walk_archive", walk_archive)
    yield names


def no_walk(*_: Any) -> Any:
    raise AssertionError("the whole folder was walked")


def test_only_refused_files_and_what_holds_them_are_looked_for(
    session: Session, taking: Taking, folder: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub/deep").mkdir(parents=True)
    (folder / "sub/deep/a.jpg").write_bytes(CUT)
    (folder / "sub/deep/b.jpg").write_bytes(encoded(picture(1)))
    (folder / "good.zip").write_bytes(zipped(pictures("1.jpg")))
    (folder / "bad.zip").write_bytes(zipped({"in/2.jpg": CUT, "in/3.jpg": encoded(picture(3))}))
    (folder / "sub/metadata.csv").write_text("file_name,title\ndeep/a.jpg,A cup\nDEEP/B.jpg,None\n")
    (folder / "sub/deep/a.txt").write_text("a cup on a table")
    intake = taking.take_in(folder)
    refused = {name for name, (outcome, _) in outcomes(session).items() if outcome == "refused"}
    assert refused == {"sub/deep/a.jpg", "bad.zip/in/2.jpg"}

    (folder / "sub/deep/a.jpg").write_bytes(encoded(picture(20)))
    files = {number: encoded(picture(number)) for number in (21, 3, 22)}
    mended = {"in/2.jpg": files[21], "in/3.jpg": files[3], "in/new.jpg": files[22], "in/2.txt": b"a jug"}
    (folder / "bad.zip").write_bytes(zipped({"metadata.csv": b"file_name,title\nin/2.jpg,A jug\n", **mended}))
    (folder / "later.jpg").write_bytes(encoded(picture(23)))
    opened.clear()
    monkeypatch.setattr(folders, "walk", no_walk)
    assert taking.again(intake) == {"taken_in": 2, "refused_again": 0}
    assert opened == ["bad.zip"]
    titles = {image.file_name: image.title for image in session.scalars(select(Image))}
    assert (titles["sub/deep/a.jpg"], titles["bad.zip/in/2.jpg"]) == ("A cup", "A jug")
    assert not {"bad.zip/in/new.jpg", "later.jpg"} & titles.keys()
    said = {name: text for name, (text, _) in captions(session).items()}
    assert said == {"sub/deep/a.jpg": "a cup on a table", "bad.zip/in/2.jpg": "a jug"}
    assert session.scalars(select(SourceFile.file_name).where(SourceFile.outcome == "refused")).all() == []


@pytest.mark.parametrize("is_source", [False, True])
def test_an_archive_that_was_refused_whole_is_taken_in_once_it_is_mended(
    session: Session, taking: Taking, folder: Path, is_source: bool
) -> None:
    whole = tarred(pictures("1.jpg", "2.jpg", "3.jpg"))
    (folder / "cut.tar").write_bytes(whole[:2000])
    intake = taking.take_in(folder / "cut.tar" if is_source else folder)
    assert {"cut.tar"} <= outcomes(session).keys()
    (folder / "cut.tar").write_bytes(whole)
    assert taking.again(intake)["refused_again"] == 0
    assert outcomes(session) == {f"cut.tar/{number}.jpg": ("accepted", None) for number in (1, 2, 3)}
    kept = session.get_one(Intake, intake.id)
    assert (kept.accepted, kept.refused) == (3, 0)


def test_of_a_table_of_addresses_only_the_refused_are_fetched(session: Session, taking: Taking, folder: Path) -> None:
    urls = [f"https://shop.example/{number}.jpg" for number in range(5)]
    (folder / "metadata.csv").write_text("url,title\n" + "".join(f"{url},Mug {url[-5]}\n" for url in urls))
    taking.dead = {urls[1], urls[3]}
    intake = taking.take_in(folder)
    taking.fetched.clear()
    taking.dead = {urls[3]}
    assert taking.again(intake) == {"taken_in": 1, "refused_again": 1}
    assert sorted(taking.fetched) == [urls[1], urls[3]]
    assert session.scalars(select(Image.title).where(Image.file_name == urls[1])).one() == "Mug 1"
    (folder / "metadata.csv").write_text(f"url,title\n{urls[0]},Mug\n")
    taking.again(intake)
    assert outcomes(session)[urls[3]] == ("refused", retrying.GONE)


def test_names_that_are_kept_otherwise_than_they_lie_are_found_all_the_same(
    session: Session, taking: Taking, folder: Path
) -> None:
    names = [os.fsencode("gr\u00fcn.jpg"), "Cafe\u0301.jpg".encode(), b"odd\xff.jpg", b"odd\xfe.jpg"]
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(CUT)
    intake = taking.take_in(folder)
    # Another file of a name that is already replaced gets a number.
    assert set(outcomes(session)) == {"gr\u00fcn.jpg", "Caf\u00e9.jpg", "odd\ufffd.jpg", "odd\ufffd (2).jpg"}
    for number, name in enumerate(names):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(encoded(picture(30 + number)))
    assert taking.again(intake) == {"taken_in": 4, "refused_again": 0}


def test_a_file_behind_a_link_that_took_the_place_of_its_folder_is_not_read(
    session: Session, taking: Taking, folder: Path, tmp_path: Path
) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/a.jpg").write_bytes(CUT)
    (folder / "b.jpg").write_bytes(encoded(picture(1)))
    intake = taking.take_in(folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.jpg").write_bytes(encoded(picture(40)))
    (folder / "sub/a.jpg").unlink()
    (folder / "sub").rmdir()
    (folder / "sub").symlink_to(elsewhere)
    assert taking.again(intake) == {"taken_in": 0, "refused_again": 0}
    assert outcomes(session)["sub/a.jpg"] == ("refused", retrying.GONE)


def test_what_is_wanted_holds_what_lies_below_it() -> None:
    wanted = Wanted(["a/b.zip", "c.jpg"])
    assert [wanted.holds(name) for name in ("a/b.zip", "a/b.zip/x/y.jpg", "c.jpg", "a", "a/b.zipx", "c.jpg.txt")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
