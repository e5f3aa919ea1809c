"""The bodies of `captions.propose` and `captions.look`: captions for many photos, kept as they come.

Shared by many workers: a part is some photos by their ids. One taken up again goes over its photos again and adds
nothing where the caption already stands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image as Pillow
from sqlalchemy import select

from app import jobs
from app.captions import proposing
from app.captions.writing import propose
from app.catalog.tables import Image
from app.errors import Refused
from workers.captions import captioner
from workers.captions.captioner import Captioner
from workers.celery_app import Cut, Results, Work, cut_evenly, shared
from workers.devices.model_cache import ModelCache
from workers.devices.torch_device import best_device
from workers.errors import InputError

log = logging.getLogger(__name__)

FACTS_AT_ONCE: Final = 200
LOOKS_AT_ONCE: Final = 4
NAMED_AT_MOST: Final = 20

Load = Callable[[str, Any], Captioner]


@dataclass(frozen=True, slots=True)
class ReadPhoto:
    """One photo, read: RGB, upright."""

    image_id: int
    file_name: str
    picture: Pillow.Image


def propose_all(work: Work) -> dict[str, Any] | Cut:
    """Facts captions for the photos asked for, then the review rules. Raises Cancelled between batches."""
    return shared(work, _plan, _propose_part, _end)


def _plan(work: Work) -> list[jobs.JobPart]:
    return [
        jobs.JobPart({**work.arguments, "image_ids": list(some)}, len(some)) for some in cut_evenly(_awaiting(work))
    ]


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


def look(work: Work, models: ModelCache, load: Load = captioner.load) -> dict[str, Any] | Cut:
    """A model's captions for the photos asked for, then the review rules.

    A photo whose file cannot be read, or of which the model says nothing, is told and passed over. Raises Refused when
    the model cannot be used, Cancelled between batches.
    """
    return shared(work, _plan, lambda part: _look_part(part, models, load), _end)


def _look_part(work: Work, models: ModelCache, load: Load) -> dict[str, Any]:
    model, ids = str(work.arguments["model"]), work.arguments["image_ids"]
    work.tell(total=len(ids), note=f"Loading {model}")
    looking = model_of(models, model, load)
    written, passed_over = 0, list[str]()
    for done, batch in batches(ids[work.before :], LOOKS_AT_ONCE):
        photos, unread = read(work, batch)
        passed_over += unread
        texts = looking.caption([photo.picture for photo in photos])
        for photo, text in zip(photos, texts, strict=True):
            if text:
                written += _keep(work, photo.image_id, text, looking)
            else:
                passed_over.append(f"{photo.file_name}: the model wrote nothing")
        work.tell(done=done, note=f"{len(passed_over)} passed over" if passed_over else "")
        work.go_on()
    return {"photos": len(ids), "written": written, "passed_over": passed_over}


def model_of(models: ModelCache, model: str, load: Load) -> Captioner:
    """The model, loaded; the next part finds it so. Raises Refused when it cannot be used."""
    try:
        return models.other(model, lambda: load(model, best_device()))
    except InputError as refusal:
        raise Refused(str(refusal)) from refusal


def settings_of(looking: Captioner) -> dict[str, Any]:
    """How a model wrote, as it is kept with each caption."""
    return {
        "prompt": captioner.PROMPT if looking.is_asked else None,
        "max_new_tokens": captioner.MAX_NEW_TOKENS,
        "longest_side_px": captioner.LONGEST_SIDE_PX,
        **({"revision": looking.revision} if looking.revision else {}),
    }


def _end(work: Work, parts: Results) -> dict[str, Any]:
    """What the captions say changes what the review rules find."""
    with work.transaction() as session:
        jobs.beat(session, work.claim)
        arguments = {"catalog_id": int(work.arguments["catalog_id"])}
        jobs.request_once(session, "review.apply_rules", arguments, jobs.asker(session, work.claim.job_id))
    passed_over = [sentence for part in parts for sentence in part["passed_over"]]
    counts = {name: sum(part[name] for part in parts) for name in ("photos", "written")}
    return {**counts, "passed_over": passed_over[:NAMED_AT_MOST]}


def _awaiting(work: Work) -> list[int]:
    with work.transaction() as session:
        return proposing.awaiting(session, int(work.arguments["catalog_id"]), work.arguments["image_ids"])


def batches(ids: Sequence[int], size: int) -> Iterator[tuple[int, Sequence[int]]]:
    """Batches of ids, each with how many of these are done after it."""
    for start in range(0, len(ids), size):
        batch = ids[start : start + size]
        yield start + len(batch), batch


def read(work: Work, ids: Sequence[int]) -> tuple[list[ReadPhoto], list[str]]:
    """The photos that can be read, and a sentence for each one that cannot."""
    with work.transaction() as session:
        rows = session.execute(
            select(Image.id, Image.file_name, Image.render_path).where(Image.id.in_(ids)).order_by(Image.id)
        ).all()
    photos, unread = [], []
    for row in rows:
        try:
            with Pillow.open(work.storage.root / row.render_path) as opened:
                photos.append(ReadPhoto(row.id, row.file_name, opened.convert("RGB")))
        # Pillow says SyntaxError of a broken PNG.
        except (OSError, SyntaxError, Pillow.DecompressionBombError) as error:
            log.warning("photo %s cannot be read: %s", row.id, error)
            unread.append(f"{row.file_name} cannot be read")
    return photos, unread


def _keep(work: Work, image_id: int, text: str, looking: Captioner) -> bool:
    """Propose one caption under the job's token. False when nothing was written."""
    with work.transaction() as session:
        jobs.beat(session, work.claim)
        image = session.get(Image, image_id, with_for_update={"read": True, "key_share": True})
        return image is not None and propose(session, image, text, looking.name, settings_of(looking)) is not None
