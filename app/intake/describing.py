"""What stands beside the photos of an intake, metadata rows and caption files, put into the catalog and remarked on.

The newest word counts: a row that says something else than the catalog corrects it, and what it changed is told.
Nothing is passed over in silence: not a row without a picture, nor a second name of the same bytes that says something
else, nor a caption where a person wrote another.
"""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from app.captions import writing
from app.captions.tables import Caption
from app.catalog.tables import Image, IntakeRemark, SourceFile
from app.errors import Refused
from app.intake.matching import TOLD_AT_MOST, Matched, match
from app.intake.metadata import PhotoMetadata, Rows, is_metadata, key_of, read_metadata
from app.intake.plain_files import Unread, read_plain
from app.intake.sources.entry import Entry

# Files of one caption each, as trainers have them beside a picture of the same name; where both are, the first counts.
CAPTION_SUFFIXES: Final = (".txt", ".caption")
MAX_CAPTION_BYTES: Final = 64 * 1024
# How many remarks of a kind are kept; more are only counted.
MAX_REMARKS: Final = TOLD_AT_MOST
KINDS: Final = ("unread", "unmatched", "respelled", "unused", "changed")
# How many photos are locked at once where no pictures came.
_BATCH: Final = 500
_FIELDS: Final = ("title", "category", "description", "product")
_SHOWN_CHARACTERS: Final = 80
_MAX_NAME: Final = 300

Begin = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True, slots=True)
class GivenText:
    """A caption that came with a photo: its text, the file, and the line of it (0: the file is nothing else)."""

    text: str
    file: str
    line: int = 0


@dataclass(slots=True)
class Beside:
    """What stands beside the photos of one intake. Rows and caption files are found by `key_of` the picture.

    `names` and `captions` hold what earlier names of the same bytes said, by image; `pending` remarks are not kept yet.
    """

    intake_id: int
    rows: Rows
    matched: Matched
    caption_files: dict[str, list[Entry]]
    names: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    captions: dict[int, GivenText] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    pending: list[dict[str, Any]] = field(default_factory=list)

    def said_of(self, name: str) -> PhotoMetadata:
        """What a row says of the picture of this name; nothing where there is none."""
        return self.matched.rows.get(key_of(name)) or PhotoMetadata(line=0)

    def remark(self, kind: str, source: str, line: int, name: str, sentence: str) -> None:
        """Remember one remark until `keep_remarks`."""
        self.counts[kind] += 1
        if self.counts[kind] <= MAX_REMARKS:
            place = {"kind": kind, "source": source[-_MAX_NAME:], "line": line, "name": name[-_MAX_NAME:]}
            self.pending.append({"intake_id": self.intake_id, **place, "sentence": sentence})

    @property
    def note(self) -> str:
        """For the progress of the job: how many rows name no picture."""
        rows = len(self.matched.unmatched)
        if rows == 0:
            return ""
        subject = f"{rows:,} rows of the metadata file name" if rows > 1 else "1 row of the metadata file names"
        return f"{subject} no picture here"


def look_beside(intake_id: int, folder: Path, files: Sequence[Entry]) -> Beside:
    """Read the metadata of a folder and find the caption files. Raises Refused for a table with a mistake."""
    rows = read_metadata(files)
    matched = match(rows.by_key, files, str(folder))
    captions, left = _caption_files(files)
    beside = Beside(intake_id, rows, matched, captions)
    for source, sentence in rows.unread.items():
        beside.remark("unread", source, 0, source, sentence)
    for kind, pairs in (("unmatched", matched.unmatched), ("respelled", matched.respelled)):
        for row, sentence in pairs:
            beside.remark(kind, row.source, row.line, row.name, sentence)
    _remark_left(beside, left, files)
    return beside


def _remark_left(beside: Beside, left: Sequence[Entry], files: Iterable[Entry]) -> None:
    """Say of caption files that stand beside no picture so. A text that is called like none may be anybody's notes."""
    alike: dict[str, str] = {}
    for met in files if left else ():
        if met.kind == "picture":
            alike.setdefault(_letters(met.name), met.name)
    for met in left:
        likely = alike.get(_letters(met.name))
        if likely is not None or met.name.lower().endswith(".caption"):
            stem = posixpath.splitext(posixpath.basename(met.name))[0]
            hint = f"; there is {likely}" if likely else ""
            beside.remark("unread", met.name, 0, met.name, f"No picture beside it is called {stem}{hint}.")


def _letters(name: str) -> str:
    """The letters and digits of a file's own name, without its extension."""
    stem = posixpath.splitext(posixpath.basename(key_of(name)))[0]
    return "".join(letter for letter in stem.casefold() if letter.isalnum())


def _caption_files(files: Sequence[Entry]) -> tuple[dict[str, list[Entry]], list[Entry]]:
    """Caption files by the pictures they stand beside, "a.txt" and "a.jpg.txt" beside "a.jpg"; and those beside none.

    Capitals make no difference where only one picture can be meant.
    """
    texts: dict[str, list[Entry]] = defaultdict(list)
    for met in sorted(files, key=lambda met: (not met.name.lower().endswith(CAPTION_SUFFIXES[0]), met.name)):
        stem, suffix = posixpath.splitext(met.name)
        if met.kind == "other" and suffix.lower() in CAPTION_SUFFIXES and not is_metadata(met):
            texts[key_of(stem)].append(met)
    beside: dict[str, list[Entry]] = {}
    if texts:
        pictures = [key_of(met.name) for met in files if met.kind == "picture"]
        alike: dict[str, set[str]] = defaultdict(set)
        for key in pictures:
            for stem in (key, posixpath.splitext(key)[0]):
                alike[stem.casefold()].add(key)
        exact = {stem for key in pictures for stem in (key, posixpath.splitext(key)[0])}
        for stem in [stem for stem in texts if stem not in exact and len(alike[stem.casefold()]) == 1]:
            (key,) = alike[stem.casefold()]
            texts[key] += texts.pop(stem)
        for key in pictures:
            if its := [*texts.get(key, ()), *texts.get(posixpath.splitext(key)[0], ())]:
                beside[key] = its
    used = {met.name for its in beside.values() for met in its}
    return beside, [met for its in texts.values() for met in its if met.name not in used]


def count_read(beside: Beside, files: Iterable[Entry]) -> int:
    """How many of the files are metadata or captions, read or told why not."""
    captions = {met.name for its in beside.caption_files.values() for met in its}
    return sum(is_metadata(met) or met.name in captions for met in files)


def read_captions(beside: Beside, names: Iterable[str]) -> dict[str, list[GivenText]]:
    """The captions that came with these pictures, by name, the one that counts first. Reads files: no transaction."""
    given: dict[str, list[GivenText]] = {}
    for name in names:
        row = beside.said_of(name)
        texts = [GivenText(row.caption, row.source, row.line)] if row.caption else []
        for met in beside.caption_files.get(key_of(name), ()):
            try:
                texts.append(GivenText(_caption(read_plain(met.path, MAX_CAPTION_BYTES)), met.name))
            except Unread as refusal:
                beside.remark("unread", met.name, 0, name, refusal.sentence)
        if texts:
            given[name] = texts
    return given


def _caption(data: bytes) -> str:
    """The caption in a file's bytes, on one line. Raises Unread for none, too much, and what is not UTF-8."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unread("It is not UTF-8 text, so its caption was not taken.") from error
    try:
        return writing.tidy(text)
    except Refused as refusal:
        raise Unread(f"No caption was taken: {refusal.sentence[0].lower()}{refusal.sentence[1:]}") from refusal


def describe(
    session: Session, beside: Beside, given: dict[str, list[GivenText]], named: Sequence[tuple[int, str]]
) -> None:
    """Put rows and captions into the catalog for `named` pairs of an image and one of its names, in order of names.

    Images are locked in the order of their ids, so that two intakes into one catalog never wait in a circle.
    """
    told_of = {image_id for image_id, name in named if key_of(name) in beside.matched.rows or name in given}
    if told_of:
        locked = select(Image).where(Image.id.in_(told_of)).order_by(Image.id).with_for_update()
        images = {image.id: image for image in session.scalars(locked)}
        current = writing.current(session, told_of)
        for image_id, name in named:
            image = images.get(image_id)
            if image is None:
                continue
            _correct(beside, image, name)
            for text in given.get(name, ()):
                _give(session, beside, image, name, text, current.get(image_id))
    keep_remarks(session, beside)


def can_correct(met: Entry) -> bool:
    """Whether a file can say something of photos that the catalog has already."""
    return is_metadata(met) or (met.kind == "other" and met.path.suffix.lower() in CAPTION_SUFFIXES)


def photos_by_name(begin: Begin, catalog_id: int) -> dict[str, int]:
    """A catalog's images by every name that they came under; of two of one name the one that came last."""
    query = (
        select(SourceFile.file_name, SourceFile.image_id)
        .where(SourceFile.catalog_id == catalog_id)
        .order_by(SourceFile.id)
    )
    with begin() as session:
        return {row[0]: row[1] for row in session.execute(query) if row[1] is not None}


def describe_photos(begin: Begin, beside: Beside, photos: dict[str, int]) -> None:
    """Put rows and captions that came without pictures into the catalog: corrections of `photos`, image ids by name."""
    wanted = [name for name in photos if key_of(name) in beside.matched.rows or key_of(name) in beside.caption_files]
    for start in range(0, len(wanted), _BATCH):
        names = wanted[start : start + _BATCH]
        given = read_captions(beside, names)
        with begin() as session:
            describe(session, beside, given, [(photos[name], name) for name in names])


def _correct(beside: Beside, image: Image, name: str) -> None:
    """What the row of one name says, set where an earlier name of the same bytes says nothing else."""
    row = beside.said_of(name)
    changes, unused = [], dict[str, list[str]]()
    for fact, value in _facts(row):
        other = next((n for n in beside.names[image.id] if _fact(beside.said_of(n), fact) not in (None, value)), None)
        if other is not None:
            unused.setdefault(other, []).append(f"{_named(fact)} {_shown(value)}")
            continue
        before = getattr(image, fact) if fact in _FIELDS else image.extra.get(fact)
        if before != value:
            changes.append(f"{_named(fact)} {_shown(before)} → {_shown(value)}")
            _set(image, fact, value)
    if row.line:
        beside.names[image.id].append(name)
    if changes:
        beside.remark("changed", row.source, row.line, row.name, f"{image.file_name}: {'; '.join(changes)}.")
    for other, values in unused.items():
        why = f"{other} has the same bytes, and its row says otherwise"
        beside.remark("unused", row.source, row.line, row.name, f"Not taken: {'; '.join(values)}. {why}.")


def _give(session: Session, beside: Beside, image: Image, name: str, given: GivenText, before: Caption | None) -> None:
    """One caption that came with a photo, unless an earlier file of this intake gave the photo another."""
    earlier = beside.captions.setdefault(image.id, given)
    if earlier.text != given.text:
        writing.keep_beneath(session, image.id, given.text, given.file, given.line)
        why = f"{earlier.file} has another caption of this photo; this one is in its history"
        beside.remark("unused", given.file, given.line, name, f"{why}.")
        return
    outcome = writing.give(session, image.id, given.text, given.file, given.line)
    beside.counts["given"] += earlier is given
    if outcome == "replaced" and before is not None:
        change = f"caption {_shown(before.text)} → {_shown(given.text)}"
        beside.remark("changed", given.file, given.line, name, f"{image.file_name}: {change}.")
    elif outcome == "outranked":
        author = writing.author(session, before) if before is not None else "somebody"
        why = f"The caption by {author} stays; this one is in the photo's history"
        beside.remark("unused", given.file, given.line, name, f"{why}.")


def _facts(row: PhotoMetadata) -> Iterator[tuple[str, Any]]:
    """What a row says, fact by fact; the extra columns under their names."""
    yield from ((fact, value) for fact in _FIELDS if (value := getattr(row, fact)) is not None)
    yield from ((column, value) for column, value in row.extra.items() if column not in _FIELDS)


def _fact(row: PhotoMetadata, fact: str) -> Any:
    return getattr(row, fact) if fact in _FIELDS else row.extra.get(fact)


def _set(image: Image, fact: str, value: Any) -> None:
    if fact in _FIELDS:
        setattr(image, fact, value)
    else:
        image.extra = {**image.extra, fact: value}


def _named(fact: str) -> str:
    return fact if fact in _FIELDS else f"“{fact[:_SHOWN_CHARACTERS]}”"


def _shown(value: Any) -> str:
    """A value in a sentence, cut where it is long."""
    if value is None:
        return "none"
    text = str(value)
    return f"“{text[:_SHOWN_CHARACTERS]}…”" if len(text) > _SHOWN_CHARACTERS else f"“{text}”"


def begin_remarks(session: Session, beside: Beside) -> None:
    """Write down what was remarked of the files themselves.

    A job taken up again makes all its remarks once more, so earlier ones go; but what it changed before, it does not
    change again.
    """
    mine = (IntakeRemark.intake_id == beside.intake_id, IntakeRemark.kind != "changed")
    session.execute(delete(IntakeRemark).where(*mine))
    keep_remarks(session, beside)


def keep_remarks(session: Session, beside: Beside) -> None:
    """Write down what was remarked since the last time."""
    if beside.pending:
        session.execute(insert(IntakeRemark), beside.pending)
        beside.pending.clear()


def outcome(session: Session, beside: Beside) -> dict[str, Any]:
    """What the job's result says of it: files and rows read, captions given, and how many remarks of each kind."""
    kept = (
        select(IntakeRemark.kind, func.count())
        .where(IntakeRemark.intake_id == beside.intake_id)
        .group_by(IntakeRemark.kind)
    )
    counts = {row[0]: row[1] for row in session.execute(kept)}
    return {
        "metadata_files": dict(sorted(beside.rows.files.items())[:50]),
        "metadata_rows": len(beside.rows.by_key),
        "metadata_rows_without_picture": len(beside.matched.unmatched),
        "captions_given": beside.counts["given"],
        "remarks": {kind: most for kind in KINDS if (most := max(beside.counts[kind], counts.get(kind, 0)))},
    }


def remarks(session: Session, intake_id: int, kind: str, after: int = 0, limit: int = 200) -> list[IntakeRemark]:
    """Remarks of one kind that an intake made, in their order, starting after the one with the id `after`."""
    query = (
        select(IntakeRemark)
        .where(IntakeRemark.intake_id == intake_id, IntakeRemark.kind == kind, IntakeRemark.id > after)
        .order_by(IntakeRemark.id)
        .limit(limit)
    )
    return list(session.scalars(query))
