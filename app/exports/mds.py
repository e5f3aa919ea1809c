"""MosaicML Streaming's MDS: shards of samples with an index, read in any order by `streaming.StreamingDataset`.

Written here and not by `mosaicml-streaming`, whose wheel wants an older NumPy, torchvision and three clouds' clients.
The layout is its `MDSWriter`'s, version 2: the number of samples, where each begins and the last ends, the columns as
JSON, the samples. All numbers are little-endian uint32, so a shard stays under 4 GiB.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from app.exports.members import Outgoing
from app.exports.shards import ExportPhoto, Shard, Wish
from app.storage import atomic_file

# In the order of their names, as the library sorts them: encoding, and size in bytes where all values have the same.
COLUMNS: Final[dict[str, tuple[str, int | None]]] = {
    "caption": ("str", None),
    "facts": ("json", None),
    "height_px": ("int", 8),
    "image": ("bytes", None),
    "key": ("str", None),
    "width_px": ("int", 8),
}


def _columns() -> dict[str, Any]:
    """What a shard and the index say of the samples."""
    return {
        "version": 2,
        "format": "mds",
        "compression": None,
        "hashes": [],
        "size_limit": Mds.SHARD_BYTES,
        "column_names": list(COLUMNS),
        "column_encodings": [encoding for encoding, _ in COLUMNS.values()],
        "column_sizes": [size for _, size in COLUMNS.values()],
    }


class Mds:
    """`train/shard.00000.mds` and `train/index.json`: `image` (the file's bytes), `caption`, `facts` as JSON."""

    SHARD_BYTES = 64 << 20
    SHARD_PHOTOS = 10_000
    PARTS_REPEATS = False

    def place(self, outgoing: Outgoing, shard: Shard, wish: Wish) -> str:
        """A file of the split's folder."""
        return f"{shard.split}/shard.{shard.number:05d}.mds"

    def write(self, path: Path, photos: Iterator[ExportPhoto]) -> None:
        """Write the shard. Its samples are in memory meanwhile, for what comes first says where each begins."""
        samples = [_sample(photo) for photo in photos]
        columns = json.dumps(_columns(), sort_keys=True).encode()
        begins = [4 + 4 * (len(samples) + 1) + len(columns)]
        for sample in samples:
            begins.append(begins[-1] + len(sample))
        with path.open("wb") as file:
            file.write(struct.pack(f"<I{len(begins)}I", len(samples), *begins) + columns)
            file.writelines(samples)

    def finish(self, folder: Path, outgoing: Outgoing) -> str:
        """Write each split's index, of the shards that hold anything."""
        for split in folder.iterdir():
            if split.is_dir():
                shards = [entry for path in sorted(split.glob("*.mds")) if (entry := _entry(path))["samples"]]
                index = json.dumps({"version": 2, "shards": shards}, sort_keys=True)
                with atomic_file(split / "index.json") as file:
                    file.write(index.encode())
        return ""


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        (samples,) = struct.unpack("<I", file.read(4))
    raw = {"basename": path.name, "bytes": path.stat().st_size, "hashes": {}}
    return {**_columns(), "raw_data": raw, "samples": samples, "zip_data": None}


def _sample(photo: ExportPhoto) -> bytes:
    """Sizes of the columns that have none of their own, then all values."""
    member, facts = photo.member, photo.member.facts
    values: dict[str, bytes | memoryview] = {
        "caption": member.row.caption.encode(),
        "facts": json.dumps(facts, ensure_ascii=False).encode(),
        "height_px": struct.pack("<q", member.row.height_px),
        "image": photo.data,
        "key": member.key.encode(),
        "width_px": struct.pack("<q", member.row.width_px),
    }
    sizes = [len(values[name]) for name, (_, size) in COLUMNS.items() if size is None]
    return struct.pack(f"<{len(sizes)}I", *sizes) + b"".join(values[name] for name in COLUMNS)
