"""How well text laid over real photos is read, placed and told apart, and what reading a photo costs.

    python -m benchmarks.lettering [photos]

Price tags and watermarks are drawn over real packshots, and faint, turned tiles over clothing (truth by construction);
the words that stand in the plain photos are what the same reader finds there, so only what was laid over is judged.
Limits were tuned on the packshots of even places and are reported on those of odd ones; of clothing and shelves, on
photos that were not drawn for tuning. Seeds and load are printed.
"""

from __future__ import annotations

import os
import random
import sys
import time
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from PIL.Image import Image as Picture

from app.catalog.text_kinds import are_tiles, kinds_of
from workers.lettering.reader import read
from workers.signals.measure import measure

DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
SEED: Final = 20261130
# What was drawn of each folder to tune on: a seed and how many.
TUNED_ON: Final = {"clothing": (5, 120), "grocery/in_store": (6, 60)}
TOLD_AT_LEAST: Final = {"price tag": 0.9, "corner watermark": 0.8, "tiled watermark": 0.8}
# Turned tiles over clothing on folds and boards, by how strong they are of 255; people cannot read the faintest either.
STRENGTHS: Final = (45, 70, 100, 140)
TURNED_AT_LEAST: Final = 0.7
FALSE_AT_MOST: Final = 0.05


def main() -> int:
    """Print the table, and whether the limits are kept."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    data = Path(os.environ.get("PACKSHOT_TEST_PHOTOS", DATA))
    packshots = random.Random(SEED).sample(sorted((data / "grocery" / "packshots").glob("*.jpg")), 2 * count)
    chance, failed = random.Random(SEED), False
    pictures = [opened(path) for path in packshots[1::2]]
    outlines = [measure(picture).outline for picture in pictures]
    print(f"{len(pictures)} packshots that nothing was tuned on, seed {SEED}, load {os.getloadavg()[0]:.1f}")
    for name, (lay, wanted) in LAID_OVER.items():
        seen = right = beside = 0
        for picture, outline in zip(pictures, outlines, strict=True):
            laid, words = lay(picture, chance)
            lines = read(laid, outline)
            there = kinds_of(lines)
            mine = [n for n, line in enumerate(lines) if line.is_trusted and is_like(words, line.text)]
            seen += bool(mine)
            beside += any(lines[n].is_beside for n in mine)
            # The tiles of a row are read as one line: which words they are is not told of them.
            right += any(there[n] == wanted for n in mine) or any(
                is_tile and kind == wanted for is_tile, kind in zip(are_tiles(lines), there, strict=True)
            )
        share = right / len(pictures)
        failed |= share < TOLD_AT_LEAST[name]
        print(f"{name:18} read {seen / len(pictures):5.2f}  told {share:5.2f}  beside {beside / len(pictures):5.2f}")
    clothes = [opened(path) for path in untuned(data, "clothing", 2 * count)]
    marked = [is_told(turned(picture, chance, STRENGTHS[n % 4])) for n, picture in enumerate(clothes)]
    failed |= sum(marked) < TURNED_AT_LEAST * len(marked)
    by_strength = ", ".join(f"{of}/255 {sum(marked[n::4]) / len(marked[n::4]):.2f}" for n, of in enumerate(STRENGTHS))
    print(f"turned tiles over {len(marked)} photos of clothing: told {sum(marked) / len(marked):.2f} ({by_strength})")
    shelves = [opened(path) for path in untuned(data, "grocery/in_store", count)]
    for name, photos in (("packshots", pictures), ("clothes", clothes), ("shelves", shelves)):
        plain = [kinds_of(read(picture, None)) for picture in photos]
        # Shops hang prices on their shelves.
        for kind in ("watermark",) if name == "shelves" else ("price", "watermark"):
            alarms = sum(kind in there for there in plain) / len(plain)
            failed |= alarms > FALSE_AT_MOST
            print(f"{len(plain)} plain {name} with a {kind}: {alarms:.3f} (limit {FALSE_AT_MOST})")
    began = time.process_time()
    for picture in pictures[:10]:
        read(picture, None)
    print(f"cost: {(time.process_time() - began) / len(pictures[:10]) * 1000:.0f} ms of CPU a photo of 960 px")
    return int(failed)


def untuned(data: Path, folder: str, count: int) -> list[Path]:
    """Photos of a folder, drawn among those that nothing was tuned on."""
    every = sorted((data / folder).rglob("*.jpg"))
    seed, many = TUNED_ON[folder]
    tuned = set(random.Random(seed).sample(every, many))
    return random.Random(SEED).sample([path for path in every if path not in tuned], count)


def is_told(picture: Picture) -> bool:
    """Whether a watermark is told of a picture."""
    return "watermark" in kinds_of(read(picture, None))


def opened(path: Path) -> Picture:
    """A photo as wide as the reader sees it."""
    with Pillow.open(path) as photo:
        picture = photo.convert("RGB")
    picture.thumbnail((960, 960))
    return picture


def is_like(words: str, read_as: str) -> bool:
    """Whether these words were read, but for a letter or two."""
    return SequenceMatcher(None, bare(words), bare(read_as)).ratio() >= 0.8


def bare(text: str) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def priced(picture: Picture, chance: random.Random) -> tuple[Picture, str]:
    """A tag with a price in the upper left corner."""
    laid, words = (
        picture.copy(),
        f"{chance.choice(('€ ', '$', '£', ''))}{chance.randint(1, 99)}.{chance.randint(10, 99)}",
    )
    size = max(18, min(laid.size) // 14)
    pen, font = ImageDraw.Draw(laid), ImageFont.load_default(size)
    left, top, right, bottom = pen.textbbox((size // 2, size // 2), words, font=font)
    pen.rectangle((left - 8, top - 8, right + 8, bottom + 8), fill=chance.choice(("#ffe14d", "white", "#d21f1f")))
    pen.text((size // 2, size // 2), words, fill="black", font=font)
    return laid, words


def signed(picture: Picture, chance: random.Random) -> tuple[Picture, str]:
    """A shop's address in the lower right corner, half through."""
    words = chance.choice(("www.bestshop.com", "© Ana Photo 2026", "kettleworld.de"))
    return _through(picture, words, max(16, min(picture.size) // 22), [(0.97, 0.97)], 170), words


def tiled(picture: Picture, chance: random.Random) -> tuple[Picture, str]:
    """A name all over the picture, half through."""
    words = chance.choice(("SAMPLE", "PREVIEW", "KETTLEWORLD"))
    places = [(x, y) for x in (0.35, 0.68, 1.0) for y in (0.2, 0.5, 0.8)]
    return _through(picture, words, max(16, min(picture.size) // 18), places, 130), words


def turned(picture: Picture, chance: random.Random, strength: int) -> Picture:
    """A name all over the picture in rows, every second one moved or not, at an angle, so strong of 255."""
    words = chance.choice(("SAMPLE", "PREVIEW", "KETTLEWORLD", "Ana Photo", "PROOF ONLY", "Nordlicht"))
    font = ImageFont.load_default(max(13, round(min(picture.size) / chance.uniform(12, 24))))
    left, top, right, bottom = font.getbbox(words)
    across, down = (right - left) + font.size * chance.uniform(0.6, 2.4), (bottom - top) * chance.uniform(2.5, 5)
    side, is_moved, angle = 2 * max(picture.size), chance.random() < 0.5, chance.choice((0, 0, 20, 30, 45, -30, -45))
    veil = Pillow.new("L", (side, side))
    pen = ImageDraw.Draw(veil)
    for row in range(int(side / down) + 1):
        start = across / 2 if is_moved and row % 2 else 0
        for column in range(-1, int(side / across) + 1):
            pen.text((start + column * across, row * down), words, fill=strength, font=font)
    x, y = (side - picture.width) // 2, (side - picture.height) // 2
    veil = veil.rotate(angle, Pillow.Resampling.BICUBIC).crop((x, y, x + picture.width, y + picture.height))
    laid = picture.copy()
    laid.paste(chance.choice(((90, 90, 90), (255, 255, 255), (128, 128, 128), (0, 0, 0))), (0, 0), veil)
    return laid


def _through(picture: Picture, words: str, size: int, ends: list[tuple[float, float]], strength: int) -> Picture:
    veil = Pillow.new("RGBA", picture.size, (0, 0, 0, 0))
    pen, font = ImageDraw.Draw(veil), ImageFont.load_default(size)
    for x, y in ends:
        at = (x * picture.width, y * picture.height)
        pen.text(at, words, fill=(90, 90, 90, strength), font=font, anchor="rd")
    return Pillow.alpha_composite(picture.convert("RGBA"), veil).convert("RGB")


LAID_OVER: Final = {
    "price tag": (priced, "price"),
    "corner watermark": (signed, "watermark"),
    "tiled watermark": (tiled, "watermark"),
}


if __name__ == "__main__":
    sys.exit(main())
