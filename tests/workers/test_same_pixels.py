"""Which copies have the same pixels: from files of every format to groups, and what becomes of groups known before."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import pixel_hashes
from app.catalog.duplicate_tables import DuplicateGroup, DuplicateMember, PixelHash
from app.catalog.tables import Catalog, Image
from app.database import transaction
from app.intake import ingest, memory
from app.intake.pixels import decoded, pixels_sha256
from app.jobs import Job
from app.people import Person
from app.review import duplicates
from app.settings import Settings
from tests import cast
from tests.pictures import Picture, again, patches, saved
from tests.workers.test_group_job import group, measured
from workers import celery_app, cpu, group_job

pytestmark = pytest.mark.usefixtures("committed")

LARGE: Final = (2080, 520)  # a view of it is decoded at half


def jpeg(seed: int, size: tuple[int, int] = (400, 300), quality: int = 90) -> Picture:
    """Patches with grain, as a JPEG has kept them."""
    grain = np.random.default_rng(seed).integers(-6, 7, (size[1], size[0], 1))
    levels = np.asarray(patches(seed).resize(size), dtype=np.int16) + grain
    return again(Pillow.fromarray(np.clip(levels, 0, 255).astype(np.uint8)), "JPEG", quality=quality)


def both(picture: Picture, **kinds: bytes) -> Mapping[str, bytes]:
    """The files given, and the picture as PNG."""
    return {**kinds, "png": saved(picture, "PNG", compress_level=1)}


def source(seed: int, size: tuple[int, int] = (400, 300)) -> tuple[bytes, Picture]:
    """A JPEG file, and what is in it."""
    picture = jpeg(seed, size)
    data = saved(picture, "JPEG", quality=90)
    return data, Pillow.open(io.BytesIO(data)).convert("RGB")


def one_pixel_off(picture: Picture) -> Picture:
    other, (across, down) = picture.copy(), (picture.width // 3, picture.height // 2)
    red, green, blue = picture.getpixel((across, down))  # type: ignore[misc]
    other.putpixel((across, down), (red ^ 1, green, blue))
    return other


def of_formats() -> Mapping[str, bytes]:
    data, picture = source(1)
    webp = io.BytesIO()
    picture.save(webp, "WEBP", lossless=True, exact=True)
    return both(picture, jpg=data, bmp=saved(picture, "BMP"), tif=saved(picture, "TIFF"), webp=webp.getvalue())


def turned() -> Mapping[str, bytes]:
    _, picture = source(2)
    exif = Pillow.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90, exif=exif)
    upright = Pillow.open(io.BytesIO(file.getvalue())).convert("RGB").transpose(Pillow.Transpose.ROTATE_270)
    return both(upright, jpg=file.getvalue())


def large() -> Mapping[str, bytes]:
    data, picture = source(3, LARGE)
    return both(picture, jpg=data)


def large_but_for_a_pixel() -> Mapping[str, bytes]:
    picture = jpeg(4, LARGE)
    return both(picture, **{"b.png": saved(one_pixel_off(picture), "PNG", compress_level=1)})


def other_metadata() -> Mapping[str, bytes]:
    data, _ = source(5, LARGE)
    return {"jpg": data, "b.jpg": data[:2] + b"\xff\xfe\x00\x0cretouched!" + data[2:]}


def grey() -> Mapping[str, bytes]:
    data = saved(jpeg(6).convert("L"), "JPEG", quality=90)
    return both(Pillow.open(io.BytesIO(data)).convert("RGB"), jpg=data)


def transparent() -> Mapping[str, bytes]:
    picture = jpeg(7)
    alpha = Pillow.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 120, 300))
    picture.putalpha(alpha)
    laid = Pillow.alpha_composite(Pillow.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return both(laid, **{"b.png": saved(picture, "PNG")})


def sixteen_bits() -> Mapping[str, bytes]:
    levels = np.asarray(jpeg(8).convert("L"))
    deep = Pillow.fromarray(levels.astype(np.uint16) * 257)
    return both(Pillow.fromarray(levels), **{"b.png": saved(deep, "PNG")})


def for_print() -> Mapping[str, bytes]:
    data = saved(jpeg(9).convert("CMYK"), "JPEG", quality=90)
    return both(Pillow.open(io.BytesIO(data)).convert("RGB"), jpg=data)


def with_profile() -> Mapping[str, bytes]:
    data, picture = source(10)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    picture.save(file, "PNG", icc_profile=profile)
    return {"jpg": data, "png": file.getvalue()}


def saved_again() -> Mapping[str, bytes]:
    data, picture = source(11)
    return {"jpg": data, "b.jpg": saved(picture, "JPEG", quality=89)}


def flat() -> Mapping[str, bytes]:
    picture = Pillow.new("RGB", (400, 320), (250, 250, 250))
    return both(picture, jpg=saved(picture, "JPEG"))


def flat_but_for_a_pixel() -> Mapping[str, bytes]:
    picture = Pillow.new("RGB", (400, 340), (250, 250, 250))
    return both(picture, **{"b.png": saved(one_pixel_off(picture), "PNG")})


CASES: Final[dict[str, tuple[Callable[[], Mapping[str, bytes]], str]]] = {
    made.__name__: (made, grade)
    for made, grade in (
        (of_formats, "pixels"), (turned, "pixels"), (large, "pixels"), (large_but_for_a_pixel, "photo"),
        (other_metadata, "pixels"), (grey, "pixels"), (transparent, "pixels"), (sixteen_bits, "pixels"),
        (for_print, "pixels"), (with_profile, "pixels"), (saved_again, "photo"), (flat, "pixels"),
        (flat_but_for_a_pixel, "none"),
    )
}  # fmt: skip


@pytest.fixture
def ana(engine: Engine) -> Person:
    with transaction(engine) as session:
        return cast.person(session)


@pytest.fixture
def pile(engine: Engine) -> Catalog:
    with transaction(engine) as session:
        return cast.catalog(session)


def taken_in(engine: Engine, settings: Settings, pile: Catalog, ana: Person, folder: Path) -> None:
    with transaction(engine) as session:
        job_id = ingest.request_intake(session, session.merge(pile), folder, session.merge(ana)).job_id
    celery_app.do(job_id or 0, cpu.take_in, settings)


def grades(session: Session) -> dict[str, set[str]]:
    """The closest grades of photos, by what stands before the dot in their names."""
    rows = session.execute(select(Image.file_name, Image.copies)).all()
    return {name: {row.copies for row in rows if row.file_name.split(".")[0] == name} for name in CASES}


def test_pixels_are_the_same_whatever_file_they_are_in(
    engine: Engine, settings: Settings, pile: Catalog, ana: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In one portion: behind each, what waits from taking in would go before.
    monkeypatch.setattr(group_job, "HASHED_AT_ONCE", 100)
    for name, (make, _) in CASES.items():
        for ending, data in make().items():
            (tmp_path / f"{name}.{ending}").write_bytes(data)
    taken_in(engine, settings, pile, ana, tmp_path)
    job = group(engine, settings, pile)
    assert job.state == "done", job.failure
    with Session(engine) as session:
        assert grades(session) == {name: {grade} for name, (_, grade) in CASES.items()}
        # All that may be the same was read, and nothing more; the next time, nothing is.
        assert job.result["hashed"] == session.query(Image).count() == session.query(PixelHash).count()
        alone = select(DuplicateMember.differs).join(DuplicateGroup).where(DuplicateGroup.grade == "pixels")
        assert all(differs == [] for differs in session.scalars(alone))
    assert group(engine, settings, pile).result["hashed"] == 0


def copies(engine: Engine, settings: Settings, pile: Catalog, pictures: Mapping[str, Picture]) -> list[int]:
    """Measured photos of one picture whose files hold these."""
    numbers = []
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with transaction(engine) as session:
        for name, picture in pictures.items():
            photo = measured(session, pile, patches(1))
            photo.render_path = name
            (settings.data_dir / name).write_bytes(saved(picture, "PNG"))
            numbers.append(photo.id)
    return numbers


def only_group(session: Session) -> DuplicateGroup:
    return session.scalars(select(DuplicateGroup)).one()


def test_a_group_keeps_what_was_said_of_it_when_its_pixels_become_known(
    engine: Engine, settings: Settings, pile: Catalog, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies(engine, settings, pile, {"a.png": patches(1), "b.png": patches(1)})
    with monkeypatch.context() as patched:
        patched.setattr(group_job, "pixels_sha256", lambda path: None)  # as if their files were away
        assert group(engine, settings, pile).result["hashed"] == 0
    with transaction(engine) as session:
        before = only_group(session)
        assert before.grade == "photo"
        number = before.id
        duplicates.rule(session, number, ana, "kept")
    assert group(engine, settings, pile).result["hashed"] == 2
    with transaction(engine) as session:
        now = only_group(session)
        assert (now.id, now.grade, now.is_current) == (number, "pixels", True)
        assert duplicates.current(session, now.id) is not None
        # Shown otherwise, as a mended photo is, it has no hash until it is grouped again.
        session.execute(text("update image set render_path = 'c.png' where id = (select max(id) from image)"))
        duplicates.regroup(session, pile.id)
        assert (only_group(session).id, only_group(session).grade) == (number, "photo")


def test_one_picture_saved_again_beside_its_copy_names_what_is_the_same(
    engine: Engine, settings: Settings, pile: Catalog
) -> None:
    first, *rest = copies(
        engine, settings, pile, {"a.jpg": patches(1), "b.png": patches(1), "c.jpg": one_pixel_off(patches(1))}
    )
    with transaction(engine) as session:
        # A PNG made of a JPEG has lost what that had lost.
        session.get_one(Image, rest[0]).format = "PNG"
    group(engine, settings, pile)
    with Session(engine) as session:
        assert (only_group(session).grade, only_group(session).best_id) == ("photo", first)
        members = session.execute(select(DuplicateMember.image_id, DuplicateMember.differs)).all()
        assert dict(members) == {first: [], rest[0]: ["same pixels"], rest[1]: ["copy"]}  # type: ignore[arg-type]


def test_groups_of_earlier_versions_are_asked_about_once(engine: Engine, settings: Settings, pile: Catalog) -> None:
    copies(engine, settings, pile, {"a.png": patches(1), "b.png": one_pixel_off(patches(1))})
    with transaction(engine) as session:
        cast.alike(session, pile, session.scalars(select(Image).order_by(Image.id)).all(), "pixels")
        (asked,) = pixel_hashes.request_due(session)
    celery_app.do(asked.id, cpu.group_photos, settings)
    with transaction(engine) as session:
        assert only_group(session).grade == "photo"
        assert pixel_hashes.request_due(session) == []


def test_reading_pixels_gives_way_and_goes_on_where_it_was(
    engine: Engine, settings: Settings, pile: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_job, "HASHED_AT_ONCE", 1)
    numbers = copies(engine, settings, pile, {"a.png": patches(1), "b.png": patches(1)})
    with transaction(engine) as session:
        urgent = jobs.request(session, "photos.mend", {"mend_id": 0}).id
    waits = group(engine, settings, pile)
    assert waits.state == "queued"
    with transaction(engine) as session:
        assert session.scalars(select(PixelHash.image_id)).all() == numbers[:1]
        assert only_group(session).grade == "photo"
        jobs.get(session, urgent).state = "cancelled"
    celery_app.do(waits.id, cpu.group_photos, settings)
    with transaction(engine) as session:
        done = session.get_one(Job, waits.id)
        assert (done.state, done.result["hashed"], done.result["groups"]) == ("done", 1, 1)
        assert only_group(session).grade == "pixels"


def test_a_file_that_is_gone_or_damaged_has_no_pixels(tmp_path: Path) -> None:
    assert pixels_sha256(tmp_path / "gone.png") is None
    for name, data in (("a.png", saved(patches(1), "PNG")), ("b.jpg", saved(patches(1), "JPEG")), ("c.jpg", b"none")):
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        assert pixels_sha256(tmp_path / name) is None


def test_pixels_count_against_the_budget_of_all_threads_while_they_are_held() -> None:
    with decoded(saved(patches(1, 512), "PNG")) as pixels:
        assert not memory.PICTURES._fits(memory.PICTURES.limit_bytes - pixels.nbytes + 1)
    assert memory.PICTURES._fits(memory.PICTURES.limit_bytes)
