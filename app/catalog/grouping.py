"""Groups of duplicates: what of a catalog belongs together, in which grade, and which photo of each group is the best.

Grades, from the closest: `pixels`, the same picture in two files; `photo`, one photo saved again, made smaller, cut,
bordered, turned or mirrored; `product`, other photos of one product, by what the catalog says or by how they look, of
which colour variants stay apart. (Files of the
same bytes never become two photos: take-in notes the second name.) A photo is in one group of pixels or photo at most,
and its best one stands for them in the group of the product. Pure; the tables are kept by `duplicates.py`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from app.catalog.copies import components
from app.catalog.lookalikes import Lookalike

Grade = Literal["pixels", "photo", "product"]
Edge = tuple[int, int]
GRADES: Final[tuple[Grade, ...]] = ("pixels", "photo", "product")
# Why a photo is the best of its group: the first of these in which it is ahead. For people: `web/views/duplicates.py`.
REASONS: Final = ("whole", "largest", "sharpest", "least compressed", "first")
# How a photo may differ from the best one.
DIFFERENCES: Final = (
    "mirrored", "turned", "cropped", "bordered", "smaller", "larger", "recompressed", "copy", "looks alike",
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


@dataclass(frozen=True, slots=True)
class Contender:
    """What the choice of the best and the groups need to know of a photo. None: not measured, or cannot be told."""

    image_id: int
    pixels_hash: str
    width_px: int
    height_px: int
    size_bytes: int
    product: str | None
    is_cropped: bool | None
    sharpness: float | None
    fill: float | None
    subject_lab: Sequence[float] | None


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
        numbers = " ".join(str(number) for number in sorted(member.image_id for member in self.members))
        return hashlib.sha256(numbers.encode()).hexdigest()


def groups(
    photos: Collection[Contender],
    pairs: Collection[KnownPair],
    apart: Collection[Edge],
    looks: Collection[Lookalike] = (),
) -> list[PhotoGroup]:
    """All groups of a catalog. `apart`: pairs, the smaller number first, that a person said are no duplicates."""
    known = {photo.image_id: photo for photo in photos}
    by_edge = {(pair.first_id, pair.second_id): pair for pair in pairs}
    copies = [edge for edge, pair in by_edge.items() if not pair.is_variant]
    kept_apart = set(apart)
    of_pixels = list(_cliques(photos, lambda photo: f"{photo.pixels_hash} {photo.width_px} {photo.height_px}"))
    made: list[PhotoGroup] = []
    stands_for = {number: number for number in known}
    for members in _joined(known, [*copies, *of_pixels], kept_apart):
        some = [known[number] for number in members]
        grade: Grade = "pixels" if len({photo.pixels_hash for photo in some}) == 1 else "photo"
        group = _ranked(grade, some, by_edge)
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
            made.append(_ranked("product", [known[number] for number in members], by_edge))
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
    grade: Grade, photos: Sequence[Contender], pairs: Collection[KnownPair], best_id: int | None = None
) -> PhotoGroup:
    """A group of these photos, its best first: the one that a person chose, or the one that the criteria do."""
    return _ranked(grade, photos, {(pair.first_id, pair.second_id): pair for pair in pairs}, best_id)


def _ranked(
    grade: Grade, photos: Sequence[Contender], pairs: dict[Edge, KnownPair], best_id: int | None = None
) -> PhotoGroup:
    lacks = {photo.image_id: int(bool(photo.is_cropped)) for photo in photos} if grade == "product" else {}
    those = sorted(photo.image_id for photo in photos)
    if grade == "photo":
        lacks = _lacking({photo.image_id: photo for photo in photos}, pairs)
    figures: dict[int, tuple[float, ...]] = {
        photo.image_id: (
            -float(lacks.get(photo.image_id, 0)),
            float(_real_px(photo)),
            photo.sharpness or 0.0,
            # The same pixels are the same, however much room they take.
            0.0 if grade == "pixels" else photo.size_bytes / (photo.width_px * photo.height_px),
        )
        for photo in photos
    }
    best, reason = _best(those, figures)
    if best_id is not None and best_id in figures:
        best = best_id
    known = {photo.image_id: photo for photo in photos}
    order = [best, *(number for number in those if number != best)]
    members = tuple(_member(grade, known[number], known[best], pairs) for number in order)
    return PhotoGroup(grade, members, reason)


def _real_px(photo: Contender) -> float:
    """Pixels on the subject's longer side, where it is known: a border adds none."""
    return max(photo.width_px, photo.height_px) * (photo.fill or 1.0)


def _best(numbers: Sequence[int], figures: dict[int, tuple[float, ...]]) -> tuple[int, str]:
    """The best by one criterion after the other, each among those left equal by the ones before; and which decided."""
    left = list(numbers)
    for place, reason in enumerate(REASONS[:-1]):
        top = max(figures[number][place] for number in left)
        ahead = [number for number in left if figures[number][place] >= top - TIE * abs(top)]
        if len(ahead) == 1:
            return ahead[0], reason
        left = ahead
    return left[0], REASONS[-1]


def _lacking(photos: dict[int, Contender], pairs: dict[Edge, KnownPair]) -> dict[int, int]:
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
    if frame > other:
        return "bordered"
    if frame == other and cut > CUT_AT_LEAST and frame == 0:
        return "cropped"
    mine, others = (photos[number].fill for number in ((pair.first_id, pair.second_id)[:: 1 if is_first else -1]))
    is_smaller = frame == other > 0 and mine and others and mine < others * SMALLER_IN_FRAME
    return "bordered" if is_smaller else None


def _member(grade: Grade, photo: Contender, best: Contender, pairs: dict[Edge, KnownPair]) -> GroupMember:
    if photo.image_id == best.image_id:
        return GroupMember(photo.image_id)
    pair = pairs.get(_edge(photo.image_id, best.image_id))
    if grade == "product":
        is_variant = (pair is not None and pair.is_variant) or _is_other_colour(photo, best)
        is_named = photo.product is not None and photo.product == best.product
        return GroupMember(photo.image_id, () if is_named or is_variant else ("looks alike",), None, is_variant)
    if grade == "pixels":
        return GroupMember(photo.image_id, (), 0.0)
    differs = []
    if pair is not None:
        turned = {0: None, 1: "mirrored", 2: "mirrored", 3: "turned", 4: "mirrored", 7: "mirrored"}
        differs.append(turned.get(pair.pose, "turned"))
        both = {number.image_id: number for number in (photo, best)}
        differs.append(_shape(pair, both, pair.first_id == photo.image_id))
    shares = photo.width_px * photo.height_px, best.width_px * best.height_px
    if shares[0] < shares[1] * (1 - 2 * TIE) and "cropped" not in differs:
        differs.append("smaller")
    if shares[0] > shares[1] * (1 + 2 * TIE) and "bordered" not in differs:
        differs.append("larger")
    if photo.size_bytes / shares[0] < 0.9 * best.size_bytes / shares[1]:
        differs.append("recompressed")
    words = tuple(word for word in differs if word) or ("copy",)
    return GroupMember(photo.image_id, words, pair.rest if pair is not None else None)


def _is_other_colour(photo: Contender, best: Contender) -> bool:
    if photo.subject_lab is None or best.subject_lab is None:
        return False
    return float(np.linalg.norm(np.subtract(photo.subject_lab, best.subject_lab))) > VARIANT_DELTA_E
