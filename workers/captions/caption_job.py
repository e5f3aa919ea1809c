"""The bodies of `captions.propose`, `captions.look` and `captions.ask`: captions for many photos, kept as they come.

Shared by many workers: a part is some photos by their ids. One taken up again goes over its photos again and adds
nothing where the caption already stands. A server is asked by one worker, which asks about many photos at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy.orm import Session

from app import jobs
from app.captions import proposing, runs
from app.captions.run_tables import CaptionRun
from app.captions.runs import Answered, Place
from app.captions.tables import OF_KIND
from app.captions.writing import propose_many
from app.errors import Refused
from workers.captions import transformer
from workers.captions.asking_job import AskingRun, asking_of, at_server
from workers.captions.captioner import Captioner
from workers.captions.from_facts import FactsCaptioner
from workers.celery_app import Cut, Results, Work, cut_evenly, shared
from workers.devices.model_cache import ModelCache
from workers.devices.torch_device import best_device
from workers.errors import InputError

FACTS_AT_ONCE: Final = 200
# A part begins with an empty pipeline and ends with a row or twenty; a model takes seconds for so many photos.
LOOKED_AT_LEAST: Final = 64
NAMED_AT_MOST: Final = 20

Load = Callable[[str, Any], Captioner]
Ready = Callable[[Work, CaptionRun], Captioner]


def propose_all(work: Work) -> dict[str, Any] | Cut:
    """Facts captions for the photos asked for, then the review rules. Raises Cancelled between batches."""
    if "run_id" in work.arguments:
        return _write(work, "facts", lambda work, run: FactsCaptioner())
    return shared(work, _plan, _propose_part, _end)


def _plan(work: Work) -> list[jobs.JobPart]:
    return [_part(work, some) for some in cut_evenly(_awaiting(work))]


def _propose_part(work: Work) -> dict[str, Any]:
    # Of the photos of a whole catalog more are open than of photos that somebody named.
    ids, written = work.arguments["image_ids"], 0
    work.tell(total=len(ids))
    for done, batch in batches(ids[work.before :], FACTS_AT_ONCE):
        with work.transaction() as session:
            work.keep(session, done)
            written += proposing.propose_facts(session, batch)
        work.go_on()
    return {"photos": len(ids), "written": written, "passed_over": []}


def look(work: Work, models: ModelCache, load: Load = transformer.load) -> dict[str, Any] | Cut:
    """A model's captions for the photos asked for, then the review rules.

    A photo whose file cannot be read, or of which the model says nothing that can be kept, is told and passed over.
    Raises Refused when the model cannot be used, Cancelled between batches.
    """
    return _write(work, "device", lambda work, run: model_of(models, run.captioner, load))


def ask(work: Work) -> dict[str, Any] | Cut:
    """The same by a model at the caption server. Raises Refused too when it is gone, or the spend limit is reached."""
    return _write(work, "server", lambda work, run: at_server(work, run.captioner, run))


def _write(work: Work, place: Place, ready: Ready) -> dict[str, Any] | Cut:
    def plan(work: Work) -> list[jobs.JobPart]:
        ids = work.arguments["image_ids"] if "run_id" in work.arguments else _awaiting(work)
        # Many workers would ask a server so many at once each.
        return [
            _part(work, some) for some in ([ids] if place == "server" and ids else cut_evenly(ids, LOOKED_AT_LEAST))
        ]

    return shared(work, plan, lambda part: _look_part(part, place, ready), _end)


def _part(work: Work, image_ids: Sequence[int]) -> jobs.JobPart:
    return jobs.JobPart({**work.arguments, "image_ids": list(image_ids)}, len(image_ids))


def _look_part(work: Work, place: Place, ready: Ready) -> dict[str, Any]:
    ids, model = work.arguments["image_ids"], str(work.arguments["model"])
    with work.transaction() as session:
        run = _run_of(work, session, place)
    work.tell(total=len(ids), note=f"Loading {model}" if place == "device" else "")
    asked = AskingRun(work, ready(work, run), run, asking_of(run.asking))
    if not run.is_apart:
        asked.on_kept = lambda session, offers: _propose(session, asked, offers)
    try:
        asked.all_of(ids)
    except Refused:
        if asked.written:
            _ask_for_rules(work)
        raise
    return {"photos": len(ids), "written": asked.written, "passed_over": asked.passed_over}


def _run_of(work: Work, session: Session, place: Place) -> CaptionRun:
    if "run_id" in work.arguments:
        return runs.get(session, int(work.arguments["run_id"]))
    whole = work.claim.whole_id or work.claim.job_id
    asking = asking_of(work.arguments.get("asking"))
    return runs.of_work(
        session, int(work.arguments["catalog_id"]), str(work.arguments["model"]), place, asking, job_id=whole
    )


def _propose(session: Session, asked: AskingRun, offers: Sequence[Answered]) -> None:
    """Make what was answered current, where no person's and no given caption stands."""
    written: set[int] = set()
    for kind in OF_KIND:
        texts = {offer.image_id: (offer.texts[kind], offer.settings) for offer in offers if kind in offer.texts}
        written.update(propose_many(session, texts, asked.captioner.name, kind))
    asked.written += len(written)


def model_of(models: ModelCache, model: str, load: Load) -> Captioner:
    """The model, loaded; the next part finds it so. Raises Refused when it cannot be used."""
    try:
        return models.other(model, lambda: load(model, best_device()))
    except InputError as refusal:
        raise Refused(str(refusal)) from refusal


def _end(work: Work, parts: Results) -> dict[str, Any]:
    """What the captions say changes what the review rules find."""
    _ask_for_rules(work)
    passed_over = [sentence for part in parts for sentence in part["passed_over"]]
    counts = {name: sum(part[name] for part in parts) for name in ("photos", "written")}
    return {**counts, "passed_over": passed_over[:NAMED_AT_MOST]}


def _ask_for_rules(work: Work) -> None:
    with work.transaction() as session:
        jobs.beat(session, work.claim)
        arguments = {"catalog_id": int(work.arguments["catalog_id"])}
        jobs.request_once(session, "review.apply_rules", arguments, jobs.asker(session, work.claim.job_id))


def _awaiting(work: Work) -> list[int]:
    with work.transaction() as session:
        return proposing.awaiting(session, int(work.arguments["catalog_id"]), work.arguments["image_ids"])


def batches(ids: Sequence[int], size: int) -> Iterator[tuple[int, Sequence[int]]]:
    """Batches of ids, each with how many of these are done after it."""
    for start in range(0, len(ids), size):
        batch = ids[start : start + size]
        yield start + len(batch), batch
