"""Groups of duplicates: what of a catalog belongs together, in which grade, and which photo of each group is the best.

Grades, from the closest: `pixels`, one picture in two files, equal pixel for pixel; `photo`, one photo saved again,
made smaller, cut, bordered, turned or mirrored; `product`, other photos of one product, by what the catalog says or by
how they look, of which colour variants stay apart. (Files of the same bytes never become two photos: take-in notes the
second name.) A photo is in one group of pixels or photo at most,
and its best one stands for them in the group of the product. Pure; the tables are kept by `duplicates.py`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from app.catalog.copies import components
from app.catalog.lookalikes import Lookalike

Grade = Literal["pixels", "photo", "product"]
Edge = tuple[int, int]
GRADES: Final[tuple[Grade, ...]] = ("pixels", "photo", "product")
Criterion = Literal["whole", "unmarked", "not enlarged", "largest", "least compressed", "sharpest"]
# Why a photo is the best of its group: the first of these in which it is ahead, of photos that tie in all the one taken
# in first. Of copies the sharper one may owe that to JPEG's rings, so compression comes before. For people:
# `web/views/duplicates.py`.
CRITERIA: Final[tuple[Criterion, ...]] = (
    "whole", "unmarked", "not enlarged", "largest", "least compressed", "sharpest",
)  # fmt: skip
REASONS: Final = (*CRITERIA, "first")
# How a photo may differ from the best one.
DIFFERENCES: Final = (
    "mirrored", "turned", "cropped", "bordered", "smaller", "larger", "recompressed", "same pixels", "copy",
    "looks alike",
)  # fmt: skip
# CIE 1976 difference of the subjects' colours above which photos of a product show variants.
VARIANT_DELTA_E: Final = 12.0
# What more photos share is no product: a category, a brand or a word for "unknown".
PRODUCT_AT_MOST: Final = 40
# Less than this share cut off is within what is measured wrong.
CUT_AT_LEAST: Final = 0.012
# Subjects that fill the frame so much less stand in a border, where nothing but the frame tells.
SMALLER_IN_FRAME: Final = 0.92
# Figures of two photos that are nearer than this are the same.
TIE: Final = 0.03
LOSSLESS_ROOM: Final = 1000.0
"""More bytes a pixel than any file has."""
# A copy has less detail than another one that is no larger: of 90 real photos halved 1 in 100 lost so much, enlarged
# from half by a bicubic filter 99 in 100. Alone, a photo is enlarged below the limit of the review rules.
ENLARGED_BELOW: Final = 0.85
ENLARGED_ALONE: Final = 0.73
# Squares of JPEG that show so much more are damage: 0.11 to 0.42 more at quality 40 and 20, up to 0.01 at 70.
BLOCKS_TIE: Final = 0.08
SQUARES_ARE_DETAIL: Final = 0.24


@dataclass(frozen=True, slots=True)
class Contender:
    """What the choice of the best and the groups need to know of a photo. None: not measured, or cannot be told.

    `pixels_hash` is the same for photos that are the same pixel for pixel, None where nobody has looked. `is_marked`:
    text stands beside the product, as a watermark does.
    """

    image_id: int
    pixels_hash: str | None
    width_px: int
    height_px: int
    size_bytes: int
    product: str | None
    is_cropped: bool | None
    sharpness: float | None
    fill: float | None
    subject_lab: Sequence[float] | None
    detail: float | None = None
    blockiness: float | None = None
    border: float | None = None
    is_marked: bool = False
    is_lossless: bool = False

    @property
    def room(self) -> float:
        """Bytes a pixel, by which copies are compressed more or less. A format that loses nothing is not compressed in
        that sense, however small its file: a white ground takes a PNG less than a JPEG."""
        return LOSSLESS_ROOM if self.is_lossless else self.size_bytes / (self.width_px * self.height_px)


@dataclass(frozen=True, slots=True)
class KnownPair:
    """Two copies, or two colour variants; see `tables.CopyPair`."""

    first_id: int
    second_id: int
    rest: float
    pose: int
    cut: float
    first_frame: int
    second_frame: int
    is_variant: bool


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A photo of a group, and how it differs from the best."""

    image_id: int
    differs: tuple[str, ...] = ()
    distance: float | None = None
    is_variant: bool = False


@dataclass(frozen=True, slots=True)
class PhotoGroup:
    """Photos that belong together, the best first."""

    grade: Grade
    members: tuple[GroupMember, ...]
    reason: str

    @property
    def members_hash(self) -> str:
        """What the group is known by, whatever its best is: SHA-256 of its photos' numbers in order."""
        return members_hash(member.image_id for member in self.members)


def members_hash(image_ids: Iterable[int]) -> str:
    """What a group of these photos is known by."""
    numbers = " ".join(str(number) for number in sorted(image_ids))
    return hashlib.sha256(numbers.encode()).hexdigest()


def groups(
    photos: Collection[Contender],
    pairs: Collection[KnownPair],
    apart: Collection[Edge],
    looks: Collection[Lookalike] = (),
    criteria: Sequence[Criterion] = CRITERIA,
) -> list[PhotoGroup]:
    """All groups of a catalog. `apart`: pairs, the smaller number first, that a person said are no duplicates."""
    known = {photo.image_id: photo for photo in photos}
    by_edge = {(pair.first_id, pair.second_id): pair for pair in pairs}
    copies = [edge for edge, pair in by_edge.items() if not pair.is_variant]
    kept_apart = set(apart)
    hashed = [photo for photo in photos if photo.pixels_hash is not None]
    of_pixels = list(_cliques(hashed, lambda photo: str(photo.pixels_hash)))
    made: list[PhotoGroup] = []
    stands_for = {number: number for number in known}
    for members in _joined(known, [*copies, *of_pixels], kept_apart):
        some = [known[number] for number in members]
        is_same = some[0].pixels_hash is not None and len({photo.pixels_hash for photo in some}) == 1
        grade: Grade = "pixels" if is_same else "photo"
        group = _ranked(grade, some, by_edge, criteria)
        made.append(group)
        stands_for.update((number, group.members[0].image_id) for number in members)
    variants = [edge for edge, pair in by_edge.items() if pair.is_variant]
    of_product = _cliques([photo for photo in photos if photo.product], lambda photo: str(photo.product))
    edges = {_edge(stands_for[a], stands_for[b]) for a, b in (*variants, *of_product) if _edge(a, b) not in kept_apart}
    certain = list(_joined(known, [edge for edge in edges if edge[0] != edge[1]], kept_apart))
    alike = {
        _edge(stands_for[pair.first_id], stands_for[pair.second_id]): pair.margin
        for pair in looks
        if pair.first_id in known and pair.second_id in known and (pair.first_id, pair.second_id) not in kept_apart
    }
    for members in _with_looks(known, certain, alike, kept_apart):
        if len(members) <= PRODUCT_AT_MOST:
            made.append(_ranked("product", [known[number] for number in members], by_edge, criteria))
    return made


def _edge(left: int, right: int) -> Edge:
    return (left, right) if left < right else (right, left)


def _cliques(photos: Iterable[Contender], key: Callable[[Contender], str]) -> Iterator[Edge]:
    """Pairs of photos that share a key, unless very many do: then each with the next, which joins them as well."""
    shared: dict[str, list[int]] = defaultdict(list)
    for photo in photos:
        shared[key(photo)].append(photo.image_id)
    for numbers in shared.values():
        numbers.sort()
        for at, number in enumerate(numbers):
            others = numbers[at + 1 :] if len(numbers) <= PRODUCT_AT_MOST else numbers[at + 1 : at + 2]
            yield from ((number, other) for other in others)


def _joined(known: Collection[int], edges: Iterable[Edge], apart: Collection[Edge]) -> Iterator[list[int]]:
    """Connected photos, two at least, by their numbers."""
    joined = [edge for edge in edges if _edge(*edge) not in apart and edge[0] in known and edge[1] in known]
    numbers = sorted({number for edge in joined for number in edge})
    places = {number: place for place, number in enumerate(numbers)}
    labels = components(len(numbers), [(places[left], places[right]) for left, right in joined])
    together: dict[int, list[int]] = defaultdict(list)
    for number, label in zip(numbers, labels, strict=True):
        together[label].append(number)
    yield from together.values()


def _with_looks(
    known: dict[int, Contender], certain: Sequence[list[int]], alike: dict[Edge, float], apart: Collection[Edge]
) -> list[list[int]]:
    """The groups that are certain, and photos by their numbers that look like one product with them or each other.

    What stands out most is joined first; two groups are one where half of all pairs between them look alike, so that
    chains of products that resemble each other do not grow. Different names of products are never joined by looks.
    """
    owner = {number: at for at, members in enumerate(certain) for number in members}
    nodes = [list(members) for members in certain]
    for number in sorted({number for edge in alike for number in edge} - owner.keys()):
        owner[number] = len(nodes)
        nodes.append([number])
    near: dict[Edge, float] = {}
    for (left, right), margin in alike.items():
        edge = _edge(owner[left], owner[right])
        near[edge] = max(margin, near.get(edge, 0.0))
    together = {node: {node} for node in range(len(nodes))}

    def may_join(first: set[int], second: set[int]) -> bool:
        photos = [[number for node in side for number in nodes[node]] for side in (first, second)]
        products = [{known[number].product for number in side} - {None} for side in photos]
        is_kept_apart = any(_edge(left, right) in apart for left in photos[0] for right in photos[1])
        linked = sum(_edge(left, right) in near for left in first for right in second)
        is_other = all(products) and products[0].isdisjoint(products[1])
        return not is_kept_apart and not is_other and 2 * linked >= len(first) * len(second)

    for (left, right), _ in sorted(near.items(), key=lambda item: (-item[1], item[0])):
        first, second = together[left], together[right]
        if first is not second and may_join(first, second):
            first |= second
            together.update(dict.fromkeys(second, first))
    made = {id(side): side for side in together.values()}
    joined = [sorted(number for node in side for number in nodes[node]) for side in made.values()]
    return [members for members in joined if len(members) > 1]


def ranked(
    grade: Grade,
    photos: Sequence[Contender],
    pairs: Collection[KnownPair],
    best_id: int | None = None,
    criteria: Sequence[Criterion] = CRITERIA,
) -> PhotoGroup:
    """A group of these photos, its best first: the one that a person chose, or the one that the criteria do."""
    return _ranked(grade, photos, {(pair.first_id, pair.second_id): pair for pair in pairs}, criteria, best_id)


def grade_named(name: str) -> Grade:
    """The grade of this name."""
    return next(grade for grade in GRADES if grade == name)


def best_of(
    grade: Grade, photos: Sequence[Contender], pairs: Mapping[Edge, KnownPair], criteria: Sequence[Criterion]
) -> tuple[int, str]:
    """The best of a group's photos by the criteria, the first one first, and which of them made it so."""
    those = sorted(photo.image_id for photo in photos)
    if grade == "product":
        lacks = {photo.image_id: int(bool(photo.is_cropped)) + int(_is_bordered(photo)) for photo in photos}
    else:
        lacks = _lacking({photo.image_id: photo for photo in photos}, pairs) if grade == "photo" else {}
    # Photos of the same pixels are one picture, measured once, and lost what the most compressed of them has lost.
    same: dict[str, list[Contender]] = defaultdict(list)
    for photo in sorted(photos, key=lambda photo: photo.image_id):
        same[photo.pixels_hash or str(photo.image_id)].append(photo)
    figures: dict[int, dict[Criterion, float]] = {}
    for those_same in same.values():
        figure = _figures(grade, those_same[0], min(photo.room for photo in those_same), photos, lacks)
        figures.update((photo.image_id, figure) for photo in those_same)
    left = list(those)
    for criterion in criteria:
        top = max(figures[number][criterion] for number in left)
        ahead = [number for number in left if figures[number][criterion] >= top - TIE * abs(top)]
        if len(ahead) == 1:
            return ahead[0], criterion
        left = ahead
    return left[0], REASONS[-1]


def _ranked(
    grade: Grade,
    photos: Sequence[Contender],
    pairs: Mapping[Edge, KnownPair],
    criteria: Sequence[Criterion],
    best_id: int | None = None,
) -> PhotoGroup:
    known = {photo.image_id: photo for photo in photos}
    best, reason = best_of(grade, photos, pairs, criteria)
    if best_id is not None and best_id in known:
        best = best_id
    order = [best, *(number for number in sorted(known) if number != best)]
    members = tuple(_member(grade, known[number], known[best], pairs) for number in order)
    return PhotoGroup(grade, members, reason)


def _figures(
    grade: Grade, photo: Contender, room: float, group: Sequence[Contender], lacks: Mapping[int, int]
) -> dict[Criterion, float]:
    """How good a photo is by each criterion, as whole steps or, where a tie is a share, in their own size."""
    # What is not known is no fault.
    is_copy = grade == "photo"
    most_blocks = max((other.blockiness or 0.0 for other in group), default=0.0)
    fewest = min((other.blockiness for other in group if other.blockiness is not None), default=0.0)
    is_blocky = photo.blockiness is not None and photo.blockiness > fewest + BLOCKS_TIE and most_blocks > 0
    uses_fill = not is_copy or any(lacks.values())
    return {
        "whole": -float(lacks.get(photo.image_id, 0)),
        "unmarked": -float(photo.is_marked),
        "not enlarged": -float(_is_enlarged(grade, photo, group)),
        "largest": float(max(photo.width_px, photo.height_px)) * ((photo.fill or 1.0) if uses_fill else 1.0),
        "least compressed": room / (1000.0 if is_blocky else 1.0),
        "sharpest": photo.sharpness or 0.0,
    }


def _is_bordered(photo: Contender) -> bool:
    return (photo.border or 0.0) > 0.01


def _is_enlarged(grade: Grade, photo: Contender, group: Sequence[Contender]) -> bool:
    if photo.detail is None:
        return False
    if grade == "product":
        return photo.detail < ENLARGED_ALONE
    side = max(photo.width_px, photo.height_px)
    # The edges of JPEG's squares count as detail: one as large that shows far more of them proves nothing.
    most_blocks = (photo.blockiness or 0.0) + SQUARES_ARE_DETAIL
    smaller = [photo.detail]
    for other in group:
        share = max(other.width_px, other.height_px) / side
        if share < 1 - TIE or (share <= 1 + TIE and (other.blockiness or 0.0) < most_blocks):
            smaller.append(other.detail or 0.0)
    return photo.detail < ENLARGED_BELOW * max(smaller)


def _lacking(photos: dict[int, Contender], pairs: Mapping[Edge, KnownPair]) -> dict[int, int]:
    """Against how many others each photo is cropped or has a border."""
    lacks = dict.fromkeys(photos, 0)
    numbers = sorted(photos)
    for at, first in enumerate(numbers):
        for second in numbers[at + 1 : at + 1 + PRODUCT_AT_MOST]:
            pair = pairs.get((first, second))
            if pair is None or pair.is_variant:
                continue
            for number, differs in ((second, _shape(pair, photos, False)), (first, _shape(pair, photos, True))):
                lacks[number] += differs is not None
    return lacks


def _shape(pair: KnownPair, photos: dict[int, Contender], is_first: bool) -> str | None:
    """Whether the second photo of a pair (or the first) is cropped or bordered, measured by the other."""
    frame, other = (pair.first_frame, pair.second_frame) if is_first else (pair.second_frame, pair.first_frame)
    cut = -pair.cut if is_first else pair.cut
    both = [photos[number] for number in (pair.first_id, pair.second_id)]
    mine, others = (photo.fill or 0.0 for photo in both[:: 1 if is_first else -1])
    # A border that hardly makes the frame larger and the subject smaller is ground, and was cut off the other photo.
    sides = sorted(max(photo.width_px, photo.height_px) for photo in both)
    is_cut_ground = min(mine, others) >= max(mine, others) * SMALLER_IN_FRAME > 0
    is_cut_ground &= sides[0] >= sides[1] * SMALLER_IN_FRAME
    if frame != other:
        named = ("cropped" if is_cut_ground else None, None if is_cut_ground else "bordered")
        return named[frame > other]
    if cut > CUT_AT_LEAST and frame == 0:
        return "cropped"
    return "bordered" if frame > 0 and 0 < mine < others * SMALLER_IN_FRAME else None


def _member(grade: Grade, photo: Contender, best: Contender, pairs: Mapping[Edge, KnownPair]) -> GroupMember:
    if photo.image_id == best.image_id:
        return GroupMember(photo.image_id)
    pair = pairs.get(_edge(photo.image_id, best.image_id))
    if grade == "product":
        is_variant = (pair is not None and pair.is_variant) or _is_other_colour(photo, best)
        is_named = photo.product is not None and photo.product == best.product
        return GroupMember(photo.image_id, () if is_named or is_variant else ("looks alike",), None, is_variant)
    if grade == "pixels":
        return GroupMember(photo.image_id, (), 0.0)
    differs: list[str | None] = []
    is_same = photo.pixels_hash is not None and photo.pixels_hash == best.pixels_hash
    if is_same:
        differs.append("same pixels")
    elif pair is not None:
        turned = {0: None, 1: "mirrored", 2: "mirrored", 3: "turned", 4: "mirrored", 7: "mirrored"}
        differs.append(turned.get(pair.pose, "turned"))
        both = {number.image_id: number for number in (photo, best)}
        differs.append(_shape(pair, both, pair.first_id == photo.image_id))
    shares = photo.width_px * photo.height_px, best.width_px * best.height_px
    if shares[0] < shares[1] * (1 - 2 * TIE) and "cropped" not in differs:
        differs.append("smaller")
    if shares[0] > shares[1] * (1 + 2 * TIE) and "bordered" not in differs:
        differs.append("larger")
    if not is_same and photo.room < 0.9 * best.room:
        differs.append("recompressed")
    words = tuple(word for word in differs if word) or ("copy",)
    return GroupMember(photo.image_id, words, pair.rest if pair is not None else None)


def _is_other_colour(photo: Contender, best: Contender) -> bool:
    if photo.subject_lab is None or best.subject_lab is None:
        return False
    return float(np.linalg.norm(np.subtract(photo.subject_lab, best.subject_lab))) > VARIANT_DELTA_E
