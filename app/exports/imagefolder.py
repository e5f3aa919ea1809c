"""Hugging Face's imagefolder: a folder for each split, pictures, and metadata.jsonl beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from app.exports.members import Outgoing
from app.exports.shards import ExportPhoto, Shard, Wish
from app.exports.webdataset import configured


class ImageFolder:
    """`train/00000/KEY.jpg`, and in each folder metadata.jsonl: `file_name`, `text` the caption, all facts.

    JSON Lines rather than CSV: numbers stay numbers, and no cell of a stranger runs as a formula. A folder holds 1,000
    photos, for model hubs take 10,000 files in one.
    """

    SHARD_BYTES = 512 << 20
    SHARD_PHOTOS = 1_000
    PARTS_REPEATS = False

    def place(self, outgoing: Outgoing, shard: Shard, wish: Wish) -> str:
        """A folder of the split's folder."""
        return f"{shard.split}/{shard.number:05d}"

    def write(self, path: Path, photos: Iterator[ExportPhoto]) -> None:
        """Write the folder: pictures, then what is said of them."""
        path.mkdir()
        with (path / "metadata.jsonl").open("w", encoding="utf-8") as lines:
            for photo in photos:
                member = photo.member
                name = f"{member.key}{member.suffix}"
                (path / name).write_bytes(photo.data)
                row = {"file_name": name, "text": member.row.caption, **_without_split(member.facts)}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")

    def finish(self, folder: Path, outgoing: Outgoing) -> str:
        """Nothing stands around the folders."""
        return configured({split: f"{split}/**" for split in ("train", "validation") if outgoing.of(split)})


def _without_split(facts: Mapping[str, object]) -> dict[str, object]:
    """The folder says which split it is."""
    return {name: value for name, value in facts.items() if name != "split"}
