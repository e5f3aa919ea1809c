"""The page of find and replace: what is asked for, what it would change, grouped by the change, and what stays."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy.orm import Session
from starlette.datastructures import ImmutableMultiDict

from app.bulk import captioned, operations, rewording
from app.bulk.operations import OperationRow
from app.bulk.rewording import Fate, ListedPhotos, Reason, Rewording, RewordWish
from app.captions import word_lists
from app.captions.tables import Kind
from app.captions.token_counts import ENCODERS
from app.catalog.tables import Catalog
from app.datasets import reading as versions
from app.errors import Refused
from app.people import Person
from app.review.tables import Operation
from app.selection import browse
from app.selection.query import Selection
from app.selection.wording import sentence
from app.web.views import blind

Fields = ImmutableMultiDict[str, Any]
ROWS: Final = 5
"""So many captions of a group are shown at first, and so many more at a time: MORE."""
MORE: Final = 50
GROUPS: Final = 40
BEFORE: Final = 5
KIND_WORDS: Final[dict[Kind, str]] = {"long": "Long", "short": "Short", "tags": "Tags", "facts": "Facts"}
WHY: Final[dict[Reason, str]] = {
    "locked": "locked word", "quoted": "printed on the product", "person": "written by a person",
    "empty": "nothing would be left", "long": "would be too long", "same": "stays the same",
}  # fmt: skip
SHOWS: Final[dict[str, str]] = {
    "all": "All", "changes": "Will change", "doubted": "To look at", "left_out": "Left out", "kept": "Kept",
}  # fmt: skip


@dataclass(frozen=True)
class ShownCaption:
    """A caption in the list: its text in pieces, of which some go out, come in or are protected, and whose it is."""

    line: Rewording
    pieces: tuple[tuple[str, str], ...]
    author: str
    why: str
    passes: str


@dataclass(frozen=True)
class ChangeGroup:
    """Captions with the same changes: the first of them, and how many there are in how many photos. `ticked` of them
    would be changed. Captions that stay are a group without a key."""

    key: str
    changes: tuple[tuple[str, str], ...]
    shown: tuple[ShownCaption, ...]
    count: int
    photos: int
    ticked: int


@dataclass(frozen=True)
class DoneBefore:
    """An earlier find and replace: what of it still stands, and how much was edited by hand since."""

    row: OperationRow
    stands: int
    edited: int


@dataclass(frozen=True)
class RewordingView:
    """The page. `address` is its own without what is shown of it; `refusal` says what is not understood."""

    catalog: Catalog
    selection: Selection
    said: str
    wish: RewordWish
    address: str
    refusal: str
    notice: str
    of_kind: dict[Kind, int]
    searched: int
    found_in: int
    fates: Counter[Fate]
    reasons: Counter[Reason]
    passing: int
    places: int
    groups: tuple[ChangeGroup, ...]
    group_count: int
    show: str
    seconds: float
    locked: int
    frozen: int
    before: list[DoneBefore]
    is_asked: bool
    shows: dict[str, str] = field(default_factory=lambda: SHOWS)
    kind_words: dict[Kind, str] = field(default_factory=lambda: KIND_WORDS)
    why: dict[Reason, str] = field(default_factory=lambda: WHY)


def read_wish(session: Session, catalog_id: int, sent: Fields) -> RewordWish:
    """What an address or a form asks for; as the page begins where it asks for nothing. Raises Refused."""
    is_asked = "asked" in sent
    if len(sent.getlist("shown")) > rewording.MOST_PICKED:
        raise Refused(f"At most {rewording.MOST_PICKED:,} captions are picked one by one. Narrow the filter.")
    shown, ticked = (_numbers(sent.getlist(name)) for name in ("shown", "on"))
    value = {
        "find": sent.get("find", ""), "replacement": sent.get("with", ""), "is_expression": "expression" in sent,
        "whole_words": "words" in sent or not is_asked, "match_case": "case" in sent,
        "kinds": sent.getlist("kind") or ["long"], "keeps_locked": "locked" in sent or not is_asked,
        "keeps_people": "people" in sent or not is_asked, "keeps_quoted": "quoted" in sent or not is_asked,
        "left_out": shown - ticked, "ticked": ticked,
        "left_out_changes": set(sent.getlist("gshown")) - set(sent.getlist("gon")),
    }  # fmt: skip
    return rewording.wish_of(session, catalog_id, RewordWish.from_json(value))


def read(session: Session, me: Person, catalog: Catalog, sent: Fields, notice: str = "") -> RewordingView:
    """The page as its address asks for it. What is not understood is said on it. Raises NotUnderstood for a filter."""
    selection, refusal = blind.chosen(session, me, sent.get("q", ""), catalog.id), ""
    lines, searched, start = list[Rewording](), 0, time.perf_counter()
    wish = RewordWish()
    try:
        wish = read_wish(session, catalog.id, sent)
        if wish.find:
            lines, searched, _ = rewording.looked_at(session, selection, wish)
    except Refused as error:
        refusal = error.sentence
        wish = replace(
            wish, find=sent.get("find", ""), replacement=sent.get("with", ""), is_expression="expression" in sent
        )
    seconds = time.perf_counter() - start
    show = sent.get("show", "all") if sent.get("show", "all") in SHOWS else "all"
    groups = grouped(session, [line for line in lines if show in ("all", line.fate)])
    return RewordingView(
        catalog=catalog,
        selection=selection,
        said=sentence(selection, browse.count(session, selection)),
        wish=wish,
        address=address(catalog, sent),
        refusal=refusal,
        notice=notice,
        of_kind=captioned.captions_by_kind(session, selection),
        searched=searched,
        found_in=len(lines),
        fates=Counter(line.fate for line in lines),
        reasons=Counter(line.reason for line in lines if line.reason),
        passing=sum(bool(line.passes) for line in lines),
        places=sum(len(line.occurrences) for line in lines if line.fate == "changes"),
        groups=groups[: GROUPS + 1],
        group_count=len(groups),
        show=show,
        seconds=seconds,
        locked=len(word_lists.current(session, catalog.id, "locked")),
        frozen=versions.count_of(session, catalog.id),
        before=before(session, catalog),
        is_asked=bool(wish.find),
    )


def more(session: Session, me: Person, catalog: Catalog, sent: Fields) -> ChangeGroup:
    """More captions of one group, behind the `after` that are shown."""
    wish = read_wish(session, catalog.id, sent)
    lines, _, _ = rewording.looked_at(session, blind.chosen(session, me, sent.get("q", ""), catalog.id), wish)
    key, show = sent.get("group", ""), sent.get("show", "all")
    lines = [line for line in lines if _key(line) == key and show in ("all", line.fate)]
    after = int(sent.get("after", "0")) if sent.get("after", "0").isdigit() else 0
    return _group(session, key, lines, after, MORE)


def address(catalog: Catalog, sent: Fields) -> str:
    """The page's own address: what is asked for, without picks and what is shown of it."""
    kept = ("q", "find", "with", "expression", "words", "case", "kind", "locked", "people", "quoted", "asked")
    pairs = [(name, value) for name, value in sent.multi_items() if name in kept and isinstance(value, str)]
    return f"/catalogs/{catalog.id}/replace?{urlencode(pairs)}"


def apply(session: Session, catalog: Catalog, sent: Fields, person: Person, expected: int) -> Operation | str:
    """Replace what the page showed; or what it says where that is something else now. Raises Refused."""
    wish, selection = read_wish(session, catalog.id, sent), blind.chosen(session, person, sent.get("q", ""), catalog.id)
    lines, _, newest = rewording.looked_at(session, selection, wish)
    changing = [line for line in lines if line.fate == "changes"]
    if len(changing) != expected:
        now = f"{len(changing):,} captions would change now, not {expected:,}"
        return f"{now}: somebody wrote meanwhile. Nothing was changed."
    if not changing:
        raise Refused("No caption would change, so nothing was done.")
    chosen = ListedPhotos(catalog.id, tuple(dict.fromkeys(line.image_id for line in changing)))
    value = {**wish.as_json(), "newest": newest}
    operation = operations.begin(session, chosen, person, "reword", value, selection.query)
    operations.carry_out(session, operation, person)
    return operation


def before(session: Session, catalog: Catalog) -> list[DoneBefore]:
    """What was replaced before, newest first."""
    rows = operations.recent(session, catalog.id, limit=BEFORE, kinds=("reword",))
    counts = captioned.of_operations(session, [row.operation.id for row in rows])
    return [DoneBefore(row, *counts.get(row.operation.id, (0, 0))) for row in rows]


def grouped(session: Session, lines: Sequence[Rewording]) -> tuple[ChangeGroup, ...]:
    """Captions by what is changed in them, the most frequent first; those that stay at the end."""
    by_key: dict[str, list[Rewording]] = {}
    for line in lines:
        by_key.setdefault(_key(line), []).append(line)
    keys = sorted(by_key, key=lambda key: (not key, -len(by_key[key])))
    rows = {key: ROWS if place < GROUPS else 0 for place, key in enumerate(keys)}
    return tuple(_group(session, key, by_key[key], 0, rows[key]) for key in keys)


def _group(session: Session, key: str, lines: Sequence[Rewording], after: int, count: int) -> ChangeGroup:
    # What needs a look first.
    lines = sorted(lines, key=lambda line: line.fate != "doubted")
    part = lines[after : after + count]
    authors = captioned.authors(session, [line.caption_id for line in part])
    return ChangeGroup(
        key=key,
        changes=lines[0].changes if key and lines else (),
        shown=tuple(_shown(line, authors.get(line.caption_id, "")) for line in part),
        count=len(lines),
        photos=len({line.image_id for line in lines}),
        ticked=sum(line.fate == "changes" for line in lines),
    )


def _shown(line: Rewording, author: str) -> ShownCaption:
    pieces, last = [], 0
    for place in line.occurrences:
        pieces.append(("same", line.text[last : place.start]))
        if place.hold is not None or line.fate == "kept":
            pieces.append(("kept", place.before))
        else:
            pieces += [("gone", place.before), ("new", place.after)]
        last = place.end
    pieces.append(("same", line.text[last:]))
    passes = ", ".join(ENCODERS[name] for name in line.passes)
    why = WHY[line.reason] if line.reason else ""
    return ShownCaption(line, tuple((kind, text) for kind, text in pieces if text), author, why, passes)


def _key(line: Rewording) -> str:
    return "" if line.fate == "kept" else line.key


def _numbers(sent: Sequence[Any]) -> set[int]:
    return {int(number) for number in sent if isinstance(number, str) and number.isdigit() and len(number) < 19}
