"""The PostgreSQL and Redis of a data folder: started, found again, stopped, and refused in a sentence."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, text

from app.errors import Refused
from app.host import processes, servers
from tests.waiting import until

PROJECT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root runs PostgreSQL as somebody else")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a database in it, made once; no server runs on it between tests."""
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture
def postgres(folder: Path) -> servers.Server:
    return servers.postgres(folder, is_durable=False)


def ask(url: str, sql: str) -> object:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        result = connection.execute(text(sql))
        return result.scalar() if result.returns_rows else None


def tcp_ports(process: psutil.Process) -> list[int]:
    return [one.laddr.port for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]


def test_both_servers_answer_on_sockets_and_open_no_port(folder: Path) -> None:
    before = set(psutil.Process().children())
    with servers.running(folder, is_durable=False) as (database_url, redis_url):
        assert ask(database_url, "select 1") == 1
        assert ask(database_url, "select count(*) from pg_available_extensions where name = 'vector'") == 1
        assert redis_url.startswith("redis+socket:///")
        ours = set(psutil.Process().children()) - before
        assert sorted(one.name() for one in ours) == ["postgres", "redis-server"]
        assert [port for one in ours for port in tcp_ports(one)] == []
    assert not [one for one in ours if one.is_running()]


def test_what_was_written_is_there_after_a_restart(postgres: servers.Server) -> None:
    with servers.run(postgres):
        ask(postgres.url, "create table note as select 'kept' as words")
    with servers.run(postgres):
        assert ask(postgres.url, "select words from note") == "kept"


def test_text_is_compared_the_same_on_every_machine(postgres: servers.Server) -> None:
    with servers.run(postgres):
        assert ask(postgres.url, "select lower('ÄÖÉ')") == "äöé"
        assert ask(postgres.url, "select 'Z' < 'a'") is True


def test_a_server_that_was_left_running_is_ended_first(folder: Path, postgres: servers.Server) -> None:
    with servers.run(postgres) as left:
        again = servers.postgres(folder, is_durable=False)
        assert left.wait(10) == 0
        with servers.run(again):
            assert ask(again.url, "select 1") == 1


def test_a_redis_that_was_left_running_is_ended_first(folder: Path) -> None:
    with servers.run(servers.redis(folder)) as left:
        again = servers.redis(folder)
        assert left.wait(10) == 0
        with servers.run(again):
            pass


def test_a_process_with_the_pid_of_a_dead_server_is_left_alone(folder: Path, postgres: servers.Server) -> None:
    with servers.run(postgres) as process:
        record = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
        process.kill()
        process.wait()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        record[0], record[2] = str(bystander.pid), "1000000000"
        (folder / "postgres" / "postmaster.pid").write_text("\n".join(record) + "\n")
        servers.postgres(folder, is_durable=False)
        assert bystander.poll() is None
        bystander.kill()
    (folder / "postgres" / "postmaster.pid").unlink()


def test_a_killed_postgres_has_what_was_committed(folder: Path) -> None:
    server = servers.postgres(folder)
    with servers.run(server) as process:
        ask(server.url, "create table survivor as select 7 as number")
        process.kill()
        process.wait()
    with servers.run(server):
        assert ask(server.url, "select number from survivor") == 7


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv of util-linux is not installed")
def test_servers_end_when_their_starter_is_killed(tmp_path: Path) -> None:
    script = """
import sys, threading
from pathlib import Path
from app.host import servers
with servers.running(Path(sys.argv[1]), is_durable=False):
    print("ready", flush=True)
    threading.Event().wait()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=PROJECT, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"ready\n"
        children = psutil.Process(starter.pid).children()
        assert sorted(one.name() for one in children) == ["postgres", "redis-server"]
        starter.kill()
    until(lambda: not [one for one in children if one.is_running()], "both children gone")
    assert "database system is shut down" in (tmp_path / "logs" / "postgresql.log").read_text()


def test_nobody_else_may_enter(folder: Path, postgres: servers.Server) -> None:
    with servers.run(postgres):
        for name in ("postgres", "run"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o700
        with pytest.raises(psycopg.OperationalError, match=r"[Pp]eer authentication failed|role"):
            psycopg.connect(host=str(folder / "run"), user="somebody", dbname="postgres")


@pytest.mark.parametrize("name", ["x" * 120, "photos, autumn", "Füße & Schuhe"])
def test_folders_that_no_socket_can_have_get_a_short_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    server = servers.redis(tmp_path / name)
    path = Path(server.url.removeprefix("redis+socket://").partition("?")[0])
    assert len(os.fsencode(path)) < 100
    with servers.run(server):
        assert path.is_socket()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    shutil.rmtree(path.parent)


def test_the_short_folder_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = tmp_path / ("x" * 120)
    data_dir.mkdir()
    path = Path(servers.redis(data_dir).url.removeprefix("redis+socket://").partition("?")[0])
    shutil.rmtree(path.parent)
    path.parent.symlink_to(tmp_path)
    try:
        with pytest.raises(Refused, match="can hold a socket"):
            servers.redis(data_dir)
    finally:
        path.parent.unlink()


def test_a_start_that_fails_says_the_servers_last_words(postgres: servers.Server, folder: Path) -> None:
    version = folder / "postgres" / "PG_VERSION"
    kept = version.read_text()
    version.write_text("11\n")
    try:
        with pytest.raises(Refused, match=r"PostgreSQL did not start: .*version 11"), servers.run(postgres):
            pass
    finally:
        version.write_text(kept)


def test_a_folder_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.unfinished").mkdir()
    (tmp_path / "postgres.unfinished" / "PG_VERSION").write_text("18\n")
    with servers.run(servers.postgres(tmp_path, is_durable=False)):
        assert not (tmp_path / "postgres.unfinished").exists()


@needs_root
def test_root_runs_it_as_nobody_and_keeps_closed_folders_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "data").mkdir()
    server = servers.postgres(closed / "data", is_durable=False)
    with servers.run(server) as process:
        assert psutil.Process(process.pid).uids().effective == pwd.getpwnam("nobody").pw_uid
        assert ask(server.url, "select 1") == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@needs_root
def test_a_folder_of_an_ordinary_user_stays_that_users(folder: Path) -> None:
    pgdata = folder / "postgres"
    servers.postgres(folder, is_durable=False)
    before = pgdata.stat().st_uid
    someone = next(one for one in pwd.getpwall() if one.pw_uid not in (0, before))
    try:
        for place in (pgdata, *pgdata.rglob("*")):
            os.chown(place, someone.pw_uid, someone.pw_gid)
        with servers.run(servers.postgres(folder, is_durable=False)) as process:
            assert psutil.Process(process.pid).uids().effective == someone.pw_uid
    finally:
        for place in (pgdata, *pgdata.rglob("*")):
            os.chown(place, before, -1)


def test_a_process_is_known_by_its_start_and_not_by_its_pid_alone(tmp_path: Path) -> None:
    process = processes.start(["sleep", "60"], tmp_path / "log")
    known = processes.Known.of(process.pid)
    assert known.find() is not None
    assert processes.Known(known.pid, known.started - 60).find() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert known.find() is None


def test_logs_of_earlier_times_are_kept_and_the_oldest_goes(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    for number in range(6):
        log.write_text(f"{number}\n")
        processes.rotate(log)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "web.log.1": "5\n",
        "web.log.2": "4\n",
        "web.log.3": "3\n",
    }
    assert processes.last_words(tmp_path / "web.log.1") == "5"
    (tmp_path / "odd.log").write_text("no room for a\u2028b\n")
    assert processes.last_words(tmp_path / "odd.log") == "no room for a\u2028b"
    assert processes.last_words(log) == ""


@pytest.fixture(autouse=True)
def _no_server_is_left(folder: Path) -> Iterator[None]:
    yield
    assert not (folder / "postgres" / "postmaster.pid").exists()
