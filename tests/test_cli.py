"""The `packshot` command: what it says, what it refuses, and a whole `packshot up` from start to stop."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import uvicorn
from sqlalchemy import NullPool, create_engine

from app import cli, people
from app.database import transaction
from app.host.listener import answers
from app.host.state import host_state
from tests import cast
from tests.running import PROJECT, STOPS_WITHIN_S, Up, packshot, up


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One `packshot up` for the tests that only look at it."""
    with up(tmp_path_factory.mktemp("up") / "data") as one:
        yield one


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a refused command says."""
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    names = "up demo status doctor link people backup restore worker web sweeper migrate"
    for name in names.split():
        assert f"    {name} " in said


def test_help_loads_nothing_heavy() -> None:
    script = "import sys, app.cli; app.cli.parser(); print(*sorted(name for name in sys.modules if '.' not in name))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert not {"torch", "sqlalchemy", "pydantic", "fastapi", "celery", "psutil"} & set(loaded.stdout.split())


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "99999", "packshot: PACKSHOT_PORT cannot be “99999”: input should be less than or equal to 65535.\n"),
        ("HOST", "0.0.0.0", "packshot: Listening on 0.0.0.0 without https would send passwords in the clear."),  # noqa: S104
        ("DATABASE_URL", "mysql://here/x", "packshot: PACKSHOT_DATABASE_URL must be a PostgreSQL address"),
        ("BUDGET", "a lot", "packshot: PACKSHOT_BUDGET cannot be “a lot”: input should be a valid decimal.\n"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_in_a_sentence(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"PACKSHOT_{name}", value)
    said = refusal(capsys, "status")
    assert said.startswith(sentence)
    assert said.count("\n") == 1


def test_two_bad_settings_are_two_sentences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PACKSHOT_PORT", "-1")
    monkeypatch.setenv("PACKSHOT_CYCLE_HOURS", "0")
    assert refusal(capsys, "status").count("\npackshot: PACKSHOT_") == 1


def test_a_broken_program_is_not_dressed_up_as_a_refusal() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.sentences(ZeroDivisionError())


def test_status_of_a_folder_where_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--data", str(tmp_path)]) == 3
    assert capsys.readouterr().out.startswith(f"Nothing runs on {tmp_path}.")


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").touch()
    said = refusal(capsys, "up", "--data", str(tmp_path / "data"))
    assert said == f"packshot: The data folder {tmp_path / 'data'} cannot be used: File exists. " + (
        "Choose another with --data.\n"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    assert "Permission denied" in refusal(capsys, "up", "--data", str(tmp_path / "data"))


def test_a_port_that_is_taken_is_refused_with_who_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refusal(capsys, "up", "--data", str(tmp_path), "--port", str(port))
    assert said.startswith(f"packshot: Port {port} is taken by {psutil.Process().name()} (pid {os.getpid()}).")
    assert said.endswith("or --port 0 for any free one.\n")


def test_a_host_that_is_not_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PACKSHOT_PUBLIC_URL", "https://packshot.example.org")
    said = refusal(capsys, "up", "--data", str(tmp_path), "--host", "192.0.2.1", "--port", "0")
    assert said == "packshot: 192.0.2.1 port 0 cannot be listened on: Cannot assign requested address.\n"


def test_a_database_that_does_not_answer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PACKSHOT_DATABASE_URL", "postgresql://me@127.0.0.1:1/none")
    assert "The database cannot be used: connection failed" in refusal(capsys, "migrate")


@pytest.fixture
def never_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test when a part is started after all, in place of the test process."""
    for place, name in ((os, "execv"), (uvicorn.Server, "run")):
        monkeypatch.setattr(place, name, lambda *_, **__: pytest.fail("it was started"))


@pytest.mark.usefixtures("never_started")
@pytest.mark.parametrize("command", ["web", "sweeper", "worker cpu"])
@pytest.mark.parametrize(
    ("database_url", "redis_url", "sentence"),
    [
        (None, "redis://127.0.0.1:1/0", "packshot: PACKSHOT_DATABASE_URL is not set."),
        ("postgresql://me@127.0.0.1:1/none", None, "packshot: PACKSHOT_REDIS_URL is not set."),
        ("postgresql://me@127.0.0.1:1/none", "http://here", "packshot: PACKSHOT_REDIS_URL must be a Redis address"),
        ("postgresql://me@127.0.0.1:1/none", "redis://127.0.0.1:1/0", "packshot: The database cannot be used: conn"),
        ("postgresql://me@here:port/none", "redis://127.0.0.1:1/0", "packshot: The database cannot be used: invalid"),
    ],
)
def test_a_part_run_alone_needs_both_addresses_and_a_database_that_answers(
    command: str,
    database_url: str | None,
    redis_url: str | None,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, url in (("DATABASE", database_url), ("REDIS", redis_url)):
        monkeypatch.delenv(f"PACKSHOT_{name}_URL", raising=False)
        if url is not None:
            monkeypatch.setenv(f"PACKSHOT_{name}_URL", url)
    said = refusal(capsys, *command.split())
    assert said.startswith(sentence)
    assert said.count("\n") == 1


def test_a_link_from_a_database_that_does_not_answer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PACKSHOT_DATABASE_URL", "postgresql://me@127.0.0.1:1/none")
    said = refusal(capsys, "link", "--data", str(tmp_path))
    assert said.startswith("packshot: The database cannot be used: connection failed")
    assert said.count("\n") == 1


def test_a_name_too_long_for_a_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, "demo", "--images", "a" * 5000)
    assert said == f"packshot: “{'a' * 60}…” is too long for the name of a file or a folder.\n"


@pytest.mark.parametrize("arguments", [("migrate",), ("link",)])
def test_commands_that_need_a_database_say_so(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PACKSHOT_DATA_DIR", str(tmp_path / "none"))
    assert "`packshot up`" in refusal(capsys, *arguments)


def test_doctor_finds_the_shipped_parts_and_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["doctor", "--data", str(tmp_path / "new")])
    said = capsys.readouterr().out
    assert "PostgreSQL: the one that came with the installation." in said
    assert "Redis: the one that came with the installation." in said
    assert "can be made" in said
    assert not (tmp_path / "new").exists()


def test_doctor_tells_how_to_mend_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PACKSHOT_BASE_MODEL", str(tmp_path / "nothing"))
    monkeypatch.setenv("PACKSHOT_REDIS_URL", "redis://127.0.0.1:1/0")
    assert cli.main(["doctor", "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "BAD   Redis does not take connections" in said
    assert "Check PACKSHOT_REDIS_URL." in said
    assert "Set PACKSHOT_BASE_MODEL to a model's folder." in said


def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    for mode in (0o777, 0o702, 0o1777):
        folder.chmod(mode)
        assert f"chmod o-w {folder}" in refusal(capsys, "up", "--data", str(folder))
        cli.main(["doctor", "--data", str(folder)])
        assert f"BAD   Everybody on this machine may write to the data folder {folder}." in capsys.readouterr().out
    folder.chmod(0o770)
    cli.main(["doctor", "--data", str(folder)])
    assert f"note  Data folder {folder}: its group may write to it." in capsys.readouterr().out


def test_everything_runs_and_status_says_so(running: Up) -> None:
    told = packshot("status", "--data", str(running.data_dir))
    assert told.returncode == 0, told.stdout + told.stderr
    assert running.state.is_ready
    assert set(running.state.parts) >= {"PostgreSQL", "Redis", "web app", "cpu worker", "sweeper"}
    for part in running.state.parts:
        assert f"{part:<12} runs" in told.stdout
    assert "cpu jobs: 0 running, 0 waiting" in told.stdout


def test_doctor_sees_what_runs(running: Up) -> None:
    told = packshot("doctor", "--data", str(running.data_dir)).stdout
    assert f"Packshot runs on it at {running.state.address}" in told
    assert "Redis takes connections" in told
    assert "answers (the one of the data folder)" in told


def test_people_are_changed_from_the_terminal(running: Up) -> None:
    with transaction(create_engine(running.state.database_url, poolclass=NullPool)) as session:
        mei = cast.person(session, "Mei")

    def told(*arguments: str) -> str:
        done = packshot("people", *arguments, "--data", str(running.data_dir))
        return done.stdout + done.stderr

    assert "owner@localhost" in told()
    assert "no access" in told(mei.email, "--owner"), "an owner, without any way in yet"
    with transaction(create_engine(running.state.database_url, poolclass=NullPool)) as session:
        assert people.get(session, mei.id).role == "owner"
    assert "only owner" not in told("owner@localhost", "--annotator")
    assert "only owner" in told(mei.email, "--delete")
    told("owner@localhost", "--owner")
    assert "disabled" in told(mei.email, "--end")
    assert "is disabled" in packshot("link", mei.email, "--data", str(running.data_dir)).stderr
    assert "disabled" not in told(mei.email, "--enable")
    assert mei.email not in told(mei.email, "--delete")
    assert "Nobody here has the e-mail" in told(mei.email, "--end")
    assert "Name whom" in told("--end")


def test_the_address_answers_and_the_link_leads_in(running: Up) -> None:
    host, _, port = running.state.address.removeprefix("http://").partition(":")
    assert answers(host, int(port))
    for link in (running.link(), packshot("link", "--data", str(running.data_dir)).stdout.strip()):
        assert link.startswith(f"{running.state.address}/links/")
    with urllib.request.urlopen(link, timeout=30) as page:  # noqa: S310
        assert page.status == 200


def test_a_link_for_a_stranger_is_refused(running: Up) -> None:
    told = packshot("link", "nobody@example.org", "--data", str(running.data_dir))
    assert (told.returncode, told.stderr) == (2, "packshot: Nobody here has the e-mail nobody@example.org.\n")


def test_no_sign_in_link_lands_in_a_log(running: Up) -> None:
    token = running.link().rpartition("/")[2]
    for log in (running.data_dir / "logs").glob("*.log"):
        assert token not in log.read_text(errors="replace")


def test_nothing_in_the_data_folder_is_open_to_others(running: Up) -> None:
    for path in (running.data_dir, *running.data_dir.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXO & ~stat.S_IXOTH) == 0, path


def test_a_second_start_on_the_folder_is_refused(running: Up) -> None:
    told = packshot("up", "--data", str(running.data_dir))
    assert told.returncode == 2
    assert told.stdout == ""
    assert told.stderr == (
        f"packshot: The data folder {running.data_dir} is in use: Packshot runs on it at {running.state.address} "
        f"(pid {running.process.pid}). Stop that one, or choose another folder with --data.\n"
    )


def test_a_port_of_another_packshot_names_its_supervisor(running: Up, tmp_path: Path) -> None:
    port = running.state.address.rpartition(":")[2]
    told = packshot("up", "--data", str(tmp_path), "--port", port)
    assert f"Port {port} is taken by another Packshot (pid {running.process.pid})" in told.stderr


def test_only_the_gpu_worker_may_load_torch(running: Up) -> None:
    for part, known in running.state.parts.items():
        if known and part != "gpu worker":
            maps = Path(f"/proc/{known.pid}/maps").read_text()
            assert "libtorch" not in maps, part


@pytest.mark.slow
def test_a_terminated_supervisor_stops_everything(tmp_path: Path) -> None:
    with up(tmp_path / "data") as one:
        assert len(one.family()) >= 6
        code, seconds = one.end(signal.SIGTERM)
        assert (code, one.family()) == (0, [])
        assert seconds < STOPS_WITHIN_S
        assert host_state(one.data_dir) is None
        assert not (one.data_dir / "up.json").exists()
        assert "database system is shut down" in (one.data_dir / "logs" / "postgresql.log").read_text()
        assert one.said.endswith("Stopping. Ctrl-C again to hurry.\nStopped.\n")


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [(("doctor",), {141}), (("status",), {141}), (("--help",), {0, 141}), (("up", "--help"), {0, 141})],
)
def test_a_reader_that_is_gone_leaves_no_trace(tmp_path: Path, arguments: tuple[str, ...], codes: set[int]) -> None:
    """`packshot status | head -0`: what cannot be read any more is not complained about."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nowhere:
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            cwd=PROJECT, stdout=nowhere, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "PACKSHOT_DATA_DIR": str(tmp_path)},
        )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode in codes


def test_an_error_that_nobody_reads_leaves_no_trace(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nowhere:
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", "link"], cwd=PROJECT, stdout=subprocess.PIPE, stderr=nowhere, check=False,
            env={**os.environ, "PACKSHOT_DATA_DIR": str(tmp_path)},
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (141, b"")


def test_an_old_name_of_a_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PACKSHOT_IS_PLAIN_HTTP_ALLOWED", "true")
    assert cli.main(["status"]) == 2
    said = "packshot: PACKSHOT_IS_PLAIN_HTTP_ALLOWED is called PACKSHOT_ALLOW_PLAIN_HTTP now; rename it.\n"
    assert capsys.readouterr().err == said
