"""A data set on a model hub as a source: which files it has at one commit, and fetching some of them.

Only files are read, never a loading script. They lie below the data folder while they are taken in, some at a time
(`hauls`, `streaming`). Where the hub cannot be asked, what its cache on this machine holds will do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote, unquote

from app.errors import DiskFull, Refused, is_disk_full
from app.intake.sources.naming import is_passed_over
from app.storage import Storage, atomic_file

FOLDER: Final = "hub"
_NAME: Final = re.compile(
    # As written by hand, and as copied from a browser: of the data set, of its viewer, of its files at a revision.
    r"(?:hf://datasets/|https?://(?:www\.)?(?:huggingface\.co|hf\.co)/datasets/)([\w.-]{1,96}/[\w.-]{1,96})"
    r"(?:@([\w./+-]{1,200})|/(?:tree|blob)/([\w.+-]{1,200})(?:/.*)?|/(?:viewer|discussions)(?:/.*)?)?/?(?:[?#].*)?"
)
_OFFLINE: Final = "The model hub cannot be reached from here, and {} is not on this machine."
_GOES_ON: Final = "What was taken in stays; go on when that has passed."
# The hub counts requests over five minutes, and a folder of photos has one for each.
PATIENCE_S: Final = 1_200.0
_WAIT_S: Final = 30.0
# Small files are mostly waited for.
_AT_ONCE: Final = 6

Beat = Callable[[], None]


@dataclass(frozen=True, slots=True)
class HubDataset:
    """A data set on the hub, `MAKER/NAME`, and the revision asked for: a commit, a tag or a branch."""

    name: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"hf://datasets/{self.name}@{self.revision}"

    def folder(self, storage: Storage) -> Path:
        """The folder that stands for it as a source; what intakes fetch of it lies below."""
        return storage.root / FOLDER / f"{quote(self.name, safe='')}@{quote(self.revision, safe='')}"


@dataclass(frozen=True, slots=True)
class HubListing:
    """What a data set holds at a commit: the bytes of each file that may be read, by name."""

    commit: str
    sizes: dict[str, int]


def named(text: str) -> HubDataset | None:
    """The data set that a text names, `hf://datasets/MAKER/NAME@REVISION` or its page on the web; None for others."""
    match = _NAME.fullmatch(text.strip())
    return HubDataset(match[1], match[2] or match[3] or "main") if match and ".." not in text else None


def of_folder(storage: Storage, folder: Path) -> HubDataset | None:
    """The data set whose files lie in a folder; None for every other folder."""
    if folder.parent != storage.root / FOLDER or "@" not in folder.name:
        return None
    name, revision = folder.name.rsplit("@", 1)
    return HubDataset(unquote(name), unquote(revision))


def listing(wanted: HubDataset, commit: str | None, kept: Path, beat: Beat) -> HubListing:
    """The files of a data set at a commit; where that is None, at the commit that its revision means at this moment.

    It is asked once, and kept in the file `kept`. Raises Refused where the hub cannot be reached, has no such data set,
    or keeps it for those who asked; and what `beat` does.
    """
    if kept.is_file():
        return HubListing(**json.loads(kept.read_bytes()))
    beat()
    listed = _ask(wanted, commit or wanted.revision, beat)
    with atomic_file(kept) as file:
        file.write(json.dumps(asdict(listed)).encode())
    return listed


def fetch(storage: Storage, wanted: HubDataset, commit: str, files: Mapping[str, int], into: Path, beat: Beat) -> None:
    """Fetch those of these files, bytes by name, that a folder lacks. `beat` is called on the way, and may raise.

    What is fetched half goes on where it was. Raises Refused where the hub does not give a file, and DiskFull.
    """
    missing = [name for name in files if not (into / name).is_file()]
    storage.refuse_below_reserve(sum(files[name] for name in missing))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(missing), _AT_ONCE):
            beat()
            some = missing[start : start + _AT_ONCE]
            storage.refuse_below_reserve(sum(files[name] for name in some))
            for _ in pool.map(lambda name: _fetch_one(wanted, commit, name, into, beat), some):
                pass


def _fetch_one(wanted: HubDataset, commit: str, name: str, into: Path, beat: Beat) -> None:
    # It takes a second to import.
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cache = os.environ.get("HF_HUB_CACHE")
    cached = try_to_load_from_cache(wanted.name, name, cache_dir=cache, revision=commit, repo_type="dataset")
    try:
        if isinstance(cached, str):
            _place(Path(os.path.realpath(cached)), into / name)
            return
        # Into this very folder: in the hub's cache it would lie for good.
        _patiently(
            lambda: hf_hub_download(wanted.name, name, repo_type="dataset", revision=commit, local_dir=into), beat
        )
    except (_Unanswered, OSError) as failure:
        error = failure.error if isinstance(failure, _Unanswered) else failure
        if is_disk_full(error):
            raise DiskFull(f"The disk is full: {name} of {wanted} was not fetched. {_GOES_ON}") from error
        raise Refused(f"{name} of {wanted} cannot be fetched: {_why_unfetched(wanted, error)}") from error


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
        return f"The model hub has had too many requests from here. {_GOES_ON}"
    return f"The model hub answers {answer.status_code}. {_GOES_ON}"


def _why_unfetched(wanted: HubDataset, error: Exception) -> str:
    from huggingface_hub import errors

    if answered := _why_answered(wanted, error):
        return answered
    is_of_this_machine = isinstance(error, OSError) and not isinstance(
        error, (ConnectionError, TimeoutError, errors.LocalEntryNotFoundError)
    )
    if is_of_this_machine:
        return f"{' '.join(str(error).split())[:300]}"
    return f"the model hub cannot be reached any more. {_GOES_ON}"


def _ask(wanted: HubDataset, revision: str, beat: Beat) -> HubListing:
    """The listing as the hub tells it, or its cache on this machine where that cannot be reached."""
    from huggingface_hub import HfApi, errors, snapshot_download

    def ask() -> Any:
        return HfApi().dataset_info(wanted.name, revision=revision, files_metadata=True, timeout=20)

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
    return HubListing(commit, {name: sizes[name] for name in sorted(sizes) if _may_be_read(name)})


def _may_be_read(name: str) -> bool:
    """Whether a file's name stays in the folder, and is not one that is passed over."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and not any(map(is_passed_over, parts))


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


def licence(readme: Path) -> str:
    """The licence that a data set's card names in its head; empty where it names none."""
    import yaml

    try:
        text = readme.read_text(encoding="utf-8")
        head = re.match(r"\s*---\r?\n(.*?)\r?\n---", text, re.DOTALL)
        value = (yaml.safe_load(head[1]) or {}).get("license") if head else None
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
