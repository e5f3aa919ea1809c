"""Writing a version shard by shard, so that whoever is killed in between loses one shard and no more.

A shard is a file or a folder of one split. It is written under another name, flushed and renamed, so a shard that is
there is whole. What goes into which is decided once and kept beside them, as is who was left out; so an export that was
interrupted ends with the same bytes as one that was not. All of it lies in a hidden folder beside the export's own
place, and is moved there when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, get_args

from app.datasets.manifest import Split
from app.errors import DiskFull, Refused
from app.exports.members import ExportMember, Outgoing
from app.storage import atomic_file, free_on, fsync, saying_full

NAMED_AT_MOST: Final = 5
TOLD_EVERY: Final = 100
_READ_BYTES: Final = 1 << 20
MISSING: Final = "missing"
CHANGED: Final = "not the one that was frozen"


@dataclass(frozen=True, slots=True)
class Shard:
    """Members `first` to before `stop` of one split; `number` counts the split's shards from 0.

    `repeats` is how often each of them is shown, where the format parts them by that.
    """

    split: Split
    number: int
    first: int
    stop: int
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class ExportPhoto:
    """A member with the bytes of its picture, which are the ones that were frozen.

    They lie where the next picture is read to: whoever keeps them until then copies them.
    """

    member: ExportMember
    data: memoryview


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for beside the format. `repeats`, on top of those of the version, is for kohya's folders alone."""

    leaves_out: bool = False
    repeats: int = 1


class Format(Protocol):
    """A format: how large its shards are, where each lies, how it is written, and what is written around them.

    One that `PARTS_REPEATS` holds in a shard only photos that are shown equally often.
    """

    SHARD_BYTES: int
    SHARD_PHOTOS: int
    PARTS_REPEATS: bool

    def place(self, outgoing: Outgoing, shard: Shard, wish: Wish) -> str:
        """The shard's path below the export's folder."""

    def write(self, path: Path, photos: Iterator[ExportPhoto]) -> None:
        """Write the shard as the file or folder `path`, which is not there yet."""

    def finish(self, folder: Path, outgoing: Outgoing) -> str:
        """Write what the format has around its shards. Returns the lines of the card's head that name them."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: `left_out` are the names of photos, each with what is wrong with its file."""

    photos: int
    files: int
    size_bytes: int
    left_out: list[str]


@dataclass
class Listener:
    """Who hears how far it is. `told` gets the photos done so far; `paused` is called behind each new shard.

    Both may raise: what is whole by then stays.
    """

    told: Callable[[int], None] = lambda done: None
    paused: Callable[[], None] = lambda: None


@dataclass
class _State:
    """What is kept beside the shards while they are written."""

    of: str
    plan: list[Shard]
    left_out: dict[str, list[str]] = field(default_factory=dict)


def write(
    folder: Path,
    outgoing: Outgoing,
    form: Format,
    card: Callable[[str, list[str]], str],
    wish: Wish,
    listener: Listener,
    reserve_bytes: int = 0,
) -> Written:
    """Write the version into `folder`, which is there only once it is whole; go on where an earlier attempt ended.

    `card` makes README.md of the head's lines and the photos left out. Raises Refused, naming photos, where files are
    missing or changed and are not to be left out, and DiskFull.
    """
    part, state_file = _workplace(folder) / "files", _workplace(folder) / "state.json"
    if folder.is_dir() and any(folder.iterdir()):
        state = _kept(state_file)
        if state.of in ("", _identity(outgoing, form, wish)):
            return _counted(folder, outgoing, state)
        # It was whole as its worker was killed, and an owner removed a photo before the next one came.
        shutil.rmtree(folder)
    with saying_full(folder.parent):
        part.mkdir(parents=True, exist_ok=True)
        sizes = _sizes(outgoing)
        splits = {split: _ordered(outgoing.of(split), form) for split in get_args(Split)}
        state = _begin(part, state_file, outgoing, form, wish, lambda: list(_plan(splits, sizes, form)))
        if not wish.leaves_out:
            # All that are not there are named at once, before anything is written.
            _refuse([f"{member.file_name} is {MISSING}" for member in outgoing.members if member.image_id not in sizes])
        _refuse_full(folder, sum(sizes.values()), part, reserve_bytes)
        done = 0
        for shard in state.plan:
            place = part / form.place(outgoing, shard, wish)
            members = splits[shard.split][shard.first : shard.stop]
            if not place.exists():
                _write_shard(place, members, form, state, state_file, wish, partial(_told_from, listener, done))
                listener.paused()
            done += len(members)
            listener.told(done)
        left_out = [name for names in state.left_out.values() for name in names]
        head = form.finish(part, outgoing)
        with atomic_file(part / "README.md") as file:
            file.write(card(head, left_out).encode())
        part.rename(folder)
        fsync(folder.parent)
        return _counted(folder, outgoing, state)


def settle(folder: Path) -> None:
    """Forget how a whole export came to be, once somebody else knows what it holds."""
    shutil.rmtree(_workplace(folder), ignore_errors=True)


def discard(folder: Path) -> None:
    """Take away what there is of an export, whole or not."""
    for place in (_workplace(folder), folder):
        shutil.rmtree(place, ignore_errors=True)


def _workplace(folder: Path) -> Path:
    """Where an export lies until it is whole, with what is known of it by then."""
    return folder.with_name(f".{folder.name}.part")


def _kept(state_file: Path) -> _State:
    """The state as it was last written; an empty one where there is none."""
    try:
        values = json.loads(state_file.read_bytes())
        return _State(values["of"], [Shard(**shard) for shard in values["plan"]], values["left_out"])
    except (OSError, ValueError, KeyError, TypeError):
        return _State("", [])


def _keep(state_file: Path, state: _State) -> None:
    with atomic_file(state_file) as file:
        file.write(json.dumps(asdict(state)).encode())


def _begin(
    part: Path, state_file: Path, outgoing: Outgoing, form: Format, wish: Wish, plan: Callable[[], list[Shard]]
) -> _State:
    """The state to go on from. What was written of anything else than exactly this is taken away first."""
    of = _identity(outgoing, form, wish)
    state = _kept(state_file)
    if state.of != of:
        shutil.rmtree(part)
        part.mkdir()
        state = _State(of, plan())
        _keep(state_file, state)
    for leftover in part.rglob(".*.part"):
        # A worker was killed while it wrote this one.
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    return state


def _identity(outgoing: Outgoing, form: Format, wish: Wish) -> str:
    """What depends on all that the shards are made of, and on their names."""
    facts = [member.facts for member in outgoing.members]
    what: list[Any] = [outgoing.name, outgoing.content_hash, type(form).__name__, asdict(wish), facts]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _sizes(outgoing: Outgoing) -> dict[int, int]:
    """The bytes of each picture file that is there, by the photo's number."""
    sizes = {}
    for member in outgoing.members:
        with suppress(OSError):
            entry = member.file.stat()
            if stat.S_ISREG(entry.st_mode):
                sizes[member.image_id] = entry.st_size
    return sizes


def _ordered(members: list[ExportMember], form: Format) -> list[ExportMember]:
    return sorted(members, key=lambda member: member.row.repeats) if form.PARTS_REPEATS else members


def _plan(splits: Mapping[Split, Sequence[ExportMember]], sizes: Mapping[int, int], form: Format) -> Iterator[Shard]:
    """Which members go into which shard: as many as fit by their pictures' bytes, one at least."""
    for split, members in splits.items():
        number, first, size_bytes, repeats = 0, 0, 0, 1
        for index, member in enumerate(members):
            grows_by = sizes.get(member.image_id, 0)
            is_full = size_bytes + grows_by > form.SHARD_BYTES or index - first >= form.SHARD_PHOTOS
            is_other = form.PARTS_REPEATS and member.row.repeats != repeats
            if index > first and (is_full or is_other):
                yield Shard(split, number, first, index, repeats)
                number, first, size_bytes = number + 1, index, 0
            repeats = member.row.repeats if form.PARTS_REPEATS else 1
            size_bytes += grows_by
        if members:
            yield Shard(split, number, first, len(members), repeats)


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        more = f" and {len(faults) - NAMED_AT_MOST:,} more" if len(faults) > NAMED_AT_MOST else ""
        many = "1 picture file" if len(faults) == 1 else f"{len(faults):,} picture files"
        raise Refused(
            f"{many} cannot be exported: {', '.join(faults[:NAMED_AT_MOST])}{more}. "
            "Bring the files back from a backup, or ask for an export that leaves such photos out."
        )


def _refuse_full(folder: Path, pictures_bytes: int, part: Path, reserve_bytes: int) -> None:
    """Raises DiskFull before the first byte where the pictures would not leave the disk what is to be left free."""
    there = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    free_bytes = free_on(folder.parent)
    if free_bytes - max(0, pictures_bytes - there) < reserve_bytes:
        raise DiskFull.below_reserve(folder.parent, free_bytes, reserve_bytes)


def _write_shard(
    place: Path,
    members: Sequence[ExportMember],
    form: Format,
    state: _State,
    state_file: Path,
    wish: Wish,
    told_of: Callable[[int], None],
) -> None:
    faults: list[str] = []

    def photos() -> Iterator[ExportPhoto]:
        reader = _PictureReader()
        for number, member in enumerate(members):
            if number and number % TOLD_EVERY == 0:
                told_of(number)
            data, fault = reader.read(member)
            if fault is None:
                yield ExportPhoto(member, data)
            else:
                faults.append(f"{member.file_name} is {fault}")

    temporary = place.with_name(f".{place.name}.{os.getpid()}.part")
    place.parent.mkdir(parents=True, exist_ok=True)
    form.write(temporary, photos())
    if not wish.leaves_out:
        _refuse(faults)
    if faults:
        state.left_out[f"{place.parent.name}/{place.name}"] = faults
        _keep(state_file, state)
    _flush(temporary)
    temporary.rename(place)
    fsync(place.parent)


def _told_from(listener: Listener, before: int, count: int) -> None:
    listener.told(before + count)


class _PictureReader:
    """Reads pictures one after another into the same memory: fresh pages for each cost four times the reading.

    Threads that read ahead save nothing either: handing on what they read takes longer than its digest.
    """

    def __init__(self) -> None:
        self._memory = bytearray(_READ_BYTES)

    def read(self, member: ExportMember) -> tuple[memoryview, str | None]:
        """The picture's bytes, until the next is read, and what is wrong with them."""
        size = 0
        try:
            with member.file.open("rb", buffering=0) as file:
                while count := file.readinto(memoryview(self._memory)[size:]):
                    size += count
                    if size == len(self._memory):
                        self._memory = self._memory + bytearray(size)
        except OSError:
            return memoryview(b""), MISSING
        data = memoryview(self._memory)[:size]
        return data, None if hashlib.sha256(data).hexdigest() == member.row.sha256 else CHANGED


def _flush(path: Path) -> None:
    """Make what was written survive a power cut."""
    for file in [path] if path.is_file() else [*path.rglob("*"), path]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _counted(folder: Path, outgoing: Outgoing, state: _State) -> Written:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    left_out = [name for names in state.left_out.values() for name in names]
    return Written(len(outgoing.members) - len(left_out), len(sizes), sum(sizes), left_out)
