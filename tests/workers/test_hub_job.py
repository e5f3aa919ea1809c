"""A data set of a model hub taken in haul by haul, by the hub's own client from what it keeps on this machine."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app import jobs
from app.captions import writing
from app.catalog.tables import Catalog, Image, Intake, IntakeRemark, SourceFile
from app.database import transaction, utc_now
from app.errors import DiskFull
from app.intake import hauls, hub, ingest, quarantine, streaming
from app.intake.hub import HubDataset
from app.intake.quarantine import Which
from app.intake.tables import IntakeFile
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.hub_cache import COMMIT, lay_out
from tests.hub_server import client_of, serving
from tests.intake.conftest import encoded, picture
from workers import celery_app, cpu, intake_job

pytestmark = pytest.mark.usefixtures("committed")
KETTLES: Final = HubDataset("shop/kettles")


def shard(*numbers: int) -> bytes:
    data = io.BytesIO()
    rows = [{"bytes": encoded(picture(number)), "path": f"k{number}.jpg"} for number in numbers]
    pq.write_table(pa.table({"image": rows, "text": [f"Kettle {number}." for number in numbers]}), data)
    return data.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            facts = tarfile.TarInfo(name)
            facts.size = len(content)
            archive.addfile(facts, io.BytesIO(content))
    return data.getvalue()


FILES: Final = {
    "README.md": b"---\nlicense: cc-by-4.0\n---\n",
    "metadata.csv": b"file_name,title\nloose/lamp.png,Lamp\nmore/box.zip/jug.jpg,Jug\nloose/LAMP2.PNG,2\nno.png,No\n",
    "loose/lamp.png": encoded(picture(1), "PNG"), "loose/lamp.txt": b"A lamp.",
    "loose/lamp2.png": encoded(picture(2), "PNG"), "loose/torn.jpg": b"torn", "loose/notes.caption": b"Of none.",
    "data/train-00000-of-00002.parquet": shard(10, 11), "data/train-00001-of-00002.parquet": shard(12, 10),
    "more/box.zip": zipped({
        "jug.jpg": encoded(picture(20)), "cup.jpg": encoded(picture(21)),
        "metadata.csv": b"file_name,title\ncup.jpg,Cup\nnot.jpg,Not\n",
    }),
    "wds/0.tar": tarred({"1.jpg": encoded(picture(30)), "1.txt": b"A shard's.", "2.jpg": encoded(picture(31)),
                         "2.json": json.dumps({"title": "Two"}).encode()}),
    "table.csv": b"a,b\n", "old.rar": b"Rar!", "run.py": b"raise SystemExit",
}  # fmt: skip
SMALL: Final = {"b.jpg": encoded(picture(41)), "a.zip": zipped({"a.jpg": encoded(picture(42))}), "c.zip": zipped(
    {"c.jpg": encoded(picture(43)), "torn.jpg": b"torn"})}  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client; each file is a haul of its own. Nothing is measured on the way."""
    monkeypatch.setattr(intake_job, "MEASURING", None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hauls, "HAUL_BYTES", 1)
    return tmp_path / "cache"


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was fetched."""
    counted, real = Counter[str](), hub._place

    def place(kept: Path, target: Path) -> None:
        counted[target.name] += 1
        real(kept, target)

    monkeypatch.setattr(hub, "_place", place)
    return counted


@pytest.fixture
def ana(engine: Engine) -> Person:
    with transaction(engine) as session:
        return cast.person(session, role="owner")


def asked(engine: Engine, storage: Storage, ana: Person, pile: Catalog | None = None) -> Intake:
    with transaction(engine) as session:
        pile = session.merge(pile) if pile else cast.catalog(session)
        return streaming.request_intake(session, storage, pile, KETTLES, session.merge(ana))


def work_off(engine: Engine, settings: Settings, kind: str = "intake.take_in") -> None:
    """Do all that waits, as a worker that is alone does."""
    body = cpu.take_in if kind == "intake.take_in" else cpu.try_refused_again
    while True:
        with transaction(engine) as session:
            waits = session.scalars(select(Job.id).where(Job.kind == kind, Job.state == "queued").order_by(Job.id))
            job_id = waits.first()
        if job_id is None:
            return
        celery_app.do(job_id, body, settings)


def job_of(engine: Engine, intake: Intake) -> Job:
    with transaction(engine) as session:
        return jobs.get(session, session.get_one(Intake, intake.id).job_id or 0)


def rows_of(engine: Engine, intake: Intake) -> dict[str, Any]:
    """What came of an intake: photos with their words, source files, remarks, and what its job says."""
    with transaction(engine) as session:
        mine = session.get_one(Intake, intake.id)
        photos = session.scalars(select(Image).where(Image.intake_id == intake.id)).all()
        captions = {key: one.text for key, one in writing.current(session, [one.id for one in photos]).items()}
        files = session.scalars(select(SourceFile).where(SourceFile.intake_id == intake.id)).all()
        remarks = session.scalars(select(IntakeRemark).where(IntakeRemark.intake_id == intake.id)).all()
        assert session.scalars(select(IntakeFile.id)).all() == []
        return {
            "photos": {one.file_name: (one.title, captions.get(one.id), one.source, one.licence) for one in photos},
            "files": sorted((one.file_name, one.sha256, one.outcome, one.reason or "") for one in files),
            "remarks": sorted((one.kind, one.name, one.sentence) for one in remarks),
            "result": jobs.get(session, mine.job_id or 0).result,
            "counts": (mine.accepted, mine.already_there, mine.refused),
        }


def test_a_data_set_comes_in_by_hauls_as_its_folder_would(
    engine: Engine,
    settings: Settings,
    storage: Storage,
    ana: Person,
    cache: Path,
    fetched: Counter[str],
    tmp_path: Path,
) -> None:
    lay_out(cache, "shop/kettles", FILES)
    intake = asked(engine, storage, ana)
    work_off(engine, settings)
    done = job_of(engine, intake)
    assert (done.state, done.failure) == ("done", None)
    by_hauls = rows_of(engine, intake)
    source = f"hf://datasets/shop/kettles@{COMMIT}"
    assert {(one[2], one[3]) for one in by_hauls["photos"].values()} == {(source, "cc-by-4.0")}
    assert not (storage.root / "hub").exists() or not list((storage.root / "hub").iterdir())
    assert set(fetched.values()) == {1} and not {"run.py", "table.csv", "old.rar"} & set(fetched)
    # The same files as a folder of the server.
    place = tmp_path / "photos"
    for name, data in FILES.items():
        if name not in ("README.md", "run.py"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
    with transaction(engine) as session:
        whole = ingest.request_intake(session, cast.catalog(session), place, session.merge(ana))
    work_off(engine, settings)
    as_folder = rows_of(engine, whole)
    for rows in (by_hauls, as_folder):
        rows["photos"] = {name: one[:2] for name, one in rows["photos"].items()}
    assert by_hauls == as_folder


def test_no_more_than_two_hauls_are_ever_on_this_machine(
    engine: Engine, settings: Settings, storage: Storage, ana: Person, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(cache, "shop/kettles", FILES)
    most, real, progress = 0, hub._place, list[tuple[int, int]]()

    def place(kept: Path, target: Path) -> None:
        nonlocal most
        real(kept, target)
        most = max(most, len([one for one in (storage.root / "hub").glob("*/*/*") if one.name.isdigit()]))
        with transaction(engine) as session:
            whole = session.scalars(select(Job).where(Job.whole_id.is_(None))).one()
            progress.append((whole.done, whole.total or 0))

    monkeypatch.setattr(hub, "_place", place)
    intake = asked(engine, storage, ana)
    work_off(engine, settings)
    assert job_of(engine, intake).state == "done"
    assert most == 2
    assert progress == sorted(progress, key=lambda told: told[0]), "what is done never becomes less"
    assert all(done <= total for done, total in progress if total)


class Killed(BaseException):
    """The worker is gone between two instructions."""


def test_killed_at_any_moment_it_ends_with_the_same_rows_and_fetches_nothing_twice(
    engine: Engine, settings: Settings, storage: Storage, ana: Person, cache: Path, fetched: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    some = ("README.md", "metadata.csv", "loose/lamp.png", "loose/lamp.txt", "data/train-00001-of-00002.parquet")
    lay_out(cache, "shop/kettles", {name: FILES[name] for name in (*some, "more/box.zip", "loose/torn.jpg")})
    undisturbed = asked(engine, storage, ana)
    work_off(engine, settings)
    wanted = rows_of(engine, undisturbed)
    fetched.clear()
    left, real = 0, celery_app.Work.transaction

    @contextmanager
    def fatal(work: celery_app.Work) -> Iterator[Session]:
        nonlocal left
        left -= 1
        with real(work) as session:
            yield session
            if left == 0:
                raise Killed
        if left == -1:
            raise Killed

    def transaction_of(work: celery_app.Work) -> AbstractContextManager[Session]:
        return fatal(work)

    monkeypatch.setattr(celery_app.Work, "transaction", transaction_of)
    intake, lives = asked(engine, storage, ana), 0
    # Each life gets a little further before it ends, in a transaction or right behind one.
    while job_of(engine, intake).state != "done" and lives < 200:
        lives += 1
        left = 5 + 2 * lives
        try:
            work_off(engine, settings)
        except Killed:
            with transaction(engine) as session:
                jobs.sweep(session, utc_now() + timedelta(hours=1), is_counted=False)
    assert lives > 5
    came = rows_of(engine, intake)
    assert came == wanted
    assert set(fetched.values()) == {1}, "what was fetched is not fetched again"


def test_cut_off_it_says_so_and_goes_on_at_its_commit_where_it_was(
    engine: Engine, settings: Settings, storage: Storage, ana: Person, cache: Path, fetched: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    lay_out(cache, "shop/kettles", FILES)
    pile = cast_catalog(engine)
    intake = asked(engine, storage, ana, pile)
    counting = hub._place

    def place(kept: Path, target: Path) -> None:
        if target.name == "box.zip":
            raise DiskFull("The disk is full.")
        counting(kept, target)

    monkeypatch.setattr(hub, "_place", place)
    work_off(engine, settings)
    failed = job_of(engine, intake)
    assert (failed.state, failed.failure) == ("failed", "The disk is full.")
    with transaction(engine) as session:
        assert len(session.scalars(select(Image)).all()) == 5  # two loose ones, three of both tables
        which = Which(pile.id, intake.id)
        (source,) = quarantine.sources(session, storage, settings, which, ana)
        assert "Go on with it first" in str(source.obstacle), "trying again would forget what was staged"
    monkeypatch.setattr(hub, "_place", counting)
    # The branch has moved on, and another intake is planned meanwhile.
    lay_out(cache, "shop/kettles", {"new.jpg": encoded(picture(99))}, "f" * 40)
    with transaction(engine) as session:
        place = storage.root.parent / "photos"
        place.mkdir()
        (place / "p.png").write_bytes(encoded(picture(98), "PNG"))
        ingest.request_intake(session, cast.catalog(session), place, session.merge(ana))
    work_off(engine, settings)
    again = asked(engine, storage, ana, pile)
    assert again.id == intake.id
    work_off(engine, settings)
    assert job_of(engine, intake).state == "done"
    came = rows_of(engine, intake)
    assert len(came["photos"]) == 9 and came["photos"]["more/box.zip/jug.jpg"][0] == "Jug"
    assert {one[2] for one in came["photos"].values()} == {f"hf://datasets/shop/kettles@{COMMIT}"}
    assert set(fetched.values()) == {1} and "new.jpg" not in fetched
    # Done, it is asked for anew at what its branch means now.
    newer = asked(engine, storage, ana, pile)
    work_off(engine, settings)
    assert newer.id != intake.id and set(rows_of(engine, newer)["photos"]) == {"new.jpg"}


def cast_catalog(engine: Engine) -> Catalog:
    with transaction(engine) as session:
        return cast.catalog(session)


def test_a_stop_between_hauls_keeps_what_is_in_and_goes_on(
    engine: Engine, settings: Settings, storage: Storage, ana: Person, cache: Path, fetched: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    lay_out(cache, "shop/kettles", SMALL)
    pile = cast_catalog(engine)
    intake, counting = asked(engine, storage, ana, pile), hub._place

    def place(kept: Path, target: Path) -> None:
        counting(kept, target)
        if target.name == "a.zip":
            with transaction(engine) as session:
                jobs.cancel(session, intake.job_id or 0)

    monkeypatch.setattr(hub, "_place", place)
    work_off(engine, settings)
    assert job_of(engine, intake).state == "cancelled"
    with transaction(engine) as session:
        assert [one.file_name for one in session.scalars(select(Image))] == ["b.jpg"]
    monkeypatch.setattr(hub, "_place", counting)
    asked(engine, storage, ana, pile)
    work_off(engine, settings)
    assert set(rows_of(engine, intake)["photos"]) == {"b.jpg", "a.zip/a.jpg", "c.zip/c.jpg"}
    assert set(fetched.values()) == {1}


def test_two_catalogs_take_the_same_data_set_in_at_once(
    engine: Engine, settings: Settings, storage: Storage, ana: Person, cache: Path
) -> None:
    lay_out(cache, "shop/kettles", SMALL)
    both = [asked(engine, storage, ana), asked(engine, storage, ana)]
    work_off(engine, settings)
    for intake in both:
        assert (job_of(engine, intake).state, len(rows_of(engine, intake)["photos"])) == ("done", 3)


def test_refused_files_are_fetched_again_alone_at_the_same_commit(
    engine: Engine, settings: Settings, storage: Storage, ana: Person, cache: Path, fetched: Counter[str]
) -> None:
    lay_out(cache, "shop/kettles", SMALL)
    intake = asked(engine, storage, ana)
    work_off(engine, settings)
    fetched.clear()
    lay_out(cache, "shop/kettles", {}, "f" * 40)
    with transaction(engine) as session:
        (job,) = quarantine.try_again(session, storage, settings, Which(intake.catalog_id, intake.id), ana)
    work_off(engine, settings, "intake.try_again")
    with transaction(engine) as session:
        tried = jobs.get(session, job.id)
        assert (tried.state, tried.result) == ("done", {"taken_in": 0, "refused_again": 1})
    assert fetched == {"c.zip": 1}
    assert not list((storage.root / "hub").glob("*/*"))


def test_a_data_set_of_words_alone_is_for_photos_that_are_there(
    engine: Engine, settings: Settings, storage: Storage, ana: Person, cache: Path
) -> None:
    pile = cast_catalog(engine)
    lay_out(cache, "shop/kettles", {"b.jpg": SMALL["b.jpg"]})
    asked(engine, storage, ana, pile)
    work_off(engine, settings)
    words = {"metadata.csv": b"file_name,title\nb.jpg,Better\n", "b.txt": b"A caption."}
    lay_out(cache, "shop/kettles", words, "e" * 40)
    later = asked(engine, storage, ana, pile)
    work_off(engine, settings)
    assert job_of(engine, later).state == "done"
    with transaction(engine) as session:
        photo = session.scalars(select(Image)).one()
        assert photo.title == "Better"
        assert writing.current(session, [photo.id])[photo.id].text == "A caption."


@pytest.mark.slow
def test_killed_while_the_hub_answers_it_asks_for_that_file_alone_again(
    engine: Engine, settings: Settings, storage: Storage, ana: Person, tmp_path: Path
) -> None:
    intake = asked(engine, storage, ana)
    with serving(SMALL) as served:
        served.turns[f"/datasets/shop/kettles/resolve/{COMMIT}/c.zip"] = ["whole", "kill"]  # asked about, then fetched
        words = [sys.executable, "-m", "tests.workers.hub_worker", str(settings.data_dir), str(settings.database_url)]
        ends = list[int]()
        while job_of(engine, intake).state != "done" and len(ends) < 2:
            with subprocess.Popen(words, env=client_of(served, tmp_path)) as worker:
                served.asking = worker.pid
                ends.append(worker.wait())
            with transaction(engine) as session:
                jobs.sweep(session, utc_now() + timedelta(hours=1), is_counted=False)
    assert ends == [-signal.SIGKILL, 0]
    assert set(rows_of(engine, intake)["photos"]) == {"b.jpg", "a.zip/a.jpg", "c.zip/c.jpg"}
    of_it = (path for method, path, _ in served.asked if method == "GET" and "/datasets/shop/" in path)
    got = Counter(path.rpartition("/")[2] for path in of_it)
    assert got == {"main": 1, "b.jpg": 1, "a.zip": 1, "c.zip": 2}
    assert not list((tmp_path / "cache").rglob("*.zip")), "nothing of it stays in the hub's cache"
