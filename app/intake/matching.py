"""Which picture a metadata row means, and where it means none: what differs from the pictures that are there. Pure.

The same path written differently is taken: a leading slash or the folder's own path, doubled slashes, capitals, spaces,
URL encoding. Another path is not, however alike: "a.png" may be another picture than "a.jpg". Either is said.
"""

from __future__ import annotations

import html
import posixpath
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote

from app.intake.metadata import PhotoMetadata, key_of

Spell = Callable[[str], str]


class Named(Protocol):
    """Something that lies in the source: what it is, a picture or not, and its path."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...


def _visible(path: str) -> str:
    return path if path.isascii() else "".join(letter for letter in path if unicodedata.category(letter) != "Cf")


# Ways of writing the same path, each with what it is called where two paths differ in it.
_SPELLINGS: Final[tuple[tuple[str, Spell], ...]] = (
    ("HTML entities", lambda path: html.unescape(path) if "&" in path else path),
    ("URL encoding", lambda path: unquote(path) if "%" in path else path),
    ("slashes", lambda path: posixpath.normpath(path).lstrip("/") if path else path),
    ("letters of no width", _visible),
    ("spaces", lambda path: re.sub(r"\s+", " ", re.sub(r"\s*/\s*", "/", path)).strip()),
    ("the form of letters", lambda path: unicodedata.normalize("NFKC", path)),
    ("upper and lower case", lambda path: unicodedata.normalize("NFC", path.casefold())),
)
# What is left of "https://" when doubled slashes are one.
_ADDRESS: Final = re.compile(r"(?:https?|ftp|s3|gs):/")
# Between file names where one cell holds several: "a.jpg, b.jpg", "a.jpg|b.jpg".
_BETWEEN: Final = re.compile(r"\.\w{3,4}\s*[,;|\n]\s*(?=\S)")
NAMED_AT_MOST: Final = 3
# Of more rows than anybody reads, what differs is not looked for.
TOLD_AT_MOST: Final = 1_000


def _bare(path: str) -> str:
    return posixpath.splitext(path)[0]


def _bare_name(path: str) -> str:
    return _bare(posixpath.basename(path))


def _without_accents(path: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", path) if not unicodedata.combining(letter))


def _without_signs(path: str) -> str:
    return re.sub(r"[\W_]+", "", _bare(path)) + posixpath.splitext(path)[1]


def _last_of_address(path: str) -> str:
    """The file that a web address ends in, without what stands behind "?" or "#"; nothing for every other path."""
    return posixpath.basename(re.split(r"[?#]", path)[0]) if _ADDRESS.match(path) else ""


# Other paths that are alike, the likeliest first: what differs, how the picture's path is cut for it, how the row's is.
_LIKENESSES: Final[tuple[tuple[str, Spell, Spell], ...]] = (
    ("the row has a web address", posixpath.basename, _last_of_address),
    ("the extension", _bare, lambda path: path),
    ("the extension", _bare, _bare),
    ("accents", _without_accents, _without_accents),
    ("spaces and signs", _without_signs, _without_signs),
    ("the folder", posixpath.basename, posixpath.basename),
    ("folder and extension", _bare_name, posixpath.basename),
    ("folder and extension", _bare_name, _bare_name),
)


@dataclass(frozen=True, slots=True)
class Matched:
    """Rows by the key of the picture they are for; and rows with what there is to say of them, in their order.

    `respelled` rows name their picture in another spelling and are taken, `unmatched` rows name none and are not. Only
    the first `TOLD_AT_MOST` of each have a whole sentence.
    """

    rows: dict[str, PhotoMetadata]
    respelled: list[tuple[PhotoMetadata, str]]
    unmatched: list[tuple[PhotoMetadata, str]]


def match(rows: Mapping[str, PhotoMetadata], files: Iterable[Named], root: str) -> Matched:
    """Find for each row, by `key_of` path, its picture among `files` of the folder `root`."""
    kinds = {key_of(met.name): met.kind for met in files}
    pictures = [key for key, kind in kinds.items() if kind == "picture"]
    matched = Matched({key: rows[key] for key in pictures if key in rows}, [], [])
    missing = {key: _relative(key, row, root) for key, row in rows.items() if key not in matched.rows}
    if not missing:
        return matched
    plain = {picture: _spelled(picture) for picture in pictures}
    spelled = _by(plain, lambda path: path)
    meant = {key: spelled.get(_spelled(path), []) for key, path in missing.items()}
    wanted = Counter(picture for candidates in meant.values() for picture in candidates)
    alike: list[tuple[str, dict[str, list[str]], Spell]] = []
    for key, path in missing.items():
        row, candidates = rows[key], meant[key]
        if len(candidates) == 1 and candidates[0] not in rows and wanted[candidates[0]] == 1:
            (picture,) = candidates
            matched.rows[picture] = row
            is_told = len(matched.respelled) < TOLD_AT_MOST
            difference = _difference(row, path, picture, is_full_path=path != key) if is_told else ""
            matched.respelled.append((row, f"Read as {picture}. What differs: {difference}."))
        elif len(matched.unmatched) < TOLD_AT_MOST:
            alike = alike or [(words, _by(plain, cut), cut_row) for words, cut, cut_row in _LIKENESSES]
            hints = ((words, index.get(cut(_spelled(path)), [])) for words, index, cut in alike)
            several = len(_BETWEEN.split(row.name))
            why = f"It names {several} files; a row is for one." if several > 1 else None
            matched.unmatched.append((row, why or _why_not(kinds.get(path), candidates, hints)))
        else:
            matched.unmatched.append((row, ""))
    return matched


def _relative(key: str, row: PhotoMetadata, root: str) -> str:
    """The row's path below the folder: some write down the whole path from the top of the disk."""
    own = f"{key_of(root).rstrip('/')}/"
    return key_of(row.name).removeprefix(own) if key_of(row.name).startswith(own) else key


def _spelled(path: str, leave_out: str = "") -> str:
    for words, spell in _SPELLINGS:
        path = spell(path) if words != leave_out else path
    return path


def _by(plain: Mapping[str, str], cut: Spell) -> dict[str, list[str]]:
    """Pictures by what `cut` leaves of the plain spelling of each."""
    index: dict[str, list[str]] = defaultdict(list)
    for picture, path in plain.items():
        index[cut(path)].append(picture)
    return index


def _difference(row: PhotoMetadata, path: str, picture: str, is_full_path: bool) -> str:
    """What the row's spelling and the picture's differ in: all that cannot be left out of making them equal."""
    needed = [words for words, _ in _SPELLINGS if _spelled(path, words) != _spelled(picture, words)]
    if row.name.startswith("/"):
        needed = [words for words in needed if words != "slashes"]
        needed.insert(0, "a full path" if is_full_path else "a leading slash")
    return ", ".join(needed) or "how it is written"


def _why_not(kind: str | None, candidates: Sequence[str], hints: Iterable[tuple[str, Sequence[str]]]) -> str:
    if kind == "refused":
        return "The file is here but was refused; the list of refused files says why."
    if kind == "other":
        return "The file is here but is no picture."
    if len(candidates) > 1:
        return f"Several pictures could be meant: {_named(candidates)}."
    if candidates:
        return f"Another row is for {candidates[0]}, which this one may mean too."
    for words, likely in hints:
        if likely:
            return f"No picture is called so; there is {_named(likely)}. What differs: {words}."
    return "No picture here is called so or alike."


def _named(paths: Sequence[str]) -> str:
    more = len(paths) - NAMED_AT_MOST
    return ", ".join(paths[:NAMED_AT_MOST]) + (f" and {more:,} more" if more > 0 else "")
