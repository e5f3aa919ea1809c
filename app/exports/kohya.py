"""The folders of kohya's trainers (sd-scripts) and those that read the same: `N_name`, a caption file per picture."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from app.exports.members import Outgoing
from app.exports.shards import ExportPhoto, Shard, Wish
from app.storage import atomic_file


class Kohya:
    """`train/10_kettles-00000/KEY.jpg` and `KEY.txt`. The number in front is how often an epoch sees each photo: as
    often as the export is to repeat all, times as often as the version repeats this one.

    `train` is what a trainer is given as its folder (`--train_data_dir`). What is held out is seen once. Facts stand in
    `photos.jsonl` beside the folders, where no trainer takes them for a caption.
    """

    SHARD_BYTES = 512 << 20
    SHARD_PHOTOS = 1_000
    PARTS_REPEATS = True

    def place(self, outgoing: Outgoing, shard: Shard, wish: Wish) -> str:
        """A folder of the split's folder, named as trainers read it: repeats, an underscore, a name."""
        slug = re.sub(r"[^a-z0-9]+", "-", outgoing.name.lower()).strip("-")[:60] or "photos"
        repeats = wish.repeats * shard.repeats if shard.split == "train" else 1
        return f"{shard.split}/{repeats}_{slug}-{shard.number:05d}"

    def write(self, path: Path, photos: Iterator[ExportPhoto]) -> None:
        """Write the folder: of each photo the picture and its caption, in one line as trainers read the first only."""
        path.mkdir()
        for photo in photos:
            member = photo.member
            (path / f"{member.key}{member.suffix}").write_bytes(photo.data)
            (path / f"{member.key}.txt").write_text(" ".join(member.row.caption.split()), encoding="utf-8")

    def finish(self, folder: Path, outgoing: Outgoing) -> str:
        """Write what is known of each photo into one file beside the folders."""
        there = {caption.stem for caption in folder.rglob("*.txt")}
        with atomic_file(folder / "photos.jsonl") as lines:
            for member in (each for each in outgoing.members if each.key in there):
                facts = {"caption": member.row.caption, **member.facts}
                lines.write(f"{json.dumps(facts, ensure_ascii=False)}\n".encode())
        return ""
