"""Archives as shops, Macs, Windows and strangers make them: names in any encoding, bombs, odd packings."""

from __future__ import annotations

import errno
import io
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.errors import DiskFull
from app.intake.sources import archives
from app.intake.sources.listing import walk
from app.intake.sources.member_names import encoding_of
from app.intake.sources.opening import Opener
from tests.intake.conftest import encoded, picture
from tests.intake.test_sources import TakeIn, captions, outcomes, pictures, tarred, zipped
from tests.intake.test_sources import pile as pile
from tests.intake.test_sources import take_in as take_in

PHOTO = encoded(picture(1))


def zipped_raw(names: list[bytes], extra: Callable[[bytes], bytes] = lambda _: b"") -> bytes:
    """A ZIP whose names are these bytes, and say nothing of their encoding."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, name in enumerate(names):
            info = zipfile.ZipInfo(chr(65 + number) * len(name))
            info.extra = extra(name)
            archive.writestr(info, encoded(picture(number)))
    data = file.getvalue()
    for number, name in enumerate(names):
        data = data.replace(bytes([65 + number]) * len(name), name)
    return data


def listed(folder: Path) -> dict[str, str | None]:
    return {met.name: met.reason for met in walk(str(folder))}


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp932", ["写真/赤い靴.jpg", "写真/ソース表.jpg", "readme.jpg"]),
        ("cp932", ["テスト/イメージ１.jpg"]),
        ("utf-8", ["Stühle/grün.jpg", "写真.jpg"]),
        ("cp437", ["Möbel/Stühle/grün.jpg", "Möbel/Größe 40.jpg"]),
        ("cp437", ["crème brûlée.jpg", "élève/été/préférée.jpg", "château.jpg"]),
        ("cp437", ["Año Nuevo/niño.jpg", "açúcar.jpg"]),
        ("gb2312", ["照片/红色鞋子.jpg"]),
        ("cp866", ["Фото/красный чайник.jpg"]),
    ],
)
def test_names_in_a_zip_are_read_in_the_encoding_that_they_are_in(
    folder: Path, encoding: str, names: list[str]
) -> None:
    raw = [name.encode(encoding, "ignore") for name in names]
    (folder / "a.zip").write_bytes(zipped_raw(raw))
    assert list(listed(folder)) == [f"a.zip/{name.decode(encoding)}" for name in raw]
    assert encoding_of(raw) == encoding


def test_a_name_in_utf_8_beside_the_plain_one_counts_where_it_is_of_it(folder: Path) -> None:
    def beside(of: bytes, name: str) -> bytes:
        value = struct.pack("<BI", 1, zlib.crc32(of)) + name.encode()
        return struct.pack("<HH", 0x7075, len(value)) + value

    (folder / "a.zip").write_bytes(zipped_raw([b"St_hle.jpg"], lambda name: beside(name, "Stühle.jpg")))
    (folder / "b.zip").write_bytes(zipped_raw([b"b_b.jpg"], lambda name: beside(b"another", "../../etc.jpg")))
    assert list(listed(folder)) == ["a.zip/Stühle.jpg", "b.zip/b_b.jpg"]


def test_names_in_a_tar_that_are_no_utf_8(folder: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="cp932") as archive:
        info = tarfile.TarInfo("写真/赤い靴.jpg")
        info.size = len(PHOTO)
        archive.addfile(info, io.BytesIO(PHOTO))
    (folder / "a.tar").write_bytes(file.getvalue())
    assert list(listed(folder)) == ["a.tar/写真/赤い靴.jpg"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_files_of_one_name_are_told_apart(session: Session, take_in: TakeIn, folder: Path, kind: str) -> None:
    file, data = io.BytesIO(), [encoded(picture(number)) for number in range(4)]
    names = ["a.jpg", "a.jpg", "a (2).jpg", "b/a.jpg"]
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            for name, its in zip(names, data, strict=True):
                archive.writestr(name, its)
            archive.writestr("a.jpg", b"no picture")
    else:
        with tarfile.open(fileobj=file, mode="w") as shard:
            for name, its in [*zip(names, data, strict=True), ("a.jpg", b"no picture")]:
                info = tarfile.TarInfo(name)
                info.size = len(its)
                shard.addfile(info, io.BytesIO(its))
    (folder / f"p.{kind}").write_bytes(file.getvalue())
    (folder / "metadata.csv").write_text(f"file_name,title\np.{kind}/a.jpg,First\n")
    for _ in range(2):
        take_in()
        its = {name.removeprefix(f"p.{kind}/"): outcome for name, (outcome, _) in outcomes(session).items()}
        assert its == dict.fromkeys(("a.jpg", "a (2).jpg", "a (2) (2).jpg", "b/a.jpg"), "accepted") | {
            "a (3).jpg": "refused"
        }
        titles = {image.file_name: image.title for image in session.scalars(select(Image))}
        assert [name for name, title in titles.items() if title] == [f"p.{kind}/a.jpg"]


def test_an_archive_that_holds_nothing_says_so(folder: Path) -> None:
    (folder / "a.zip").write_bytes(zipped({}))
    (folder / "b.tar.gz").write_bytes(tarred({}, "w:gz"))
    (folder / "c.zip").write_bytes(zipped({"__MACOSX/._a.jpg": b"x", ".DS_Store": b"y"}))
    (folder / "d.zip").write_bytes(zipped({"in.zip": zipped({})}))
    none = "The archive holds no files."
    assert listed(folder) == {"a.zip": none, "b.tar.gz": none, "c.zip": none, "d.zip/in.zip": none}


def packed_otherwise(data: bytes) -> bytes:
    """A ZIP that says Deflate64 of each of its members."""
    torn = bytearray(data)
    for mark, at in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        place = -1
        while (place := torn.find(mark, place + 1)) >= 0:
            torn[place + at] = 9
    return bytes(torn)


def test_a_packing_that_is_not_read_is_no_damage(folder: Path) -> None:
    whole = zipped({"a.jpg": PHOTO, "note.txt": b"hello", "in.zip": zipped(pictures("b.jpg"))})
    (folder / "a.zip").write_bytes(packed_otherwise(whole))
    assert set(listed(folder)) == {"a.zip/a.jpg", "a.zip/note.txt", "a.zip/in.zip"}
    assert all("packed in a way that is not read" in (reason or "") for reason in listed(folder).values())


def test_a_damaged_archive_inside_another_hides_nothing_that_stands_behind_it(folder: Path) -> None:
    inner = zipped(pictures("b.jpg"))
    torn = bytearray(zipped({"in.zip": inner, "z.jpg": PHOTO}, zipfile.ZIP_STORED))
    torn[torn.index(inner) + 60] ^= 9
    (folder / "a.zip").write_bytes(bytes(torn))
    assert listed(folder) == {
        "a.zip/in.zip": "The archive is damaged here, so the file in it cannot be read.", "a.zip/z.jpg": None,
    }  # fmt: skip


def test_small_archives_in_each_other_make_no_bomb(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 40)
    many = zipped({f"{number}.jpg": b"" for number in range(8)})
    (folder / "many.zip").write_bytes(zipped({f"{number}.zip": many for number in range(9)}))
    entries = list(walk(str(folder)))
    assert sum(met.kind == "picture" for met in entries) < 40
    assert entries[-1].name == "many.zip" and "archives in it counted" in (entries[-1].reason or "")

    (folder / "many.zip").unlink()
    monkeypatch.setattr(archives, "FREE_BYTES", 100_000)
    flat = zipped({"a.bmp": bytes(80_000)})
    (folder / "flat.zip").write_bytes(zipped({f"{number}.zip": flat for number in range(9)}))
    monkeypatch.setattr(archives, "MAX_RATIO", 20)
    refused = {met.name: met.reason for met in walk(str(folder)) if met.kind == "refused"}
    assert "times its size" in (refused["flat.zip/5.zip"] or "")


def test_a_full_disk_of_temporary_files_is_no_fault_of_an_archive(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.zip").write_bytes(zipped({"in.zip": zipped(pictures("b.jpg"))}))
    (member,) = walk(str(folder))

    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda **_: Full())
    with pytest.raises(DiskFull, match="where an archive inside another is unpacked"):
        list(walk(str(folder)))
    with Opener() as opener, pytest.raises(DiskFull):
        opener.open_entry(member)


@pytest.mark.parametrize(("name", "codec"), [("a.tar.zst", "zstd"), ("a.tzst", "zstd"), ("a.tar.lz4", "lz4")])
def test_newer_packings_of_tar_are_read_in_any_order(folder: Path, name: str, codec: str) -> None:
    sink, files = pa.BufferOutputStream(), pictures("m/1.jpg", "m/2.jpg", "m/3.jpg")
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(tarred(files))
    data = sink.getvalue().to_pybytes()
    (folder / name).write_bytes(data)
    met = list(walk(str(folder)))
    assert [entry.name for entry in met] == [f"{name}/{own}" for own in files]
    with Opener() as opener:
        for number in (2, 0, 1, 1):
            assert opener.open_entry(met[number]) == list(files.values())[number]
    (folder / name).write_bytes(data[:-20])
    assert "damaged or cut off" in (list(walk(str(folder)))[-1].reason or "")


def test_a_sample_of_a_shard_may_have_several_pictures(
    session: Session, take_in: TakeIn, pile: Catalog, folder: Path
) -> None:
    files = pictures("1.front.jpg", "1.back.jpg", "2.jpg", "2.mask.png") | {"1.txt": b"a cup", "2.txt": b"a jug"}
    (folder / "0.tar").write_bytes(tarred(files | {"1.cls": b"3"}))
    result = take_in()
    cup, jug = ("a cup", "given"), ("a jug", "given")
    assert captions(session) == {"0.tar/1.front.jpg": cup, "0.tar/1.back.jpg": cup, "0.tar/2.jpg": jug}
    assert (result["remarks"], result["captions_given"]) == ({}, 3)
