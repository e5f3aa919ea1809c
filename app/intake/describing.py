"""What stands beside the photos of an intake, metadata rows and caption files, put into the catalog and remarked on.

The newest word counts: a row that says something else than the catalog corrects it, and what it changed is told.
Nothing is passed over in silence: not a row without a picture, nor a second name of the same bytes that says something
else, nor a caption where a person wrote another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, true
from sqlalchemy.orm import Session

from app.captions import writing
from app.captions.tables import Caption
from app.catalog import corrections, rights
from app.catalog.naming import folder_category
from app.catalog.tables import Image, IntakeRemark
from app.intake.matching import TOLD_AT_MOST
from app.intake.metadata import PhotoMetadata, is_address, is_metadata
from app.intake.sources.entry import Entry
from app.intake.sources.naming import holds_many
from app.intake.staging import CAPTION_SUFFIXES, GivenText, given_of, said_of
from app.intake.tables import IntakeFile

# How many remarks of a kind are kept; more are only counted. What was done to photos is kept nearly always.
MAX_REMARKS: Final = TOLD_AT_MOST
MAX_CHANGES: Final = 100_000
KINDS: Final = ("unread", "unmatched", "respelled", "unused", "changed")
# How many staged entries are put into the catalog at once.
_BATCH: Final = 500
_FIELDS: Final = ("title", "category", "description", "product")
_SHOWN_CHARACTERS: Final = 80
_MAX_NAME: Final = 300

Begin = Callable[[], AbstractContextManager[Session]]


@dataclass(slots=True)
class IntakeRemarks:
    """What is remarked of an intake's files: how many of each kind, and those that are not kept yet."""

    intake_id: int
    counts: Counter[str] = field(default_factory=Counter)
    pending: list[dict[str, Any]] = field(default_factory=list)

    def remark(self, kind: str, source: str, line: int, name: str, sentence: str) -> None:
        """Remember one remark until `keep`."""
        self.counts[kind] += 1
        if self.counts[kind] <= most_kept(kind):
            place = {"kind": kind, "source": source[-_MAX_NAME:], "line": line, "name": name[-_MAX_NAME:]}
            self.pending.append({"intake_id": self.intake_id, **place, "sentence": sentence})

    def keep(self, session: Session) -> None:
        """Write down what was remarked since the last time."""
        if self.pending:
            session.execute(insert(IntakeRemark), self.pending)
            self.pending.clear()


@dataclass(frozen=True, slots=True)
class _Named:
    """One name of an image with the words that came under it."""

    name: str
    said: PhotoMetadata | None
    given: list[GivenText]


def facts_of(name: str, said: PhotoMetadata | None) -> dict[str, Any]:
    """The columns of an image that its name and its row say."""
    said = said or PhotoMetadata(line=0)
    # An archive is no category, nor is a web host.
    inner = "/".join(part for part in PurePosixPath(name).parts if not holds_many(part))
    return {
        "file_name": name,
        "title": said.title,
        "category": said.category or (None if is_address(name) else folder_category(inner)),
        "description": said.description,
        "product": said.product,
        "extra": said.extra,
    }


def can_correct(met: Entry) -> bool:
    """Whether a file can say something of photos that the catalog has already."""
    return is_metadata(met) or (met.kind == "other" and met.path.suffix.lower() in CAPTION_SUFFIXES)


def describe_next(session: Session, remarks: IntakeRemarks, after: int) -> int | None:
    """Put the words of the next staged entries after the one with this id into the catalog, in their order.

    Returns the id of the last of them, None when there are none left. Images are locked in the order of their ids, so
    that two intakes into one catalog never wait in a circle.
    """
    rows = session.scalars(
        select(IntakeFile)
        .where(*_worded(remarks.intake_id), IntakeFile.id > after)
        .order_by(IntakeFile.id)
        .limit(_BATCH)
        .execution_options(populate_existing=True)
    ).all()
    if not rows:
        return None
    ids = {row.image_id for row in rows if row.image_id is not None}
    # Other transactions may point at these images meanwhile; they may not change them.
    locked = select(Image).where(Image.id.in_(ids)).order_by(Image.id).with_for_update(key_share=True)
    images = {image.id: image for image in session.scalars(locked)}
    current = writing.current(session, ids)
    earlier = _earlier(session, remarks.intake_id, rows)
    corrected = corrections.current_on(session, ids)
    fresh: dict[int, tuple[str, GivenText]] = {}
    for row in rows:
        image = images.get(row.image_id or 0)
        if image is None:
            continue
        named = _Named(row.name, said_of(row), list(given_of(row)))
        _correct(remarks, image, named, earlier[image.id], corrected.get(image.id, {}))
        first = next((text for words in [*earlier[image.id], named] for text in words.given), None)
        for text in named.given:
            if first is text and image.id not in current:
                fresh[image.id] = (row.name, text)
            elif first is not None and (image.id not in fresh or first.text != text.text):
                _give(session, remarks, image, row.name, text, first, current.get(image.id))
        earlier[image.id].append(named)
    # Nearly all photos come without a caption, and theirs are written at once.
    written = writing.give_first(session, {key: (text.text, text.file, text.line) for key, (_, text) in fresh.items()})
    for image_id, (name, text) in fresh.items():
        if image_id not in written:
            _give(session, remarks, images[image_id], name, text, text, None)
    remarks.keep(session)
    return rows[-1].id


def captions_given(session: Session, intake_id: int) -> int:
    """How many photos came with a caption."""
    photos = select(func.count(func.distinct(IntakeFile.image_id)))
    return session.scalar(photos.where(*_worded(intake_id), IntakeFile.given.is_not(None))) or 0


def _worded(intake_id: int) -> tuple[ColumnElement[bool], ...]:
    """Staged entries that are photos of the catalog by now and that words came for."""
    return (
        IntakeFile.intake_id == intake_id,
        IntakeFile.kind.in_(("picture", "photo")),
        IntakeFile.image_id.is_not(None),
        or_(IntakeFile.said.is_not(None), IntakeFile.given.is_not(None)),
    )


def _earlier(session: Session, intake_id: int, rows: Sequence[IntakeFile]) -> dict[int, list[_Named]]:
    """What came before these entries under other names of their images, by image."""
    query = (
        select(IntakeFile)
        .where(*_worded(intake_id), IntakeFile.id < rows[0].id, IntakeFile.image_id.in_({row.image_id for row in rows}))
        .order_by(IntakeFile.id)
    )
    names: dict[int, list[_Named]] = defaultdict(list)
    for row in session.scalars(query):
        names[row.image_id or 0].append(_Named(row.name, said_of(row), list(given_of(row))))
    return names


def _correct(
    remarks: IntakeRemarks, image: Image, named: _Named, earlier: Sequence[_Named], corrected: Mapping[str, str]
) -> None:
    """What the row of one name says, set where an earlier name of the same bytes says nothing else, and no person: of
    the facts that are `corrected`, by whom."""
    row = named.said
    if row is None:
        return
    changes, unused = [], dict[str, list[str]]()
    for fact, value in _facts(row):
        others = (words.name for words in earlier if words.said and _fact(words.said, fact) not in (None, value))
        if (other := next(others, None)) is not None:
            unused.setdefault(other, []).append(f"{_label(fact)} {_shown(value)}")
            continue
        before = getattr(image, fact) if fact in _FIELDS else image.extra.get(fact)
        if before != value and fact in corrected:
            why = f"{corrected[fact]} corrected it to {_shown(before)}, which stays"
            said = f"Not taken: {_label(fact)} {_shown(value)}. {why}."
            remarks.remark("unused", row.source, row.line, row.name, said)
        elif before != value:
            changes.append(f"{_label(fact)} {_shown(before)} → {_shown(value)}")
            _set(image, fact, value)
    for column in rights.replaced(image.extra, row.extra):
        if not any(words.said and column in words.said.extra for words in earlier):
            changes.append(f"{_label(column)} {_shown(image.extra[column])} → none")
            image.extra = {name: value for name, value in image.extra.items() if name != column}
    if changes:
        remarks.remark("changed", row.source, row.line, row.name, f"{image.file_name}: {'; '.join(changes)}.")
    for other, values in unused.items():
        why = f"{other} has the same bytes, and its row says otherwise"
        remarks.remark("unused", row.source, row.line, row.name, f"Not taken: {'; '.join(values)}. {why}.")


def heed_servers(session: Session, remarks: IntakeRemarks, heard: dict[int, tuple[str, dict[str, str]]]) -> None:
    """Keep what servers say now of photos that the catalog has: by id of the image, the address and its headers.

    An opt-out counts from when it is heard. What was said before and is not said any more stays, and what the server
    of another address of the same bytes said stands beside it.
    """
    rows = select(Image).where(Image.id.in_(heard)).order_by(Image.id).with_for_update(key_share=True)
    for image in session.scalars(rows.execution_options(populate_existing=True)):
        address, said = heard[image.id]
        if address != image.file_name:
            said = {name: both_said(image.extra.get(name), value) for name, value in said.items()}
        changes = [
            f"{_label(name)} {_shown(image.extra.get(name))} → {_shown(value)}"
            for name, value in said.items()
            if image.extra.get(name) != value
        ]
        if changes:
            image.extra = {**image.extra, **said}
            remarks.remark("changed", address, 0, address, f"{image.file_name}: {'; '.join(changes)}, by its server.")
    remarks.keep(session)


def both_said(before: Any, value: str) -> str:
    """What two servers say of the same bytes, in one header's value."""
    words = str(before).split(", ") if before else []
    return ", ".join([*words, *(word for word in value.split(", ") if word not in words)])


def changes_kept(session: Session, intake_id: int) -> int:
    """How many changes of this intake are written down."""
    changed = (IntakeRemark.intake_id == intake_id, IntakeRemark.kind == "changed")
    return session.scalar(select(func.count()).select_from(IntakeRemark).where(*changed)) or 0


def _give(
    session: Session,
    remarks: IntakeRemarks,
    image: Image,
    name: str,
    given: GivenText,
    first: GivenText,
    before: Caption | None,
) -> None:
    """One caption that came with a photo, unless the first of this intake is another."""
    if first.text != given.text:
        writing.keep_beneath(session, image.id, given.text, given.file, given.line)
        why = f"{first.file} has another caption of this photo; this one is in its history"
        remarks.remark("unused", given.file, given.line, name, f"{why}.")
        return
    outcome = writing.give(session, image.id, given.text, given.file, given.line)
    if outcome == "replaced" and before is not None:
        change = f"caption {_shown(before.text)} → {_shown(given.text)}"
        remarks.remark("changed", given.file, given.line, name, f"{image.file_name}: {change}.")
    elif outcome == "outranked":
        author = writing.author(session, before) if before is not None else "somebody"
        why = f"The caption by {author} stays; this one is in the photo's history"
        remarks.remark("unused", given.file, given.line, name, f"{why}.")


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


def _label(fact: str) -> str:
    return fact if fact in _FIELDS else f"“{fact[:_SHOWN_CHARACTERS]}”"


def _shown(value: Any) -> str:
    """A value in a sentence, cut where it is long."""
    if value is None:
        return "none"
    text = str(value)
    return f"“{text[:_SHOWN_CHARACTERS]}…”" if len(text) > _SHOWN_CHARACTERS else f"“{text}”"


def forget_remarks(session: Session, intake_id: int, after: int = 0) -> None:
    """Forget what was remarked of the files themselves: a listing that is done again makes these remarks once more.

    Those up to the one with the id `after` stay.
    """
    mine = (
        IntakeRemark.intake_id == intake_id, IntakeRemark.kind.not_in(("changed", "unused")), IntakeRemark.id > after,
    )  # fmt: skip
    session.execute(delete(IntakeRemark).where(*mine))


def most_kept(kind: str) -> int:
    """How many remarks of a kind are kept."""
    return MAX_CHANGES if kind in ("changed", "unused") else MAX_REMARKS


def remarks(
    session: Session, intake_id: int, kind: str, after: int = 0, limit: int = 200, text: str = ""
) -> list[IntakeRemark]:
    """Remarks of one kind that an intake made, in their order, starting after the one with the id `after`.

    `text` stands in what they name or say, in any letter case.
    """
    holds = IntakeRemark.name.icontains(text, autoescape=True) | IntakeRemark.sentence.icontains(text, autoescape=True)
    query = (
        select(IntakeRemark)
        .where(IntakeRemark.intake_id == intake_id, IntakeRemark.kind == kind, IntakeRemark.id > after)
        .where(holds if text else true())
        .order_by(IntakeRemark.id)
        .limit(limit)
    )
    return list(session.scalars(query))
