"""`packshot backup` and `packshot restore`: the database and the files of a data folder, in one file.

The database is dumped first, in one snapshot, by PostgreSQL's own `pg_dump`; then the files are copied. A row is
written only once its file is there, so every file that the snapshot names is in the copy, however much goes on
meanwhile. What can be made again or means nothing elsewhere is left out: caches, logs, preflights, and uploads that
were not taken in yet.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from psycopg.conninfo import make_conninfo
from sqlalchemy import NullPool, create_engine, inspect, make_url, text

from app.database import migrate, transaction
from app.errors import DiskFull, Refused, is_disk_full
from app.host import servers
from app.host.state import host_state, locked, make_folder
from app.removal import backups, photos
from app.removal.backups import TakenDown
from app.settings import Settings
from app.storage import Storage

FOLDERS: Final = ("files", "datasets", "runs", "models")
DUMP: Final = "database.dump"
SHEET: Final = "packshot.json"
FORMAT: Final = 1
_OURS: Final = tuple((folder,) for folder in FOLDERS)


def back_up(settings: Settings, file: Path) -> str:
    """Write database and files into a new file, running or not; a sentence about it. Raises Refused, DiskFull."""
    data_dir = settings.data_dir.resolve()
    if file.exists():
        raise Refused(f"{file} is there already. Name a new file.")
    if not file.parent.is_dir():
        raise Refused(f"There is no folder {file.parent}.")
    if settings.database_url is None and not (data_dir / "postgres").is_dir():
        raise Refused(f"There is nothing in {data_dir} to back up.")
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with _database(settings, data_dir) as url, _opened(unfinished, "w") as archive:
            _add_bytes(archive, SHEET, json.dumps({"format": FORMAT, "at": datetime.now(UTC).isoformat()}).encode())
            dump = unfinished.with_suffix(".dump")
            try:
                _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={dump}")
                archive.add(dump, DUMP)
            finally:
                dump.unlink(missing_ok=True)
            count = sum(_add(archive, data_dir, path) for folder in FOLDERS for path in _files(data_dir / folder))
            # A backup that is told of and is not there is passed over; one that nobody is told of is worse.
            _note(url, file)
        size_bytes = unfinished.stat().st_size
        unfinished.rename(file)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"The disk with {file.parent} is full. No backup was written.") from error
        raise Refused(f"The backup cannot be written: {error.strerror or error}.") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return (
        f"{file}: the database and {count:,} files, {size_bytes >> 20:,} MB. Left out: caches, logs, preflights, and "
        "uploads that were not taken in yet. Passwords are in it as hashes: keep it as you keep the data folder."
    )


def _note(url: str, file: Path) -> None:
    """Write down where the backup lies, so that who removes a photo is told; not in a database of long ago."""
    engine = create_engine(url, poolclass=NullPool)
    if inspect(engine).has_table("audit_entry"):
        with transaction(engine) as session:
            backups.note(session, file)


def restore(settings: Settings, file: Path, removed: Path | None = None) -> str:
    """Make a data folder from a backup, whole or not at all; a sentence about it.

    Photos that an owner removed after it was made are removed again: those of the list `removed`, or of the one beside
    the backup. With a database of the team's own, that has to be empty. Raises Refused, DiskFull.
    """
    data_dir = settings.data_dir.resolve()
    if data_dir.exists() and any(data_dir.iterdir()):
        raise Refused(f"{data_dir} is not empty. Name a new folder with --data; nothing is ever written over.")
    beside = file.parent / backups.LIST
    listed = removed or (beside if beside.exists() else None)
    taken_down = list(backups.read(listed)) if listed else []
    stage = data_dir.with_name(f".{data_dir.name}.{os.getpid()}.restoring")
    # As under `packshot up`: what root restores is walked through by PostgreSQL's user, and open to nobody else.
    before = os.umask(0o077)
    try:
        make_folder(stage)
        with _opened(file, "r") as archive:
            at = _unpack(archive, stage)
        with _empty_database(settings, stage) as url:
            _run("pg_restore", url, "--no-owner", "--exit-on-error", "--single-transaction", str(stage / DUMP))
            # Whoever was signed in then may have lost access since.
            with transaction(create_engine(url, poolclass=NullPool)) as session:
                for table in ("sign_in", "sign_in_link"):
                    session.execute(text(f"delete from {table}"))  # noqa: S608 - names of ours
            count = _remove_again(url, stage, taken_down) if taken_down else 0
        (stage / DUMP).unlink()
        if data_dir.exists():
            data_dir.rmdir()
        stage.rename(data_dir)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"The disk with {data_dir.parent} is full. Nothing was restored.") from error
        raise Refused(f"The backup cannot be restored: {error.strerror or error}.") from error
    finally:
        os.umask(before)
        shutil.rmtree(stage, ignore_errors=True)
    removals = f"Photos removed again that an owner removed since: {count:,}."
    if listed is None:
        removals = f"Photos that were removed since are back: {beside}, the list of them, is not there."
    return (
        f"{data_dir} is as it was at {at}. {removals} Everybody is signed out. Who had access then has it again: look "
        f"at the team. Start it with: packshot up --data {data_dir}"
    )


def _remove_again(url: str, stage: Path, taken_down: Sequence[TakenDown]) -> int:
    """Remove what an owner removed after the backup was made; how many photos that were."""
    migrate(url)
    with transaction(create_engine(url, poolclass=NullPool)) as session:
        count, going = photos.remove_again(session, Storage(stage), taken_down)
    for path in going:
        (stage / path).unlink(missing_ok=True)
    return count


@contextmanager
def _database(settings: Settings, data_dir: Path) -> Iterator[str]:
    """The address of the database, which is started for the while where nothing runs."""
    state = host_state(data_dir)
    if settings.database_url or state:
        yield settings.database_url or (state.database_url if state else "")
        return
    with ExitStack() as stack:
        stack.enter_context(locked(data_dir))
        server = servers.postgres(data_dir)
        stack.enter_context(servers.run(server))
        yield server.url


@contextmanager
def _empty_database(settings: Settings, stage: Path) -> Iterator[str]:
    """A new database in the folder, or the team's own. Raises Refused where that holds anything."""
    if settings.database_url is None:
        server = servers.postgres(stage)
        with servers.run(server):
            yield server.url
        shutil.rmtree(stage / "run", ignore_errors=True)
        return
    if inspect(create_engine(settings.database_url, poolclass=NullPool)).get_table_names():
        raise Refused("The database of PACKSHOT_DATABASE_URL is not empty. Name a new one.")
    yield settings.database_url


def _run(program: str, url: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs on a database. Raises Refused with its last words.

    The password goes by the environment: what stands on a command line, everybody on the machine can read.
    """
    address = make_url(url)
    parts: dict[str, Any] = {"host": address.host, "port": address.port, "user": address.username}
    named = {key: value for key, value in parts.items() if value is not None}
    place = make_conninfo(dbname=address.database, **named, **{key: str(value) for key, value in address.query.items()})
    secret = {"PGPASSWORD": str(address.password)} if address.password else {}
    done = subprocess.run(
        [str(servers.postgres_programs() / program), f"--dbname={place}", *arguments],
        env={**os.environ, **secret}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["it said nothing"])[0]
        raise Refused(f"{program} did not finish: {words}")


@contextmanager
def _opened(file: Path, mode: str) -> Iterator[tarfile.TarFile]:
    """A tar file, readable for us alone. Raises Refused for one that is none."""
    flags = os.O_RDONLY if mode == "r" else os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(file, flags, 0o600), "rb" if mode == "r" else "wb") as raw:
            with tarfile.open(fileobj=raw, mode=f"{mode}:") as archive:  # type: ignore[call-overload]
                yield archive
            if mode == "w":
                raw.flush()
                os.fsync(raw.fileno())
    except tarfile.TarError as error:
        raise Refused(f"{file} is no backup, or not whole ({error}).") from error


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, sorted. What is hidden is being written; links are nobody's bytes."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(place) / name for name in sorted(names) if not name.startswith("."))
        yield from (path for path in paths if not path.is_symlink())


def _add(archive: tarfile.TarFile, data_dir: Path, path: Path) -> bool:
    """Add one file as it is at this moment; whether it is still there."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as source:
            facts = archive.gettarinfo(arcname=path.relative_to(data_dir).as_posix(), fileobj=source)
            facts.type, facts.uid, facts.gid, facts.uname, facts.gname = tarfile.REGTYPE, 0, 0, "", ""
            archive.addfile(facts, source)
    except (FileNotFoundError, IsADirectoryError):
        return False
    return True


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    facts = tarfile.TarInfo(name)
    facts.size = len(data)
    archive.addfile(facts, io.BytesIO(data))


def _unpack(archive: tarfile.TarFile, stage: Path) -> str:
    """Unpack plain files of our own folders and nothing else; when the backup was made. Raises Refused."""
    at = ""
    for member in archive:
        path = PurePosixPath(member.name)
        is_ours = member.name in (SHEET, DUMP) or (path.parts[:1] in _OURS and not path.is_absolute())
        if not member.isreg() or not is_ours or ".." in path.parts:
            raise Refused(f"This is no backup of Packshot: it holds {member.name[:100]}.")
        content: IO[bytes] = archive.extractfile(member)  # type: ignore[assignment]
        if member.name == SHEET:
            at = _read_sheet(content.read(4096))
            continue
        target = stage / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
    if not at or not (stage / DUMP).is_file():
        raise Refused("This is no whole backup of Packshot: it has no database.")
    return at


def _read_sheet(content: bytes) -> str:
    """When the backup was made. Raises Refused for one of another version, or that says nothing of itself."""
    try:
        sheet = json.loads(content)
        version, at = sheet["format"], datetime.fromisoformat(sheet["at"])
    except (ValueError, KeyError, TypeError):
        raise Refused(f"This is no whole backup of Packshot: its {SHEET} cannot be read.") from None
    if version != FORMAT:
        raise Refused("This backup was made by another version of Packshot. Restore it with that one.")
    return at.isoformat()
