"""The whole way in one command: photos in, signals, captions, review rules, freeze, fine-tune, sheet, compare.

`packshot up` runs as a child process, so the demo uses the very web app and workers a team would; this process only
asks for each step through the same domain functions as the pages, and tells in the terminal how far the work is.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Final

from app import people
from app.cycles import clock
from app.database import engine_for, transaction
from app.demo import catalogue, fitting, story
from app.demo.story import DemoApp, say
from app.errors import AppError, Refused
from app.host import processes
from app.host.state import HostState, host_state, make_folder
from app.settings import PROJECT, Settings

READY_WITHIN_S: Final = 120.0
STOPPED_WITHIN_S: Final = 30.0
DRAWN: Final = "Drawn demo"
ASSUMED_HOUR_PRICE: Final = Decimal("0.20")


class StopAsked(Exception):
    """A signal asked for the end."""


def main(settings: Settings, photos: Path | None, stays: bool = True) -> int:
    """Walk the whole way on `photos`, or on a drawn catalogue. The exit code.

    The app then keeps running until a signal, unless `stays` is false. Raises AppError with a sentence when a step
    cannot be done; what was done until then stays in the data folder.
    """
    if photos is not None and not photos.is_dir():
        raise Refused(f"There is no folder {photos}. Name one that holds your photos: make demo IMAGES=some/folder")
    began = time.monotonic()
    settings = _priced(settings)
    with _signals(), _app(settings) as (running, child):
        engine = engine_for(running.database_url)
        with transaction(engine) as session:
            owner = people.make_owner(session)
        # The minutes are promised of the base that is shipped; another one takes what it takes.
        is_shipped = settings.base_model == Settings.model_fields["base_model"].default
        ends_at = began + fitting.WITHIN_S if is_shipped else math.inf
        sheet_id = _walk(DemoApp(engine, running.redis_url, settings, owner, ends_at), photos)
        with transaction(engine) as session:
            link = people.make_link(session, owner)
        say("")
        say(f"From photos to compared checkpoints in {story.minutes(time.monotonic() - began)}.")
        say(f"Open the comparison: {running.address}/links/{link}?next=/compare/{sheet_id}")
        say(f"Later, in the same browser: {running.address}/compare/{sheet_id}")
        say(f"Ctrl-C stops everything; `packshot up --data {settings.data_dir}` brings it back.")
        if stays:
            child.wait()
    return 0


def _priced(settings: Settings) -> Settings:
    """The settings with a price for an hour of this computer, so that the clock counts money too."""
    if settings.gpu_hour_price is not None:
        return settings
    amount = f"{settings.currency}{ASSUMED_HOUR_PRICE}"
    say(f"An hour of this computer is counted as {amount}, an assumption; PACKSHOT_GPU_HOUR_PRICE says what it costs.")
    return settings.model_copy(update={"gpu_hour_price": ASSUMED_HOUR_PRICE})


def _walk(stage: DemoApp, photos: Path | None) -> int:
    """Every step of the way. Returns the id of the sheet."""
    folder = photos.resolve() if photos else _drawn(stage.settings)
    pile = story.catalog_named(stage, folder.name if photos else DRAWN)
    with transaction(stage.engine) as session:
        clock.start_cycle(session, stage.settings, pile)
    story.take_in(stage, pile, folder)
    version = story.freeze(stage, pile)
    run = story.fine_tune(stage, version, is_drawn=photos is None)
    return story.draw_sheet(stage, run)


def _drawn(settings: Settings) -> Path:
    """The drawn catalogue, drawn when it is not there yet, or not whole because a demo was stopped."""
    folder = settings.data_dir.resolve() / "drawn-photos"
    if not (folder / "truth.json").exists():
        began = time.monotonic()
        truth = catalogue.draw_catalogue(folder)
        took = time.monotonic() - began
        say(f"{'Draw':<10}{len(truth.photos)} product pictures in {took:.0f} s: drawn by a program, not photographed")
    return folder


@contextmanager
def _app(settings: Settings) -> Iterator[tuple[HostState, subprocess.Popen[bytes]]]:
    """`packshot up` as a child; stopped when the block ends, and by the kernel when this process is killed."""
    data_dir = settings.data_dir.resolve()
    make_folder(data_dir)
    log = data_dir / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    processes.rotate(log)
    command = [sys.executable, "-m", "app.cli", "up", "--data", str(data_dir), "--host", settings.host,
               "--port", str(settings.port), "--no-browser"]  # fmt: skip
    environment = {**os.environ, "PACKSHOT_GPU_HOUR_PRICE": str(settings.gpu_hour_price)}
    child = processes.start(command, log, environment, when_orphaned=signal.SIGTERM, cwd=PROJECT)
    try:
        yield _ready(data_dir, child, log), child
    finally:
        if child.poll() is None:
            say("")
            say("Stopping.")
            child.terminate()
            try:
                child.wait(STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()


def _ready(data_dir: Path, child: subprocess.Popen[bytes], log: Path) -> HostState:
    """What runs, as soon as the web app answers. Raises AppError with the child's last words when it does not."""
    say("Starting PostgreSQL, Redis, the web app and the workers.")
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        state = host_state(data_dir)
        if state is not None and state.supervisor.pid == child.pid and state.is_ready:
            say(f"Packshot runs at {state.address}. Its logs: {log.parent}")
            return state
        if child.poll() is not None:
            break
        time.sleep(0.1)
    raise AppError(processes.last_words(log).removeprefix("packshot: ") or f"The app does not start. Its log: {log}")


@contextmanager
def _signals() -> Iterator[None]:
    """Turn the first signal that asks for the end into `StopAsked`."""

    def end(number: int, frame: FrameType | None) -> None:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        raise StopAsked

    before = {name: signal.signal(name, end) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except StopAsked:
        say("Stopped.")
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
