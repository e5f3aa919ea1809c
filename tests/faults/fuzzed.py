"""Reads mutated files one after the other and says what became of each: `python -m tests.faults.fuzzed FIRST LAST`.

A line per seed: the seed, then, once the file is read, what it was, what became of it, seconds, and MiB of memory at
most while it was read. A seed without the rest is one that this process did not come back from.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from app.intake import memory
from app.intake.decoding import Unreadable, read_picture
from app.intake.sources.entry import Unopened
from app.intake.sources.listing import walk
from app.intake.sources.opening import Opener
from tests.faults.mutations import PICTURES, SOURCES, mutated

# Of four files three are pictures.
NAMES = tuple(PICTURES) * 3 + tuple(SOURCES) * 4
MAX_MEGAPIXELS = 60


def became(name: str, data: bytes, folder: Path) -> str:
    """What the file came to: accepted or refused in words, and for an archive how many of each."""
    if name in PICTURES:
        return _read(data, name)
    place = folder / name
    place.write_bytes(data)
    counts: Counter[str] = Counter()
    with Opener(max_bytes=64 << 20) as opener:
        for entry in walk(str(folder)):
            if entry.kind == "picture":
                try:
                    counts[_read(opener.open_entry(entry), entry.name).split(":")[0]] += 1
                except Unopened as refusal:
                    assert refusal.sentence
                    counts["refused"] += 1
            else:
                assert entry.kind != "refused" or entry.reason
                counts[entry.kind] += 1
    place.unlink()
    assert counts, "nothing was said of the file"
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def _read(data: bytes, name: str) -> str:
    try:
        picture = read_picture(data, MAX_MEGAPIXELS, name)
    except Unreadable as refusal:
        assert refusal.sentence.endswith("."), refusal.sentence
        return f"refused: {refusal.sentence}"
    assert picture.thumb and picture.view
    return "accepted" + (f": {', '.join(picture.notes)}" if picture.notes else "")


def _most_mib() -> int:
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak[1]) // 1024 if peak else 0


def main(first: int, last: int) -> None:
    """Read the mutations of the seeds from `first` up to `last`."""
    warnings.simplefilter("ignore")
    memory.share_one_heap()
    with tempfile.TemporaryDirectory() as folder:
        for name in {*PICTURES, *SOURCES}:
            became(name, (PICTURES | SOURCES)[name](), Path(folder))
        print("ready", flush=True)
        for seed in range(first, last):
            print(seed, end=" ", flush=True)
            name, kind, data = mutated(seed, NAMES)
            Path("/proc/self/clear_refs").write_text("5")
            before, begun = _most_mib(), time.monotonic()
            try:
                outcome = became(name, data, Path(folder))
            except Exception as error:
                outcome = f"RAISED {error!r}"
            spent = time.monotonic() - begun
            line = " ".join(outcome.split())
            print(f"| {name} | {kind} | {line} | {spent:.2f} | {_most_mib() - before}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
