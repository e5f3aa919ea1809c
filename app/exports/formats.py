"""The formats of exports, by their names, and what each is in words."""

from __future__ import annotations

from typing import Final

from app.errors import Refused
from app.exports.imagefolder import ImageFolder
from app.exports.kohya import Kohya
from app.exports.mds import Mds
from app.exports.parquet import Parquet
from app.exports.shards import Format
from app.exports.webdataset import WebDataset

FORMATS: Final[dict[str, Format]] = {
    "webdataset": WebDataset(),
    "imagefolder": ImageFolder(),
    "parquet": Parquet(),
    "mds": Mds(),
    "kohya": Kohya(),
}
NAMES: Final[dict[str, str]] = {
    "webdataset": "WebDataset",
    "imagefolder": "Image folder",
    "parquet": "Parquet",
    "mds": "MDS",
    "kohya": "kohya folder",
}
READ_BY: Final[dict[str, str]] = {
    "webdataset": "tar files, read in order by webdataset and datasets",
    "imagefolder": "pictures and metadata.jsonl, for datasets and diffusers’ scripts",
    "parquet": "pictures in tables, for datasets and the viewer of a model hub",
    "mds": "shards with an index, for MosaicML Streaming and PRX",
    "kohya": "pictures with caption files, for sd-scripts, OneTrainer and ai-toolkit",
}


def named(name: str) -> Format:
    """The format of this name. Raises Refused, listing the names, for any other."""
    if name not in FORMATS:
        raise Refused(f"There is no format “{name[:60]}”. There are: {', '.join(FORMATS)}.")
    return FORMATS[name]
