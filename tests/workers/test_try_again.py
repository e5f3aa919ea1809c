"""The job `intake.try_again` as a worker does it: only refused files are looked at, where they lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from app import jobs
from app.catalog.tables import Catalog, Image, Intake, SourceFile
from app.database import transaction
from app.errors import Refused
from app.intake import ingest, quarantine, uploads
from app.intake.quarantine import Which
from app.intake.sources.opening import Opener
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.intake.conftest import encoded, picture
from workers import celery_app, cpu

Do = Callable[..., jobs.Job]


pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def pile(engine: Engine) -> Catalog:
    with transaction(engine) as session:
        return cast.catalog(session)


@pytest.fixture
def ana(engine: Engine) -> Person:
    with transaction(engine) as session:
        return cast.person(session, role="owner")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos, one of them cut off, beside one that is empty and a table that describes two."""
    place = tmp_path / "photos"
    place.mkdir()
    for number in range(3):
        (place / f"{number}.jpg").write_bytes(encoded(picture(number)))
    (place / "2.jpg").write_bytes(encoded(picture(2))[:-200])
    (place / "empty.jpg").touch()
    (place / "metadata.csv").write_text("file_name,title\n0.jpg,Red kettle\n2.jpg,Blue cup\n")
    return place


@pytest.fixture
def settings_of_worker(database_url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", database_url=database_url, redis_url="redis://unused")


@pytest.fixture
def do(engine: Engine, settings_of_worker: Settings) -> Do:
    """Do a job to its end; the row."""

    def done(job_id: int, body: celery_app.Body) -> jobs.Job:
        celery_app.do(job_id, body, settings_of_worker)
        with transaction(engine) as session:
            return jobs.get(session, job_id)

    return done


def take_in(engine: Engine, pile: Catalog, folder: Path, ana: Person, do: Do) -> Intake:
    with transaction(engine) as session:
        asked = ingest.request_intake(session, session.get_one(Catalog, pile.id), folder, ana)
    assert do(asked.job_id, cpu.take_in).state == "done"
    return asked


def rows(engine: Engine, intake: Intake) -> dict[str, str]:
    with transaction(engine) as session:
        query = select(SourceFile).where(SourceFile.intake_id == intake.id)
        return {file.file_name: file.reason or file.outcome for file in session.scalars(query)}


def try_again(engine: Engine, intake: Intake, do: Do, **fields: object) -> jobs.Job:
    with transaction(engine) as session:
        asked = {"intake_id": intake.id, "reason": None, "file_id": None, **fields}
        job = jobs.request(session, quarantine.RETRY, asked)
    return do(job.id, cpu.try_refused_again)


def test_a_mended_file_is_taken_in_with_its_words_and_the_rest_refused_again(
    engine: Engine, pile: Catalog, folder: Path, ana: Person, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = take_in(engine, pile, folder, ana, do)
    before = rows(engine, asked)
    assert before["empty.jpg"] == "The file is empty." and before["2.jpg"].startswith("The file is cut off")
    (folder / "2.jpg").write_bytes(encoded(picture(2)))
    with transaction(engine) as session:
        session.execute(update(jobs.Job).where(jobs.Job.kind == "signals.measure").values(state="done"))
    (folder / "later.jpg").write_bytes(encoded(picture(9)))
    read: list[str] = []
    opened = Opener.open_entry
    monkeypatch.setattr(Opener, "open_entry", lambda self, entry: (read.append(entry.name), opened(self, entry))[1])
    assert try_again(engine, asked, do).result == {"taken_in": 1, "refused_again": 1}
    assert sorted(read) == ["2.jpg", "empty.jpg"]
    assert rows(engine, asked) == {
        **dict.fromkeys(("0.jpg", "1.jpg", "2.jpg"), "accepted"),
        "empty.jpg": before["empty.jpg"],
    }
    with transaction(engine) as session:
        assert session.scalars(select(Image.title).where(Image.file_name == "2.jpg")).one() == "Blue cup"
        kept = session.get_one(Intake, asked.id)
        assert (kept.accepted, kept.refused) == (3, 1)
        waiting = select(jobs.Job.kind).where(jobs.Job.state == "queued")
        assert session.scalars(waiting).all() == ["signals.measure"]
    (folder / "empty.jpg").unlink()
    assert try_again(engine, asked, do).result == {"taken_in": 0, "refused_again": 0}
    assert rows(engine, asked)["empty.jpg"] == "The file is not in its folder any more."


def test_only_one_reason_is_tried(engine: Engine, pile: Catalog, folder: Path, ana: Person, do: Do) -> None:
    asked = take_in(engine, pile, folder, ana, do)
    for name in ("2.jpg", "empty.jpg"):
        (folder / name).write_bytes(encoded(picture(hash(name) % 1000 + 10)))
    assert try_again(engine, asked, do, reason="The file is empty.").result == {"taken_in": 1, "refused_again": 0}
    assert rows(engine, asked)["2.jpg"].startswith("The file is cut off")


def test_a_mended_file_is_no_refusal_any_more_after_its_folder_came_again(
    engine: Engine, pile: Catalog, folder: Path, ana: Person, do: Do
) -> None:
    first = take_in(engine, pile, folder, ana, do)
    (folder / "2.jpg").write_bytes(encoded(picture(2)))
    take_in(engine, pile, folder, ana, do)
    with transaction(engine) as session:
        assert [file.file_name for file in quarantine.page(session, Which(pile.id))] == ["empty.jpg"]
        assert cast.refused(session, first) == []


def test_what_is_left_out_for_good_is_not_met_again(
    engine: Engine, pile: Catalog, folder: Path, ana: Person, do: Do
) -> None:
    asked = take_in(engine, pile, folder, ana, do)
    with transaction(engine) as session:
        assert quarantine.leave_out(session, Which(pile.id), ana) == 2
    again = take_in(engine, pile, folder, ana, do)
    assert rows(engine, again) == {} and rows(engine, asked).keys() == {"0.jpg", "1.jpg", "2.jpg", "empty.jpg"}
    with transaction(engine) as session:
        assert (session.get_one(Intake, again.id).refused, quarantine.count(session, Which(pile.id))) == (0, 0)


def test_what_can_be_seen_of_a_cut_off_file_is_kept(
    engine: Engine, pile: Catalog, folder: Path, ana: Person, do: Do, settings_of_worker: Settings
) -> None:
    asked = take_in(engine, pile, folder, ana, do)
    with transaction(engine) as session:
        thumbs = {file.file_name: file.thumb_sha256 for file in cast.refused(session, asked)}
    assert thumbs["empty.jpg"] is None and thumbs["2.jpg"] is not None
    assert Storage(settings_of_worker.data_dir).path("thumbs", thumbs["2.jpg"], ".jpg").is_file()


def test_of_an_upload_the_refused_files_stay_until_they_are_taken_in_or_left_out(
    engine: Engine, pile: Catalog, folder: Path, ana: Person, do: Do, settings_of_worker: Settings
) -> None:
    storage = Storage(settings_of_worker.data_dir)
    with transaction(engine) as session:
        upload = uploads.begin(session, storage, ana)
    place = uploads.folder_of(storage, upload, ana)
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    asked = take_in(engine, pile, place, ana, do)
    assert {file.name for file in place.iterdir() if not file.name.startswith(".")} == {
        "2.jpg", "empty.jpg", "metadata.csv",
    }  # fmt: skip
    (place / "2.jpg").write_bytes(encoded(picture(2)))
    (place / "empty.jpg").write_bytes(encoded(picture(3)))
    assert try_again(engine, asked, do).result == {"taken_in": 2, "refused_again": 0}
    assert not place.exists()


def test_an_intake_is_tried_again_by_one_job_at_a_time_and_not_while_it_is_taken_in(
    engine: Engine, pile: Catalog, folder: Path, ana: Person, do: Do, storage: Storage, settings_of_worker: Settings
) -> None:
    asked = take_in(engine, pile, folder, ana, do)
    settings = settings_of_worker.model_copy(update={"intake_roots": (folder.parent,)})

    def ask(**fields: object) -> list[int]:
        with transaction(engine) as session:
            which = Which(pile.id, **fields)  # type: ignore[arg-type]
            return [job.id for job in quarantine.try_again(session, storage, settings, which, ana)]

    def put_take_in_back(state: str) -> None:
        with transaction(engine) as session:
            session.execute(update(jobs.Job).where(jobs.Job.id == asked.job_id).values(state=state))

    # What waits to be taken in lies in the same rows that a second try stages.
    put_take_in_back("running")
    with pytest.raises(Refused, match="being taken in"):
        ask()
    put_take_in_back("done")
    (whole,) = ask()
    assert ask() == [whole]
    with pytest.raises(Refused, match="tried again already"):
        ask(reason="The file is empty.")
    with transaction(engine) as session:
        jobs.claim(session, whole, "here")
    with pytest.raises(Refused, match="tried again already"):
        ask()
