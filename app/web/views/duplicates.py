"""The page of a catalog's duplicates: groups by grade, which photo is the best and why, and what was said of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from app.catalog.duplicate_tables import DuplicateGroup
from app.catalog.grouping import Criterion
from app.catalog.measures import SCALE_OF
from app.catalog.tables import Catalog, Image, Signals
from app.errors import NotFound
from app.jobs import Job
from app.review import best_order, group_reading
from app.review.group_reading import Counts, Distances, GroupPhoto, WholeGroup
from app.review.tables import GroupRuling

PAGE: Final = 20
SHOWN_AT_MOST: Final = 24
# Each grade in words, and what is in a group of it.
GRADES: Final[dict[str, tuple[str, str]]] = {
    "bytes": ("Same bytes", "kept once when they were taken in, under every name they came with"),
    "pixels": ("Same pixels", "one picture in several files, equal pixel for pixel"),
    "photo": ("Same photo", "one photo, saved, resized, cut, bordered or turned over"),
    "product": ("Same product", "other photos of one product; colour variants stay apart"),
}
REASONS: Final[dict[str, str]] = {
    "whole": "uncropped, no border", "unmarked": "no text beside it", "not enlarged": "not enlarged",
    "largest": "most real pixels", "least compressed": "least compressed", "sharpest": "sharpest",
    "first": "taken in first",
}  # fmt: skip
CRITERIA: Final[dict[str, str]] = {
    "whole": "not cropped, no border", "unmarked": "no text or watermark beside it", "not enlarged": "not enlarged",
    "largest": "most pixels on the product", "least compressed": "least JPEG damage", "sharpest": "sharpest product",
}  # fmt: skip
SETTLED: Final[dict[str, str]] = {"kept": "all kept", "apart": "no duplicates"}


@dataclass(frozen=True)
class GradeCount:
    """How many groups a grade has, and the share of them that is settled, 0 to 1."""

    grade: str
    title: str
    count: int
    settled: float


@dataclass(frozen=True)
class ShownPhoto:
    """A photo of a group. `says` is why it is the best, how it differs from the best, or that it is a variant."""

    image: Image
    signals: Signals | None
    is_best: bool
    is_variant: bool
    says: str


@dataclass(frozen=True)
class GroupView:
    """A group with its photos, the best first, variants last; `settled` says in words what a person said of it."""

    group: DuplicateGroup
    title: str
    what: str
    photos: list[ShownPhoto]
    hidden: int
    ruling: GroupRuling | None
    settled: str
    by: str

    @property
    def name(self) -> str:
        """What to call it: the title of its best photo."""
        image = self.photos[0].image
        return image.title or image.file_name


@dataclass(frozen=True)
class ShownOrder:
    """By what the best is chosen: names and words, the first one first. `proposed` when it is not the catalog's yet.

    `moved` is, for each criterion, the order with it one place up. Of `counted` groups `changed` would have
    another best.
    """

    rows: Sequence[tuple[str, str]]
    asked: str
    moved: Mapping[Criterion, str]
    is_proposed: bool
    changed: int
    counted: int


@dataclass(frozen=True)
class DuplicatesView:
    """The page. `kind` and `state` are what is asked for, `next` the address of more groups."""

    catalog: Catalog
    counts: Counts
    grades: list[GradeCount]
    kind: str
    state: str
    groups: list[GroupView]
    same_bytes: list[Image]
    next: str | None
    job: Job | None
    criteria: ShownOrder
    distances: Distances


@dataclass(frozen=True)
class SideView:
    """Two photos of a group side by side, and the rows of figures in which they differ or not."""

    catalog: Catalog
    group: GroupView
    left: ShownPhoto
    right: ShownPhoto
    rows: list[tuple[str, str, str, bool]]


def read(
    session: Session, catalog: Catalog, kind: str, state: str, after: int, order: str | None = None
) -> DuplicatesView:
    """The page of a catalog; `order` is another one of the criteria, with commas, to look at what it would change.

    Raises NotFound for a grade or state that there is not, Refused for an order that is none.
    """
    if kind not in ("", *GRADES) or state not in ("open", "settled"):
        raise NotFound("There is no such list of duplicates.")
    is_settled = state == "settled"
    groups = group_reading.listed(session, catalog.id, kind, is_settled, after, PAGE + 1)
    counts = group_reading.counts(session, catalog.id)
    asked = f"/catalogs/{catalog.id}/duplicates?grade={kind}&state={state}"
    return DuplicatesView(
        catalog=catalog,
        counts=counts,
        grades=[_counted(grade, *counts.grades.get(grade, (0, 0))) for grade in GRADES],
        kind=kind,
        state=state,
        groups=[_view(group) for group in groups[:PAGE] if group.photos],
        same_bytes=group_reading.same_bytes(session, catalog.id) if kind == "bytes" else [],
        next=f"{asked}&after={after + PAGE}" if len(groups) > PAGE else None,
        job=group_reading.job_of(session, catalog.id),
        criteria=shown_order(session, catalog.id, order),
        distances=group_reading.distances(session, catalog.id),
    )


def shown_order(session: Session, catalog_id: int, order: str | None) -> ShownOrder:
    """The criteria of a catalog, or others with what they would change. Raises Refused for an order that is none."""
    current = best_order.order_of(session, catalog_id)
    asked = current if order is None else best_order.read(order.split(","))
    is_proposed = asked != current
    changed, counted = best_order.would_change(session, catalog_id, asked) if is_proposed else (0, 0)
    moved = {
        name: ",".join((*asked[: at - 1], name, asked[at - 1], *asked[at + 1 :])) for at, name in enumerate(asked) if at
    }
    rows = [(name, CRITERIA[name]) for name in asked]
    return ShownOrder(rows, ",".join(asked), moved, is_proposed, changed, counted)


def side(session: Session, catalog: Catalog, group_id: int, other_id: int | None) -> SideView:
    """Two photos of a group: the best, and the one asked for or the next. Raises NotFound."""
    group = session.get(DuplicateGroup, group_id)
    if group is None or group.catalog_id != catalog.id:
        raise NotFound("There is no such group any more: other photos have come, or gone.")
    shown = _view(group_reading.whole(session, [group])[0], most=None)
    others = [photo for photo in shown.photos[1:] if other_id in (None, photo.image.id)]
    if not others:
        raise NotFound("That photo is not in this group.")
    left, right = shown.photos[0], others[0]
    facts = zip(_FACTS, _facts(left), _facts(right), strict=True)
    rows = [(name, best, second, best != second) for name, best, second in facts]
    return SideView(catalog, shown, left, right, rows)


_FACTS: Final = (
    "File", "Pixels", "Format", "Size", "Sharpness", "Detail", "JPEG blocks", "Product fills", "Cropped", "Taken in",
)  # fmt: skip


def _facts(photo: ShownPhoto) -> tuple[str, ...]:
    image, signals, unknown = photo.image, photo.signals, "cannot tell"
    cropped = {True: "yes", False: "no", None: unknown}[signals.is_cropped if signals else None]
    return (
        image.file_name,
        f"{image.width_px:,} × {image.height_px:,}",
        image.format,
        f"{image.size_bytes / 1000:,.0f} kB",
        f"{signals.sharpness:.2f}" if signals and signals.sharpness is not None else unknown,
        SCALE_OF["detail"].written(signals.detail if signals else None),
        SCALE_OF["blockiness"].written(signals.blockiness if signals else None),
        f"{signals.fill:.0%}" if signals and signals.fill is not None else unknown,
        cropped,
        f"{image.taken_in_at:%d %b %Y %H:%M}",
    )


def _counted(grade: str, count: int, settled: int) -> GradeCount:
    return GradeCount(grade, GRADES[grade][0], count, settled / count if count else 0.0)


def _view(whole: WholeGroup, most: int | None = SHOWN_AT_MOST) -> GroupView:
    group, ruling = whole.group, whole.ruling
    photos = [
        ShownPhoto(
            photo.image, photo.signals, photo.image.id == group.best_id, photo.member.is_variant, _says(whole, photo)
        )
        for photo in whole.photos
    ]
    title, what = GRADES[group.grade]
    linked = sum(not photo.is_best and not photo.is_variant for photo in photos)
    settled = ""
    if ruling is not None and ruling.kind != "best":
        settled = SETTLED.get(ruling.kind, f"best kept, {linked} linked")
    return GroupView(group, title, what, photos[:most], len(photos[most:]) if most else 0, ruling, settled, whole.by)


def _says(whole: WholeGroup, photo: GroupPhoto) -> str:
    if photo.image.id == whole.group.best_id:
        is_chosen = whole.ruling is not None and whole.ruling.kind == "best"
        return "chosen by a person" if is_chosen else REASONS[whole.group.reason]
    if photo.member.is_variant:
        return "variant, kept apart"
    return ", ".join(photo.member.differs)
