"""The bodies of `photos.embed`, `photos.encode` and `photos.read_phrase`: what an embedder sees in many photos.

Shared by many workers: a part is some images by their ids. Parts are short, so that captions and rules, which people
wait for, come in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image as Pillow
from PIL.Image import Image as Picture

from app import jobs
from app.catalog import embeddings, look_codes
from app.catalog.embeddings import EmbedderFacts
from app.catalog.files import view_path
from app.catalog.signals import Unmeasured
from app.errors import Refused
from workers.celery_app import Cut, Results, Work, cut_evenly, shared
from workers.devices.model_cache import ModelCache
from workers.devices.torch_device import best_device
from workers.embedding import efficientnet, transformer
from workers.embedding.embedder import Embedder
from workers.errors import InputError

log = logging.getLogger(__name__)

BATCH: Final = 16
PART_AT_MOST: Final = 64
NAMED_AT_MOST: Final = 20
# A map of more photos takes minutes: it is made when somebody asks for it.
MAPPED_BY_ITSELF: Final = 20_000

Ready = Callable[[Work], Embedder]


def embed_all(work: Work) -> dict[str, Any] | Cut:
    """The built-in embedder's vectors of a catalog's photos that lack them, then the map of the catalog.

    A photo whose view cannot be read is told and passed over. Raises Refused where torch or the weights are missing,
    Cancelled between batches.
    """
    return _embed(work, lambda work: _usable(lambda: built_in(work.storage.cache_folder)))


def encode_all(work: Work, models: ModelCache) -> dict[str, Any] | Cut:
    """The same by the model that the job names, on this worker's device. Raises Refused when it cannot be used."""
    return _embed(work, lambda work: _configured(work, models))


def read_phrase(work: Work, models: ModelCache) -> dict[str, Any]:
    """The vector of some words, by which photos are found that look so. Raises Refused for a model without words."""
    embedder = _configured(work, models)
    if not embedder.reads_words:
        raise Refused(f"{embedder.name} reads no words; photos are found by words with a SigLIP or CLIP model.")
    phrase = str(work.arguments["phrase"])
    vector = embedder.read(phrase)
    with work.transaction() as session:
        jobs.beat(session, work.claim)
        embeddings.record_phrase(session, embeddings.space_of(session, facts_of(embedder)), phrase, vector.tolist())
    return {"phrase": phrase}


@lru_cache(maxsize=1)
def built_in(cache: Path) -> Embedder:
    """The embedder that comes with the installation, loaded once. Raises InputError where it cannot be."""
    return efficientnet.load(cache)


def _configured(work: Work, models: ModelCache) -> Embedder:
    name = str(work.arguments["model"])
    work.tell(note=f"Loading {name}")
    # The next part finds it loaded.
    return _usable(lambda: models.other(f"embedder {name}", lambda: transformer.load(name, best_device())))


def _usable(load: Callable[[], Embedder]) -> Embedder:
    try:
        return load()
    except InputError as refusal:
        raise Refused(str(refusal)) from refusal


def facts_of(embedder: Embedder) -> EmbedderFacts:
    """What tells its vectors from those of another."""
    return EmbedderFacts(
        embedder.name, embedder.revision, embedder.preprocessing, embedder.dimensions, embedder.reads_words
    )


def _embed(work: Work, ready: Ready) -> dict[str, Any] | Cut:
    def plan(work: Work) -> list[jobs.JobPart]:
        with work.transaction() as session:
            space_id = embeddings.space_of(session, facts_of(ready(work)))
        ids = [image.image_id for image in _waiting(work, space_id)]
        of_space = {**work.arguments, "space_id": space_id}
        return [
            jobs.JobPart({**of_space, "image_ids": list(some)}, len(some))
            for some in cut_evenly(ids, at_most=PART_AT_MOST)
        ]

    return shared(work, plan, lambda part: _embed_part(part, ready), _end)


def _embed_part(work: Work, ready: Ready) -> dict[str, Any]:
    space_id = int(work.arguments["space_id"])
    waiting = _waiting(work, space_id)
    work.tell(done=0, total=len(waiting))
    embedder = ready(work)
    passed_over: list[str] = []
    for start in range(0, len(waiting), BATCH):
        batch = waiting[start : start + BATCH]
        pictures, unread = _read(work, batch, embedder.wanted_px)
        passed_over += unread
        vectors = dict(zip(pictures, embedder.look(list(pictures.values())), strict=True)) if pictures else {}
        # A picture of which the model says nothing finite would be near to everything, or to nothing.
        kept = {number: vector.tolist() for number, vector in vectors.items() if np.isfinite(vector).all()}
        with work.transaction() as session:
            work.keep(session, done=start + len(batch))
            embeddings.record(session, space_id, kept, {image.image_id: image.view_sha256 for image in batch})
        work.go_on()
    return {"photos": len(waiting), "passed_over": passed_over, "space_id": space_id}


def _read(work: Work, images: list[Unmeasured], wanted_px: int) -> tuple[dict[int, Picture], list[str]]:
    """The views that can be read, by the images' ids, and a sentence for each one that cannot."""
    pictures: dict[int, Picture] = {}
    unread = []
    for image in images:
        try:
            with Pillow.open(view_path(work.storage, image.view_sha256)) as opened:
                if wanted_px:  # libjpeg leaves out what is only thrown away later
                    opened.draft("RGB", (wanted_px, wanted_px))
                pictures[image.image_id] = opened.convert("RGB")
        except (OSError, SyntaxError) as error:
            log.warning("view of image %s cannot be read: %s", image.image_id, error)
            unread.append(f"{image.file_name} cannot be read")
    return pictures, unread


def _end(work: Work, parts: Results) -> dict[str, Any]:
    """Many vectors get their codes, and few enough photos their map."""
    catalog_id = int(work.arguments["catalog_id"])
    photos = sum(part["photos"] for part in parts)
    passed_over = [sentence for part in parts for sentence in part["passed_over"]]
    with work.transaction() as session:
        jobs.beat(session, work.claim, note="Making it quick to search")
        if (space := embeddings.coverage(session, catalog_id).space) is not None:
            look_codes.lay(session, space.id)
        asker = jobs.asker(session, work.claim.job_id)
        if photos:
            # What looks like one product joins the groups of duplicates.
            jobs.request_once(session, "photos.group", {"catalog_id": catalog_id}, asker)
        if 0 < embeddings.coverage(session, catalog_id).embedded <= MAPPED_BY_ITSELF and photos:
            jobs.request_once(session, "photos.map", {"catalog_id": catalog_id}, asker)
    return {"photos": photos, "passed_over": passed_over[:NAMED_AT_MOST]}


def _waiting(work: Work, space_id: int) -> list[Unmeasured]:
    with work.transaction() as session:
        catalog_id = int(work.arguments["catalog_id"])
        return embeddings.unembedded(session, catalog_id, space_id, work.arguments.get("image_ids"))
