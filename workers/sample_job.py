"""The body of `sheet.measure`: what is measured of a sheet's samples, by the code that measures photos.

First the signals and the embedding of all, then the text, which takes longest; kept batch by batch, so a job that is
taken up again does what is missing. Shared by many workers: a part is some samples by their ids.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
from PIL import Image as Pillow
from PIL.Image import Image as Picture

from app import jobs
from app.catalog import copies, embeddings
from app.catalog.text_lines import TextLine
from app.evaluation import column_metrics, likeness, measuring, sheets
from app.evaluation.likeness import NearestPhotos
from app.evaluation.measuring import MeasuredSample, UnmeasuredSample
from app.evaluation.sample_rules import NearestPhoto
from workers.celery_app import Cut, Results, Work, cut_evenly, shared
from workers.embedding import embed_job
from workers.embedding.embedder import Embedder
from workers.errors import InputError
from workers.signals.fingerprint import fingerprint_of
from workers.signals.layout import frame_of
from workers.signals.mask import MASK_SIDE_PX
from workers.signals.measure import SIGNALS_VERSION, SignalValues, measure_pixels
from workers.signals.scaling import within

log = logging.getLogger(__name__)

BATCH: Final = 16
# Few: after each, reading gives way.
READ_AT_ONCE: Final = 2
NAMED_AT_MOST: Final = 20
# So many held-out photos are enough to tell how near new ones come.
HELD_OUT_MOST: Final = 500
# Some 100 MB of vectors.
PHOTOS_AT_ONCE: Final = 20_000
# What is drawn over a picture is kept apart from the numbers; bytes of fingerprints are of no use here.
EVIDENCE: Final = ("outline", "border_lines", "seam_lines")
LEFT_OUT: Final = (*EVIDENCE, "frame_keys", "frame_thumbs")


def measure_sheet(work: Work) -> dict[str, Any] | Cut:
    """Measure what is not measured of a sheet's samples: signals, nearest training photo, text; then its columns.

    A sample whose file cannot be read is told and passed over. Without torch or the embedder's weights, nothing is
    compared with photos. Raises Cancelled between batches.
    """
    return shared(work, _plan, _measure_part, _end)


def _plan(work: Work) -> list[jobs.JobPart]:
    embedder = _embedder(work)
    space_id = _space(work, embedder)
    ids = {sample.sample_id for sample in _waiting(work, space_id)}
    with work.transaction() as session:
        sheet = sheets.get(session, int(work.arguments["sheet_id"]))
        drawn = list(sheets.drawn_cells(session, sheet).values())
        # Photos may have been embedded since the samples were seen.
        by_version = measuring.uncompared(session, space_id, drawn)
    ids |= {number for some in by_version.values() for number, _ in some}
    return [jobs.JobPart({**work.arguments, "sample_ids": list(some)}, len(some)) for some in cut_evenly(sorted(ids))]


def _measure_part(work: Work) -> dict[str, Any]:
    embedder = _embedder(work)
    space_id = _space(work, embedder)
    waiting = _waiting(work, space_id)
    work.tell(done=0, total=len(waiting))
    passed_over: list[str] = []
    unseen = [sample for sample in waiting if not (sample.is_measured and sample.is_seen)]
    for start in range(0, len(unseen), BATCH):
        passed_over += _measure_batch(work, unseen[start : start + BATCH], embedder, space_id, start)
        work.go_on()
    _compare(work, space_id)
    _read_text(work, space_id)
    return {"samples": len(waiting), "passed_over": passed_over}


def _measure_batch(
    work: Work, batch: Sequence[UnmeasuredSample], embedder: Embedder | None, space_id: int | None, before: int
) -> list[str]:
    """Measure and keep one batch; a sentence for each picture that cannot be read."""
    measured: list[MeasuredSample] = []
    pictures: dict[int, Picture] = {}
    passed_over = []
    for sample in batch:
        path = work.storage.path("samples", sample.sha256, ".png")
        try:
            with Pillow.open(path) as opened:
                pictures[sample.sample_id] = opened.convert("RGB")
            measured.append(measured_of(sample.sample_id, pictures[sample.sample_id], path.stat().st_size))
        except (OSError, SyntaxError) as error:
            log.warning("sample %s cannot be read: %s", sample.sample_id, error)
            passed_over.append(f"Sample {sample.sample_id} cannot be read")
            measured.append(MeasuredSample(sample.sample_id, failure=measuring.BROKEN))
    vectors = {}
    if embedder is not None and pictures:
        seen = zip(pictures, embedder.look(list(pictures.values())), strict=True)
        vectors = {number: vector.tolist() for number, vector in seen if np.isfinite(vector).all()}
    with work.transaction() as session:
        work.keep(session, done=before + len(batch))
        measuring.record(session, SIGNALS_VERSION, measured)
        if space_id is not None:
            measuring.record_vectors(session, space_id, vectors)
    return passed_over


def measured_of(sample_id: int, picture: Picture, size_bytes: int) -> MeasuredSample:
    """What the signals of photos are for a sample: an RGB picture, and the size of its file."""
    pixels = np.asarray(picture)
    seen: SignalValues = measure_pixels(pixels)
    values = {name: value for name, value in seen.columns().items() if name not in LEFT_OUT}
    evidence = {name: value for name, value in seen.columns().items() if name in EVIDENCE}
    return MeasuredSample(sample_id, {**values, "frame": frame_of(pixels), "size_bytes": size_bytes}, evidence)


def _compare(work: Work, space_id: int | None) -> None:
    """Hold the samples of this part against the photos that their runs learned from, by fingerprint and by looks."""
    with work.transaction() as session:
        jobs.beat(session, work.claim, note="Comparing with training photos", lease_s=work.lease_s)
        by_version = measuring.uncompared(session, space_id, work.arguments["sample_ids"])
    for version_id, some in by_version.items():
        with work.transaction() as session:
            photos = measuring.photos_of(session, version_id, "train")
        copied = _copied(work, dict(some), photos)
        nearest, copy_from = _nearest(work, version_id, space_id, [number for number, _ in some], photos)
        kept = {}
        for sample_id, _ in some:
            image_id, similarity = nearest.get(sample_id, (None, None))
            original, rest = copied.get(sample_id, (image_id, None))
            kept[sample_id] = NearestPhoto(original, similarity, copy_from, len(photos), rest)
        with work.transaction() as session:
            jobs.beat(session, work.claim, lease_s=work.lease_s)
            measuring.record_nearest(session, kept)


def _copied(work: Work, files: Mapping[int, str], photos: Sequence[int]) -> dict[int, tuple[int, float]]:
    """The samples, given with their files, that are copies of a photo: its id, and how much differs."""
    marks = {}
    for sample_id, sha256 in files.items():
        with suppress(OSError, SyntaxError), Pillow.open(work.storage.path("samples", sha256, ".png")) as opened:
            pixels = np.asarray(opened.convert("RGB"))
            marks[sample_id] = fingerprint_of(pixels, within(pixels, MASK_SIDE_PX))
    with work.transaction() as session:
        keys = measuring.photo_keys(session, photos)
    owners = [*keys, *marks]

    def thumbs(places: Sequence[int]) -> dict[int, bytes]:
        with work.transaction() as session:
            of_photos = measuring.photo_thumbs(session, [owners[place] for place in places if place < len(keys)])
        of_samples = {place: marks[owners[place]].thumbs for place in places if place >= len(keys)}
        there = {
            place: of_photos[owners[place]] for place in places if place < len(keys) and owners[place] in of_photos
        }
        return there | {place: each for place, each in of_samples.items() if each}

    is_new = np.arange(len(owners)) >= len(keys)
    copied: dict[int, tuple[int, float]] = {}
    for match in copies.find([*keys.values(), *(mark.keys for mark in marks.values())], thumbs, is_new):
        photo, sample = sorted((match.first, match.second))
        if match.is_variant or not photo < len(keys) <= sample:
            continue  # another colour is another picture; two samples that are alike are told by the diversity
        if (before := copied.get(owners[sample])) is None or match.rest < before[1]:
            copied[owners[sample]] = owners[photo], round(float(match.rest), 4)
    return copied


def _nearest(
    work: Work, version_id: int, space_id: int | None, sample_ids: Sequence[int], photos: Sequence[int]
) -> tuple[dict[int, tuple[int, float]], float]:
    """Each sample's nearest photo and the similarity, where an embedder saw both; and from which on it is a copy."""
    if space_id is None:
        return {}, likeness.COPY_FROM
    with work.transaction() as session:
        numbers, pictures = measuring.vectors_of(session, sample_ids)
        held_out = measuring.photos_of(session, version_id, "validation", HELD_OUT_MOST)
        _, beyond = measuring.photo_vectors(session, space_id, held_out)
    nearest, of_held_out = NearestPhotos(pictures), NearestPhotos(beyond)
    for start in range(0, len(photos), PHOTOS_AT_ONCE):
        with work.transaction() as session:
            image_ids, vectors = measuring.photo_vectors(session, space_id, photos[start : start + PHOTOS_AT_ONCE])
        for side in (nearest, of_held_out):
            side.meet(vectors, image_ids)
        work.tell()
    near = [similarity for answer in of_held_out.answers() if answer for similarity in answer[1:]]
    answers = zip(numbers, nearest.answers(), strict=True)
    return {number: answer for number, answer in answers if answer}, likeness.copy_threshold(near)


def _read_text(work: Work, space_id: int | None) -> None:
    unread = [sample for sample in _waiting(work, space_id) if sample.is_measured and not sample.is_read]
    if not unread:
        return
    # Its models stay in memory, so a worker that reads nothing loads none.
    from workers.lettering.reader import read

    for start in range(0, len(unread), READ_AT_ONCE):
        lines: dict[int, list[TextLine] | None] = {}
        for sample in unread[start : start + READ_AT_ONCE]:
            try:
                with Pillow.open(work.storage.path("samples", sample.sha256, ".png")) as opened:
                    lines[sample.sample_id] = read(opened, sample.outline)
            except (OSError, SyntaxError) as error:
                log.warning("the text of sample %s cannot be read: %s", sample.sample_id, error)
                lines[sample.sample_id] = None
        with work.transaction() as session:
            jobs.beat(session, work.claim, note=f"Reading text, {len(unread) - start} left", lease_s=work.lease_s)
            measuring.record_words(session, lines)
        work.go_on()


def _end(work: Work, parts: Results) -> dict[str, Any]:
    embedder = _embedder(work)
    space_id = _space(work, embedder)
    with work.transaction() as session:
        jobs.beat(session, work.claim, note="Telling how diverse each column is", lease_s=work.lease_s)
        if embedder is not None and space_id is not None:
            sheet = sheets.get(session, int(work.arguments["sheet_id"]))
            measuring.keep_diversity(session, sheet, space_id, f"{embedder.name} {embedder.revision}")
            column_metrics.measure(session, sheet)
    passed_over = [sentence for part in parts for sentence in part["passed_over"]]
    return {"samples": sum(part["samples"] for part in parts), "passed_over": passed_over[:NAMED_AT_MOST]}


def _embedder(work: Work) -> Embedder | None:
    """The built-in embedder; None where torch or its weights are missing."""
    try:
        return embed_job.built_in(work.storage.cache_folder)
    except InputError as refusal:
        log.warning("samples are not compared with photos: %s", refusal)
        return None


def _space(work: Work, embedder: Embedder | None) -> int | None:
    if embedder is None:
        return None
    with work.transaction() as session:
        return embeddings.space_of(session, embed_job.facts_of(embedder))


def _waiting(work: Work, space_id: int | None) -> list[UnmeasuredSample]:
    with work.transaction() as session:
        sheet = sheets.get(session, int(work.arguments["sheet_id"]))
        sample_ids = work.arguments.get("sample_ids")
        return measuring.unmeasured(session, sheet, SIGNALS_VERSION, space_id, sample_ids)
