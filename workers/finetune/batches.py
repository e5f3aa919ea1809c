"""Members as batches: which picture comes when depends on the seed and the step alone.

Pictures are fitted into a square without cropping or distorting the product: what is missing is filled with the
colour of the picture's own border.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from app.datasets.manifest import ManifestRow
from app.training.recipe import Recipe
from workers.families.registry import Family
from workers.finetune.loss import keyed_generator
from workers.refusals import Refusal

KEPT_IN_MEMORY_BYTES = 2 * 1024**3
# Sizes were vetted when the photos were taken in, against a limit of the team's own; Pillow's default is lower.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Batch:
    """Pictures uint8 [B, S, S, 3], their text [B, L, width] and its mask bool [B, L], true on real tokens."""

    pictures: torch.Tensor
    text: torch.Tensor
    mask: torch.Tensor


class Members:
    """The members of one split, decoded on demand or held in memory, with their captions encoded once."""

    def __init__(self, rows: Sequence[ManifestRow], folder: Path, size_px: int, family: Family) -> None:
        self._files = [folder / row.file for row in rows]
        self._size_px = size_px
        captions = sorted({row.caption for row in rows} | {""})
        places = {caption: place for place, caption in enumerate(captions)}
        self._texts = family.encode_texts(captions)
        self._text_of = [places[row.caption] for row in rows]
        self._no_text = places[""]
        self._pictures = self._decode_all() if len(rows) * size_px**2 * 3 <= KEPT_IN_MEMORY_BYTES else None

    def __len__(self) -> int:
        return len(self._files)

    def batch(self, indices: Sequence[int], dropped: Sequence[bool] | None = None) -> Batch:
        """The members at `indices`; where `dropped` is true the caption is replaced by nothing."""
        pictures = [self._picture(i) for i in indices]
        texts = [self._texts[self._text_of[i]] for i in indices]
        if dropped is not None:
            texts = [self._texts[self._no_text] if d else text for d, text in zip(dropped, texts, strict=True)]
        # At least one column: a batch of nothing but empty captions still needs a text axis.
        lengths = torch.tensor([len(text) for text in texts])
        longest = max(1, int(lengths.max()))
        padded = torch.stack([torch.nn.functional.pad(text, (0, 0, 0, longest - len(text))) for text in texts])
        mask = torch.arange(longest)[None, :] < lengths[:, None]
        return Batch(torch.from_numpy(np.stack(pictures)), padded, mask.to(padded.device))

    def _picture(self, index: int) -> np.ndarray:
        if self._pictures is not None:
            return self._pictures[index]
        return read_square(self._files[index], self._size_px)

    def _decode_all(self) -> list[np.ndarray]:
        return [read_square(file, self._size_px) for file in self._files]


def training_batches(members: Members, recipe: Recipe, first_step: int) -> Iterator[Batch]:
    """The batches of steps `first_step`, `first_step` + 1, ... up to the recipe's last, one prepared ahead."""
    with ThreadPoolExecutor(max_workers=1) as ahead:
        waiting = ahead.submit(_step_batch, members, recipe, first_step)
        for step in range(first_step + 1, recipe.steps + 1):
            batch = waiting.result()
            if step < recipe.steps:
                waiting = ahead.submit(_step_batch, members, recipe, step)
            yield batch


def order(step: int, member_count: int, recipe: Recipe) -> list[int]:
    """Members of one step: the run walks through shuffled epochs one after the other, each shuffled by its number."""
    places = range(step * recipe.batch_size, (step + 1) * recipe.batch_size)
    epochs = {place // member_count for place in places}
    shuffled = {
        epoch: torch.randperm(
            member_count, generator=keyed_generator(torch.device("cpu"), recipe.seed, "epoch", epoch)
        ).tolist()
        for epoch in epochs
    }
    return [shuffled[place // member_count][place % member_count] for place in places]


def read_square(file: Path, size_px: int) -> np.ndarray:
    """The picture as uint8 [size_px, size_px, 3], upright, on white where it is transparent.

    Raises `Refusal`, naming the file, when it cannot be read.
    """
    try:
        with Image.open(file) as opened:
            # A large JPEG is decoded at a fraction of its size, still twice as fine as what is kept of it.
            opened.draft("RGB", (2 * size_px, 2 * size_px))
            picture = ImageOps.exif_transpose(opened)
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            picture = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise Refusal(f"The picture {file} cannot be read: {error}.") from error
    scale = size_px / max(picture.size)
    fitted = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if fitted != picture.size:
        picture = picture.resize(fitted, Image.Resampling.LANCZOS)
    if fitted != (size_px, size_px):
        square = Image.new("RGB", (size_px, size_px), _border_colour(np.asarray(picture)))
        square.paste(picture, ((size_px - fitted[0]) // 2, (size_px - fitted[1]) // 2))
        picture = square
    return np.asarray(picture)


def _border_colour(pixels: np.ndarray) -> tuple[int, int, int]:
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    red, green, blue = np.median(border, axis=0).astype(int).tolist()
    return red, green, blue


def _step_batch(members: Members, recipe: Recipe, step: int) -> Batch:
    generator = keyed_generator(torch.device("cpu"), recipe.seed, "captions", step)
    dropped = torch.rand(recipe.batch_size, generator=generator) < recipe.caption_dropout
    return members.batch(order(step, len(members), recipe), dropped.tolist())
