"""Captions for many photos as a worker makes them: in batches, kept as they come, done again without harm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image as Pillow
from sqlalchemy import Engine, select

from app import jobs
from app.captions import writing
from app.captions.asking import Asking
from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.database import transaction
from app.jobs import Job
from app.settings import Settings
from app.storage import Storage
from tests import cast
from workers import celery_app, cpu
from workers.captions import caption_job
from workers.captions.captioner import PhotoAnswer, PhotoQuestion
from workers.celery_app import Work
from workers.devices.model_cache import ModelCache
from workers.errors import InputError

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def pile(engine: Engine) -> Catalog:
    with transaction(engine) as session:
        return cast.catalog(session)


def add_photo(engine: Engine, pile: Catalog, storage: Storage, is_readable: bool = True) -> Image:
    """A photo without a caption, whose picture file can be read or is torn."""
    with transaction(engine) as session:
        photo = cast.image(session, pile)
    file = storage.root / photo.render_path
    file.parent.mkdir(parents=True, exist_ok=True)
    if is_readable:
        Pillow.new("RGB", (8, 6), (200, 30, 30)).save(file)
    else:
        file.write_bytes(b"\xff\xd8 torn")
    return photo


def do(engine: Engine, settings: Settings, body: Callable[[Work], Any], kind: str, **arguments: Any) -> Job:
    """Ask for a job and do it; as it stands afterwards."""
    with transaction(engine) as session:
        job_id = jobs.request(session, kind, {"image_ids": None, **arguments}).id
    celery_app.do(job_id, body, settings)
    with transaction(engine) as session:
        return jobs.get(session, job_id)


def captions(engine: Engine) -> dict[int, list[Caption]]:
    """Every caption, newest first, by photo."""
    with transaction(engine) as session:
        ids = session.scalars(select(Image.id)).all()
        return {image_id: writing.history(session, image_id) for image_id in ids}


def rules_asked(engine: Engine) -> list[int]:
    with transaction(engine) as session:
        found = session.scalars(select(Job).where(Job.kind == "review.apply_rules"))
        return [job.arguments["catalog_id"] for job in found]


@dataclass
class Parrot:
    """A captioner that says what it is told to."""

    says: Sequence[str] = ("A red kettle.",)
    name: str = "org/parrot"
    revision: str = ""
    at_once: int = 4
    looks: bool = True
    answers_together: bool = True
    asked: list[PhotoQuestion] = field(default_factory=list)
    on_look: Callable[[], None] = lambda: None
    refuses: str = ""

    def obstacle(self, asking: Asking) -> str:
        return self.refuses

    def answer(self, questions: Sequence[PhotoQuestion]) -> list[PhotoAnswer]:
        self.on_look()
        start = len(self.asked)
        self.asked += questions
        return [
            PhotoAnswer(each.image_id, self.says[(start + place) % len(self.says)], each.text, 100, 10)
            for place, each in enumerate(questions)
        ]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Of the pictures it looked at."""
        return [each.picture.size for each in self.asked if each.picture is not None]


def looking(parrot: Parrot) -> Callable[[Work], Any]:
    return lambda work: caption_job.look(work, ModelCache(threads=1), load=lambda *_: parrot)  # type: ignore[return-value, arg-type]


def test_a_catalog_is_captioned_from_facts_then_the_rules_are_asked(
    engine: Engine, settings: Settings, pile: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caption_job, "FACTS_AT_ONCE", 2)
    with transaction(engine) as session:
        for _ in range(5):
            cast.image(session, pile)
    job = do(engine, settings, cpu.propose_captions, "captions.propose", catalog_id=pile.id)
    assert (job.state, job.done, job.total, job.result) == (
        "done",
        5,
        5,
        {"photos": 5, "written": 5, "passed_over": []},
    )
    assert {one[0].text for one in captions(engine).values()} == {
        "Red kettle, centred on a pure white background."
    } or (len({one[0].text for one in captions(engine).values()}) == 1)
    again = do(engine, settings, cpu.propose_captions, "captions.propose", catalog_id=pile.id)
    assert (again.result["photos"], again.result["written"]) == (5, 0)
    assert rules_asked(engine) == [pile.id], "what waits already stands for both"


def test_a_cancelled_job_keeps_what_it_had_written(
    engine: Engine, settings: Settings, pile: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caption_job, "FACTS_AT_ONCE", 1)
    with transaction(engine) as session:
        for _ in range(3):
            cast.image(session, pile)
    go_on = Work.go_on

    def a_change_of_mind_and_go_on(work: Work) -> None:
        with transaction(engine) as session:
            jobs.cancel(session, work.claim.job_id)
        go_on(work)

    monkeypatch.setattr(Work, "go_on", a_change_of_mind_and_go_on)
    job = do(engine, settings, cpu.propose_captions, "captions.propose", catalog_id=pile.id)
    assert job.state == "cancelled"
    assert sorted(len(history) for history in captions(engine).values()) == [0, 1, 1]
    assert rules_asked(engine) == []


def test_a_model_looks_at_each_photo_and_says_how(engine: Engine, settings: Settings, pile: Catalog) -> None:
    storage = Storage(settings.data_dir)
    photos = [add_photo(engine, pile, storage) for _ in range(6)]
    parrot = Parrot()
    job = do(engine, settings, looking(parrot), "captions.look", catalog_id=pile.id, model="org/parrot")
    assert job.result == {"photos": 6, "written": 6, "passed_over": []}
    assert parrot.sizes == [(8, 6)] * 6
    (caption,) = captions(engine)[photos[0].id]
    assert (caption.captioner, caption.text) == ("org/parrot", "A red kettle.")
    assert caption.settings["max_new_tokens"] == 96
    assert caption.settings["prompt"].startswith("Describe the product")
    assert rules_asked(engine) == [pile.id]


def test_a_photo_that_cannot_be_read_is_told_and_passed_over(engine: Engine, settings: Settings, pile: Catalog) -> None:
    storage = Storage(settings.data_dir)
    torn = add_photo(engine, pile, storage, is_readable=False)
    gone = add_photo(engine, pile, storage)
    (storage.root / gone.render_path).unlink()
    sound = add_photo(engine, pile, storage)
    mute = add_photo(engine, pile, storage)
    parrot = Parrot(says=("A red kettle.", "", ""))
    job = do(engine, settings, looking(parrot), "captions.look", catalog_id=pile.id, model="org/parrot")
    assert job.state == "done"
    assert job.result["passed_over"] == [
        f"{torn.file_name} cannot be read",
        f"{gone.file_name} cannot be read",
        f"{mute.file_name}: The answer was empty. Asked again: The answer was empty.",
    ]
    assert {image_id for image_id, history in captions(engine).items() if history} == {sound.id}
    assert job.note == "3 passed over"


def test_what_was_written_before_a_crash_stays_and_is_not_written_again(
    engine: Engine, settings: Settings, pile: Catalog
) -> None:
    storage = Storage(settings.data_dir)
    for _ in range(6):
        add_photo(engine, pile, storage)
    parrot = Parrot()

    def crash_at_the_second_batch() -> None:
        if parrot.asked:
            raise MemoryError("no memory left")

    parrot.on_look = crash_at_the_second_batch
    with pytest.raises(MemoryError):
        do(engine, settings, looking(parrot), "captions.look", catalog_id=pile.id, model="org/parrot")
    assert sum(len(history) for history in captions(engine).values()) == 4
    fresh = Parrot()
    job = do(engine, settings, looking(fresh), "captions.look", catalog_id=pile.id, model="org/parrot")
    assert (len(fresh.asked), job.result["written"]) == (2, 2)


def test_a_person_who_writes_while_the_model_looks_is_not_overwritten(
    engine: Engine, settings: Settings, pile: Catalog
) -> None:
    photo = add_photo(engine, pile, Storage(settings.data_dir))

    def write() -> None:
        with transaction(engine) as session:
            writing.rewrite(session, photo.id, "Ana's words.", cast.person(session), None)

    job = do(engine, settings, looking(Parrot(on_look=write)), "captions.look", catalog_id=pile.id, model="org/parrot")
    assert job.result["written"] == 0
    assert [one.text for one in captions(engine)[photo.id]] == ["Ana's words."]


def test_a_model_that_cannot_be_used_fails_the_job_with_its_sentence(
    engine: Engine, settings: Settings, pile: Catalog
) -> None:
    def refuse(*_: object) -> Any:
        raise InputError("The caption model org/none is not on this machine.")

    with transaction(engine) as session:
        cast.image(session, pile)
    body = lambda work: caption_job.look(work, ModelCache(threads=1), load=refuse)  # noqa: E731
    job = do(engine, settings, body, "captions.look", catalog_id=pile.id, model="org/none")
    assert (job.state, job.failure) == ("failed", "The caption model org/none is not on this machine.")
