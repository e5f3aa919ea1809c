"""Devices as the driver lists them, and one tenant for each."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from app import cli
from app.errors import Refused
from app.host import devices
from app.host.devices import Device, DeviceLock, cpu, list_devices, named
from app.host.processes import Known
from app.host.supervisor import StopSignals
from app.host.up import _Up
from app.settings import Settings
from tests.running import PROJECT
from tests.waiting import until
from workers.celery_app import Busy
from workers.devices import lease

if TYPE_CHECKING:
    from workers.celery_app import Work

LISTED = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-0)
GPU 1: NVIDIA A100 (UUID: GPU-bbbb-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-0)
  MIG 3g.20gb     Device  1: (UUID: MIG-cccc-1)
"""
TAKE = (
    "import sys; from pathlib import Path; from app.host.devices import *; import time\n"
    "one = DeviceLock(named(sys.argv[1]), Path(sys.argv[2]))\n"
    "print(one.take(), flush=True)\n"
    "time.sleep(60)"
)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "nvidia_smi", lambda *arguments: LISTED if arguments == ("-L",) else "")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of the whole machine that is this test's alone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "machine"))
    (tmp_path / "machine").mkdir()
    return tmp_path / "machine" / "packshot-devices"


def test_each_gpu_and_each_slice_of_one_is_a_device(driver: None) -> None:
    assert [(one.index, one.name, one.visible) for one in list_devices()] == [
        ("0", "GPU 0 (NVIDIA H100 80GB HBM3)", "GPU-aaaa-0"),
        ("1.0", "GPU 1, slice 0 (3g.20gb)", "MIG-cccc-0"),
        ("1.1", "GPU 1, slice 1 (3g.20gb)", "MIG-cccc-1"),
    ]


def test_cuda_visible_devices_limits_them(driver: None) -> None:
    assert [one.key for one in list_devices("0")] == ["GPU-aaaa-0"]
    assert [one.key for one in list_devices("MIG-cccc-1,GPU-aaaa")] == ["GPU-aaaa-0", "MIG-cccc-1"]
    assert list_devices("") == list_devices("-1") == [cpu()]


def test_without_a_driver_there_is_one_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "nvidia_smi", lambda *_: "")
    assert list_devices() == [cpu()]


def test_a_device_is_named_by_number_or_identifier(driver: None) -> None:
    assert named("0").key == named("GPU-aaaa-0").key == "GPU-aaaa-0"
    assert named("cpu:1") == Device("cpu:1", "CPU 1", "cpu:1", "")
    with pytest.raises(Refused, match="There is no device “7” on this machine; 0 is GPU 0"):
        named("7")


def test_each_device_has_a_part_of_its_own(driver: None) -> None:
    assert list(devices.named_parts(list_devices())) == ["gpu worker 0", "gpu worker 1.0", "gpu worker 1.1"]
    assert list(devices.named_parts([cpu()])) == ["gpu worker"]


def test_two_data_folders_never_share_a_gpu(tmp_path: Path, machine: Path) -> None:
    gpu = Device("GPU-aaaa-0", "GPU 0 (H100)", "0", "GPU-aaaa-0")
    first, second = DeviceLock(gpu, tmp_path / "one"), DeviceLock(gpu, tmp_path / "two")
    assert first.take()
    assert first.take(), "what is taken stays taken"
    assert not second.take()
    assert second.who() == (
        f"GPU 0 (H100) is in use by a worker (pid {os.getpid()}) of the data folder {tmp_path / 'one'}."
    )
    assert not second.is_with_a_trainer_of_ours()
    lock = machine / "GPU-aaaa-0.lock"
    lock.write_text(lock.read_text().replace(f'"{socket.gethostname()}"', '"other"'))
    assert second.who() == f"GPU 0 (H100) is in use by a worker on other, of the data folder {tmp_path / 'one'}."
    assert not DeviceLock(gpu, tmp_path / "one").is_with_a_trainer_of_ours(), "a pid of another container says nothing"
    first.give_back()
    assert second.take()
    second.give_back()


def test_a_cpu_has_room_for_several_tenants_but_each_place_for_one(tmp_path: Path) -> None:
    places = [
        DeviceLock(cpu(key), tmp_path / folder) for key, folder in (("cpu:0", "a"), ("cpu:1", "a"), ("cpu:0", "b"))
    ]
    assert all(place.take() for place in places)
    assert not DeviceLock(cpu(), tmp_path / "a").take()
    for place in places:
        place.give_back()


def test_a_trainer_keeps_the_device_of_a_worker_that_was_killed(tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", TAKE, "cpu:0", str(tmp_path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "True\n"
    next_one = DeviceLock(cpu(), tmp_path)
    assert not next_one.take()
    assert not next_one.is_with_a_trainer_of_ours()
    mine = DeviceLock(cpu("cpu:1"), tmp_path)
    assert mine.take()
    trainer = subprocess.Popen(["sleep", "60"], pass_fds=mine.descriptors)
    mine.give_back()
    worker.kill()
    worker.communicate()
    until(next_one.take, "the device of the killed worker")
    held = DeviceLock(cpu("cpu:1"), tmp_path)
    assert not held.take(), "the trainer has inherited it"
    lock = tmp_path / "locks" / "cpu-1.lock"
    lock.write_text(lock.read_text().replace(f" {os.getpid()},", f" {worker.pid},"))
    assert held.is_with_a_trainer_of_ours()
    assert not DeviceLock(cpu("cpu:1"), tmp_path / "elsewhere").is_with_a_trainer_of_ours()
    trainer.kill()
    trainer.wait()
    assert held.take()
    next_one.give_back()
    held.give_back()


GPUS = [Device(f"GPU-{name}", f"GPU {index}", str(index), f"GPU-{name}") for index, name in enumerate("abc")]


def test_what_has_nothing_to_do_may_be_borrowed(tmp_path: Path, machine: Path) -> None:
    worker, borrower, stranger = (DeviceLock(GPUS[0], tmp_path / place) for place in ("one", "one", "two"))
    assert worker.take()
    assert not stranger.borrow(), "never by another data folder"
    assert borrower.borrow()
    assert not worker.begin_work()
    assert worker.who() == f"GPU 0 is in use by a worker (pid {os.getpid()}) of the data folder {tmp_path / 'one'}."
    borrower.give_back()
    assert worker.begin_work()
    assert not borrower.borrow()
    worker.give_back()
    assert borrower.borrow(), "one that nobody has"
    assert not stranger.take()
    borrower.give_back()


class Asked:
    """A job's work, as far as a hold needs it."""

    def __init__(self, data_dir: Path, devices: int) -> None:
        self.settings, self.arguments, self.beats = Settings(data_dir=data_dir), {"devices": devices}, 0

    is_cancel_asked = False

    def beat(self, note: str) -> None:
        self.beats += 1


def hold(data_dir: Path, devices: int) -> lease.Hold:
    return lease.Hold(cast("Work", Asked(data_dir, devices)))


def test_a_run_on_several_devices_has_all_or_none(
    tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, *others = (DeviceLock(one, tmp_path) for one in GPUS)
    assert all(one.take() for one in (mine, *others))
    monkeypatch.setattr(lease, "_mine", mine)
    monkeypatch.setattr(lease, "_WAITS_S", 0.0)
    monkeypatch.setattr(lease, "_allowed", GPUS)
    alone, two, three, four = (hold(tmp_path, count) for count in (1, 2, 3, 4))
    assert others[1].begin_work()
    with pytest.raises(Busy, match="needs 3 devices of this machine at once"):
        three.take()
    assert others[0].begin_work(), "what there was is let go"
    others[0].end_work()
    seat = two.take()
    assert seat.visible == "GPU-a,GPU-b"
    assert two.take() == seat, "what is held is kept"
    assert not others[0].begin_work()
    trainer = subprocess.Popen(["sleep", "60"], pass_fds=seat.descriptors)
    two.give_back()
    assert not others[0].begin_work(), "the trainer has inherited it"
    with pytest.raises(Busy, match="GPU 0 is in use by a worker"):
        alone.take()
    trainer.kill()
    trainer.wait()
    assert alone.take().visible is None
    alone.give_back()
    with pytest.raises(Refused, match=r"asks for 4 devices. This worker sees 3."):
        four.take()
    for one in (mine, *others):
        one.give_back()


def test_a_slice_works_alone_and_processes_share_a_cpu(
    tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Device("MIG-a", "GPU 0, slice 0 (3g.20gb)", "0.0", "MIG-a")
    monkeypatch.setattr(lease, "_allowed", [part, *GPUS])
    monkeypatch.setattr(lease, "_mine", DeviceLock(part, tmp_path))
    with pytest.raises(Refused, match=r"asks for 2 devices. A slice of a GPU works alone."):
        hold(tmp_path, 2).take()
    monkeypatch.setattr(lease, "_mine", DeviceLock(GPUS[0], tmp_path))
    assert lease.together() == GPUS
    on_cpu = DeviceLock(cpu(), tmp_path)
    monkeypatch.setattr(lease, "_mine", on_cpu)
    assert len(hold(tmp_path, 2).take().descriptors) == 2
    on_cpu.give_back()


def test_a_worker_waits_in_words_for_a_device_that_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(lease, "_mine", None)
    taken = DeviceLock(cpu(), tmp_path)
    assert taken.take()
    mine = lease.take(Settings(data_dir=tmp_path), pause=lambda _: taken.give_back())
    said = capsys.readouterr().err
    assert f"CPU is in use by a worker (pid {os.getpid()})" in said
    assert said.endswith("This worker waits until it is free.\nThis worker works on CPU.\n")
    mine.give_back()


def test_a_killed_holder_is_known_by_its_start_too(tmp_path: Path) -> None:
    taken = DeviceLock(cpu(), tmp_path)
    assert taken.take()
    me = Known.of(os.getpid())
    lock = tmp_path / "locks" / "cpu-0.lock"
    lock.write_text(lock.read_text().replace(str(me.started), str(me.started - 3600)))
    assert DeviceLock(cpu(), tmp_path).is_with_a_trainer_of_ours()
    taken.give_back()


def test_a_worker_is_started_on_the_device_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setenv("PACKSHOT_DEVICE", "")
    monkeypatch.setattr("app.host.up.check_servers", lambda _: None)
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    assert cli.main(["worker", "gpu", "--device", "cpu:1"]) == 0
    assert os.environ["PACKSHOT_DEVICE"] == "cpu:1"
    assert any(word.startswith("gpu-cpu-1-") for word in started[0])
    assert cli.main(["worker", "gpu", "--device", "seven"]) == 2
    assert cli.main(["worker", "cpu", "--device", "cpu:1"]) == 2


def test_the_supervisor_starts_a_worker_for_each_device(
    driver: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    settings = Settings(data_dir=tmp_path, worker_threads=7)
    with socket.create_server(("127.0.0.1", 0)) as listener, StopSignals() as signals:
        parts = {part.name: part.start for part in _Up(settings, listener, signals)._parts()}
    told = {name: cast("partial[object]", start).args[2] for name, start in parts.items()}
    assert {name: told[name]["PACKSHOT_DEVICE"] for name in parts if name.startswith("gpu worker")} == {
        "gpu worker 0": "GPU-aaaa-0", "gpu worker 1.0": "MIG-cccc-0", "gpu worker 1.1": "MIG-cccc-1",
    }  # fmt: skip
    assert told["gpu worker 0"]["PACKSHOT_WORKER_THREADS"] == "2"
    assert "PACKSHOT_DEVICE" not in told["cpu worker"]
