"""What a run is given to learn from: read, and looked at for what would make its numbers worth nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.datasets.manifest import ManifestError, ManifestRow, read_manifest
from app.launch import distilled
from app.launch.defaults import ENLARGED_AT_MOST
from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families.registry import Family
from workers.finetune.buckets import Size, nearest, sizes

VALIDATION_AT_MOST = 64
_WORDS = 60


def read_rows(manifest: Path) -> list[ManifestRow]:
    """The manifest's members. Raises `InputError` when there are none to learn from."""
    try:
        rows = read_manifest(manifest)
    except ManifestError as error:
        raise InputError(str(error)) from error
    if not any(row.split == "train" for row in rows):
        raise InputError(f"The manifest {manifest} has no members to learn from.")
    return rows


def validation_rows(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """At most `VALIDATION_AT_MOST` of the members held out, evenly spaced in an order that files cannot change."""
    held_out = sorted((r for r in rows if r.split == "validation"), key=lambda r: (r.sha256, r.caption))
    return held_out[:: -(-len(held_out) // VALIDATION_AT_MOST) or 1]


def fitted(rows: Sequence[ManifestRow], resolution_px: int, recipe: Recipe, family: Family) -> list[Size]:
    """The size that each member is fitted into."""
    among = sizes(resolution_px, family.size_multiple, recipe.buckets)
    return [among[nearest(row.width_px, row.height_px, among)] for row in rows]


def enlargements(rows: Sequence[ManifestRow], recipe: Recipe, family: Family) -> list[float]:
    """How many times larger each member would have to be to fit the largest size that the run shows it in."""
    px = max(recipe.resolution_px, recipe.stage(recipe.steps - 1).resolution_px)
    both = zip(rows, fitted(rows, px, recipe, family), strict=True)
    return [min(size[0] / row.width_px, size[1] / row.height_px) for row, size in both]


def faults(rows: Sequence[ManifestRow]) -> list[str]:
    """Why a run must not begin with these members, a sentence each that names the first one."""
    sentences = []
    learned = {row.sha256: row for row in rows if row.split == "train"}
    if both := [row for row in rows if row.split == "validation" and row.sha256 in learned]:
        twin = learned[both[0].sha256].file
        name = both[0].file if both[0].file == twin else f"{both[0].file}, the same picture as {twin}"
        many = f"{len(both):,} members are" if len(both) > 1 else "One member is"
        sentences.append(f"{many} in both splits, so validation would say nothing; the first is {name}.")
    if empty := [row for row in rows if not any(map(_is_seen, row.caption))]:
        many = f"{len(empty):,} captions are" if len(empty) > 1 else "One caption is"
        sentences.append(f"{many} empty, and such pictures teach nothing; the first is that of {empty[0].file}.")
    return sentences


def _is_seen(letter: str) -> bool:
    """Whether a character is more than a space, a control or a joiner, of which a caption may look empty and is."""
    return unicodedata.category(letter)[0] in "LNPS"


def notes(rows: Sequence[ManifestRow], recipe: Recipe, family: Family) -> list[str]:
    """What is worth knowing of these members and the base before anything is learned, sentences that name the first."""
    steps = 0 if family.folder is None else distilled.steps_of(family.folder, recipe.base, recipe.family)
    words = distilled.warning(steps)
    base = [f"{words[0].upper()}{words[1:]}."] if steps else []
    return [
        *base,
        *_groups_in_both_splits(rows),
        *_small_pictures(rows, recipe, family),
        *_cut_captions(rows, family),
        *_without_masks(rows, recipe),
    ]


def _groups_in_both_splits(rows: Sequence[ManifestRow]) -> Iterator[str]:
    learned = {row.group: row for row in rows if row.split == "train"}
    both = {row.group: row for row in rows if row.split == "validation" and row.group in learned and row.group.strip()}
    if both:
        group, row = next(iter(both.items()))
        many = f"{len(both):,} groups are" if len(both) > 1 else "One group is"
        files = f"{learned[group].file} and {row.file}"
        yield f"{many} in both splits, so validation sees what was learned; the first is {group}, with {files}."


def _small_pictures(rows: Sequence[ManifestRow], recipe: Recipe, family: Family) -> Iterator[str]:
    times = enlargements(rows, recipe, family)
    small = [(row, by) for row, by in zip(rows, times, strict=True) if by > ENLARGED_AT_MOST]
    if small:
        row, by = small[0]
        many = f"{len(small):,} pictures are" if len(small) > 1 else "One picture is"
        bound = recipe.enlarge_at_most
        shown = f"enlarged {bound:g} times at most, on their border" if bound else "enlarged to fit, blur and all"
        yield (
            f"{many} smaller than three quarters of what is trained at and {shown}; the first is {row.file}, "
            f"{row.width_px:,} × {row.height_px:,} px, of which {by:.1f} times as many a side would fill the frame."
        )


def _without_masks(rows: Sequence[ManifestRow], recipe: Recipe) -> Iterator[str]:
    learned = [row for row in rows if row.split == "train"]
    bare = [row for row in learned if not row.mask]
    if recipe.needs_masks and len(bare) == len(learned):
        yield "No picture has a mask, so the background weighs as much as the product."
    elif recipe.needs_masks and bare:
        many = f"{len(bare):,} pictures have" if len(bare) > 1 else "One picture has"
        yield f"{many} no mask, so there the background weighs as much as the product; the first is {bare[0].file}."


def _cut_captions(rows: Sequence[ManifestRow], family: Family) -> Iterator[str]:
    first_with: dict[str, ManifestRow] = {}
    for row in rows:
        if row.caption.strip():
            first_with.setdefault(row.caption, row)
    counts, limit = family.token_counts(list(first_with)) if first_with else ([], 0)
    cut = [(row, count) for row, count in zip(first_with.values(), counts, strict=True) if count > limit]
    if cut:
        row, count = cut[0]
        many = f"{len(cut):,} captions have" if len(cut) > 1 else "One caption has"
        yield (
            f"{many} more than the {limit:,} tokens that are read: the end is not learned. The first is that of "
            f"{row.file}, {count:,} tokens: {row.caption[:_WORDS]}..."
        )
