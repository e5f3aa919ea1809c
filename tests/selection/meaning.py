"""What every key of the language means, in plain Python over plain rows: what the SQL is compared with.

A key that is declared and not told of here fails `test_every_key.py`.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions.tables import Caption, CaptionCheck, CaptionLint, CaptionText, CaptionTokens
from app.captions.token_counts import ENCODERS
from app.catalog.tables import EmbeddedPhrase, Embedding, Image, Lettering, MapSet, PhotoMap, Signals
from app.labels.tables import Labelling, LabelSet, LabelValue
from app.people import Person
from app.review.tables import Assignment, Decision
from app.selection.kinds import Range
from app.selection.query import Selection
from app.selection.tree import AllOf, AnyOf, Node, Term, Without
from app.selection.when import LATELY, Period
from tests.selection.looking import Looks
from tests.selection.plain_words import mentions, plain


@dataclass(frozen=True)
class PlainPhoto:
    """A photo with all that was measured, written and decided of it, each read by itself."""

    image: Image
    signals: Signals | None
    lettering: Lettering | None
    caption: Caption | None
    decision: Decision | None
    looks: Looks
    people: dict[int, Person]
    labels: dict[str, set[str]] = field(default_factory=dict)
    """What people said of it by set, both as `_same` has them."""
    assignee: Person | None = None
    apart: float | None = None
    tokens: dict[str, int] = field(default_factory=dict)  # of its caption, by encoder
    captions: dict[str, str] = field(default_factory=dict)  # the current ones, by kind
    lints: list[str] = field(default_factory=list)
    is_contradicted: bool = False

    @property
    def texts(self) -> list[str]:
        """Everything that words are looked for in."""
        image = self.image
        texts = (image.title, image.category, image.description, image.product, image.file_name)
        written = [self.caption.text] if self.caption else []
        return [text for text in (*texts, *written, *self.printed) if text]

    @property
    def printed(self) -> list[str]:
        """The lines that stand in the picture."""
        return self.lettering.words.split("\n") if self.lettering and self.lettering.words else []


@dataclass(frozen=True)
class Meaning:
    """`holds`: whether a photo is one of a value; `values`: values that hold of it, to draw from."""

    holds: Callable[[PlainPhoto, Any], bool]
    values: Callable[[PlainPhoto], Iterable[Any]]


def photos_of(session: Session, catalog_id: int) -> list[PlainPhoto]:
    """The catalog's photos, oldest first."""
    signals = {row.image_id: row for row in session.scalars(select(Signals))}
    captions = {row.image_id: row for row in session.scalars(select(Caption)) if row.superseded_at is None}
    decisions = {row.image_id: row for row in session.scalars(select(Decision)) if row.superseded_at is None}
    images = session.scalars(select(Image).where(Image.catalog_id == catalog_id).order_by(Image.id))
    read = {row.image_id: row for row in session.scalars(select(Lettering))}
    looks = Looks(
        {
            # As the database has them: in half precision.
            row.image_id: np.array(row.vector, dtype=float)
            for row in session.execute(
                select(Embedding.image_id, Embedding.vector).where(Embedding.catalog_id == catalog_id)
            )
        },
        {row.phrase: np.array(row.vector, dtype=float) for row in session.scalars(select(EmbeddedPhrase))},
        {row.name: row.image_ids for row in session.scalars(select(MapSet).where(MapSet.catalog_id == catalog_id))},
    )
    people = {row.id: row for row in session.scalars(select(Person))}
    labels = _labels_of(session)
    counted = {row.caption_id: row.counts for row in session.scalars(select(CaptionTokens))}
    whose = select(Assignment.image_id, Person).join(Person, Person.id == Assignment.assignee_id)
    assignees = dict(session.execute(whose.where(Assignment.superseded_at.is_(None))).all())
    apart: dict[int, float] = {}
    for made in session.scalars(select(PhotoMap).where(PhotoMap.catalog_id == catalog_id)):
        apart |= dict(zip(made.image_ids, made.apart, strict=True))
    of_kinds: dict[int, dict[str, str]] = {}
    for caption in session.scalars(select(CaptionText).where(CaptionText.superseded_at.is_(None))):
        of_kinds.setdefault(caption.image_id, {})[caption.kind] = caption.text
    lints = {
        number: found.kinds if (found := session.get(CaptionLint, number)) and found.caption_id == caption.id
        else ["unchecked"]
        for number, caption in captions.items()
    }  # fmt: skip
    checks = select(CaptionCheck.image_id).where(CaptionCheck.contradiction.is_not(None))
    contradicted = set(session.scalars(checks))
    return [
        PlainPhoto(
            row, signals.get(row.id), read.get(row.id), captions.get(row.id), decisions.get(row.id),
            looks, people, labels.get(row.id, {}), assignees.get(row.id),
            apart.get(row.id), counted.get(captions[row.id].id, {}) if row.id in captions else {},
            of_kinds.get(row.id, {}), lints.get(row.id, []) if row.id in captions else [], row.id in contradicted,
        )
        for row in images
    ]  # fmt: skip


def _labels_of(session: Session) -> dict[int, dict[str, set[str]]]:
    named = {row.id: row.name for row in session.scalars(select(LabelValue))}
    names = {row.id: row.name for row in session.scalars(select(LabelSet))}
    said: dict[int, dict[str, set[str]]] = {}
    for row in session.scalars(select(Labelling)):
        if row.superseded_at is None and row.value_ids:
            said.setdefault(row.image_id, {})[_same(names[row.set_id])] = {_same(named[each]) for each in row.value_ids}
    return said


def matches(photo: PlainPhoto, selection: Selection) -> bool:
    """Whether a photo is in the selection."""
    return holds(photo, selection.asked)


def holds(photo: PlainPhoto, asked: Node) -> bool:
    """Whether a photo is what one part of a filter asks for."""
    match asked:
        case Term():
            return _meets(photo, asked, AllOf((asked,)))
        case Without():
            return not holds(photo, asked.part)
        case AnyOf():
            return any(holds(photo, part) for part in asked.parts)
    return all(_meets(photo, term, asked) for term in asked.terms) and all(holds(photo, part) for part in asked.groups)


def _meets(photo: PlainPhoto, term: Term, around: AllOf) -> bool:
    if term.key in ("like", "unlike"):
        return _is_like(photo, term, around)
    if term.key == "label":
        return _is_labelled(photo, term)
    held = [MEANINGS[term.key].holds(photo, value) for value in term.values]
    if term.key == "decision" and "rule" in around.values("by") and _author(photo) == "rule":
        held += [photo.decision is not None and photo.decision.verdict == value for value in term.values]
    if term.is_not:
        return not any(held)
    return all(held) if term.key == "words" else any(held)


def _is_like(photo: PlainPhoto, term: Term, around: AllOf) -> bool:
    """These keys ask about all their values together, and about each other's."""
    looks, here = photo.looks, photo.image.id
    if term.key == "like":
        return (here in looks.nearest(looks.middle(term.values, around.values("unlike")))) != term.is_not
    if around.values("like") and not term.is_not:
        return True
    return (here in looks.nearest(looks.middle(term.values))) == term.is_not


def _is_labelled(photo: PlainPhoto, term: Term) -> bool:
    """Labels of one set are alternatives, sets are asked for together."""
    by_set: dict[str, list[bool]] = {}
    for value in term.values:
        if value != "none":
            by_set.setdefault(_same(value.partition("=")[0]), []).append(_has_label(photo, value))
    nothing = "none" in term.values and not photo.labels
    if term.is_not:
        return not (nothing or any(any(held) for held in by_set.values()))
    return nothing or (bool(by_set) and all(any(held) for held in by_set.values()))


def _has_label(photo: PlainPhoto, value: str) -> bool:
    name, is_assigned, label = _same(value).partition("=")
    given = photo.labels.get(name, set())
    return label in given if is_assigned else bool(given)


def _author(photo: PlainPhoto) -> str:
    """Who said something of a photo: a person, only a rule, or nobody."""
    if photo.decision is None:
        return "none"
    return "rule" if photo.decision.rule else "person"


def _decided(photo: PlainPhoto) -> str:
    return photo.decision.verdict if photo.decision and _author(photo) == "person" else "unseen"


def _beginnings(photo: PlainPhoto) -> list[str]:
    """Words to ask for: as they stand, begun, in another letter case, two in a row, and signs."""
    asked = [" ".join(text.split()[:2]) for text in photo.texts]
    asked += [word for text in photo.texts for word in (text.split()[0][:3], text.split()[-1].upper())]
    # Over the border of two texts, and with a sign that stands beside another word.
    asked += [f"{one.split()[-1]} {other.split()[0]}" for one, other in itertools.pairwise(photo.texts)]
    asked += ["wool%", "100%", "kettle&", "&kettle ab"]
    return [word for word in asked if word]


def _same(text: str) -> str:
    """What spellings of one name have in common."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _labelled(value: Callable[[PlainPhoto], str | None]) -> Meaning:
    return Meaning(
        lambda photo, asked: (None if (name := value(photo)) is None else _same(name)) == (asked and _same(asked)),
        lambda photo: [name if (name := value(photo)) is None else name.upper(), value(photo)],
    )


def _within(value: float | None, bounds: Range | None, top: float) -> bool:
    if value is None or bounds is None:
        return value is None and bounds is None
    if bounds.low is not None and bounds.high is not None:
        return bounds.low / top <= value <= bounds.high / top
    return value > bounds.low / top if bounds.low is not None else value < (bounds.high or 0.0) / top


def _around(value: float | None, top: float, highest: float) -> list[Range | None]:
    """Ranges with the value inside, at the edge and outside, and what asks for no value."""
    shown = round((0.5 if value is None else value) * top, 4)
    low, high = sorted((round(shown * 0.7, 4), max(shown, min(max(highest, shown), round(shown * 1.2, 4)))))
    return [Range(low=shown), Range(high=shown), Range(low, high), None]


def _equal(value: Callable[[PlainPhoto], Any]) -> Meaning:
    return Meaning(lambda photo, asked: value(photo) == asked, lambda photo: [value(photo)])


def _measured(value: Callable[[PlainPhoto], float | None], top: float = 1.0, highest: float | None = None) -> Meaning:
    return Meaning(
        lambda photo, asked: _within(value(photo), asked, top),
        lambda photo: _around(value(photo), top, top if highest is None else highest),
    )


def _of_column(name: str) -> Callable[[PlainPhoto], float | None]:
    return lambda photo: getattr(photo.signals, name) if photo.signals else None


def _on(moment: Callable[[PlainPhoto], datetime | None]) -> Meaning:
    """Days in UTC, both included."""

    def is_on(photo: PlainPhoto, asked: Period | None) -> bool:
        happened = moment(photo)
        if happened is None or asked is None:
            return happened is None and asked is None
        day, today = happened.astimezone(UTC).date(), datetime.now(UTC).date()
        if asked.name:
            return day > today - timedelta(LATELY[asked.name])
        return (asked.first or date.min) <= day <= (asked.last or date.max)

    def days(photo: PlainPhoto) -> list[Period | None]:
        day = (moment(photo) or datetime(2026, 11, 3, tzinfo=UTC)).astimezone(UTC).date()
        after, before = day + timedelta(1), day - timedelta(1)
        ranges = [Period(day, day), Period(before, day), Period(first=after), Period(last=before)]
        return [*ranges, *(Period(name=name) for name in LATELY), None]

    return Meaning(is_on, days)


def _person(number: Callable[[PlainPhoto], int | None]) -> Meaning:
    def is_named(photo: PlainPhoto, asked: str | None) -> bool:
        person = photo.people.get(number(photo) or 0)
        if person is None or asked is None:
            return person is None and asked is None
        return f" {plain(asked)}" in f" {plain(person.name)}" or person.email == asked.lower()

    def names(photo: PlainPhoto) -> list[str | None]:
        person = photo.people.get(number(photo) or 0)
        return [person.name[:2].upper(), person.name, person.email] if person else ["nobody", None]

    return Meaning(is_named, names)


def _in_caption(kind: str) -> Meaning:
    """Words, beginnings and phrases in the caption of one kind."""

    def values(photo: PlainPhoto) -> list[str]:
        words = photo.captions.get(kind, "enamel").split()
        return [words[0][:3], words[-1].upper(), " ".join(words[:2])]

    return Meaning(lambda photo, typed: kind in photo.captions and mentions([photo.captions[kind]], typed), values)


def _by_person(photo: PlainPhoto) -> Decision | None:
    return photo.decision if photo.decision and not photo.decision.rule else None


MEANINGS: Final[dict[str, Meaning]] = {
    "decision": _equal(_decided),
    "by": _equal(_author),
    "background": _equal(lambda photo: photo.signals.background if photo.signals else "cannot tell"),
    "sharpness": _measured(lambda photo: photo.signals.sharpness if photo.signals else None),
    "backdrop": _labelled(lambda photo: photo.signals.background_colour if photo.signals else None),
    "cropped": _equal(
        lambda photo: {True: "yes", False: "no", None: "cannot tell"}[photo.signals and photo.signals.is_cropped]
    ),
    "fill": _measured(lambda photo: photo.signals.fill if photo.signals else None, top=100.0),
    "category": _labelled(lambda photo: photo.image.category),
    "colour": _labelled(lambda photo: photo.signals.subject_colour if photo.signals else None),
    "caption": _equal(lambda photo: photo.caption.written_by if photo.caption else "none"),
    "has": Meaning(
        lambda photo, asked: asked in photo.captions or (asked == "none" and not photo.captions),
        lambda photo: list(photo.captions) or ["none"],
    ),
    "lint": Meaning(
        lambda photo, asked: asked in photo.lints or (asked == "none" and not photo.lints),
        lambda photo: photo.lints or ["none"],
    ),
    "contradicted": _equal(lambda photo: "yes" if photo.is_contradicted else "no"),
    **{kind: _in_caption(kind) for kind in ("long", "short", "tags", "facts")},
    "rule": Meaning(
        lambda photo, asked: photo.decision is not None and photo.decision.rule == asked,
        lambda photo: [photo.decision.rule] if photo.decision and photo.decision.rule else ["clean"],
    ),
    "note": Meaning(
        lambda photo, asked: asked in photo.image.notes or (asked == "none" and not photo.image.notes),
        lambda photo: photo.image.notes or ["none"],
    ),
    "copies": _equal(lambda photo: photo.image.copies),
    "linked": _equal(lambda photo: "yes" if photo.image.is_linked else "no"),
    "best": _equal(lambda photo: "yes" if photo.image.is_best else "no"),
    "mended": _equal(lambda photo: "yes" if photo.image.mend_id is not None else "no"),
    "product": _labelled(lambda photo: photo.image.product),
    "licence": _labelled(lambda photo: photo.image.extra.get("License")),
    "optout": _equal(lambda photo: "yes" if photo.image.extra.get("opt_out") == "yes" else "no"),
    "source": Meaning(
        lambda photo, asked: plain(asked) in plain(photo.image.extra.get("url", "")),
        lambda photo: [url[8:15], url.upper()] if (url := photo.image.extra.get("url")) else ["example"],
    ),
    "file": Meaning(
        lambda photo, asked: plain(asked) in plain(photo.image.file_name),
        lambda photo: [photo.image.file_name[2:7], photo.image.file_name.upper()],
    ),
    "similar": Meaning(
        lambda photo, asked: photo.image.id in photo.looks.nearest(photo.looks.middle([asked])),
        lambda photo: [photo.image.id],
    ),
    # Held against each other in `_is_like`.
    "like": Meaning(lambda photo, asked: False, lambda photo: [photo.image.id]),
    "unlike": Meaning(lambda photo, asked: False, lambda photo: [photo.image.id]),
    "looks": Meaning(
        lambda photo, asked: photo.image.id in photo.looks.nearest(photo.looks.phrases.get(asked)),
        lambda photo: [*photo.looks.phrases, "never asked for"],
    ),
    "in": Meaning(
        lambda photo, asked: photo.image.id in photo.looks.sets.get(asked, ()),
        lambda photo: [*photo.looks.sets, "lasso-9"],
    ),
    "width": _measured(lambda photo: photo.image.width_px),
    "height": _measured(lambda photo: photo.image.height_px),
    "size": _measured(lambda photo: photo.image.size_bytes, top=1e-6),
    "longside": _measured(lambda photo: max(photo.image.width_px, photo.image.height_px)),
    "shortside": _measured(lambda photo: min(photo.image.width_px, photo.image.height_px)),
    "ratio": _measured(lambda photo: photo.image.width_px / photo.image.height_px),
    "offsetx": _measured(_of_column("offset_x"), top=100.0, highest=50.0),
    "offsety": _measured(_of_column("offset_y"), top=100.0, highest=50.0),
    "textshare": _measured(lambda photo: photo.lettering.share if photo.lettering else None, top=100.0),
    "apart": _measured(lambda photo: photo.apart, top=1.0),
    "captionlength": _measured(lambda photo: len(photo.caption.text) if photo.caption else None),
    "captionwords": _measured(lambda photo: len(photo.caption.text.split()) if photo.caption else None),
    **{
        f"tokens_{name}": _measured(lambda photo, name=name: photo.tokens.get(name))  # type: ignore[misc]
        for name in ENCODERS
    },
    "taken": _on(lambda photo: photo.image.taken_in_at),
    "decided": _on(lambda photo: decision.created_at if (decision := _by_person(photo)) else None),
    "captioned": _on(lambda photo: photo.caption.created_at if photo.caption else None),
    "decider": _person(lambda photo: decision.person_id if (decision := _by_person(photo)) else None),
    "author": _person(lambda photo: photo.caption.person_id if photo.caption else None),
    "assigned": _person(lambda photo: photo.assignee.id if photo.assignee else None),
    "id": _equal(lambda photo: photo.image.id),
    "words": Meaning(lambda photo, typed: mentions(photo.texts, typed), _beginnings),
    # Together in `_is_labelled`.
    "label": Meaning(
        _has_label,
        lambda photo: (
            [
                *(f"{name}={label}" for name, labels in photo.labels.items() for label in sorted(labels)),
                *(name.upper() for name in photo.labels),
            ]
            or ["none", "Unheard of", "fit=unheard of"]
        ),
    ),
    "lettering": _equal(lambda photo: photo.lettering.place if photo.lettering else "not read"),
    "writing": Meaning(
        lambda photo, asked: (
            asked in (photo.lettering.kinds if photo.lettering else [])
            or (asked == "none" and not (photo.lettering and photo.lettering.kinds))
        ),
        lambda photo: ["price", "watermark", "text", "none"],
    ),
    "text": Meaning(
        lambda photo, typed: mentions(photo.printed, typed),
        lambda photo: [line.split()[0][:3] for line in photo.printed] or ["organic"],
    ),
    **{
        key: _measured(_of_column(column), top)
        for key, column, top in (
            ("contrast", "contrast", 1.0),
            ("outline", "confidence", 1.0),
            ("brightness", "brightness", 1.0),
            ("clipped", "clipped_light", 100.0),
            ("crushed", "clipped_dark", 100.0),
            ("shadow", "shadow", 1.0),
            ("chroma", "chroma", 1.0),
            ("blockiness", "blockiness", 1.0),
            ("detail", "detail", 1.0),
            ("border", "border", 100.0),
            ("seam", "seam", 100.0),
            ("parts", "parts", 1.0),
            ("coverage", "coverage", 100.0),
            ("offwhite", "background_delta_e", 1.0),
            ("whiteness", "whiteness", 100.0),
            ("uniformity", "uniformity", 1.0),
        )
    },
}
