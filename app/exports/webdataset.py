"""WebDataset: tar files whose neighbouring members of one name are a sample."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from app.exports.members import Outgoing
from app.exports.shards import ExportPhoto, Shard, Wish


class WebDataset:
    """`train-00000.tar`: of each photo KEY.jpg (or how its file ends), KEY.txt the caption, KEY.json all facts."""

    SHARD_BYTES = 256 << 20
    SHARD_PHOTOS = 10_000

    def place(self, outgoing: Outgoing, shard: Shard, wish: Wish) -> str:
        """A file of the export's folder."""
        return f"{shard.split}-{shard.number:05d}.tar"

    def write(self, path: Path, photos: Iterator[ExportPhoto]) -> None:
        """Write the tar file, in ustar and without times or owners, so that the same photos are the same bytes."""
        with path.open("wb") as file:
            for photo in photos:
                member = photo.member
                facts = {"caption": member.row.caption, **member.facts}
                texts = member.row.caption.encode(), json.dumps(facts, ensure_ascii=False).encode()
                files = zip((member.suffix, ".txt", ".json"), (photo.data, *texts), strict=True)
                # In one piece: `TarFile.addfile` copies 16 KiB at a time, which takes longer than all else.
                file.write(b"".join(part for suffix, data in files for part in _parts(f"{member.key}{suffix}", data)))
            file.write(b"\0" * 2 * tarfile.BLOCKSIZE)

    def finish(self, folder: Path, outgoing: Outgoing) -> str:
        """Nothing stands around the shards."""
        return configured({split: f"{split}-*.tar" for split in ("train", "validation") if outgoing.of(split)})


def _parts(name: str, data: bytes) -> tuple[bytes, bytes, bytes]:
    """A file in a tar: its head, its bytes, and what fills its last block."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf(tarfile.USTAR_FORMAT), data, b"\0" * (-len(data) % tarfile.BLOCKSIZE)


def configured(files: dict[str, str]) -> str:
    """The head of a card by which `datasets` finds the files of each split."""
    lines = [f"  - split: {split}\n    path: {json.dumps(path)}\n" for split, path in files.items()]
    return "configs:\n- config_name: default\n  data_files:\n" + "".join(lines)
