"""A data set on a model hub as the source of an intake: its files fetched one by one at one commit, then taken in.

Only files are read, never a loading script. They lie in a folder of their own below the data folder, which the intake
takes in like any other and then removes; a job taken up again keeps to the commit it began with and fetches what is
missing. Where the hub cannot be asked, what its cache on this machine holds will do.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote, unquote

from sqlalchemy import JSON, cast, literal, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Catalog, Image, Intake
from app.errors import DiskFull, Refused, is_disk_full
from app.intake import ingest
from app.intake.finding import Wanted
from app.intake.sources.naming import PARQUETS, PICTURE_NAMES, TARS, ZIPS
from app.people import Person
from app.storage import Storage

FOLDER: Final = "hub"
_NAME: Final = re.compile(
    r"(?:hf://datasets/|https://huggingface\.co/datasets/)([\w.-]{1,96}/[\w.-]{1,96})(?:@([\w./-]{1,200}))?/?"
)
# Pictures, what holds many of them, and words that stand beside them; the README says under which licence.
_WANTED: Final = PICTURE_NAMES | ZIPS | TARS | PARQUETS | {".csv", ".tsv", ".jsonl", ".json", ".txt", ".caption"}
_README: Final = "README.md"
_COMMIT: Final = ".commit"
_OFFLINE: Final = "The model hub cannot be reached from here, and {} is not on this machine."
# The hub counts requests over five minutes, and a folder of photos has one for each.
PATIENCE_S: Final = 1_200.0
_WAIT_S: Final = 30.0

Beat = Callable[[], None]


@dataclass(frozen=True, slots=True)
class HubDataset:
    """A data set on the hub, `MAKER/NAME`, and the revision asked for: a commit, a tag or a branch."""

    name: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"hf://datasets/{self.name}@{self.revision}"

    def folder(self, storage: Storage) -> Path:
        """Where its files lie while they are taken in."""
        return storage.root / FOLDER / f"{quote(self.name, safe='')}@{quote(self.revision, safe='')}"


def named(text: str) -> HubDataset | None:
    """The data set that a text names, `hf://datasets/MAKER/NAME@REVISION` or its page on the web; None for others."""
    match = _NAME.fullmatch(text.strip())
    return HubDataset(match[1], match[2] or "main") if match and ".." not in text else None


def of_folder(storage: Storage, folder: Path) -> HubDataset | None:
    """The data set whose files lie in a folder; None for every other folder."""
    if folder.parent != storage.root / FOLDER or "@" not in folder.name:
        return None
    name, revision = folder.name.rsplit("@", 1)
    return HubDataset(unquote(name), unquote(revision))


def request_intake(session: Session, storage: Storage, catalog: Catalog, wanted: HubDataset, person: Person) -> Intake:
    """Ask for a data set to be taken in; one that waits already is the same. Nothing is asked of the hub yet."""
    folder = wanted.folder(storage)
    if asked := ingest.waiting(session, catalog, folder):
        return asked
    intake = Intake(catalog_id=catalog.id, folder=str(folder))
    session.add(intake)
    session.flush()
    intake.job_id = jobs.request(session, "intake.take_in", {"intake_id": intake.id}, person).id
    session.flush()
    return intake


def fetch(storage: Storage, wanted: HubDataset, beat: Beat, tried: Wanted | None = None) -> None:
    """Fetch the files of a data set that its folder lacks. `beat` is called before each, and may raise.

    `tried` are the entries for whose sake it is done again: of pictures, archives and tables of them only those.

    Raises Refused where the hub cannot be reached, has no such data set, or keeps it for those who asked; and DiskFull.
    """
    # It takes a second to import.
    from huggingface_hub import hf_hub_download

    folder = wanted.folder(storage)
    folder.mkdir(parents=True, exist_ok=True)
    beat()
    commit, sizes = _listed(wanted, folder, beat)
    files = {name: size for name, size in sizes.items() if _is_wanted(name)}
    if tried is not None:
        files = {name: size for name, size in files.items() if _may_concern(tried, name)}
    if not any(name != _README for name in files):
        raise Refused(f"{wanted} holds no pictures, archives or tables that can be taken in.")
    missing = {name: size for name, size in files.items() if not (folder / name).exists()}
    storage.refuse_below_reserve(sum(missing.values()))
    cache = os.environ.get("HF_HUB_CACHE")
    for name in sorted(missing):
        beat()
        storage.refuse_below_reserve(missing[name])

        def download(name: str = name) -> str:
            return hf_hub_download(wanted.name, name, repo_type="dataset", revision=commit, cache_dir=cache)

        try:
            kept = _patiently(download, beat)
        except _Unanswered as failure:
            error = failure.error
            if is_disk_full(error):
                raise DiskFull(f"The disk of the hub's cache is full: {name} of {wanted} was not fetched.") from error
            why = _why_answered(wanted, error) or _reason(error)
            raise Refused(f"{name} of {wanted} cannot be fetched: {why}") from error
        _place(Path(os.path.realpath(kept)), folder / name)


class _Unanswered(Exception):
    """The hub's client raised this error; a beat raises what it likes beside it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _patiently(ask: Callable[[], Any], beat: Beat) -> Any:
    """What the hub answers, asked again after as long as it says while it has had too many requests.

    Raises _Unanswered, and what `beat` does.
    """
    left_s = PATIENCE_S
    while True:
        try:
            return ask()
        except Exception as error:
            answer = _answer(error)
            wait_s = _asked_to_wait_s(answer) if answer is not None and answer.status_code == 429 else left_s + 1
            if wait_s > left_s:
                raise _Unanswered(error) from error
        left_s -= wait_s
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            beat()
            time.sleep(min(1.0, wait_s))


def _answer(error: BaseException | None) -> Any:
    """The hub's own answer that an error is about; None where it did not answer."""
    while error is not None:
        if (answer := getattr(error, "response", None)) is not None:
            return answer
        error = error.__cause__
    return None


def _asked_to_wait_s(answer: Any) -> float:
    asked = re.search(r"^\d{1,6}$", answer.headers.get("Retry-After", "").strip())
    # Of this many requests there are so many left, until in t seconds the count begins anew.
    begins_anew = re.search(r";\s*t=(\d{1,6})", answer.headers.get("RateLimit", ""))
    return float(asked[0] if asked else begins_anew[1] if begins_anew else _WAIT_S)


def _why_answered(wanted: HubDataset, error: Exception) -> str:
    """What the hub's answer means, in a sentence; empty where it did not answer."""
    from huggingface_hub import errors

    answer = _answer(error)
    if answer is None:
        return ""
    if isinstance(error, errors.GatedRepoError) or answer.status_code == 403:
        return f"{wanted} is kept for people who asked on its page, and HF_TOKEN names none."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{wanted.name} has no revision {wanted.revision}."
    if isinstance(error, errors.RepositoryNotFoundError) or answer.status_code == 401:
        return f"The model hub has no data set {wanted.name}, or none that it shows here."
    if answer.status_code == 429:
        return "The model hub has had too many requests from here. What was fetched is kept; take it in again later."
    return f"The model hub answers {answer.status_code}. What was fetched is kept; take it in again later."


def _listed(wanted: HubDataset, folder: Path, beat: Beat) -> tuple[str, dict[str, int]]:
    """The commit that this intake keeps to, and the files of the data set there with their bytes."""
    from huggingface_hub import HfApi, errors, snapshot_download

    def ask() -> Any:
        return HfApi().dataset_info(wanted.name, revision=revision, files_metadata=True, timeout=20)

    kept = folder / _COMMIT
    revision = kept.read_text() if kept.is_file() else wanted.revision
    try:
        about = _patiently(ask, beat)
        commit = str(about.sha)
        sizes = {file.rfilename: file.size or 0 for file in about.siblings or ()}
    except _Unanswered as failure:
        unreached, answer = failure.error, _answer(failure.error)
        if answer is not None and answer.status_code < 500:
            raise Refused(_why_answered(wanted, unreached)) from unreached
        # Whatever lies between here and the hub: no network, a proxy, HF_HUB_OFFLINE.
        try:
            cache = os.environ.get("HF_HUB_CACHE")
            place = snapshot_download(
                wanted.name, repo_type="dataset", revision=revision, cache_dir=cache, local_files_only=True
            )
        except (errors.LocalEntryNotFoundError, OSError, ValueError):
            raise Refused(_why_answered(wanted, unreached) or _OFFLINE.format(wanted)) from unreached
        commit = Path(place).name
        present = (path for path in Path(place).rglob("*") if path.is_file())
        sizes = {path.relative_to(place).as_posix(): path.stat().st_size for path in present}
    kept.write_text(commit)
    return commit, sizes


def _is_wanted(name: str) -> bool:
    """Whether a file is one to take in, and its name one that stays in the folder."""
    parts = PurePosixPath(name).parts
    if not parts or any(part.startswith(".") for part in parts) or name.startswith("/"):
        return False
    return name == _README or PurePosixPath(name).suffix.lower() in _WANTED


def _may_concern(tried: Wanted, name: str) -> bool:
    """Whether a file is tried again, holds what is, or may say something of it."""
    is_words = PurePosixPath(name).suffix.lower() not in PICTURE_NAMES | ZIPS | TARS | PARQUETS
    return is_words or tried.holds(name) or any(own.startswith(f"{name}/") for own in tried.names)


def _place(kept: Path, target: Path) -> None:
    """The file that the hub's cache keeps, under its name: without a second copy where one disk holds both."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with suppress(FileNotFoundError):
            beside.unlink()
        try:
            os.link(kept, beside)
        except OSError:
            shutil.copyfile(kept, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def mark(session: Session, storage: Storage, intake: Intake) -> None:
    """Say of every photo of an intake which data set, at which commit, it is from, and under which licence that is;
    what its own row says counts first (see `catalog.rights`)."""
    folder = Path(intake.folder)
    wanted = of_folder(storage, folder)
    if wanted is None or not (folder / _COMMIT).is_file():
        return
    said = {"origin": str(HubDataset(wanted.name, (folder / _COMMIT).read_text()))}
    if licence := _licence(folder / _README):
        said["usage_terms"] = licence
    more = cast(literal(said, JSON), JSONB).op("||")(Image.extra)
    session.execute(update(Image).where(Image.intake_id == intake.id).values(extra=more))


def _licence(readme: Path) -> str:
    """The licence that a data set's card names in its head; empty where it names none."""
    import yaml

    try:
        text = readme.read_text(encoding="utf-8")
        head = re.match(r"\s*---\r?\n(.*?)\r?\n---", text, re.DOTALL)
        value = (yaml.safe_load(head[1]) or {}).get("license") if head else None
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def discard(storage: Storage, folder: Path) -> None:
    """Remove the files of a data set that was taken in; leaves every other folder alone."""
    if of_folder(storage, folder) is not None:
        shutil.rmtree(folder, ignore_errors=True)
