"""A data folder of the version before comes up with its photos, captions, decisions, runs and sheets.

`tests/kept/d19a536.tar.xz` is one that the code of d19a536 made (see `tests/kept/make.py`): a dump of its database and
its files. Here it is brought up by this version, as a start does after an update, and looked at from outside: by the
addresses of pages and by what they show. The numbers are those that d19a536 itself shows.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, func, inspect, make_url, select, table, text
from sqlalchemy.orm import Session

import app.tables  # noqa: F401  (fills the metadata)
from app import jobs
from app.database import Base, migrate, migrations_folder
from app.datasets.manifest import content_hash, read_manifest
from app.launch import preflights
from app.settings import Settings
from app.training.recipe import read_recipe
from app.web import security
from tests.kept.pages import facts, found, pictures, shown, signed_in, with_cookie, words

KEPT = Path(__file__).parent / "kept" / "d19a536.tar.xz"
REVISION = "0003"
JSON = {"Accept": "application/json"}

CONTENT_HASH = "c790fa2d38385092"
PHOTOS = range(1, 13)
THEN = "30 Nov 03:05:38"
LOSSES = [0.3219074606895447, 0.3045286703854799]
REWRITTEN = "A handmade product in soft light, photographed from the front."

Restore = Callable[[str], Settings]


@pytest.fixture(scope="module")
def restore(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restore]:
    """`restore(name)`: the kept data folder as it was left, on a database of its own; the settings that name both."""
    server = create_engine(database_url, isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def restored(name: str) -> Settings:
        folder = tmp_path_factory.mktemp(name)
        with tarfile.open(KEPT) as archive:
            archive.extractall(folder, filter="data")
        with server.connect() as connection:
            connection.execute(text(f"create database {name}"))
        made.append(name)
        url = make_url(database_url).set(database=name)
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute((folder / "database.sql").read_bytes())
        return Settings(
            data_dir=folder / "data", database_url=url.render_as_string(hide_password=False),
            redis_url="redis://127.0.0.1:1/0", gpu_hour_price=Decimal(36), worker_threads=1,
        )  # fmt: skip

    yield restored
    with server.connect() as connection:
        for name in made:
            connection.execute(text(f"drop database {name} with (force)"))
    server.dispose()


@pytest.fixture(scope="module")
def brought_up(restore: Restore) -> Settings:
    """The kept data folder, brought up by this version."""
    settings = restore("old_data")
    migrate(str(settings.database_url))
    return settings


@pytest.fixture(scope="module")
def engine(brought_up: Settings) -> Iterator[Engine]:
    """In the place of the empty database that other tests have: `session` undoes what a test does."""
    engine = create_engine(str(brought_up.database_url))
    yield engine
    engine.dispose()


@pytest.fixture
def settings(brought_up: Settings) -> Settings:
    return brought_up


@pytest.fixture(scope="module")
def cookies(brought_up: Settings) -> dict[str, str]:
    """The cookies of two browsers in which Ana and Ben signed in, with the passwords that they had."""
    return {name: signed_in(brought_up, name).cookies[security.cookie_name(brought_up)] for name in ("ana", "ben")}


@pytest.fixture
def client(stranger: TestClient, settings: Settings, cookies: dict[str, str]) -> TestClient:
    """Ana's browser."""
    return with_cookie(stranger, settings, cookies["ana"])


def test_it_is_brought_to_the_newest_migration_and_migrating_again_changes_nothing(restore: Restore) -> None:
    url = str(restore("old_twice").database_url)
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    newest = ScriptDirectory.from_config(config).get_current_head()
    engine = create_engine(url)
    assert state_of(engine)[0] == REVISION
    migrate(url)
    once = state_of(engine)
    assert once[0] == newest
    migrate(url)
    assert state_of(engine) == once
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def state_of(engine: Engine) -> tuple[str | None, dict[str, int]]:
    """A database's revision, and how many rows each of its tables has."""
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        counts = {name: connection.scalar(select(func.count()).select_from(table(name))) or 0 for name in names}
        return MigrationContext.configure(connection).get_current_revision(), counts


def test_every_photo_is_there_with_its_files(client: TestClient) -> None:
    assert found(client, "") == set(PHOTOS)
    for number in PHOTOS:
        original = client.get(f"/images/{number}/original").content
        assert hashlib.sha256(original).hexdigest() in client.get(f"/images/{number}").text
        for shape, kind in (("thumb", "image/webp"), ("view", "image/jpeg")):
            answer = client.get(f"/images/{number}/{shape}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


def test_filters_find_what_they_found(client: TestClient) -> None:
    photos = {
        "decision:kept": {9},
        "decision:rejected": {7},
        "decision:needs_work": {4, 11},
        "decision:unseen": {1, 2, 3, 5, 6, 8, 10, 12},
        "by:person": {4, 7, 9, 11},
        "by:rule": {1, 2, 3, 5, 6, 8, 10, 12},
        # As d19a536 counts them, which made no difference between people and rules.
        "decision:kept by:person,rule": {1, 2, 3, 5, 6, 9, 10, 12},
        "decision:needs_work by:person,rule": {4, 8, 11},
        "background:white": {2, 5, 11},
        "background:plain": {1, 3, 4, 6, 7, 9, 10, 12},
        "background:scene": {8},
        "kettle": {6, 10},
        "handmade": {2},
        "caption:person": {2},
        "rule:clean": {1, 2, 3, 5, 6, 10, 12},
        "category:watches": {4, 11},
        "colour:orange": {2, 8, 12},
        "sharpness:>0.5 decision:kept by:person,rule": {1, 2, 5, 6, 9, 10, 12},
        "fill:50..96 background:plain": {1, 3, 4, 7, 9, 10},
    }
    assert {query: found(client, query) for query in photos} == photos


def test_the_intake_tells_what_came_of_each_file(client: TestClient) -> None:
    page = shown(client, "/intakes/1")
    assert "/photos" in page
    assert "new photos 12 there already 1 refused 1" in page
    assert "The file is damaged, so its picture cannot be read. 1" in page
    assert "chairs/chair-orange-02.webp" in shown(client, "/intakes/1/refused")


def test_a_caption_has_its_whole_history(client: TestClient) -> None:
    page = shown(client, "/images/2")
    assert "3 versions" in page
    told = [
        f"Version 3 by Ana Lind · {THEN} · from version 2 current {REWRITTEN}",
        f"Version 2 by Ben Ode · {THEN} · from version 1 A product, photographed from the front.",
        f"Version 1 by the facts captioner · {THEN} Orange matte backpack, front view, left of centre on a pure",
    ]
    places = [page.index(one) for one in told]
    assert places == sorted(places)


def test_a_caption_that_was_taken_back_is_no_more_than_history(client: TestClient) -> None:
    page = shown(client, "/images/8")
    assert f"by the facts captioner · {THEN} current Orange backpack, front view, centred on a" in page
    assert f"by Ben Ode · {THEN} · from version 1 Words that Ben takes back." in page
    assert found(client, "takes back") == set()


def test_decisions_have_their_history(client: TestClient) -> None:
    for photo, history in (
        (1, f"keep suggested by a rule: No rule found a fault. {THEN}"),
        (7, f"rejected by Ben Ode: copy of another {THEN} keep suggested by a rule: No rule found a fault. {THEN}"),
        (9, f"kept by Ana Lind {THEN} rejected by Ben Ode: badly lit {THEN} keep suggested by a rule: No rule found"),
        (11, f"needs work by Ana Lind {THEN} keep suggested by a rule: No rule found a fault. {THEN}"),
        (12, f"needs work by Ben Ode, undone {THEN} keep suggested by a rule: No rule found a fault. {THEN}"),
    ):
        assert history in shown(client, f"/images/{photo}")


def test_what_was_decided_at_once_is_undone_at_once(client: TestClient) -> None:
    undone = client.post("/undo", headers=JSON).json()
    assert undone["count"] == 2
    assert found(client, "decision:needs_work") == set()
    assert found(client, "decision:needs_work by:rule") == {8}
    assert found(client, "rule:clean decision:kept by:rule") == {1, 2, 3, 5, 6, 10, 12}
    # Rules look again at what was undone, today's: these photos are too small.
    assert found(client, "rule:small decision:rejected by:rule") == {4, 11}
    assert client.post("/undo", headers=JSON).json()["image_id"] == 9
    assert found(client, "decision:rejected") == {7, 9}


def test_a_colleague_undoes_their_own(stranger: TestClient, settings: Settings, cookies: dict[str, str]) -> None:
    client = with_cookie(stranger, settings, cookies["ben"])
    assert client.post("/undo", headers=JSON).json()["image_id"] == 7
    assert found(client, "decision:rejected") == set()
    assert found(client, "category:chairs rule:clean") == {12}
    assert found(client, "category:chairs rule:small") == {7}


def test_what_is_decided_and_written_now_moves_the_counts(client: TestClient) -> None:
    assert client.post("/images/12/decisions", data={"verdict": "rejected:blurred"}, headers=JSON).status_code == 200
    assert found(client, "decision:rejected") == {7, 12}
    known = re.search(r'name="expected_id" value="(\d+)" data-expected', client.get("/images/6").text)
    assert known
    written = {"text": "A samovar.", "expected_id": known.group(1)}
    assert client.post("/images/6/captions", data=written, headers=JSON).status_code == 200
    assert found(client, "samovar") == {6}
    assert found(client, "caption:person") == {2, 6}


def test_the_frozen_version_is_what_it_was(client: TestClient, tmp_path: Path, settings: Settings) -> None:
    page = client.get("/datasets/1").text
    assert "Train 7 photos · 7 products Validation 1 photos · 1 product" in words(page)
    assert "8 kept photos. decision:kept by:person,rule frozen 30 Nov 03:05:39 by Ana Lind" in words(page)
    assert "that no person had seen 7" in words(page)
    assert sum(f'src="/images/{number}/thumb"' in page for number in PHOTOS) == 8
    assert REWRITTEN in page
    (tmp_path / "manifest.jsonl").write_bytes(client.get("/datasets/1/manifest.jsonl").content)
    rows = read_manifest(tmp_path / "manifest.jsonl")
    assert [row.split for row in rows].count("train") == 7
    assert content_hash(rows).startswith(CONTENT_HASH)
    assert content_hash(rows) in page
    for row in rows:
        picture = settings.data_dir / "datasets" / "1" / row.file
        assert hashlib.sha256(picture.read_bytes()).hexdigest() == row.sha256


def test_the_runs_are_listed(client: TestClient) -> None:
    page = shown(client, "/runs")
    assert "Run 1 completed 1,400 of 1,400 Autumn, version 1 models/nano 30 Nov 03:05:44 All 1,400 steps" in page
    assert "Run 2 failed 106 of 300 Autumn, version 1 models/nano 30 Nov 03:06:45 The trainer was ended" in page
    assert "drawn next" not in page
    assert "Run 3 training 45 of 120 Autumn, version 1 models/nano 30 Nov 03:07:08" in page
    for each in ("Run 3 · running · 45 of 120", "Run 2 · failed · 106 of 300", "Run 1 · completed · 1,400 of 1,400"):
        assert each in shown(client, "/datasets/1")


def test_a_finished_run_tells_what_it_took_and_what_happened(client: TestClient) -> None:
    page = shown(client, "/runs/1")
    assert "Step 1,400 of 1,400 · 2,800 pictures seen · 54 s" in page
    assert "29 s · €0.29 23 s to 35 s, 5 steps measured on CPU" in page
    assert "54 s · €0.54 85.4 % more than" in page
    assert "50 m · €30.00 money decides" in page
    for time_of_day, what in (
        ("03:06:03", "validation 0.240 at step 350, lowest so far"),
        ("03:06:12", "samples 3 pictures at step 700"),
        ("03:06:12", "checkpoint 700 325 kB"),
        ("03:06:15", "begun again The trainer was ended from outside (Killed)."),
        ("03:06:21", "trainer started again 31 s worked before"),
        ("03:06:21", "went on from step 700"),
        ("03:06:33", "slow Steps take 0.0386 s, 2.1 times their usual 0.0188 s."),
        ("03:06:37", "step 1,400 113.5 pictures/s, loss 0.023"),
        ("03:06:37", "training ended at step 1,400; the model is written"),
    ):
        assert f"{time_of_day} {what}" in page
    assert len(pictures(client, "/runs/1")) == 9


def test_the_curves_of_a_run_are_those_of_its_readings_old_and_new(client: TestClient) -> None:
    curves = facts(client, "/runs/1/curves")
    assert (len(curves["axes"]["step"]), curves["steps_a_point"]) == (302, 3)
    assert (curves["axes"]["step"][-1], curves["axes"]["time"][-1]) == (1400, 40.1)
    assert curves["validation"]["axes"]["step"] == [0, 350, 700, 700, 1050, 1400]
    assert curves["validation"]["axes"]["time"] == [0.4, 12.5, 22.0, 24.5, 32.2, 40.1]
    assert curves["validation"]["mean"][-1] == 0.2844212260097265
    assert curves["joins"] == [{"step": 700, "time": 24.4, "pictures": 1400}]
    # The early points are of readings that were summed up, the last ones of single events.
    assert [band["mean"][1] for band in curves["bands"]] == [0.27536, 0.21459, 0.17047, 0.23213]
    assert [band["high"][1] for band in curves["bands"]] == [0.51966, 0.34992, 0.28852, 0.30906]
    assert [band["mean"][-1] for band in curves["bands"]] == [None, 0.090573, 0.023105, None]


def test_a_run_that_failed_can_still_be_let_go_on(client: TestClient) -> None:
    page = shown(client, "/runs/2")
    assert "The run failed at step 106 of 300: ended from outside." in page
    assert "11 s · €0.11 9 s to 13 s, 5 steps measured on CPU" in page
    assert "25 s · €0.25" in page
    assert "Go on from step 100" in page
    assert facts(client, "/runs/2/curves")["axes"]["step"] == list(range(1, 107))
    assert len(pictures(client, "/runs/2")) == 6
    assert client.post("/runs/2/resumption").headers["location"] == "/runs/2"
    page = shown(client, "/runs/2")
    assert "Run 2 waiting" in page
    assert "Ana Lind let it go on from step 100." in page


def test_a_run_whose_worker_was_stopped_waits_for_the_next(client: TestClient) -> None:
    page = shown(client, "/runs/3")
    assert "Run 3 waiting" in page
    assert "Step 45 of 120" in page
    assert "8 s · €0.08 7 s to 10 s, 5 steps measured on CPU" in page
    assert "03:07:15 checkpoint 45 325 kB" in page
    curves = facts(client, "/runs/3/curves")
    assert curves["axes"]["step"] == list(range(1, 46))
    assert curves["validation"]["mean"] == LOSSES
    assert len(pictures(client, "/runs/3")) == 6


def test_the_sheets_have_all_their_pictures(client: TestClient) -> None:
    page = client.get("/compare").text
    for each in ("Run 3 Autumn, version 1, suite 1 6 of 18", "Run 2 Autumn, version 1, suite 1 6 of 12"):
        assert each in words(page)
    assert "Run 1 Autumn, version 1, suite 1 18 of 18" in words(page)
    drawn = {address: len(pictures(client, address)) for address in re.findall(r'href="(/compare/\d+)"', page)}
    assert drawn == {"/compare/1": 18, "/compare/9": 6, "/compare/18": 6}
    sheet = shown(client, "/compare/1")
    assert "Base loss 0.348 700 loss 0.254, lowest 1,400 loss 0.284" in sheet
    assert "All 6 Held out 4 kettles 2" in sheet
    assert "2 seeds · 4 steps · guidance 2.0 · 32 px" in sheet


def test_the_cycle_has_its_ledger(client: TestClient) -> None:
    page = shown(client, "/cycle")
    assert "Cycle 2" in page
    assert "€79.01 left of €80" in page
    assert "Train 1 m 32 s 1 m 32 s €0.92 Compare 7 s 7 s €0.07 So far 1 m 40 s 1 m 39 s €0.99" in page
    assert "1 Autumn not counted 0 s" in page


def test_what_was_measured_still_holds(client: TestClient, session: Session, settings: Settings) -> None:
    assert client.get("/runs/new?measuring=1").headers["location"] == "/runs/3"
    recipe = read_recipe(settings.data_dir / "preflights" / "1" / "recipe.yaml")
    measured = preflights.find(session, 1, recipe.model_copy(update={"steps": 10}), "")
    assert measured is not None
    assert (measured.id, measured.recipe_hash) == (1, recipe.recipe_hash())


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint_to_its_end(restore: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    import workers.gpu  # noqa: F401  (registers its tasks)
    from workers.celery_app import celery_app

    settings = restore("old_run")
    migrate(str(settings.database_url))
    for name in ("database_url", "redis_url", "data_dir", "gpu_hour_price", "worker_threads"):
        monkeypatch.setenv(f"PACKSHOT_{name.upper()}", str(getattr(settings, name)))
    engine = create_engine(str(settings.database_url))
    with Session(engine) as session:
        waiting = session.scalars(select(jobs.Job).where(jobs.Job.state == "queued")).one()
    celery_app.tasks[waiting.kind](waiting.id)
    engine.dispose()
    client = signed_in(settings, "ana")
    assert "Step 120 of 120 · 240 pictures seen" in shown(client, "/runs/3")
    curves = facts(client, "/runs/3/curves")
    assert curves["axes"]["step"] == list(range(1, 121))
    assert [join["step"] for join in curves["joins"]] == [45]
    assert curves["validation"]["axes"]["step"] == [0, 30, 45, 60, 90, 120]
    assert curves["validation"]["mean"][:2] == LOSSES
    assert len(pictures(client, "/runs/3")) == 15, "three of each checkpoint but the one that the stop made"
    assert "Run 3 Autumn, version 1, suite 1 18 of 36" in shown(client, "/compare"), (
        "the base was whole in run 1, the others are asked for"
    )
    assert (settings.data_dir / "runs" / "3" / "model" / "model_index.json").is_file()
