"""This gpu worker's device: taken when the worker starts, held while it lives, and inherited by its trainers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Final

from app import tenancy
from app.settings import Settings
from app.tenancy import Tenancy
from workers.celery_app import Busy, Work

_LOOKS_EVERY_S: Final = 0.5
_WAITS_S: Final = 10.0

_mine: Tenancy | None = None


def take(settings: Settings, pause: Callable[[float], None] = time.sleep) -> Tenancy:
    """Take the device that the settings name, or the first free one; while there is none, wait and say for whom.

    From here on torch sees no other device. A device whose worker is gone but whose trainer is this data folder's is
    taken too: the trainer holds the lock and is about to be found again. Raises Refused for a device that is not there.
    """
    if settings.device is not None:
        known = [tenancy.named(settings.device)]
    else:
        known = tenancy.devices(os.environ.get("CUDA_VISIBLE_DEVICES"))
    wanted = [Tenancy(one, settings.data_dir) for one in known]
    has_said = False
    while True:
        for one in wanted:
            if one.take() or one.is_with_a_trainer_of_ours():
                return _settle_on(one)
        if not has_said:
            has_said = True
            for one in wanted:
                print(f"{one.who()} This worker waits until it is free.", file=sys.stderr, flush=True)
        pause(_LOOKS_EVERY_S)


def hold(work: Work, is_found: bool = False, within_s: float = _WAITS_S) -> tuple[int, ...]:
    """Hold the device for a job: the descriptors that its trainer is to inherit; none outside of a gpu worker.

    `is_found` says that the job's own trainer is at work and holds the device. Raises Busy, which puts the job back,
    when another trainer of ours that has outlived its worker still holds it after so many seconds.
    """
    if _mine is None:
        return ()
    deadline = time.monotonic() + within_s
    while not _mine.take() and not is_found:
        if time.monotonic() > deadline:
            raise Busy(f"{_mine.who()} The job waits until it is free.")
        work.beat()
        time.sleep(_LOOKS_EVERY_S)
    return _mine.descriptors


def _settle_on(one: Tenancy) -> Tenancy:
    global _mine
    _mine = one
    os.environ["CUDA_VISIBLE_DEVICES"] = one.device.visible
    print(f"This worker works on {one.device.name}.", file=sys.stderr, flush=True)
    return one
