"""The manifest: a dataset version as plain rows in a file that a trainer reads without any database.

JSON Lines, one member per line. `file` is absolute or relative to the manifest's own folder. The content hash depends
on what is learned (picture bytes, captions, split, group), the facts hash on what else is told of each member (whose
the photo is, its labels, its captions of other kinds, ...); neither on the order of lines or on where files lie.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

Split = Literal["train", "validation"]


class ManifestError(ValueError):
    """The file is no manifest; the message is one sentence that names the line."""


@dataclass(frozen=True)
class ManifestRow:
    """One member: a picture file and the exact caption it is learned with.

    `sha256` is the hex digest of the file's bytes; `group`, the views of one product or
    one picture, is what the split never cuts. `source` (an address or a name), `licence` and `credit` came with the
    photo, `opt_out` is how its owner opted out of training. `repeats`, 1 or more, is how often a walk through all
    members of the train split shows this one; 1 is not written. `mend` says what was done to the picture: the number of
    its mend, and its `catalog.mends.Edits`. `mask` is a grey PNG of the picture's shape, 255 where the product is,
    named like `file`. `image_id`, `original_name`, `product`, `category` and `labels` ("set=label") are what the
    catalog knew of the photo as the version was frozen, `caption_by` who wrote the caption: "person", "given" by a
    file, or the captioner's name. `caption_short`, `caption_tags` (words between commas) and `caption_facts` are its
    captions of the other kinds, which nothing learns from. Of these only what is known is written; the content hash
    depends on repeats and mask, the facts hash on the others.
    """

    file: str
    caption: str
    split: Split
    group: str
    sha256: str
    width_px: int
    height_px: int
    source: str | None = None
    licence: str | None = None
    credit: str | None = None
    opt_out: str | None = None
    repeats: int = 1
    mend: dict[str, Any] | None = None
    mask: str | None = None
    image_id: int | None = None
    original_name: str | None = None
    product: str | None = None
    category: str | None = None
    labels: list[str] | None = None
    caption_by: str | None = None
    caption_short: str | None = None
    caption_tags: str | None = None
    caption_facts: str | None = None


def write_manifest(path: Path, rows: Iterable[ManifestRow]) -> str:
    """Write `rows` to `path` as they come, complete or not at all: a temporary file beside it, fsync, then rename.

    Returns the SHA-256 (hex) of the file's bytes.
    """
    sha256 = hashlib.sha256()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            for row in rows:
                known = {name: value for name, value in vars(row).items() if value is not None}
                if row.repeats == 1:
                    del known["repeats"]
                line = (json.dumps(known, ensure_ascii=False) + "\n").encode()
                file.write(line)
                sha256.update(line)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return sha256.hexdigest()


def read_manifest(path: Path) -> list[ManifestRow]:
    """All rows of the file, in its order; UTF-8, with or without byte order marks. Digests come in small letters.

    Raises `ManifestError` for the first line that is not a member.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(f"The manifest {path} cannot be read: {error}.") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"The manifest {path} is not UTF-8 text: see its byte {error.start + 1:,}.") from error
    # Only the newline parts lines: a caption may hold U+2028 and its like. Each of several files that were joined into
    # one may have begun with its mark.
    lines = (line.lstrip("\ufeff") for line in text.split("\n"))
    return [_row(line, path, number) for number, line in enumerate(lines, start=1) if line.strip()]


def content_hash(rows: Iterable[ManifestRow]) -> str:
    """SHA-256 (hex) of what is learned from the rows: the sorted tuples (sha256, caption, split, group).

    Behind these stand how often a row is repeated, where that is more than once, and the name of its mask's file, which
    in a version is its own SHA-256, where it has one.
    """
    return hash_of_learned(learned(row) for row in rows)


def learned(row: ManifestRow) -> list[str]:
    """What is learned of a row, of which the content hash is made."""
    known = [row.sha256, row.caption, row.split, row.group]
    if row.repeats > 1:
        known.append(str(row.repeats))
    if row.mask:
        known.append(Path(row.mask).stem)
    return known


def hash_of_learned(canonical: Iterable[list[str]]) -> str:
    """The content hash of rows of which this is learned, in any order."""
    text = json.dumps(sorted(canonical), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def facts_digest(row: ManifestRow) -> bytes:
    """SHA-256 (32 bytes) of what a row tells beyond what is learned, bound to that: no two rows can swap facts."""
    facts = {name: value for name in _FACTS if (value := getattr(row, name)) is not None}
    text = json.dumps([learned(row), facts], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).digest()


def facts_hash(rows: Iterable[ManifestRow]) -> str:
    """SHA-256 (hex) of the facts of the rows: all but where files lie and what `content_hash` covers."""
    return hash_of_facts(facts_digest(row) for row in rows)


def hash_of_facts(digests: Iterable[bytes]) -> str:
    """The facts hash of rows with these digests, in any order."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def part_hashes(rows: Sequence[ManifestRow]) -> dict[str, str]:
    """SHA-256 (hex) of what `content_hash` is made of, part by part: it tells in which of them two manifests differ."""
    parts: dict[str, list[tuple[str, ...]]] = {
        "pictures": [(row.sha256,) for row in rows],
        "captions": [(row.sha256, row.caption) for row in rows],
        "split": [(row.sha256, row.split) for row in rows],
        "groups": [(row.sha256, row.group) for row in rows],
        "repeats": [(row.sha256, str(row.repeats)) for row in rows if row.repeats > 1],
        "masks": [(row.sha256, Path(row.mask).stem) for row in rows if row.mask],
    }
    return {name: hashlib.sha256(json.dumps(sorted(part)).encode()).hexdigest() for name, part in parts.items()}


def rights_of(rows: Sequence[ManifestRow]) -> dict[str, Any]:
    """Whose the photos are, summed up: how many, by licence and by source, their credits, and how many were opted out.

    A source that is a web address counts as its host. "not known" is what came with no such word.
    """
    return {
        "photos": len(rows),
        "licences": _counted(row.licence for row in rows),
        "sources": _counted(_host(row.source) for row in rows),
        "credits": sorted({row.credit for row in rows if row.credit}),
        "opted_out": sum(row.opt_out is not None for row in rows),
    }


def _counted(words: Iterable[str | None]) -> dict[str, int]:
    """How many of each, the most first."""
    return dict(Counter(word or "not known" for word in words).most_common())


def _host(source: str | None) -> str | None:
    address = re.match(r"https?://(?:[^/@]*@)?([^/:?#]+)", source or "", re.IGNORECASE)
    return address[1].lower() if address else source


_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_HALF: Final = re.compile("[\ud800-\udfff]")
_NUMBERS: Final = ("width_px", "height_px", "repeats", "image_id")
_KINDS: dict[str, type] = {f.name: int if f.name in _NUMBERS else str for f in fields(ManifestRow)} | {
    "mend": dict,
    "labels": list,
}
_OPTIONAL: Final = tuple(f.name for f in fields(ManifestRow) if f.default is None)
_LEARNED: Final = ("caption", "split", "group", "sha256", "repeats", "mask")
# Of any field that comes later, too.
_FACTS: Final = tuple(f.name for f in fields(ManifestRow) if f.name not in ("file", *_LEARNED))
RIGHTS: Final = ("source", "licence", "credit", "opt_out")
_KIND_WORDS: Final = {int: "a whole number", str: "text", dict: "an object", list: "a list of texts"}


class _Twice(ValueError):
    """A field of a JSON object is there twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose fields are there once: of two, nobody would know which was meant."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise _Twice(twice[0])
    return dict(pairs)


def _row(line: str, path: Path, number: int) -> ManifestRow:
    where = f"Line {number} of {path.name}"
    try:
        values = json.loads(line, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{where} is not JSON: {error.msg}.") from error
    except RecursionError as error:
        raise ManifestError(f"{where} is not a JSON object with a member's fields.") from error
    except _Twice as error:
        raise ManifestError(f"{where} has the field {error} twice.") from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise ManifestError(f"{where} holds a number that is none of a picture.") from error
    if not isinstance(values, dict):
        raise ManifestError(f"{where} is not a JSON object.")
    if "product" in values and "group" not in values:
        values["group"] = values.pop("product")  # as versions before 30 November 2026 wrote it
    for name in _OPTIONAL:
        values.setdefault(name, None)
    values.setdefault("repeats", 1)
    if values.keys() != _KINDS.keys():
        odd = ", ".join(sorted(values.keys() ^ _KINDS.keys()))
        raise ManifestError(f"{where} has missing or unknown fields: {odd}.")
    for name, kind in _KINDS.items():
        if name in _OPTIONAL and values[name] is None:
            continue
        if type(values[name]) is not kind:
            raise ManifestError(f"{where}: {name} must be {_KIND_WORDS[kind]}.")
        if kind is int and values[name] < 1:
            raise ManifestError(f"{where}: {name} must be at least 1.")
        if kind is list and any(type(each) is not str for each in values[name]):
            raise ManifestError(f"{where}: {name} must be {_KIND_WORDS[kind]}.")
        texts = values[name] if kind is list else [values[name]] if kind is str else []
        if any(_HALF.search(text) for text in texts):
            raise ManifestError(f"{where}: {name} holds half a character.")
    values["sha256"] = values["sha256"].lower()
    if not _SHA256.fullmatch(values["sha256"]):
        raise ManifestError(f"{where}: sha256 must be the 64 hex digits of the picture file.")
    if not values["file"].strip() or "\0" in values["file"]:
        raise ManifestError(f"{where}: file must be the name of a file.")
    if values["split"] not in get_args(Split):
        raise ManifestError(f"{where}: split must be train or validation, not {values['split']!r}.")
    return ManifestRow(**values)
