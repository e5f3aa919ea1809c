"""WebDataset: tar files whose neighbouring members of one name are a sample."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.exports.members import Outgoing
from app.exports.shards import ExportPhoto, Shard, Wish


class WebDataset:
    """`train-00000.tar`: of each photo KEY.jpg (or how its file ends), KEY.txt the caption, KEY.json all facts."""

    SHARD_BYTES = 256 << 20
    SHARD_PHOTOS = 10_000
    PARTS_REPEATS = False

    def place(self, outgoing: Outgoing, shard: Shard, wish: Wish) -> str:
        """A file of the export's folder."""
        return f"{shard.split}-{shard.number:05d}.tar"

    def write(self, path: Path, photos: Iterator[ExportPhoto]) -> None:
        """Write the tar file, in ustar and without times or owners, so that the same photos are the same bytes."""
        # `TarFile.addfile` copies 16 KiB at a time, which takes longer than all else. Through this buffer small pieces
        # are gathered, and a picture, which is larger, goes to the file as it is.
        with path.open("wb", buffering=_GATHERED_BYTES) as file:
            for photo in photos:
                member = photo.member
                facts = {"caption": member.row.caption, **member.facts}
                pieces: dict[str, bytes | memoryview] = {
                    member.suffix: photo.data,
                    ".txt": member.row.caption.encode(),
                    ".json": _AS_JSON(facts).encode(),
                }
                for suffix, data in pieces.items():
                    file.write(head_of(f"{member.key}{suffix}", len(data)))
                    file.write(data)
                    file.write(b"\0" * (-len(data) % tarfile.BLOCKSIZE))
            file.write(b"\0" * 2 * tarfile.BLOCKSIZE)

    def finish(self, folder: Path, outgoing: Outgoing) -> str:
        """Nothing stands around the shards."""
        return configured({split: f"{split}-*.tar" for split in ("train", "validation") if outgoing.of(split)})


def head_of(name: str, size_bytes: int) -> bytes:
    """The head of a file in a tar, as `tarfile` makes it for a name of up to 100 ASCII characters and a size under
    8 GiB, at a tenth of the time: the name, the size in octal, and the sum of all bytes of the head."""
    letters, digits = name.encode("ascii"), b"%011o" % size_bytes
    if len(letters) > 100 or len(digits) > 11:
        info = tarfile.TarInfo(name)
        info.size = size_bytes
        return info.tobuf(tarfile.USTAR_FORMAT)
    total = _BLANK_SUM + sum(letters) + sum(digits)
    return b"".join(
        (letters.ljust(100, b"\0"), _BLANK[100:124], digits, _BLANK[135:148], b"%06o\0 " % total, _BLANK[156:])
    )


_AS_JSON: Final = json.JSONEncoder(ensure_ascii=False).encode  # made once: `dumps` makes one for each
_GATHERED_BYTES: Final = 16 << 10
_BLANK: Final = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT)
# Of a head without name and size; the sum itself counts as spaces.
_BLANK_SUM: Final = sum(_BLANK) - sum(_BLANK[124:135]) - sum(_BLANK[148:156]) + 8 * ord(" ")


def configured(files: dict[str, str]) -> str:
    """The head of a card by which `datasets` finds the files of each split."""
    lines = [f"  - split: {split}\n    path: {json.dumps(path)}\n" for split, path in files.items()]
    return "configs:\n- config_name: default\n  data_files:\n" + "".join(lines)
