"""Make the data folder that `tests/test_old_data.py` brings up: a small one, with everything in it, of version d19a536.

Run it with the code of that version and no other, from the top of the project (two to three minutes on one core):

    git checkout d19a536
    git checkout <the commit that has this file> -- tests/kept/make.py
    OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 .venv/bin/python -m tests.kept.make

It draws photos, takes them in, reviews them in the web app, freezes a version, measures a recipe, and trains three
runs: one to its end, killed once in between; one that is killed until it counts as failed; and one until its worker is
stopped. The result is kept as `tests/kept/d19a536.tar.xz`:

    database.sql    a dump that one execute() of psycopg restores into an empty database of PostgreSQL 18
    data/           the data folder: files, runs, datasets; without servers, logs, caches, and without finished models,
                    which are made again from a checkpoint and have 12 MB each

What names this machine is masked. Made again, it holds other numbers: those in the test have to be written anew.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from csv import DictReader, DictWriter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session

from app import embedded, jobs, people
from app.catalog.tables import Catalog, Image
from app.cycles import clock, launching
from app.database import migrate, transaction
from app.datasets.tables import DatasetVersion
from app.demo import catalogue
from app.evaluation import suites
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.training import preflights, runs
from app.training.preflights import Wish
from app.training.recipe import Recipe, read_recipe
from app.training.tables import RunEvent
from app.web.main import create_app
from tests.conftest import sign_in

VERSION = "d19a536"
KEPT = Path(__file__).with_name(f"{VERSION}.tar.xz")
PASSWORD = "four words make one"
WISH = Wish(max_seconds=3600.0, max_amount="30")

# Folders of the data folder that are kept, and what is left out of them.
FOLDERS = ("files", "datasets", "preflights", "runs")
LEFT_OUT = {"model", "trainer.log", "trainer.json", "stop", "cache"}
# The files of the drawn catalogue that are taken in: sound ones of so many kinds, and one of each of these faults.
SOUND = 10
FAULTS = ("blur", "clutter", "exact duplicate", catalogue.BROKEN)


def main() -> None:
    """Make it and keep it."""
    with tempfile.TemporaryDirectory(prefix="packshot-") as name:
        work = Path(name)
        server = embedded.postgres(work, is_durable=False)
        with embedded.run(server):
            migrate(server.url)
            _settle_environment(server.url, work / "data")
            settings, engine = Settings(), create_engine(server.url)
            catalog_id, ana, ben = _begin(engine, settings)
            _take_in(engine, settings, ana, catalog_id, _photos(work / "drawn", work / "photos"))
            _review(engine, settings, ana, ben, catalog_id)
            _freeze(engine, settings, ana, catalog_id)
            preflight_id = _train_to_the_end(engine, settings, ana)
            _train_and_fail(engine, settings, ana, preflight_id)
            _train_and_stop_the_worker(engine, settings, ana, preflight_id)
            _mask(engine)
            engine.dispose()
            dump = _dump(server.url)
        _keep(dump, settings.data_dir, [str(work), work.name, socket.gethostname() + ":", str(Path.home()) + "/"])


def _settle_environment(url: str, data_dir: Path) -> None:
    """Settings as workers read them. An hour costs so much that seconds cost something."""
    told = {
        "DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1/0", "DATA_DIR": str(data_dir), "WORKER_THREADS": "1",
        "GPU_HOUR_PRICE": "36", "BUDGET": "80",
    }  # fmt: skip
    os.environ.update({f"PACKSHOT_{name}": value for name, value in told.items()})


def _begin(engine: Engine, settings: Settings) -> tuple[int, Person, Person]:
    """Two people, a catalog, a cycle that ended and one that runs."""
    with transaction(engine) as session:
        ana = people.make_owner(session, "Ana Lind", "ana@example.org")
        ben = people.add(session, ana, "Ben Ode", "ben@example.org")
        for person in (ana, ben):
            people.set_password(session, person.id, PASSWORD)
        pile = Catalog(name="Autumn")
        session.add(pile)
        session.flush()
        clock.start_cycle(session, settings, pile)
        clock.start_cycle(session, settings, pile)
        return pile.id, ana, ben


def _photos(drawn: Path, photos: Path) -> Path:
    """A folder of few small photos out of a drawn catalogue, with their metadata."""
    catalogue.PROCESSES = 1
    truth = catalogue.draw_catalogue(drawn, count=48, size_px=128)
    faulty = [truth.faulty(fault)[0] for fault in FAULTS]
    sound, kinds = [], dict[str, int]()
    originals = {one.original for one in faulty}
    for photo in sorted(truth.photos, key=lambda one: one.file_name not in originals):
        if photo.fault is None and kinds.get(photo.kind, 0) < 2 and len(sound) < SOUND:
            sound.append(photo)
            kinds[photo.kind] = kinds.get(photo.kind, 0) + 1
    names = {photo.file_name for photo in (*sound, *faulty)}
    for one in sorted(names):
        (photos / one).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn / one, photos / one)
    with (drawn / "metadata.csv").open() as source, (photos / "metadata.csv").open("w", newline="") as target:
        rows = DictReader(source)
        table = DictWriter(target, rows.fieldnames or ())
        table.writeheader()
        table.writerows(row for row in rows if row["file_name"] in names)
    return photos


def _take_in(engine: Engine, settings: Settings, ana: Person, catalog_id: int, photos: Path) -> None:
    _post(_client(engine, settings, ana), "/intakes", catalog_id=catalog_id, folder=str(photos))
    assert _work_off(engine) == ["intake.take_in", "signals.measure", "captions.propose", "review.apply_rules"]


def _review(engine: Engine, settings: Settings, ana: Person, ben: Person, catalog_id: int) -> None:
    """A caption rewritten twice, one taken back; decisions of two people, one undone, one on many photos at once."""
    hers, his = _client(engine, settings, ana), _client(engine, settings, ben)
    with transaction(engine) as session:
        found = session.scalars(select(Image).where(Image.catalog_id == catalog_id).order_by(Image.file_name)).all()
    first, second, third, fourth, fifth = [photo.id for photo in found][:5]
    _write(his, first, "A product, photographed from the front.")
    _write(hers, first, "A handmade product in soft light, photographed from the front.")
    _write(his, second, "Words that Ben takes back.")
    _post(his, "/undo")
    _post(his, f"/images/{third}/decisions", verdict="rejected:badly lit")
    _post(hers, f"/images/{third}/decisions", verdict="kept")
    _post(his, f"/images/{fourth}/decisions", verdict="needs_work")
    _post(his, "/undo")
    _post(his, f"/images/{fifth}/decisions", verdict="rejected:copy of another")
    last = found[-1].category or ""
    _post(hers, f"/catalogs/{catalog_id}/decisions", q=f'category:"{last}"', verdict="needs_work")


def _freeze(engine: Engine, settings: Settings, ana: Person, catalog_id: int) -> None:
    client = _client(engine, settings, ana)
    _post(client, f"/catalogs/{catalog_id}/versions", q="decision:kept")
    assert _work_off(engine) == ["dataset.freeze"]


def _train_to_the_end(engine: Engine, settings: Settings, ana: Person) -> int:
    """Measure, and train so many steps that old readings are summed up; killed once, and begun again by its worker."""
    recipe = _recipe(steps=1400, checkpoint_every=700, validate_every=350)
    with transaction(engine) as session:
        version = session.scalars(select(DatasetVersion)).one()
        prompts = catalogue.held_out_prompts(2)
        held_out = [suites.PromptText(one.text, "Held out", {"kind": one.kind}) for one in prompts]
        suites.suite_for(session, version, recipe, held_out)
        preflight_id = preflights.request_preflight(session, version, recipe, ana, WISH).id
    assert _work_off(engine, 1) == ["run.preflight"]
    with _Worker(engine, settings, 1) as worker:
        os.kill(worker.trainer_at(step=800), signal.SIGKILL)
    assert _work_off(engine) == ["sheet.draw"]
    return preflight_id


def _train_and_fail(engine: Engine, settings: Settings, ana: Person, preflight_id: int) -> None:
    """Killed again and again, behind a checkpoint."""
    run_id = _ask(engine, settings, ana, preflight_id, _recipe(steps=300, checkpoint_every=100, validate_every=100))
    with _Worker(engine, settings, run_id) as worker:
        for start in (1, 2, 3):
            os.kill(worker.trainer_at(step=104, start=start), signal.SIGKILL)
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        assert (run.state, run.cause) == ("failed", "killed")


def _train_and_stop_the_worker(engine: Engine, settings: Settings, ana: Person, preflight_id: int) -> None:
    """Train until the worker is told to stop: its job waits in the queue, as a plain stop of the app leaves it."""
    from workers.celery_app import stopped_for_good

    recipe = _recipe(steps=120, checkpoint_every=30, validate_every=30, seed=4)
    run_id = _ask(engine, settings, ana, preflight_id, recipe)
    with _Worker(engine, settings, run_id) as worker:
        worker.trainer_at(step=34)
        stopped_for_good.set()
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        assert (run.state, jobs.get(session, run.job_id or 0).state) == ("running", "queued")
        # Elsewhere a validation of the very step that was saved would come to another last digit, and be refused.
        assert 30 < run.step < 120 and run.step % 30, run.step


def _ask(engine: Engine, settings: Settings, ana: Person, preflight_id: int, recipe: Recipe) -> int:
    """Ask for a run that the preflight holds for, with what is foretold of it; its id."""
    with transaction(engine) as session:
        version = session.scalars(select(DatasetVersion)).one()
        known = preflights.get(session, preflight_id)
        outlook = launching.outlook(session, settings, version, recipe, preflight=known, wish=WISH)
        return launching.start(session, version, outlook, known, ana).id


def _recipe(**knobs: Any) -> Recipe:
    """A LoRA on the nano base: checkpoints of a few kB."""
    quick = read_recipe(runs.RECIPES / "nano_quick.yaml").model_dump()
    wanted = {"name": "Kept", "method": "lora", "lora_rank": 1, "resolution_px": 32, "batch_size": 2, "report_every": 1}
    return Recipe.model_validate({**quick, **wanted, "max_wall_clock_s": 3600.0, **knobs})


class _Worker:
    """`with _Worker(engine, settings, run_id) as worker:` does the run's job in a thread, and is waited for."""

    def __init__(self, engine: Engine, settings: Settings, run_id: int) -> None:
        self.engine, self.run_id = engine, run_id
        self.out = Storage(settings.data_dir).run_folder(run_id)
        self.thread = threading.Thread(target=_work_off, args=(engine, 1))

    def __enter__(self) -> _Worker:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join()

    def trainer_at(self, step: int, start: int = 1) -> int:
        """The pid of the run's trainer, once the trainer that began as the `start`-th has told of this step."""
        deadline = time.monotonic() + 240
        while not self._is_at(step, start):
            assert time.monotonic() < deadline and self.thread.is_alive(), "it did not get so far"
            time.sleep(0.02)
        return int(json.loads((self.out / "trainer.json").read_text())["pid"])

    def _is_at(self, step: int, start: int) -> bool:
        of_run = select(RunEvent).where(RunEvent.run_id == self.run_id).order_by(RunEvent.seq)
        with transaction(self.engine) as session:
            began = session.scalars(of_run.where(RunEvent.kind == "started")).all()
            told = session.scalars(of_run.where(RunEvent.kind == "step")).all()
            return len(began) == start and any(one.seq > began[-1].seq and one.data["step"] >= step for one in told)


def _work_off(engine: Engine, most: int = 100) -> list[str]:
    """Do queued jobs as a worker would, oldest first. Returns their kinds."""
    import workers.cpu
    import workers.gpu  # noqa: F401  (registers its tasks)
    from workers.celery_app import celery_app

    done: list[str] = []
    while len(done) < most:
        with transaction(engine) as session:
            job = session.scalars(select(jobs.Job).where(jobs.Job.state == "queued").order_by(jobs.Job.id)).first()
        if job is None:
            break
        celery_app.tasks[job.kind](job.id)
        done.append(job.kind)
    return done


def _client(engine: Engine, settings: Settings, person: Person) -> TestClient:
    with Session(engine) as session:
        client = sign_in(create_app(settings.model_copy(update={"redis_url": None})), session, settings, person)
        session.commit()
    return client


def _post(client: TestClient, address: str, **fields: Any) -> None:
    answer = client.post(address, data=fields)
    assert answer.status_code == 303, answer.text


def _write(client: TestClient, image_id: int, words: str) -> None:
    """Rewrite the caption that the desk shows."""
    page = client.get(f"/images/{image_id}").text
    known = re.search(r'data-caption="(\d+)"', page)
    assert known
    _post(client, f"/images/{image_id}/captions", text=words, expected_id=known.group(1))


def _mask(engine: Engine) -> None:
    """Take out what names this machine, and who was signed in."""
    with transaction(engine) as session:
        for statement in (
            "update intake set folder = '/photos'",
            "update job set worker = 'worker:1' where worker is not null",
            "update training_run set billed_sitting = regexp_replace(billed_sitting, '^[^:]*', 'worker')",
            "delete from sign_in",
            "delete from sign_in_link",
        ):
            session.execute(text(statement))


def _dump(url: str) -> bytes:
    """The database as statements that any client can send: no commands of psql's own."""
    host = parse_qs(urlsplit(url).query)["host"][0]
    words = [
        str(embedded.postgres_programs() / "pg_dump"), "-h", host, "-U", "postgres", "--no-owner", "--no-privileges",
        "--rows-per-insert=500", "--no-comments", "postgres",
    ]  # fmt: skip
    told = subprocess.run(words, capture_output=True, check=True).stdout.decode()
    return "".join(line for line in told.splitlines(True) if not line.startswith(("\\", "--"))).encode()


def _keep(dump: bytes, data_dir: Path, private: list[str]) -> None:
    """Write the archive: the same bytes for the same content. Raises AssertionError where it names this machine."""
    files = {"database.sql": dump}
    for folder in FOLDERS:
        for file in sorted((data_dir / folder).rglob("*")):
            place = file.relative_to(data_dir)
            if file.is_file() and not LEFT_OUT & set(place.parts) and not file.name.startswith("."):
                files[f"data/{place}"] = file.read_bytes()
    for name, content in files.items():
        assert not [word for word in private if word.encode() in content], name
    with tarfile.open(KEPT, "w:xz", preset=9) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    print(f"{KEPT}: {KEPT.stat().st_size:,} bytes, {len(files)} files")


if __name__ == "__main__":
    main()
