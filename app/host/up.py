"""`packshot up`: the servers, a database made ready, the web app, the workers and the sweeper, under one supervisor."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psutil
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import ArgumentError, DBAPIError

from app import jobs, people
from app.database import migrate, transaction, utc_now
from app.errors import AppError, Refused
from app.host import devices, processes, servers
from app.host.devices import Device
from app.host.listener import address_of, answers, listening
from app.host.processes import Known
from app.host.state import HostState, end_left_over, forget, locked, make_folder, trainers, write_down
from app.host.supervisor import ManagedProcess, StopSignals, Supervisor, say
from app.removal import catalogs
from app.settings import PROJECT, Settings

READY_WITHIN_S: Final = 60.0
ANSWERS_WITHIN_S: Final = 5
DEATHS_BEFORE_READY: Final = 3
# What one process of the cpu worker may hold at its most (`app/intake/memory.py`), and the libraries it loads.
SLOT_BYTES: Final = 2 * 1024**3
SWEEPER: Final = ("-m", "workers.sweeper")


def up(settings: Settings, is_browser_wanted: bool = True) -> int:
    """Run everything until a signal asks for the end; the exit code. Raises AppError with a sentence when it cannot."""
    data_dir = settings.data_dir.resolve()
    make_folder(data_dir)
    with locked(data_dir), listening(settings.host, settings.port) as listener, StopSignals() as signals:
        end_left_over(data_dir)
        os.umask(0o077)
        stack = _Up(settings.model_copy(update={"data_dir": data_dir}), listener, signals)
        try:
            stack.start(is_browser_wanted)
        finally:
            stack.stop()
    return 0


class _Up:
    """One `packshot up`, from start to stop."""

    def __init__(self, settings: Settings, listener: socket.socket, signals: StopSignals) -> None:
        self.settings, self.listener, self.signals = settings, listener, signals
        self.port: int = listener.getsockname()[1]
        self.state = HostState(
            supervisor=Known.of(os.getpid()),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            address=(settings.public_url or address_of(settings.host, self.port)).rstrip("/"),
            database_url="",
            redis_url="",
            is_ready=False,
            parts={},
        )
        self.supervisor = Supervisor(signals, self._note)

    def start(self, is_browser_wanted: bool) -> None:
        """Start everything, say how to get in, and watch."""
        say(f"Starting on {self.settings.data_dir}.")
        database_url = self.settings.database_url or self._serve(servers.postgres(self.settings.data_dir))
        redis_url = self.settings.redis_url or self._serve(servers.redis(self.settings.data_dir))
        self.state = replace(self.state, database_url=database_url, redis_url=redis_url)
        link = make_database_ready(database_url, has_other_workers=self.settings.database_url is not None)
        for part in self._parts():
            self.supervisor.add(part)
        self._wait_for_web()
        if self.signals.count:
            return
        self.state = replace(self.state, is_ready=True)
        self._note(self.supervisor.parts)
        self._welcome(link, is_browser_wanted)
        self.supervisor.watch()

    def stop(self) -> None:
        """Stop everything, and forget what was written down."""
        if self.signals.count:
            say("Stopping. Ctrl-C again to hurry.")
        self.supervisor.stop(partial(trainers, self.settings.data_dir))
        forget(self.settings.data_dir)
        if self.signals.count:
            say("Stopped.")

    def _serve(self, server: servers.Server) -> str:
        process = self.supervisor.add(ManagedProcess(server.name, server.log, partial(servers.start, server), server))
        servers.wait_until_ready(process, server)
        return server.url

    def _parts(self) -> Iterator[ManagedProcess]:
        """The web app, the workers and the sweeper, each with its log."""
        descriptor = self.listener.fileno()
        commands = {
            "web app": ("-m", "app.cli", "web", "--descriptor", str(descriptor)),
            "cpu worker": worker("cpu"),
            "sweeper": SWEEPER,
        }
        gpu_workers = devices.named_parts(self._devices())
        if not gpu_workers:
            say("PyTorch is not installed, so nothing is trained or drawn here; see `packshot doctor`.")
        commands |= {name: worker("gpu", name.replace(" ", "-")) for name in gpu_workers}
        for name, arguments in commands.items():
            log = self.settings.data_dir / "logs" / f"{name.replace(' ', '-')}.log"
            environment = self._environment(1)
            if name in gpu_workers:
                threads = str(max(1, self.settings.worker_threads // len(gpu_workers)))
                variables = {"OMP_NUM_THREADS": threads, "PACKSHOT_WORKER_THREADS": threads}
                environment |= variables | {"PACKSHOT_DEVICE": gpu_workers[name].key}
            start = partial(
                processes.start, [sys.executable, *arguments], log, environment, cwd=PROJECT,
                pass_fds=[descriptor] if name == "web app" else [],
            )  # fmt: skip
            yield ManagedProcess(name, log, start)

    def _devices(self) -> list[Device]:
        """The devices to start a gpu worker for; none where PyTorch is not installed."""
        if find_spec("torch") is None:
            return []
        if self.settings.device is not None:
            return [devices.named(self.settings.device)]
        return devices.list_devices(os.environ.get("CUDA_VISIBLE_DEVICES"))

    def _environment(self, threads: int) -> dict[str, str]:
        """What the parts are told: our own environment, the addresses, and folders that hold wherever they run."""
        variables = {
            "PACKSHOT_DATA_DIR": str(self.settings.data_dir),
            "PACKSHOT_DATABASE_URL": self.state.database_url,
            "PACKSHOT_REDIS_URL": self.state.redis_url,
            "PACKSHOT_HOST": self.settings.host,
            "PACKSHOT_PORT": str(self.port),
            "PACKSHOT_BASE_MODEL": model_folder(self.settings.base_model),
            "OMP_NUM_THREADS": str(threads),
            "PYTHONUNBUFFERED": "1",
        }
        if self.settings.caption_model:
            is_here = self.settings.caption_server is None
            name = self.settings.caption_model
            variables["PACKSHOT_CAPTION_MODEL"] = model_folder(name) if is_here else name
        if self.settings.embedder:
            variables["PACKSHOT_EMBEDDER"] = model_folder(self.settings.embedder)
        return {**os.environ, **variables}

    def _wait_for_web(self) -> None:
        """Wait until the web app answers. Raises AppError when it does not come up."""
        web = next(part for part in self.supervisor.parts if part.name == "web app")
        deadline = time.monotonic() + READY_WITHIN_S
        is_well = False

        def is_decided() -> bool:
            nonlocal is_well
            is_well = web.known is not None and answers(self.settings.host, self.port)
            return is_well or web.deaths >= DEATHS_BEFORE_READY or time.monotonic() > deadline

        self.supervisor.watch(is_decided, look_every_s=0.1)
        if not is_well and not self.signals.count:
            raise AppError(f"The web app does not start: {processes.last_words(web.log)} The whole log: {web.log}")

    def _welcome(self, link: str, is_browser_wanted: bool) -> None:
        door = f"{self.state.address}/links/{link}"
        say(f"Packshot runs at {self.state.address}")
        say(f"Sign in once, within 15 minutes: {door} (`packshot link` makes another)")
        say(f"Logs: {self.settings.data_dir / 'logs'}. Ctrl-C stops everything.")
        # Without a screen, Python would open a text browser in this very terminal.
        if is_browser_wanted and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)):
            import webbrowser

            webbrowser.open(door)

    def _note(self, parts: list[ManagedProcess]) -> None:
        self.state = replace(self.state, parts={part.name: part.known for part in parts})
        write_down(self.settings.data_dir, self.state)


def check_servers(settings: Settings) -> None:
    """For a part that is run alone: both addresses are there, and the database answers. Raises Refused.

    Redis may come later; until it does, jobs wait in the database.
    """
    for name, url in (("DATABASE", settings.database_url), ("REDIS", settings.redis_url)):
        if not url:
            raise Refused(f"PACKSHOT_{name}_URL is not set. Only `packshot up` starts a server of its own.")
    if not str(settings.redis_url).startswith(("redis://", "rediss://", "redis+socket://")):
        raise Refused("PACKSHOT_REDIS_URL must be a Redis address: redis://host:6379/0.")
    connect_args = {"connect_timeout": ANSWERS_WITHIN_S}
    try:
        create_engine(str(settings.database_url), poolclass=NullPool, connect_args=connect_args).connect().close()
    # SQLAlchemy says ValueError of a port that is no number.
    except (DBAPIError, ArgumentError, ValueError) as error:
        raise Refused(f"The database cannot be used: {first_line(error)}. Check PACKSHOT_DATABASE_URL.") from error


def make_database_ready(url: str, has_other_workers: bool) -> str:
    """Migrate, make the owner when there is nobody, free the jobs of workers that are gone; a token for one sign-in.

    Raises Refused when the database does not answer or is of a newer Packshot.
    """
    from alembic.util import CommandError

    try:
        _needs_vectors(url)
        migrate(url)
        with transaction(create_engine(url, poolclass=NullPool)) as session:
            if not has_other_workers:
                # Every worker of an embedded database died with its supervisor, whatever their leases say.
                jobs.sweep(session, utc_now() + timedelta(seconds=jobs.LEASE_S), is_counted=False)
            catalogs.go_on_removing(session)
            return people.make_link(session, people.make_owner(session))
    except (DBAPIError, ArgumentError) as error:
        raise Refused(f"The database cannot be used: {first_line(error)}. Check PACKSHOT_DATABASE_URL.") from error
    except CommandError as error:
        raise Refused(f"This database was made by a newer Packshot ({error}) Install that one.") from error


def _needs_vectors(url: str) -> None:
    """Raises Refused where the server lacks the extension that photos are compared with."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        available = connection.exec_driver_sql("select 1 from pg_available_extensions where name = 'vector'").scalar()
    if available is None:
        raise Refused(
            "This PostgreSQL lacks the extension pgvector, by which photos are compared. Install it on the server (in "
            "Debian: postgresql-18-pgvector; as a container: pgvector/pgvector:pg18) and start again."
        )


def first_line(error: Exception) -> str:
    """The first line of what the database's driver said, without a full stop."""
    return str(getattr(error, "orig", None) or error).split("\n")[0].rstrip(".")


def worker(queue: str, name: str | None = None) -> tuple[str, ...]:
    """The arguments to Python of one worker: `gpu` does one job at a time, `cpu` one in a process for each core.

    `name` tells several workers of a queue apart.
    """
    pool = ("--pool", "solo") if queue == "gpu" else ("--pool", "prefork", "--concurrency", str(cpu_slots()))
    return (
        "-m", "celery", "--app", "workers.celery_app:celery_app", "worker", "--include", f"workers.{queue}",
        "--queues", queue, "--hostname", f"{name or queue}@%h", *pool, "--loglevel", "INFO", "--without-gossip",
        "--without-mingle", "--without-heartbeat",
    )  # fmt: skip


def cpu_slots() -> int:
    """How many jobs the cpu worker does at once: one for each core that is ours, as far as memory goes.

    They run at a low priority (`workers/cpu.py`), so that the web app and a trainer come first on every core.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, psutil.virtual_memory().total // SLOT_BYTES))


def model_folder(name: str) -> str:
    """A model's folder, absolute: seen from here, else from the project. A name that is no folder is a hub id."""
    for base in (Path.cwd(), PROJECT):
        if (base / name).is_dir():
            return str((base / name).resolve())
    return name
