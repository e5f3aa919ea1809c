"""Parquet with the pictures in it, as image data sets lie on model hubs: a column of Hugging Face's Image feature."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.exports.members import Outgoing
from app.exports.shards import ExportPhoto, Shard, Wish
from app.exports.webdataset import configured

if TYPE_CHECKING:
    import pyarrow as pa

# The hub's viewer reads a row group whole, and refuses those over some 286 MiB (huggingface/dataset-viewer#1771).
GROUP_PHOTOS: Final = 100
GROUP_BYTES: Final = 64 << 20

_NUMBERS: Final = ("repeats", "width_px", "height_px")
_TEXTS: Final = (
    "key", "caption_by", "caption_short", "caption_tags", "caption_facts", "group", "product", "category", "labels",
    "original_name", "sha256", "source", "licence", "credit", "opt_out",
)  # fmt: skip
_YES_NO: Final = ("mended",)


def _schema() -> pa.Schema:
    # Only who writes the format needs it, and the web process, which lists formats, is spared 30 MB.
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [("image", image), ("text", pa.string())]
    fields += [(name, pa.string()) for name in _TEXTS] + [(name, pa.int32()) for name in _NUMBERS]
    fields += [(name, pa.bool_()) for name in _YES_NO]
    features: dict[str, Any] = {"image": {"_type": "Image"}, "text": {"dtype": "string", "_type": "Value"}}
    features |= {name: {"dtype": "string", "_type": "Value"} for name in _TEXTS}
    features |= {name: {"dtype": "int32", "_type": "Value"} for name in _NUMBERS}
    features |= {name: {"dtype": "bool", "_type": "Value"} for name in _YES_NO}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


class Parquet:
    """`data/train-00000.parquet`: `image` (bytes and name), `text` the caption, and a column for each fact."""

    SHARD_BYTES = 512 << 20
    SHARD_PHOTOS = 50_000
    PARTS_REPEATS = False

    def place(self, outgoing: Outgoing, shard: Shard, wish: Wish) -> str:
        """A file of the folder `data`."""
        return f"data/{shard.split}-{shard.number:05d}.parquet"

    def write(self, path: Path, photos: Iterator[ExportPhoto]) -> None:
        """Write the file, row group by row group."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = _schema()
        rows: list[dict[str, Any]] = []
        size_bytes = 0
        # Pictures are packed already: packing them again costs time and saves nothing.
        with pq.ParquetWriter(path, schema, compression={"text": "zstd"} | dict.fromkeys(_TEXTS, "zstd")) as file:
            for photo in photos:
                if rows and (len(rows) >= GROUP_PHOTOS or size_bytes + len(photo.data) > GROUP_BYTES):
                    file.write_table(pa.Table.from_pylist(rows, schema))
                    rows, size_bytes = [], 0
                rows.append(_row(photo))
                size_bytes += len(photo.data)
            if rows:
                file.write_table(pa.Table.from_pylist(rows, schema))

    def finish(self, folder: Path, outgoing: Outgoing) -> str:
        """Nothing stands around the files."""
        files = {split: f"data/{split}-*.parquet" for split in ("train", "validation") if outgoing.of(split)}
        return configured(files)


def _row(photo: ExportPhoto) -> dict[str, Any]:
    member = photo.member
    image = {"bytes": bytes(photo.data), "path": f"{member.key}{member.suffix}"}
    # Its columns have kinds of their own, so what is not known is null here.
    facts = {name: None if value == "" else value for name, value in member.facts.items() if name != "split"}
    return {"image": image, "text": member.row.caption, **facts}
