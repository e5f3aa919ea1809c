"""`packshot up` under blows: killed, hung up on, hurried, its parts killed, its disk full. Run by `make faults`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import NullPool, create_engine

from app import people
from app.database import transaction
from app.host.processes import Known
from app.host.state import host_state
from app.web import security
from tests import cast
from tests.running import PROJECT, STOPS_WITHIN_S, Up, packshot, started, up
from tests.waiting import until


def is_well(one: Up) -> bool:
    try:
        with urllib.request.urlopen(f"{one.state.address}/healthz", timeout=10) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def record_trainer(data_dir: Path) -> subprocess.Popen[bytes]:
    """Something that looks like a training process of run 1, in a session of its own."""
    trainer = subprocess.Popen(["sleep", "600"], start_new_session=True)
    folder = data_dir / "runs" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    known = Known.of(trainer.pid)
    (folder / "trainer.json").write_text(json.dumps({"host": "here", "pid": known.pid, "started": known.started}))
    return trainer


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv of util-linux is not installed")
def test_after_kill_9_nothing_is_left_and_the_next_start_is_well(tmp_path: Path) -> None:
    with up(tmp_path / "data") as one:
        trainer = record_trainer(one.data_dir)
        one.process.kill()
        one.process.wait()
        until(lambda: not one.family(), "everything gone")
        assert host_state(one.data_dir) is None
        assert trainer.poll() is None  # training goes on, and is taken up again
    with up(tmp_path / "data") as again:
        assert is_well(again)
        assert packshot("status", "--data", str(again.data_dir)).returncode == 0
        code, _ = again.end(signal.SIGTERM)
        assert (code, again.family()) == (0, [])
    assert trainer.wait(10) == -signal.SIGKILL  # a stop that was asked for ends training too


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    with up(tmp_path / "data") as one:
        code, seconds = one.end(number)
        assert (code, one.family()) == (0, [])
        assert seconds < STOPS_WITHIN_S


def test_a_closed_terminal_stops_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.cli", "up", "--data", str(tmp_path / "data"), "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    while b"Ctrl-C" not in process.stdout.readline():
        assert process.poll() is None
    one = Up(tmp_path / "data", process, tmp_path / "none")
    process.stdout.close()
    assert one.end(signal.SIGHUP)[0] == 0
    assert one.family() == []


def test_a_second_signal_hurries(tmp_path: Path) -> None:
    with up(tmp_path / "data") as one:
        one.process.send_signal(signal.SIGINT)
        until(lambda: "Stopping" in one.said, "it is stopping")
        code, seconds = one.end(signal.SIGINT)
        assert (code, one.family()) == (0, [])
        assert seconds < STOPS_WITHIN_S
        assert "database system is shut down" in (one.data_dir / "logs" / "postgresql.log").read_text()


@pytest.mark.parametrize("moment", ["Starting on", "postgresql.log", "web-app.log"])
def test_a_signal_while_it_starts_stops_it(tmp_path: Path, moment: str) -> None:
    with started(tmp_path / "data") as one:
        logs = one.data_dir / "logs"
        until(lambda: moment in one.said or (logs / moment).exists() or one.process.poll() is not None, moment)
        code, seconds = one.end(signal.SIGTERM)
        assert (code, one.family()) == (0, []), one.said
        assert seconds < 2 * STOPS_WITHIN_S
        assert "Traceback" not in one.said


def test_killed_parts_come_back_and_callers_only_wait(tmp_path: Path) -> None:
    with up(tmp_path / "data") as one:
        for part in ("web app", "PostgreSQL", "Redis", "cpu worker", "sweeper"):
            killed = one.pid(part)
            os.kill(killed, signal.SIGKILL)
            until(lambda part=part, killed=killed: one.pid(part) not in (0, killed), f"another {part}")  # type: ignore[misc]
            until(lambda: is_well(one), f"an answer after the {part}")
            assert f"{part} was ended from outside (Killed); it is started again in 0.5 s." in one.said
        assert packshot("link", "--data", str(one.data_dir)).returncode == 0


def test_a_web_app_that_cannot_start_ends_the_start_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise SystemExit('uvicorn is broken')\n")
    with started(tmp_path / "data", PYTHONPATH=str(tmp_path)) as one:
        assert one.process.wait(60) == 2
        assert one.said.splitlines()[-1].startswith("packshot: The web app does not start: uvicorn is broken")
        assert one.family() == []


def test_an_interrupted_first_start_is_mended_by_the_next(tmp_path: Path) -> None:
    with started(tmp_path / "data") as one:
        until(lambda: (one.data_dir / "postgres.unfinished").exists(), "the database being made")
        one.process.kill()
        one.process.wait()
    with up(tmp_path / "data") as again:
        assert is_well(again)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 MB in memory. Only root may mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600m,mode=0755", "packshot-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let root mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave_bytes: int) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - leave_bytes)
    return ballast


def test_a_full_disk_is_one_sentence(small_disk: Path) -> None:
    fill(small_disk, 20 << 20)
    told = packshot("up", "--data", str(small_disk / "data"), "--port", "0")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(f"packshot: The disk with {small_disk / 'data'} has ")
    assert told.stderr.count("\n") == 1


def test_a_disk_that_fills_up_is_survived(small_disk: Path) -> None:
    with up(small_disk / "data") as one:
        ballast = fill(small_disk, 0)
        assert packshot("status", "--data", str(one.data_dir)).returncode == 0
        ballast.unlink()
        until(lambda: is_well(one), "an answer once there is room again")
        until(lambda: packshot("link", "--data", str(one.data_dir)).returncode == 0, "a link once there is room again")
        assert one.end(signal.SIGTERM)[0] == 0
        assert one.family() == []


def test_uploads_until_the_disk_is_full_leave_the_database_what_it_needs(small_disk: Path) -> None:
    """What a member sends is refused in words; a decision is kept; PostgreSQL, killed then, starts again."""
    reserve_mb = 160
    with up(small_disk / "data", PACKSHOT_DISK_RESERVE_MB=str(reserve_mb)) as one:
        engine = create_engine(one.state.database_url, poolclass=NullPool)
        with transaction(engine) as session:
            photo = cast.red_kettle(session, cast.catalog(session))
            token = people.begin_session(session, cast.person(session, "Ben"))
        port = one.state.address.rpartition(":")[2]
        headers = {
            "Origin": one.state.address,
            "X-CSRF-Token": security.csrf_token(token),
            "Accept": "application/json",
        }
        cookies = {f"packshot-{port}": token}
        with httpx.Client(base_url=one.state.address, headers=headers, cookies=cookies, timeout=60) as member:
            upload = member.post("/uploads").json()["upload"]

            def send(number: int) -> httpx.Response:
                files = {"files": (f"{number}.jpg", os.urandom(32 << 20), "image/jpeg")}
                return member.post(f"/uploads/{upload}/files", files=files)

            answers = [send(number) for number in range(20)]
            kept = [answer.status_code for answer in answers].count(200)
            assert 0 < kept < 20
            assert {answer.status_code for answer in answers} == {200, 422}
            assert f"{reserve_mb} MB stay free for the database" in answers[-1].json()["error"]["sentence"]
            assert shutil.disk_usage(small_disk).free >= (reserve_mb - 20) << 20
            for _ in range(2):
                decided = member.post(f"/images/{photo.id}/decisions", data={"verdict": "kept"})
                assert decided.status_code == 200, decided.text
                os.kill(one.pid("PostgreSQL"), signal.SIGKILL)
                until(lambda: not is_well(one) or one.pid("PostgreSQL") == 0, "the database gone")
                until(lambda: is_well(one), "the database again")
