"""Exporting photos as WebDataset against bare `tar` of the same files, in turns on the same disk.

    python -m benchmarks.export [photos] [rounds]

The promise: 10,000 photos at no less than 0.7 of the pace of `tar`, though each photo is checked against the digest
that it was frozen with, and its caption and facts go with it. Both begin with the files in memory and end on the disk.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np

from app.datasets.manifest import ManifestRow
from app.exports import shards, writing
from app.exports.members import ExportMember, Outgoing
from app.exports.shards import Wish

TARGET = 0.7
PHOTO_BYTES = 120 << 10


def drawn(folder: Path, photos: int) -> Outgoing:
    """A version whose pictures are files of random bytes: neither side looks into them."""
    rng = np.random.default_rng(11)
    members = []
    for number in range(photos):
        data = rng.bytes(int(rng.integers(PHOTO_BYTES // 2, PHOTO_BYTES * 3 // 2)))
        sha256 = hashlib.sha256(data).hexdigest()
        file = folder / sha256[:2] / f"{sha256}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        split = "validation" if number % 10 == 0 else "train"
        caption = f"Red kettle {number}, centred on a pure white background, seen from the side."
        row = ManifestRow(str(file), caption, split, f"P{number}", sha256, 1200, 1200, licence="CC0")
        members.append(ExportMember(number + 1, file, row, f"{number}.jpg", f"P{number}", "Kettles", "facts"))
    return Outgoing("Bench", "0" * 64, "---\n---\n# Bench\n", members, 0)


Spent = tuple[float, float]
"""Seconds by the clock, and of all processors (user and system), which do not depend on what else is running."""


def ours(outgoing: Outgoing, folder: Path) -> Spent:
    began, worked = time.perf_counter(), processors_s()
    writing.write(folder, outgoing, "webdataset", Wish())
    took = time.perf_counter() - began, processors_s() - worked
    shards.settle(folder)
    return took


def bare(files: Path, archive: Path) -> Spent:
    began, worked = time.perf_counter(), processors_s()
    subprocess.run(["tar", "-cf", archive, "-C", files, "."], check=True)
    descriptor = os.open(archive, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return time.perf_counter() - began, processors_s() - worked


def processors_s() -> float:
    """Seconds of processors that this process and its children have used."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> int:
    photos = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        outgoing = drawn(place / "originals", photos)
        # What `tar` is given: the very members of our shards, unpacked.
        ours(outgoing, place / "first")
        (place / "plain").mkdir()
        for shard in sorted((place / "first").glob("*.tar")):
            with tarfile.open(shard) as tar:
                tar.extractall(place / "plain", filter="data")
        shutil.rmtree(place / "first")
        times: dict[str, list[Spent]] = {"tar": [], "export": []}
        for number in range(rounds + 1):
            took = {"tar": bare(place / "plain", place / "bare.tar"), "export": ours(outgoing, place / "out")}
            size_bytes = (place / "bare.tar").stat().st_size
            (place / "bare.tar").unlink()
            shutil.rmtree(place / "out")
            if number:  # the first round warms the file cache
                for side, spent in took.items():
                    times[side].append(spent)
    pairs = list(zip(times["tar"], times["export"], strict=True))
    for side, spents in times.items():
        median, worked = (statistics.median(spent[which] for spent in spents) for which in (0, 1))
        print(f"{side:<7} {median:6.2f} s  {size_bytes / median / 2**20:6.0f} MiB/s  {worked:6.2f} s of processors")
    ratio, by_work = (statistics.median(tar[which] / export[which] for tar, export in pairs) for which in (0, 1))
    print(
        f"{photos:,} photos, {size_bytes / 2**20:,.0f} MiB: {ratio:.2f} x the pace of tar (target {TARGET}), "
        f"by processors' time {by_work:.2f} x; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
