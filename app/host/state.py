"""Who works on a data folder: one supervisor at a time, known by a lock, and what it runs, told in `up.json`."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil

from app.errors import Conflict, Refused, is_disk_full
from app.host import processes, servers
from app.host.processes import Known
from app.storage import atomic_file

STATE: Final = "up.json"
FREE_BYTES_NEEDED: Final = 300 << 20


@dataclass(frozen=True, slots=True)
class HostState:
    """What runs on a data folder, as its supervisor wrote it down. `since` is UTC, ISO 8601; a dead part is None."""

    supervisor: Known
    since: str
    address: str
    database_url: str
    redis_url: str
    is_ready: bool
    parts: dict[str, Known | None]


def host_state(data_dir: Path) -> HostState | None:
    """What runs on this data folder now; None when no supervisor does."""
    state = _written_down(data_dir)
    return state if state and state.supervisor.find() else None


def write_down(data_dir: Path, state: HostState) -> None:
    """Write down what runs. A full disk is no reason to stop."""
    with suppress(OSError, Refused), atomic_file(data_dir / STATE) as file:
        file.write(json.dumps(asdict(state), indent=1).encode())


def forget(data_dir: Path) -> None:
    """Nothing runs here any more."""
    (data_dir / STATE).unlink(missing_ok=True)


def make_folder(data_dir: Path) -> None:
    """Make the data folder if need be, and see that it can be written to. Raises Refused with a sentence."""
    try:
        # Root's PostgreSQL runs as another user and walks through; nothing in the folder is open to others.
        data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir) as probe:
            probe.write(b"packshot")
        (data_dir / "logs").mkdir(mode=0o700, exist_ok=True)
        free_bytes = shutil.disk_usage(data_dir).free
    except OSError as error:
        if is_disk_full(error):
            raise Refused(f"The disk with {data_dir} is full.") from error
        raise Refused(
            f"The data folder {data_dir} cannot be used: {error.strerror}. Choose another with --data."
        ) from error
    refuse_open(data_dir)
    if free_bytes < FREE_BYTES_NEEDED:
        raise Refused(
            f"The disk with {data_dir} has {free_bytes >> 20} MB free, and {FREE_BYTES_NEEDED >> 20} MB are needed to "
            "start. Free some, or choose another folder with --data."
        )


def refuse_open(data_dir: Path) -> None:
    """Raises Refused for a data folder that everybody on this machine may write to: they could swap what lies in it."""
    if data_dir.stat().st_mode & stat.S_IWOTH:
        raise Refused(
            f"Everybody on this machine may write to the data folder {data_dir}. Close it: chmod o-w {data_dir}"
        )


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the data folder; the kernel lets go when this process ends, however it ends. Raises Conflict, Refused."""
    with open(data_dir / "lock", "w", opener=partial(os.open, mode=0o600)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(_who_is_here(data_dir)) from error
        except OSError as error:
            raise Refused(
                f"The data folder {data_dir} cannot be locked ({error.strerror}). Choose one on a local disk."
            ) from error
        yield


def end_left_over(data_dir: Path) -> None:
    """End what a killed supervisor left, where the kernel did not. Trainers go on; servers have an end of their own."""
    state = _written_down(data_dir)
    if state:
        left = [part.find() for name, part in state.parts.items() if part and name not in servers.NAMES]
        processes.kill(processes.with_descendants(process for process in left if process) - set(trainers(data_dir)))


def trainers(data_dir: Path) -> list[psutil.Process]:
    """Training processes of this folder. They are in sessions of their own and may have outlived their worker."""
    candidates = []
    for record in data_dir.glob("runs/*/trainer.json"):
        with suppress(OSError, ValueError, TypeError, KeyError):
            trainer = json.loads(record.read_text())
            candidates.append(Known(trainer["pid"], trainer["started"]).find())
    return [process for process in candidates if process]


def _written_down(data_dir: Path) -> HostState | None:
    """What the file says, true or not any more; None when it cannot be read."""
    try:
        record: dict[str, Any] = json.loads((data_dir / STATE).read_text())
        record["supervisor"] = Known(**record["supervisor"])
        record["parts"] = {name: Known(**part) if part else None for name, part in record["parts"].items()}
        return HostState(**record)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _who_is_here(data_dir: Path) -> str:
    """A sentence about the supervisor that holds the folder."""
    state = host_state(data_dir)
    if state is None:
        return f"The data folder {data_dir} is in use by another Packshot that is just starting or stopping."
    return (
        f"The data folder {data_dir} is in use: Packshot runs on it at {state.address} (pid {state.supervisor.pid}). "
        "Stop that one, or choose another folder with --data."
    )
