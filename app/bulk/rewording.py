"""Find and replace in the captions of many photos: what would change, and the act that changes it.

What would change is worked out when somebody looks and once more, by the same rules, when it is done: a caption never
changes, so that its number says which text was seen. One that is newer than what the person saw stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, cast

from sqlalchemy import ColumnElement, Select, and_, any_, func, select
from sqlalchemy.orm import Session, aliased

from app.bulk.acts import Act, Did
from app.captions import checking, rules, word_lists, writing
from app.captions.colour_words import meaning, words_of
from app.captions.facts import MeasuredFacts
from app.captions.replacing import Finder, FindReplace, Occurrence, replaced
from app.captions.tables import MAX_CHARACTERS, OF_KIND, CaptionText, CaptionTokens, Kind
from app.captions.token_counts import LIMITS
from app.catalog import reading
from app.catalog.reading import Chosen
from app.catalog.tables import Image
from app.database import array
from app.errors import Refused
from app.review import decisions
from app.review.tables import Operation

# As many captions are ticked or left out one by one; whole groups of them by their change.
MOST_PICKED: Final = 20_000

Fate = Literal["changes", "doubted", "left_out", "kept"]
Reason = Literal["locked", "quoted", "person", "empty", "long", "same"]


@dataclass(frozen=True, slots=True)
class RewordWish:
    """What somebody asks to be replaced in which kinds of captions, and what stays: locked words, texts that people
    wrote by hand, words in quotes. `locked` are the words as they were when it was asked for.

    `left_out` are captions, and `left_out_changes` changes (`Rewording.key`), that the person took out; `ticked` are
    captions that are changed although they would then contradict the picture, or although their change is left out.
    """

    find: str = ""
    replacement: str = ""
    is_expression: bool = False
    whole_words: bool = True
    match_case: bool = False
    kinds: tuple[Kind, ...] = ("long",)
    keeps_locked: bool = True
    keeps_people: bool = True
    keeps_quoted: bool = True
    locked: tuple[str, ...] = ()
    left_out: frozenset[int] = frozenset()
    left_out_changes: frozenset[str] = frozenset()
    ticked: frozenset[int] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """As it is kept with an operation."""
        each = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in each.items()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RewordWish:
        """As it was kept. Raises Refused for what makes no sense."""
        known = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        for name in ("left_out", "left_out_changes", "ticked"):
            known[name] = frozenset(known.get(name, ()))
        if len(known["left_out"]) + len(known["ticked"]) > MOST_PICKED:
            raise Refused(f"At most {MOST_PICKED:,} captions are picked one by one. Narrow the filter.")
        known |= {name: tuple(known.get(name, ())) for name in ("kinds", "locked")}
        wish = cls(**known | {"replacement": writing.seen(known.get("replacement", ""))})
        if not wish.kinds or not set(wish.kinds) <= OF_KIND.keys():
            raise Refused(f"Choose a kind of caption: {', '.join(OF_KIND)}.")
        return wish

    def finder(self) -> Finder:
        """What finds it. Raises Refused where it is not understood."""
        asked = FindReplace(self.find, self.replacement, self.is_expression, self.whole_words, self.match_case)
        return Finder(asked, self.locked if self.keeps_locked else (), self.keeps_quoted)


@dataclass(frozen=True, slots=True)
class Rewording:
    """A caption in which something was found: every occurrence, the text as it would be, what becomes of it and why.

    `measured` is what the picture shows where the new text would contradict it; `passes` the text encoders, by name,
    whose cut-off the new text may pass and the old one does not.
    """

    caption_id: int
    image_id: int
    kind: Kind
    text: str
    occurrences: tuple[Occurrence, ...]
    reworded: str
    fate: Fate
    reason: Reason | None = None
    measured: str = ""
    passes: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[tuple[str, str], ...]:
        """What is replaced by what, each once."""
        pairs = ((place.before, place.after) for place in self.occurrences if place.hold is None)
        return tuple(dict.fromkeys(pairs))

    @property
    def key(self) -> str:
        """Names its changes: captions with the same ones are a group."""
        return key_of(self.changes)


@lru_cache(maxsize=10_000)
def key_of(changes: tuple[tuple[str, str], ...]) -> str:
    """A short name of some changes, the same for capitals and small letters."""
    said = "\0".join(part.casefold() for pair in changes for part in pair)
    return blake2b(said.encode(), digest_size=6).hexdigest()


def looked_at(session: Session, selection: Chosen, wish: RewordWish) -> tuple[list[Rewording], int, int]:
    """Every caption of a selection in which something is found, by photo; how many captions were searched, and the
    number of the newest one. Raises Refused for what cannot be looked for.
    """
    finder = wish.finder()
    of_any = aliased(CaptionText)
    query = selection.select(of_any.id, of_any.image_id, of_any.kind, of_any.text, writing.by_hand(of_any)).join(
        of_any,
        and_(of_any.image_id == Image.id, of_any.superseded_at.is_(None), of_any.kind.in_(wish.kinds)),
    )
    rows = session.execute(query).all()
    made = _maker(finder)
    lines = [line for line in (_line(row, wish, made) for row in rows) if line is not None]
    lines.sort(key=lambda line: (line.image_id, line.kind, line.caption_id))
    return _weighed(session, lines, wish), len(rows), max((row[0] for row in rows), default=0)


def reworded(session: Session, caption_ids: Sequence[int], wish: RewordWish, finder: Finder) -> list[Rewording]:
    """What a wish makes of these captions, by photo, kind and number."""
    if not caption_ids:
        return []
    own = CaptionText
    query = (
        select(own.id, own.image_id, own.kind, own.text, writing.by_hand())
        .where(own.id == any_(array(caption_ids)), own.superseded_at.is_(None))
        .order_by(own.image_id, own.kind, own.id)
    )
    made = _maker(finder)
    lines = [_line(row, wish, made) for row in session.execute(query)]
    return _weighed(session, [line for line in lines if line is not None], wish)


Made = tuple[tuple[Occurrence, ...], str]


def _maker(finder: Finder) -> Callable[[str], Made]:
    """What is found in a text, and the text as it would be. Captions from facts are often alike."""

    @lru_cache(maxsize=10_000)
    def made(text: str) -> Made:
        places = tuple(finder.places(text))
        return places, replaced(text, places) if any(place.hold is None for place in places) else text

    return made


def _line(row: Any, wish: RewordWish, made: Callable[[str], Made]) -> Rewording | None:
    number, image_id, kind, text, is_by_hand = tuple(row)
    places, fresh = made(text)
    if not places:
        return None
    fate: Fate = "kept"
    reason: Reason | None = None
    if wish.keeps_people and is_by_hand:
        reason = "person"
    elif all(place.hold is not None for place in places):
        reason = places[0].hold
    elif not fresh:
        reason = "empty"
    elif fresh == text:
        reason = "same"
    elif len(fresh) > MAX_CHARACTERS:
        reason = "long"
    else:
        fate = "changes"
    return Rewording(
        number, image_id, cast(Kind, kind), text, places, fresh if fate == "changes" else text, fate, reason
    )


def _weighed(session: Session, lines: list[Rewording], wish: RewordWish) -> list[Rewording]:
    """The same, doubted where the new text would contradict the picture, and left out where the person says so."""
    changing = [line for line in lines if line.fate == "changes"]
    of_colours = {line.caption_id: line.image_id for line in changing if _names_a_colour(line.changes)}
    measured = checking.facts_of(session, set(of_colours.values())) if of_colours else {}
    counts = _near_a_cut_off(session, changing)
    weighed = []
    for line in lines:
        if line.fate != "changes":
            weighed.append(line)
            continue
        contradicted = ""
        if line.caption_id in of_colours and (facts := measured.get(line.image_id)) is not None:
            contradicted = _then_contradicted(line.text, line.reworded, facts)
        passes = _passes(line, counts.get(line.caption_id, {}))
        fate: Fate = "doubted" if contradicted else "changes"
        if line.caption_id in wish.ticked:
            fate = "changes"
        elif line.caption_id in wish.left_out or (wish.left_out_changes and line.key in wish.left_out_changes):
            fate = "left_out"
        if fate != "changes" or contradicted or passes:
            line = Rewording(
                line.caption_id, line.image_id, line.kind, line.text, line.occurrences, line.reworded, fate, None,
                contradicted, passes,
            )  # fmt: skip
        weighed.append(line)
    return weighed


@lru_cache(maxsize=10_000)
def _names_a_colour(changes: tuple[tuple[str, str], ...]) -> bool:
    """Whether what is replaced, or takes its place, is a colour: only then can another one be named than before."""
    return any(meaning(word) for pair in changes for part in pair for word in words_of(part))


def _then_contradicted(text: str, reworded: str, facts: MeasuredFacts) -> str:
    """What was measured where the new text contradicts it, and the old one did not say the same; empty elsewhere."""
    if not (after := rules.contradictions(reworded, facts)):
        return ""
    before = rules.contradictions(text, facts)
    return next((finding.measured for finding in after if finding not in before), "")


def _near_a_cut_off(session: Session, lines: Sequence[Rewording]) -> dict[int, dict[str, int]]:
    """Counted tokens of the captions that grow."""
    grows = [line.caption_id for line in lines if len(line.reworded.encode()) > len(line.text.encode())]
    if not grows:
        return {}
    near = [CaptionTokens.counts[name].as_integer() > most // 2 for name, most in LIMITS.items()]
    is_near: ColumnElement[bool] = func.coalesce(near[0], False)
    for condition in near[1:]:
        is_near = is_near | func.coalesce(condition, False)
    query = select(CaptionTokens.caption_id, CaptionTokens.counts)
    rows = session.execute(query.where(CaptionTokens.caption_id == any_(array(grows)), is_near))
    return {row[0]: row[1] for row in rows}


def _passes(line: Rewording, counts: dict[str, int]) -> tuple[str, ...]:
    """Encoders that may leave off the end of the new text: no token is shorter than a byte, so that what comes in is at
    most so many tokens; what goes out was one at least."""
    if not counts:
        return ()
    open_ones = [place for place in line.occurrences if place.hold is None]
    more = sum(max(0, len(place.after.encode()) - len(_common(place)) - 1) for place in open_ones)
    return tuple(name for name, most in LIMITS.items() if name in counts and counts[name] <= most < counts[name] + more)


def _common(place: Occurrence) -> bytes:
    """What what goes out and what comes in begin with alike."""
    before, after = place.before.encode(), place.after.encode()
    same = next((at for at, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), None)
    return after[: same if same is not None else min(len(before), len(after))]


class Reword(Act):
    """What a `RewordWish` finds, replaced under the name of whoever asks, up to the caption `newest` that they saw."""

    table = CaptionText
    noun = "caption"

    def checked(self, session: Session, catalog_id: int, value: dict[str, Any]) -> dict[str, Any]:
        wish = RewordWish.from_json(value)
        wish.finder()
        return {**wish.as_json(), "newest": int(value["newest"])}

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        there = sorted(reading.held(session, image_ids, operation.catalog_id))
        wish, own = RewordWish.from_json(operation.value), CaptionText
        is_seen = (own.id <= operation.value["newest"], own.kind.in_(wish.kinds), own.superseded_at.is_(None))
        numbers = session.scalars(select(own.id).where(own.image_id == any_(array(there)), *is_seen)).all()
        lines = [line for line in reworded(session, numbers, wish, wish.finder()) if line.fate == "changes"]
        texts = {line.caption_id: line.reworded for line in lines}
        written = writing.rewrite_many(session, texts, operation.person_id, operation.id)
        self.after(session, operation, sorted(set(written)))
        return Did(len(written), 0, len(set(image_ids) - set(written)))

    def said(self, operation: Operation, count: int) -> str:
        value = operation.value
        what = (
            f"“{value['find']}” by “{value['replacement']}”"
            if value["replacement"]
            else f"“{value['find']}” by nothing"
        )
        return f"Replaced {what} in {self.counted(count)}"

    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        if image_ids and "long" in operation.value["kinds"]:
            decisions.follow_texts(session, image_ids)


def wish_of(session: Session, catalog_id: int, wish: RewordWish) -> RewordWish:
    """A wish with the words that are locked in this catalog now."""
    return RewordWish.from_json(wish.as_json() | {"locked": word_lists.current(session, catalog_id, "locked")})


@dataclass(frozen=True, slots=True)
class ListedPhotos:
    """Photos of a catalog that were chosen one by one."""

    catalog_id: int
    image_ids: tuple[int, ...]

    def select(self, *columns: Any) -> Select[*tuple[Any, ...]]:
        """`select(*columns)` over those of them that are there."""
        own = (Image.catalog_id == self.catalog_id, Image.id == any_(array(self.image_ids)))
        return select(*columns).select_from(Image).where(*own)
