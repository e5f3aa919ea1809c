"""Which devices this machine has, without importing torch, and who may work on each: one gpu worker at a time.

A device is leased by a lock on a file, which the kernel lets go when everybody who holds it is gone, however they end.
A GPU has two, named by its own identifier: one in a place of the whole machine, so that two data folders never share
it, and one in the data folder, so that containers that work on the same folder do not. A CPU has memory for several
folders, so it has the second only. A trainer inherits the locks: a device stays leased while it outlives its worker.

A worker holds its device as long as it lives, and while it works a second lock says so. One run on several devices
borrows those whose workers have nothing to do: it takes their second locks, and they wait until it is done.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.errors import Refused
from app.host.processes import Known

ANSWERS_WITHIN_S: Final = 10.0
_GPU: Final = re.compile(r"^GPU (\d+): (.+?) \(UUID: ([^)]+)\)")
_SLICE: Final = re.compile(r"^\s+MIG (\S+).*\(UUID: ([^)]+)\)")
_CPU: Final = re.compile(r"^cpu:\d{1,3}$")


@dataclass(frozen=True, slots=True)
class Device:
    """A device: `key` names it on the whole machine, `visible` is what CUDA_VISIBLE_DEVICES has to say for it."""

    key: str
    name: str
    index: str
    visible: str

    @property
    def is_cpu(self) -> bool:
        """Whether it is no accelerator."""
        return self.visible == ""

    @property
    def is_slice(self) -> bool:
        """Whether it is a part of a GPU. A process sees one part only, so parts cannot train a run together."""
        return self.key.startswith("MIG-")


def cpu(key: str = "cpu:0") -> Device:
    """The processor, as one of several devices: each worker on it locks its own."""
    return Device(key, "CPU" if key == "cpu:0" else f"CPU {key.partition(':')[2]}", key, "")


def list_devices(visible: str | None = None) -> list[Device]:
    """The CUDA devices that the driver's tool lists, GPU by GPU or slice by slice; one CPU where there is none.

    `visible` is a CUDA_VISIBLE_DEVICES that limits them: numbers or identifiers, or their beginnings.
    """
    devices: list[Device] = []
    for line in nvidia_smi("-L").splitlines():
        if gpu := _GPU.match(line):
            index, name, key = gpu.groups()
            devices.append(Device(key, f"GPU {index} ({name})", index, key))
        elif (part := _SLICE.match(line)) and devices:
            whole = devices[-1]
            if whole.key.startswith("GPU-"):
                devices.pop()
            index = whole.index.partition(".")[0]
            number = sum(device.index.startswith(f"{index}.") for device in devices)
            devices.append(Device(part[2], f"GPU {index}, slice {number} ({part[1]})", f"{index}.{number}", part[2]))
    if visible is not None:
        wanted = [word.strip() for word in visible.split(",") if word.strip()]
        devices = [
            device
            for device in devices
            if any(device.index == word or (word and device.key.startswith(word)) for word in wanted)
        ]
    return devices or [cpu()]


def named(text: str) -> Device:
    """The device that `text` names: its number, its identifier, or `cpu:0`. Raises Refused when it is not there."""
    if _CPU.match(text):
        return cpu(text)
    known = list_devices()
    for device in known:
        if text in (device.index, device.key):
            return device
    listed = ", ".join(f"{device.index} is {device.name}" for device in known)
    raise Refused(f"There is no device “{text}” on this machine; {listed}. A CPU worker is cpu:0.")


@dataclass(frozen=True, slots=True)
class DeviceAllocation:
    """What a process that works on devices is given: locks to inherit, and what CUDA shows it (None: as it is)."""

    descriptors: tuple[int, ...] = ()
    visible: str | None = None


class _Locks:
    """Files locked together or not at all, in which the holder says who it is."""

    def __init__(self, paths: Sequence[Path], data_dir: Path) -> None:
        self.descriptors: list[int] = []
        self._paths, self._data_dir = paths, data_dir
        self._taken = paths[0]  # the one that somebody else was last seen to hold

    def take(self) -> bool:
        """Take them, or keep them; False when somebody else holds one. Raises OSError where no lock can be."""
        if self.descriptors:
            return True
        for path in self._paths:
            try:
                self.descriptors.append(self._open(path))
                fcntl.flock(self.descriptors[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self.give_back()
                if not isinstance(error, BlockingIOError):
                    raise
                self._taken = path
                return False
        me = Known.of(os.getpid())
        for descriptor in self.descriptors:
            os.ftruncate(descriptor, 0)
            holder = [socket.gethostname(), me.pid, me.started, str(self._data_dir)]
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        return True

    def give_back(self) -> None:
        """Let the next one have them."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()

    def holder(self) -> tuple[str, Known | None, str]:
        """Host, process and data folder of whoever took them last; empty and None where that cannot be told."""
        try:
            host, pid, started, data_dir = json.loads(self._taken.read_text())
            return str(host), Known(int(pid), float(started)), str(data_dir)
        except (OSError, ValueError, TypeError):
            return "", None, ""

    def _open(self, path: Path) -> int:
        is_shared = not path.is_relative_to(self._data_dir)
        path.parent.mkdir(mode=0o1777 if is_shared else 0o700, parents=True, exist_ok=True)
        if is_shared:
            with suppress(PermissionError):
                path.parent.chmod(0o1777)  # mkdir's mode is cut by the umask
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            # Where another user made the file, a sticky folder does not let us say that we would make it.
            return os.open(path, flags)
        except FileNotFoundError:
            descriptor = os.open(path, flags | os.O_CREAT, 0o666)
            os.fchmod(descriptor, 0o666 if is_shared else 0o600)
            return descriptor


class DeviceLock:
    """A worker's sole right to a device, once it is taken."""

    def __init__(self, device: Device, data_dir: Path) -> None:
        self.device = device
        self._data_dir = data_dir.resolve()
        places = [self._data_dir / "locks"]
        if not device.is_cpu:
            places.append(Path(tempfile.gettempdir()) / "packshot-devices")
        name = re.sub(r"[^A-Za-z0-9.-]", "-", device.key)
        self._device_locks = _Locks([place / f"{name}.lock" for place in places], self._data_dir)
        self._work_locks = _Locks([place / f"{name}.work.lock" for place in places], self._data_dir)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a trainer has to inherit, so that the device is leased for as long as it lives."""
        return (*self._device_locks.descriptors, *self._work_locks.descriptors)

    def take(self) -> bool:
        """Take the device, or keep it; False when somebody else holds it. Raises Refused where no lock can be."""
        return self._took(self._device_locks)

    def begin_work(self) -> bool:
        """Work on a device that was taken; False while one run on several devices has borrowed it."""
        return self._took(self._work_locks)

    def end_work(self) -> None:
        """Let others borrow it."""
        self._work_locks.give_back()

    def borrow(self) -> bool:
        """Work on a device that nobody has, or whose worker is of this data folder and has nothing to do."""
        if not self.take():
            host, _, data_dir = self._device_locks.holder()
            if (host, data_dir) != (socket.gethostname(), str(self._data_dir)):
                return False
        if self.begin_work():
            return True
        self.give_back()
        return False

    def give_back(self) -> None:
        """Let the next one have it."""
        self._work_locks.give_back()
        self._device_locks.give_back()

    def is_with_a_trainer_of_ours(self) -> bool:
        """Whether the worker that took it was this host's and this data folder's, and is gone: its trainer holds it."""
        host, known, data_dir = self._device_locks.holder()
        is_here = known is not None and host == socket.gethostname() and data_dir == str(self._data_dir)
        return is_here and known is not None and known.find() is None

    def who(self) -> str:
        """A sentence about who holds the device, or has borrowed it from the worker that does."""
        locks = self._work_locks if self._device_locks.descriptors else self._device_locks
        host, known, data_dir = locks.holder()
        if known is None:
            return f"{self.device.name} is in use by another Packshot worker."
        if host != socket.gethostname():
            return f"{self.device.name} is in use by a worker on {host}, of the data folder {data_dir}."
        by = f"a worker (pid {known.pid})" if known.find() else "a training process"
        return f"{self.device.name} is in use by {by} of the data folder {data_dir}."

    def _took(self, locks: _Locks) -> bool:
        try:
            return locks.take()
        except OSError as error:
            raise Refused(
                f"{self.device.name} cannot be leased: {error.filename or 'its lock'}: {error.strerror}."
            ) from error


def memory_holders() -> set[int]:
    """Pids that hold memory of an NVIDIA GPU, as its driver tells; none where there is no driver.

    Inside a container the driver may tell the host's pids, or none: then nothing can be waited for.
    """
    output = nvidia_smi("--query-compute-apps=pid", "--format=csv,noheader")
    return {int(line) for line in output.split() if line.isdigit()}


def nvidia_smi(*arguments: str) -> str:
    """What the driver's tool says; empty where there is none, or where it does not answer."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    try:
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=ANSWERS_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def named_parts(devices: Collection[Device]) -> dict[str, Device]:
    """What the supervisor calls the gpu workers of these devices."""
    return {"gpu worker" if len(devices) == 1 else f"gpu worker {device.index}": device for device in devices}
