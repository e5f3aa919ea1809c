"""Photos in archives, Parquet files and tables: found, read one by one, or refused with a reason."""

from __future__ import annotations

import io
import json
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image, IntakeRemark, SourceFile
from app.errors import Refused
from app.intake import ingest, planning, settling, staging, taking
from app.intake.fetching import Fetched
from app.intake.sources import archives, entry
from app.intake.sources.listing import walk
from app.intake.sources.opening import Opener
from app.intake.tables import IntakeFile
from app.storage import Storage
from tests import cast
from tests.intake.conftest import encoded, picture

Begin = Callable[[], AbstractContextManager[Session]]
TakeIn = Callable[..., dict[str, Any]]


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def take_in(session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path) -> TakeIn:
    """Takes the folder in, or one file in it, as it is now."""

    def taken(name: str = "") -> dict[str, Any]:
        asked = ingest.request_intake(session, pile, folder / name, cast.person(session))
        result = taking.take_in(begin, lambda **_: None, storage, asked.id, max_megapixels=50)  # type: ignore[misc]
        session.expire_all()
        assert session.scalars(select(IntakeFile)).all() == []
        return result

    return taken


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", links: dict[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return file.getvalue()


def pictures(*names: str) -> dict[str, bytes]:
    return {name: encoded(picture(number)) for number, name in enumerate(names)}


def outcomes(session: Session) -> dict[str, tuple[str, str | None]]:
    return {row.file_name: (row.outcome, row.reason) for row in session.scalars(select(SourceFile))}


def captions(session: Session) -> dict[str, tuple[str, str]]:
    rows = session.execute(
        select(Image.file_name, Caption.text, Caption.written_by)
        .join(Caption, Caption.image_id == Image.id)
        .where(Caption.superseded_at.is_(None))
    )
    return {row.file_name: (row.text, row.written_by) for row in rows}


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_is_a_folder_of_photos_with_their_metadata_and_captions(
    session: Session, take_in: TakeIn, folder: Path, mode: str
) -> None:
    files = pictures("mugs/1.jpg", "mugs/2.JPG", "lamps/3.jpg") | {
        "mugs/metadata.csv": b"file_name,title,text\n1.jpg,Red mug,a red mug\n",
        "mugs/2.txt": b"a blue mug",
        "__MACOSX/mugs/._1.jpg": b"leavings",
        "readme.md": b"nothing to see",
    }
    name = "photos.zip" if mode == "zip" else f"photos.tar{mode[1:].replace(':', '.')}"
    (folder / name).write_bytes(zipped(files) if mode == "zip" else tarred(files, mode))
    result = take_in()
    images = {image.file_name: image for image in session.scalars(select(Image))}
    assert {key: image.category for key, image in images.items()} == {
        f"{name}/mugs/1.jpg": "mugs", f"{name}/mugs/2.JPG": "mugs", f"{name}/lamps/3.jpg": "lamps",
    }  # fmt: skip
    assert images[f"{name}/mugs/1.jpg"].title == "Red mug"
    assert captions(session) == {
        f"{name}/mugs/1.jpg": ("a red mug", "given"), f"{name}/mugs/2.JPG": ("a blue mug", "given"),
    }  # fmt: skip
    assert (result["accepted"], result["refused"], result["other_files"], result["remarks"]) == (3, 0, 1, {})


def test_archives_in_archives_are_opened_and_no_deeper_than_three(
    session: Session, take_in: TakeIn, folder: Path
) -> None:
    inner = zipped(pictures("a.jpg"))
    third = tarred({"third.zip": inner, "again.zip": inner}, "w:gz")
    (folder / "outer.zip").write_bytes(zipped({"b.jpg": encoded(picture(9)), "in/second.tgz": third}))
    fourth = zipped({"deep.zip": zipped({"deeper.zip": zipped({"deepest.zip": inner})})})
    (folder / "z.zip").write_bytes(fourth)
    take_in()
    deepest = ("refused", "An archive in 3 others; unpack the outer ones first.")
    assert outcomes(session) == {
        "outer.zip/b.jpg": ("accepted", None),
        "outer.zip/in/second.tgz/third.zip/a.jpg": ("accepted", None),
        "outer.zip/in/second.tgz/again.zip/a.jpg": ("same_bytes", None),
        "z.zip/deep.zip/deeper.zip/deepest.zip": deepest,
    }


@pytest.mark.parametrize("name", ["../../etc/a.jpg", "/etc/a.jpg", "sub/../../a.jpg", "C:\\a.jpg", "..\\a.jpg"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_leads_out_of_an_archive_is_refused(folder: Path, name: str, kind: str) -> None:
    data = encoded(picture())
    (folder / f"a.{kind}").write_bytes((zipped if kind == "zip" else tarred)({name: data, "b.jpg": data}))
    reasons = {met.name: (met.kind, met.reason) for met in walk(str(folder))}
    assert reasons.pop(f"a.{kind}/b.jpg") == ("picture", None)
    assert list(reasons.values()) == [("refused", "Its name leads out of the archive.")]


def test_links_and_locked_files_in_archives_are_refused(folder: Path) -> None:
    (folder / "a.tar").write_bytes(tarred(pictures("b.jpg"), links={"out.jpg": "/etc/passwd"}))
    link = zipfile.ZipInfo("out.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    locked = bytearray(zipped({"locked.jpg": b"x" * 40}))
    for at in (6, locked.rindex(b"PK\x01\x02") + 8):
        locked[at] |= 1
    with zipfile.ZipFile(folder / "b.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("c.zip", bytes(locked))
    reasons = {met.name: met.reason for met in walk(str(folder)) if met.kind == "refused"}
    assert reasons == {
        "a.tar/out.jpg": "A link; links inside archives are not followed.",
        "b.zip/out.jpg": "A link; links inside archives are not followed.",
        "b.zip/c.zip/locked.jpg": "The file is encrypted; unpack the archive with its password first.",
    }


def test_a_damaged_archive_gives_what_can_be_read_and_says_what_cannot(
    session: Session, take_in: TakeIn, folder: Path
) -> None:
    files = pictures("1.jpg", "2.jpg", "3.jpg")
    torn = bytearray(zipped(files, zipfile.ZIP_STORED))
    torn[torn.index(files["2.jpg"]) + 40] ^= 255
    (folder / "torn.zip").write_bytes(bytes(torn))
    (folder / "cut.zip").write_bytes(zipped(files)[:-30])
    cut = tarred(files)
    (folder / "cut.tar").write_bytes(cut[: cut.index(files["2.jpg"]) + 50])
    broken = bytearray(tarred(files))
    broken[broken.index(b"3.jpg")] ^= 255
    (folder / "header.tar").write_bytes(bytes(broken))
    (folder / "photo.jpg.gz").write_bytes(b"\x1f\x8bnothing")
    take_in()
    refused = {name: reason for name, (outcome, reason) in outcomes(session).items() if outcome == "refused"}
    whole = "The archive is damaged or cut off; unpack it and take in the folder that comes out."
    assert refused == {
        "torn.zip/2.jpg": "The archive is damaged here, so the file in it cannot be read.",
        "cut.zip": whole,
        "cut.tar": whole,
        "cut.tar/2.jpg": "The archive is damaged here, so the file in it cannot be read.",
        "header.tar": "The archive is damaged: what follows the files before this cannot be read.",
        "photo.jpg.gz": "The archive is no archive that can be read: ZIP and TAR are; unpack it and take in the folder "
        "that comes out.",
    }
    assert len(session.scalars(select(Image)).all()) == 3


def test_bombs_are_refused_before_they_go_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 100_000)
    (folder / "flat.zip").write_bytes(zipped({f"{number}.bmp": bytes(10_000_000) for number in range(3)}))
    (folder / "flat.tar.gz").write_bytes(tarred({f"{number}.bmp": bytes(10_000_000) for number in range(9)}, "w:gz"))
    header = tarfile.TarInfo("long.jpg")
    header.type, header.size = tarfile.XHDTYPE, 8 * 1024**2
    (folder / "header.tar.xz").write_bytes(lzma.compress(header.tobuf() + bytes(8 * 1024**2)))
    liar = bytearray(zipped(pictures("a.jpg")))
    liar[-22 + 12 : -22 + 16] = struct.pack("<I", 2**31)
    (folder / "liar.zip").write_bytes(bytes(liar))
    reasons = {met.name: met.reason for met in walk(str(folder)) if met.kind == "refused"}
    bomb = "The archive unpacks to more than 200 times its size, which photos never do."
    assert reasons["flat.zip"] == reasons["flat.tar.gz"] == bomb
    assert reasons["liar.zip"] == "The archive has more than 500,000 files; split it."
    assert "damaged" in (reasons["header.tar.xz"] or "")


def test_limits_of_members_and_of_archives_in_archives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    monkeypatch.setattr(archives, "MAX_INNER_BYTES", 100)
    (folder / "many.tar").write_bytes(tarred(pictures("1.jpg", "2.jpg", "3.jpg")))
    (folder / "outer.zip").write_bytes(zipped({"in.zip": zipped(pictures("1.jpg"))}))
    kinds = {met.name: met.kind for met in walk(str(folder))}
    assert kinds == {
        "many.tar/1.jpg": "picture", "many.tar/2.jpg": "picture", "many.tar": "refused", "outer.zip/in.zip": "refused",
    }  # fmt: skip
    with Opener(max_bytes=10) as opener, pytest.raises(entry.Unopened, match="limit"):
        opener.open_entry(next(met for met in walk(str(folder)) if met.kind == "picture"))


def test_a_training_shard_gives_each_sample_its_caption_and_fields(
    session: Session, take_in: TakeIn, folder: Path
) -> None:
    fields = {"caption": "a cup", "url": "https://shop.example/1.jpg", "license": "CC0", "width": 96}
    shard = pictures("0001.jpg", "0002.jpg", "0003.png") | {}
    files = {
        "0001.jpg": shard["0001.jpg"], "0001.json": json.dumps(fields).encode(),
        "0002.jpg": shard["0002.jpg"], "0002.caption": b"a jug", "0002.json": b'{"caption": "a jug", "sku": 7}',
        "0003.png": shard["0003.png"], "0003.txt": b"\xff\xfe", "0003.json": b"[]",
    }  # fmt: skip
    (folder / "00000.tar").write_bytes(tarred(files))
    result = take_in()
    assert captions(session) == {"00000.tar/0001.jpg": ("a cup", "given"), "00000.tar/0002.jpg": ("a jug", "given")}
    first = session.scalars(select(Image).where(Image.file_name == "00000.tar/0001.jpg")).one()
    assert first.extra == {"url": "https://shop.example/1.jpg", "license": "CC0", "width": 96}
    assert first.category is None
    remarks = {row.source: row.sentence for row in session.scalars(select(IntakeRemark))}
    assert set(remarks) == {"00000.tar/0003.txt", "00000.tar/0003.json"}
    assert (result["accepted"], result["captions_given"]) == (3, 2)


def test_a_parquet_file_gives_its_pictures_row_by_row(session: Session, take_in: TakeIn, folder: Path) -> None:
    data = pictures("1.jpg", "2.jpg", "3.jpg")
    rows = [
        {"image": {"bytes": bytes_, "path": name}, "text": f"photo {number}", "label": number % 2, "price": 1.5}
        for number, (name, bytes_) in enumerate(data.items())
    ]
    rows.append({"image": {"bytes": None, "path": "4.jpg"}, "text": "none", "label": 0, "price": float("nan")})
    features = {"label": {"names": ["mug", "lamp"], "_type": "ClassLabel"}}
    table = pa.Table.from_pylist(rows).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pq.write_table(table, folder / "train-0.parquet", row_group_size=3)
    (folder / "torn.parquet").write_bytes((folder / "train-0.parquet").read_bytes()[:-40])
    result = take_in()
    images = {image.file_name: image for image in session.scalars(select(Image))}
    assert {name: image.extra for name, image in images.items()} == {
        f"train-0.parquet/000000{number} {number}.jpg": {"label": ("mug", "lamp")[(number - 1) % 2], "price": 1.5}
        for number in (1, 2, 3)
    }
    assert sorted(text for text, _ in captions(session).values()) == ["photo 0", "photo 1", "photo 2"]
    assert outcomes(session)["train-0.parquet/0000004 4.jpg"] == ("refused", "The row holds no bytes of a picture.")
    assert outcomes(session)["torn.parquet"][0] == "refused"
    assert (result["accepted"], result["refused"]) == (3, 2)


def test_metadata_may_be_a_parquet_file(session: Session, take_in: TakeIn, folder: Path) -> None:
    (folder / "1.jpg").write_bytes(encoded(picture()))
    pq.write_table(pa.Table.from_pylist([{"file_name": "1.jpg", "title": "Mug"}]), folder / "metadata.parquet")
    result = take_in()
    assert session.scalars(select(Image)).one().title == "Mug"
    assert result["metadata_files"] == {"metadata.parquet": 1}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_of_any_name_takes_in_the_photos_it_names_and_no_others(
    session: Session, take_in: TakeIn, folder: Path, kind: str
) -> None:
    for name, data in pictures("in/1.jpg", "in/2.jpg", "in/3.jpg").items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder.parent / "secret.jpg").write_bytes(encoded(picture(7)))
    names = ("in/1.jpg", str(folder / "in/2.jpg"), "../secret.jpg", "in/gone.jpg")
    rows = [{"file_name": name, "title": f"Title {number}"} for number, name in enumerate(names)]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / "products.parquet")
    elif kind == "jsonl":
        (folder / "products.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    else:
        (folder / "products.csv").write_text(
            "file_name,title\n" + "\n".join(f"{row['file_name']},{row['title']}" for row in rows)
        )
    result = take_in(f"products.{kind}")
    titles = {image.file_name: image.title for image in session.scalars(select(Image))}
    assert titles == {"in/1.jpg": "Title 0", "in/2.jpg": "Title 1"}
    assert outcomes(session)["../secret.jpg"] == (
        "refused", "It lies outside the folder of the table that names it.",
    )  # fmt: skip
    assert (result["accepted"], result["refused"], result["metadata_rows_without_picture"]) == (2, 1, 2)


def test_addresses_are_staged_to_be_fetched(session: Session, begin: Begin, pile: Catalog, folder: Path) -> None:
    (folder / "metadata.csv").write_text("image_url,title\nhttps://shop.example/a.jpg,Mug\n")
    asked = ingest.request_intake(session, pile, folder, cast.person(session))
    listed = planning.plan(begin, lambda **_: None, asked.id)  # type: ignore[misc]
    (row,) = staging.page(session, asked.id, ["picture"])
    assert (row.id, row.locator) == (listed.ids[0], {"url": "https://shop.example/a.jpg"})
    with Opener(fetch=lambda url, limit: Fetched(f"{url} {limit}".encode()), max_bytes=9) as opener:
        assert opener.open_entry(entry.located(row.name, row.locator)) == b"https://shop.example/a.jpg 9"
    said = staging.said_of(row)
    assert said is not None and (said.title, said.extra) == ("Mug", {"image_url": "https://shop.example/a.jpg"})


def test_one_file_that_holds_no_photos_is_refused_at_once(session: Session, pile: Catalog, folder: Path) -> None:
    (folder / "a.jpg").write_bytes(encoded(picture()))
    with pytest.raises(Refused, match="is one file; name a folder, a ZIP or TAR archive, or a table of photos"):
        ingest.request_intake(session, pile, folder / "a.jpg", cast.person(session))


def test_a_listing_that_was_stopped_goes_on_and_stages_nothing_twice(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "STAGED_AT_ONCE", 2)
    (folder / "a.zip").write_bytes(zipped(pictures("1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg")))
    (folder / "b.txt").write_text("a note")
    asked = ingest.request_intake(session, pile, folder, cast.person(session))
    real, seen = planning.walk, list[str]()

    def walk_a_while(source: str, beat: Callable[[], None]) -> Any:
        for met in real(source, beat):
            seen.append(met.name)
            if len(seen) == 4:
                raise KeyboardInterrupt
            yield met

    monkeypatch.setattr(planning, "walk", walk_a_while)
    with pytest.raises(KeyboardInterrupt):
        planning.plan(begin, lambda **_: None, asked.id)  # type: ignore[misc]
    assert len(staging.page(session, asked.id, ["picture"])) == 2
    result = taking.take_in(begin, lambda **_: None, storage, asked.id, 50)  # type: ignore[misc]
    assert (result["accepted"], result["other_files"]) == (5, 1)


def test_whichever_share_is_quicker_the_same_rows_are_left(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    """The same bytes lie in two shares under two names, each with words of its own."""
    data = encoded(picture(1))
    for place in ("mugs", "jugs", "z"):
        (folder / place).mkdir()
    for name in ("mugs/a.jpg", "jugs/b.jpg"):
        (folder / name).write_bytes(data)
    (folder / "z/c.zip").write_bytes(zipped({"d.jpg": data, "e.jpg": encoded(picture(2)), "d.txt": b"a third"}))
    (folder / "metadata.csv").write_text("file_name,title,text\njugs/b.jpg,Jug,a jug\nmugs/a.jpg,Mug,a mug\n")
    left = []
    for turn in (1, -1):
        with session.begin_nested() as undone:
            asked = ingest.request_intake(session, pile, folder, cast.person(session, f"Person {turn}"))
            ids = planning.plan(begin, lambda **_: None, asked.id).ids  # type: ignore[misc]
            for staged_id in ids[::turn]:
                share = taking.Share(asked.id, staged_id, staged_id)
                taking.take_share(begin, lambda **_: None, storage, share, 50)  # type: ignore[misc]
                # Killed and done again, a share adds nothing.
                assert taking.take_share(begin, lambda **_: None, storage, share, 50) == 0  # type: ignore[misc]
            result = settling.settle(begin, asked.id)
            assert settling.settle(begin, asked.id) == result
            session.expire_all()
            images = [(image.file_name, image.title, image.category) for image in session.scalars(select(Image))]
            remarks = [(row.kind, row.name, row.sentence) for row in session.scalars(select(IntakeRemark))]
            left.append((sorted(images), outcomes(session), captions(session), sorted(remarks), result))
            undone.rollback()
        session.expire_all()
    assert left[0] == left[1]
    images, files, texts, remarks, result = left[0]
    assert images == [("jugs/b.jpg", "Jug", "jugs"), ("z/c.zip/e.jpg", None, "z")]
    assert {name: outcome for name, (outcome, _) in files.items()} == {
        "jugs/b.jpg": "accepted", "mugs/a.jpg": "same_bytes", "z/c.zip/d.jpg": "same_bytes",
        "z/c.zip/e.jpg": "accepted",
    }  # fmt: skip
    assert texts == {"jugs/b.jpg": ("a jug", "given")}
    assert [kind for kind, _, _ in remarks] == ["unused"] * 3
    assert (result["accepted"], result["already_there"], result["captions_given"]) == (2, 2, 1)
