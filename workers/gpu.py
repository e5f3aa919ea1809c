"""Tasks of the gpu queue: each a few lines. torch is imported only by what they call."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from celery.signals import worker_init, worker_ready, worker_shutting_down

from app.database import engine_for
from app.errors import AppError
from app.launch import devices
from app.settings import Settings
from app.storage import Storage
from workers.captions import caption_job, recaption_job
from workers.celery_app import Cancelled, Cut, Work, database_url, job_task, stopped_for_good
from workers.devices import accelerator, lease
from workers.devices.model_cache import ModelCache
from workers.embedding import embed_job
from workers.sampling import sheet_job
from workers.trainer import export_job, preflight_job, run_job, ship_job
from workers.trainer.process import Patience


@lru_cache(maxsize=1)
def model_cache(threads: int) -> ModelCache:
    """The one model cache of this process: what is loaded stays loaded until something else is asked for."""
    return ModelCache(threads)


@job_task("captions.look")
def look_at_photos(work: Work) -> dict[str, Any] | Cut:
    """Caption photos with a model that looks at them."""
    with _own_device(work) as mine:
        return caption_job.look(work, mine)


@job_task("operation.look")
def look_again(work: Work) -> dict[str, Any] | Cut:
    """Caption the photos of an operation anew with a model."""
    with _own_device(work) as mine:
        return recaption_job.look(work, mine)


@job_task("photos.encode")
def encode_photos(work: Work) -> dict[str, Any] | Cut:
    """What the embedder of the team's choice sees in photos."""
    with _own_device(work) as mine:
        return embed_job.encode_all(work, mine)


@job_task("photos.read_phrase")
def read_phrase(work: Work) -> dict[str, Any]:
    """Words as the same embedder reads them."""
    with _own_device(work) as mine:
        return embed_job.read_phrase(work, mine)


@job_task("run.preflight")
def preflight(work: Work) -> dict[str, Any]:
    """Try a recipe in a process of its own, with the device to itself."""
    model_cache(work.settings.worker_threads).release()
    with lease.devices_for(work) as hold:
        if not preflight_job.clear_device(work):
            try:
                hold.take()
            except Cancelled:
                preflight_job.cancel(work)
                raise
        return preflight_job.preflight(work, hold=hold.take)


@job_task("run.train")
def train(work: Work) -> dict[str, Any]:
    """Train a run in a process of its own, with the device to itself."""
    model_cache(work.settings.worker_threads).release()
    with lease.devices_for(work) as hold:
        if not run_job.clear_device(work):
            # A run that was stopped while it waited is ended without its devices.
            with suppress(Cancelled):
                hold.take()
        return run_job.train(work, hold=hold.take)


@job_task("run.export")
def write_model(work: Work) -> dict[str, Any]:
    """Write a run's finished model from another of its checkpoints."""
    with _own_device(work) as mine:
        return export_job.write_model(work, mine)


@job_task("model.export")
def ship_model(work: Work) -> dict[str, Any]:
    """Write a checkpoint that was made live out for other tools."""
    with _own_device(work) as mine:
        return ship_job.ship(work, mine)


@job_task("sheet.draw")
def draw(work: Work) -> dict[str, Any]:
    """Draw what is missing of a sheet."""
    with _own_device(work) as mine:
        return sheet_job.draw_sheet(work, mine)


@contextmanager
def _own_device(work: Work) -> Iterator[ModelCache]:
    """The device for work in this process. Where others may borrow it afterwards, nothing stays loaded on it."""
    mine = model_cache(work.settings.worker_threads)
    with lease.devices_for(work) as hold:
        hold.take()
        try:
            yield mine
        finally:
            if len(lease.together()) > 1:
                mine.release()


@worker_init.connect  # type: ignore[untyped-decorator]
def take_device(**_: object) -> None:
    """A worker that starts takes its device, and waits for it where another one has it."""
    try:
        lease.take(Settings())
    except AppError as refusal:
        print(f"packshot: {refusal.sentence}", file=sys.stderr)
        raise SystemExit(2) from refusal


@worker_ready.connect  # type: ignore[untyped-decorator]
def reconcile(**_: object) -> None:
    """A worker that starts settles runs whose job ended without them, and ends trainers whose run is over."""
    settings = Settings()
    run_job.reconcile(engine_for(database_url(settings)), Storage(settings.data_dir), Patience())
    preflight_job.reconcile(engine_for(database_url(settings)), Storage(settings.data_dir), Patience())
    devices.tell(settings.data_dir, *accelerator.describe(lease.device()), len(lease.together()))


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def stop_trainer(**_: object) -> None:
    """A worker told to stop lets its trainer save and end."""
    stopped_for_good.set()
