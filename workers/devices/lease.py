"""The lease of a GPU: a gpu worker takes its device when it starts, holds it while it lives, its trainers inherit it.

A job that needs several devices borrows those of other workers that have nothing to do: all at once or none, so that
two such jobs never wait for each other.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from app.errors import Refused
from app.host import devices
from app.host.devices import Device, DeviceAllocation, DeviceLock
from app.settings import Settings
from workers.celery_app import Busy, Cancelled, Work

_LOOKS_EVERY_S: Final = 0.5
_WAITS_S: Final = 10.0

_mine: DeviceLock | None = None
_allowed: list[Device] = []
"""The devices that this worker may use for one run: as CUDA_VISIBLE_DEVICES had them before it settled on one."""


def take(settings: Settings, pause: Callable[[float], None] = time.sleep) -> DeviceLock:
    """Take the device that the settings name, or the first free one; while there is none, wait and say for whom.

    From here on torch sees no other device. A device whose worker is gone but whose trainer is this data folder's is
    taken too: the trainer holds the lock and is about to be found again. Raises Refused for a device that is not there.
    """
    global _allowed
    _allowed = devices.list_devices(os.environ.get("CUDA_VISIBLE_DEVICES"))
    known = [devices.named(settings.device)] if settings.device is not None else _allowed
    wanted = [DeviceLock(candidate, settings.data_dir) for candidate in known]
    has_said = False
    while True:
        for lock in wanted:
            if lock.take() or lock.is_with_a_trainer_of_ours():
                return _settle_on(lock)
        if not has_said:
            has_said = True
            for lock in wanted:
                print(f"{lock.who()} This worker waits until it is free.", file=sys.stderr, flush=True)
        pause(_LOOKS_EVERY_S)


def device() -> Device | None:
    """The device of this worker; None outside of a gpu worker."""
    return None if _mine is None else _mine.device


def together() -> list[Device]:
    """The devices of this machine that can work on one run: this worker's first. A slice of a GPU works alone."""
    if _mine is None:
        return []
    mine = _mine.device
    if mine.is_cpu or mine.is_slice:
        return [mine]
    return [mine, *(other for other in _allowed if other.key != mine.key and not other.is_slice)]


class Hold:
    """The right to the devices of a job, from `take` on."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._borrowed: list[DeviceLock] = []
        self._is_waiting = True

    def take(self) -> DeviceAllocation:
        """Take them, or keep them; what a process that works on them is to be given. Nothing outside of a gpu worker.

        A CPU counts as one however many processes share it. Raises Busy, which puts the job back, when they are not
        free within so many seconds; Cancelled when a stop is asked for meanwhile; Refused where the machine has too
        few.
        """
        if _mine is None:
            return DeviceAllocation()
        count = 1 if _mine.device.is_cpu else int(self._work.arguments.get("devices", 1))
        candidates = together()
        if len(candidates) < count:
            alone = "A slice of a GPU works alone." if _mine.device.is_slice else f"This worker sees {len(candidates)}."
            raise Refused(f"The recipe asks for {count} devices. {alone}")
        others = (
            [DeviceLock(candidate, self._work.settings.data_dir) for candidate in candidates[1:]] if count > 1 else []
        )
        deadline = time.monotonic() + _WAITS_S
        while not self._take_all(_mine, others, count):
            why = self._why(_mine, count)
            if self._work.is_cancel_asked:
                raise Cancelled
            if time.monotonic() > deadline:
                raise Busy(why)
            self._work.beat(note=why)
            # Two jobs that borrow from each other must not go on doing so in step.
            time.sleep(_LOOKS_EVERY_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        if self._is_waiting:
            self._is_waiting, self._work.began = False, time.monotonic()
        if count == 1:
            return DeviceAllocation(_mine.descriptors)
        held = [_mine, *self._borrowed]
        descriptors = tuple(number for lock in held for number in lock.descriptors)
        return DeviceAllocation(descriptors, ",".join(lock.device.visible for lock in held))

    def give_back(self) -> None:
        """Let others borrow this worker's device, and work on those it had borrowed; what a trainer inherited stays."""
        for lock in self._borrowed:
            lock.give_back()
        self._borrowed.clear()
        if _mine is not None:
            _mine.end_work()

    def _take_all(self, mine: DeviceLock, others: list[DeviceLock], count: int) -> bool:
        if not (mine.take() and mine.begin_work()):
            return False
        for lock in others:
            if len(self._borrowed) < count - 1 and lock not in self._borrowed and lock.borrow():
                self._borrowed.append(lock)
        if len(self._borrowed) == count - 1:
            return True
        self.give_back()
        return False

    def _why(self, mine: DeviceLock, count: int) -> str:
        if count == 1:
            return f"{mine.who()} The job waits until it is free."
        return f"The run needs {count} devices of this machine at once. The job waits until so many are free."


@contextmanager
def devices_for(work: Work) -> Iterator[Hold]:
    """`with devices_for(work) as hold`: what `hold` has taken is given back at the end."""
    hold = Hold(work)
    try:
        yield hold
    finally:
        hold.give_back()


def _settle_on(lock: DeviceLock) -> DeviceLock:
    global _mine
    _mine = lock
    os.environ["CUDA_VISIBLE_DEVICES"] = lock.device.visible
    print(f"This worker works on {lock.device.name}.", file=sys.stderr, flush=True)
    return lock
