"""Members as batches: pictures and captions encoded once, then put together step by step.

Which picture comes when, which caption is dropped or cut short: everything depends on the seed and the step alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from app.datasets.manifest import ManifestRow
from app.training.recipe import Recipe, Stage
from workers.errors import InputError
from workers.families.registry import Family, Text, stacked
from workers.finetune.buckets import Size, Walk, nearest, sizes
from workers.finetune.cache import TensorCache, identity, name_of, packed, unpacked
from workers.finetune.loss import keyed_generator
from workers.finetune.pictures import read_fitted, read_fitted_mask
from workers.finetune.ranks import ALONE, Ranks

KEPT_IN_MEMORY_BYTES = 2 * 1024**3
TEXTS_AT_ONCE = 64

Look = Callable[[int, int], None]
"""Told how many of how many are done, now and then; may raise to end the work."""


@dataclass(frozen=True)
class Batch:
    """Pictures uint8 [B, H, W, 3] or their clean inputs float32 [B, C, h, w], or both; text as `registry.stacked`.

    Beside the text stands `original_px` float32 [B, 2], the height and width that each photo had, which SDXL is told.
    `places` are the pictures' positions in their step's whole batch, which their noise depends on. `masks` uint8
    [B, H, W], 255 where the product is, are there where they weigh and one of the pictures has one; 255 all over is
    that of one without.
    """

    pictures: torch.Tensor | None
    clean: torch.Tensor | None
    text: dict[str, torch.Tensor]
    places: list[int]
    size: Size
    masks: torch.Tensor | None = None


class Texts:
    """Captions encoded once each; `mean_bytes` of those that were not in the cache, as they are kept."""

    def __init__(
        self,
        captions: Sequence[str],
        family: Family,
        cache: TensorCache | None,
        look: Look,
        ranks: Ranks = ALONE,
    ) -> None:
        self.captions = list(captions)
        self._encoded: dict[str, Text] = {}
        self._made, self._made_bytes = 0, 0
        self._free_bytes = KEPT_IN_MEMORY_BYTES
        self._family = family
        self._cache = cache
        self._made_by = identity(family.encoder_files) if cache else ""
        missing = [caption for caption in self.captions if self._found(caption) is None]
        ranks.wait()  # nobody adds to the cache before all have looked what is missing there
        turns = ranks.turns(ranks.same(len(missing))) if cache else range(len(missing))
        for start in range(0, len(turns), TEXTS_AT_ONCE):
            chunk = turns[start : start + TEXTS_AT_ONCE]
            self._encode([missing[i] for i in chunk if i < len(missing)])
            look(min(chunk[-1] + 1, len(missing)), len(missing))
        ranks.wait()
        self._encode([caption for caption in missing if self._found(caption) is None])

    @property
    def mean_bytes(self) -> float:
        """Bytes that one of the captions encoded here takes in the cache, in the mean."""
        return self._made_bytes / max(1, self._made)

    def batch(self, captions: Sequence[str]) -> dict[str, torch.Tensor]:
        """The captions as one batch."""
        return stacked([unpacked(self._text(caption)) for caption in captions])

    def _text(self, caption: str) -> Text:
        text = self._found(caption)
        # Somebody may have emptied the cache meanwhile.
        return self._encode([caption])[0] if text is None else text

    def _found(self, caption: str) -> Text | None:
        """The caption's encoding from memory or from the cache; None when it is in neither."""
        text = self._encoded.get(caption)
        if text is None and self._cache:
            text = self._cache.get(self._name(caption))
            if text is not None:
                self._hold(caption, text)
        return text

    def _encode(self, captions: Sequence[str]) -> Sequence[Text]:
        if not captions:
            return []
        with torch.no_grad():
            encoded = [packed(text) for text in self._family.encode_texts(captions)]
        self._made += len(encoded)
        self._made_bytes += sum(tensor.nbytes for text in encoded for tensor in text.values())
        for caption, text in zip(captions, encoded, strict=True):
            self._hold(caption, text)
            if self._cache:
                self._cache.put(self._name(caption), text)
        return encoded

    def _hold(self, caption: str, text: Text) -> None:
        """Keep an encoding in memory; where it can be read again from the cache, only while there is room."""
        self._free_bytes -= sum(tensor.nbytes for tensor in text.values())
        if self._free_bytes >= 0 or self._cache is None:
            self._encoded[caption] = text

    def _name(self, caption: str) -> str:
        return text_name(self._family, self._made_by, caption)


class Members:
    """The members of one split at one resolution, sorted into buckets; encoded, decoded, or held in memory."""

    def __init__(
        self,
        rows: Sequence[ManifestRow],
        folder: Path,
        family: Family,
        texts: Texts,
        resolution_px: int,
        has_buckets: bool,
        needs_pictures: bool = False,
        enlarge_at_most: float = 0.0,
        room_bytes: float | None = None,
        needs_masks: bool = False,
    ) -> None:
        self._files = [folder / row.file for row in rows]
        self._digests = [row.sha256 for row in rows]
        self._mask_files = [folder / row.mask if row.mask and needs_masks else None for row in rows]
        self._captions = [row.caption for row in rows]
        # A member that nobody put into a group is one of its own.
        self.groups = [row.group.strip() or row.sha256 for row in rows]
        self._texts = texts
        self._family = family
        self._needs_pictures = needs_pictures
        self._enlarge_at_most = enlarge_at_most
        self._originals = torch.tensor([[row.height_px, row.width_px] for row in rows], dtype=torch.float32)
        among = sizes(resolution_px, family.size_multiple, has_buckets)
        self._sizes = [among[nearest(row.width_px, row.height_px, among)] for row in rows]
        # A member that is repeated stands in its bucket as often: one time round the walk shows it so many times.
        self.buckets = [
            [i for i, s in enumerate(self._sizes) if s == size for _ in range(rows[i].repeats)] for size in among
        ]
        self._pictures: dict[int, np.ndarray] = {}
        self._masks: dict[int, np.ndarray] = {}
        self._clean: dict[int, torch.Tensor] = {}
        self._free_bytes = KEPT_IN_MEMORY_BYTES if room_bytes is None else room_bytes
        self._is_encoded = False
        self._cache: TensorCache | None = None
        self._made_by = ""

    def __len__(self) -> int:
        return len(self._files)

    @property
    def mean_bytes(self) -> float:
        """Bytes of an encoded picture, in the mean of those that are held."""
        return sum(clean.nbytes for clean in self._clean.values()) / max(1, len(self._clean))

    def size(self, index: int) -> Size:
        """The size the member is fitted into."""
        return self._sizes[index]

    def encode(self, cache: TensorCache | None, look: Look, ranks: Ranks = ALONE) -> None:
        """Encode every picture with the autoencoder, or find it in the cache; several processes share them out.

        Masks are read, too. Raises `InputError`, naming the file.
        """
        self._is_encoded, self._cache = True, cache
        self._made_by = identity(self._family.autoencoder_files) if cache else ""
        order = list(dict.fromkeys(i for bucket in self.buckets for i in bucket))
        for turn in ranks.turns(len(self)):
            index = order[turn % len(self)]
            self._encoded(index)
            self._mask(index)
            look(min(turn + 1, len(self)), len(self))
        ranks.wait()

    def decode(self, look: Look, ranks: Ranks = ALONE) -> None:
        """Read every picture once, for models without an autoencoder; several processes share them out.

        Masks are read, too. Raises `InputError`, naming the file.
        """
        for turn in ranks.turns(len(self)):
            self._picture(turn % len(self))
            self._mask(turn % len(self))
            look(min(turn + 1, len(self)), len(self))

    def batch(self, indices: Sequence[int], places: Sequence[int], captions: Sequence[str] | None = None) -> Batch:
        """The members at `indices`, all of one bucket, with their own captions or with `captions`."""
        texts = self._texts.batch(captions if captions is not None else [self._captions[i] for i in indices])
        pictures = clean = None
        if self._is_encoded:
            clean = torch.stack([self._encoded(i) for i in indices])
        if not self._is_encoded or self._needs_pictures:
            pictures = torch.from_numpy(np.stack([self._picture(i) for i in indices]))
        texts["original_px"] = self._originals[list(indices)]
        size = self._sizes[indices[0]]
        return Batch(pictures, clean, texts, list(places), size, self._masks_of(indices, size))

    def caption(self, index: int) -> str:
        """The member's caption."""
        return self._captions[index]

    def _masks_of(self, indices: Sequence[int], size: Size) -> torch.Tensor | None:
        masks = [self._mask(i) for i in indices]
        if all(mask is None for mask in masks):
            return None
        even = np.full((size[1], size[0]), 255, dtype=np.uint8)
        return torch.from_numpy(np.stack([even if mask is None else mask for mask in masks]))

    def _mask(self, index: int) -> np.ndarray | None:
        """The member's mask, fitted as its picture is; None where it has none or masks weigh nothing."""
        file, mask = self._mask_files[index], self._masks.get(index)
        if mask is None and file is not None:
            height_px, width_px = map(int, self._originals[index].tolist())
            mask = read_fitted_mask(file, self._sizes[index], (width_px, height_px), self._enlarge_at_most)
            if self._has_room(mask.nbytes):
                self._masks[index] = mask
        return mask

    def _picture(self, index: int) -> np.ndarray:
        picture = self._pictures.get(index)
        if picture is None:
            picture = self._read(index)
            if self._has_room(picture.nbytes):
                self._pictures[index] = picture
        return picture

    def _encoded(self, index: int) -> torch.Tensor:
        clean = self._clean.get(index)
        if clean is not None:
            return clean
        key = picture_name(self._family, self._made_by, self._digests[index], self._sizes[index], self._enlarge_at_most)
        cached = self._cache.get(key) if self._cache else None
        clean = cached["clean"] if cached else self._encode(index)
        if not bool(clean.isfinite().all()):
            raise InputError(f"The picture {self._files[index]} becomes no finite numbers in the autoencoder.")
        if cached is None and self._cache:
            self._cache.put(key, {"clean": clean})
        if self._has_room(clean.nbytes):
            self._clean[index] = clean
        return clean

    def _encode(self, index: int) -> torch.Tensor:
        picture = torch.from_numpy(np.stack([self._read(index)]))
        with torch.no_grad():
            device = next(self._family.model.parameters()).device
            return self._family.encode_pictures(picture.to(device))[0].to("cpu", torch.float32).clone()

    def _read(self, index: int) -> np.ndarray:
        return read_fitted(self._files[index], self._sizes[index], self._digests[index], self._enlarge_at_most)

    def _has_room(self, size_bytes: int) -> bool:
        self._free_bytes -= size_bytes
        return self._free_bytes >= 0


def training_batches(
    members: Sequence[Members], recipe: Recipe, first_step: int, rank: int = 0, of: int = 1
) -> Iterator[list[Batch]]:
    """The micro-batches of steps `first_step`, `first_step` + 1, ... up to the last, one step prepared ahead.

    `members` holds the training members of each stage. Of `of` processes, this one gets every `of`-th micro-batch.
    """
    walks = {
        stage.number: Walk(members[stage.number].buckets, stage.micro_batch, recipe.seed, stage.number)
        for stage in {recipe.stage(0), recipe.stage(recipe.steps - 1)}
    }

    def of_step(step: int) -> list[Batch]:
        stage = recipe.stage(step)
        return step_batches(members[stage.number], walks[stage.number], recipe, stage, step, rank, of)

    yield from ahead(of_step, range(first_step, recipe.steps))


def ahead(of_step: Callable[[int], list[Batch]], steps: Iterable[int]) -> Generator[list[Batch]]:
    """The micro-batches of each step, those of the next one prepared by a thread while these are worked on."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting: Future[list[Batch]] | None = None
        for step in steps:
            following = reader.submit(of_step, step)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def step_batches(
    members: Members, walk: Walk, recipe: Recipe, stage: Stage, step: int, rank: int = 0, of: int = 1
) -> list[Batch]:
    """All micro-batches of one step (0-based), or every `of`-th from `rank` on."""
    count = stage.batch_size // stage.micro_batch
    first = (step - stage.first_step) * count
    generator = keyed_generator(torch.device("cpu"), recipe.seed, "captions", step)
    is_dropped = (torch.rand(stage.batch_size, generator=generator) < recipe.caption_dropout).tolist()
    is_short = (torch.rand(stage.batch_size, generator=generator) < recipe.short_caption_share).tolist()
    batches = []
    for number in range(rank, count, of):
        indices = walk.at(first + number)
        places = range(number * stage.micro_batch, (number + 1) * stage.micro_batch)
        captions = [
            "" if is_dropped[place] else _cut(members.caption(index), is_short[place])
            for index, place in zip(indices, places, strict=True)
        ]
        batches.append(members.batch(indices, places, captions))
    return batches


def captions_of(learned: Sequence[ManifestRow], held_out: Sequence[ManifestRow], recipe: Recipe) -> list[str]:
    """All that a run may show of the members' captions: each, and nothing at all; cut short, if the recipe cuts any."""
    short = {first_sentence(row.caption) for row in learned} if recipe.short_caption_share > 0.0 else set()
    return sorted({row.caption for row in (*learned, *held_out)} | short | {""})


def text_name(family: Family, made_by: str, caption: str) -> str:
    """A caption's name in the cache; `made_by` is the `identity` of the encoders' files."""
    return name_of("text", family.name, family.encoder_precision, made_by, caption)


def picture_name(family: Family, made_by: str, sha256: str, size: Size, enlarge_at_most: float = 0.0) -> str:
    """A picture's name in the cache, below what is kept of its file; `made_by` is the `identity` of the autoencoder's
    files."""
    bound = (enlarge_at_most,) if enlarge_at_most else ()
    return f"{sha256}/{name_of('picture', family.name, made_by, sha256, size, *bound)}"


def first_sentence(caption: str) -> str:
    """A caption up to its first full stop that ends a sentence: what people type where captions are long."""
    sentence, stop, _ = caption.partition(". ")
    return sentence + stop.rstrip() if stop else caption


def _cut(caption: str, is_short: bool) -> str:
    return first_sentence(caption) if is_short else caption
