"""Copies of real photos: how many are known, and how many different photos or colour variants are taken for copies.

    python -m benchmarks.copies [folder of photos [share of them: 10 for a tenth]]

Each photo is made into a copy by each transform and saved as JPEG 92; originals and copies of one transform are
compared all at once. The photos are every second one of the folder, by name: limits were set on the others. Beside
it, on the same files: imagededup's PHash within 10 of 64 bits, and cleanvision's near and exact duplicates. Targets:
recall 0.95 each; photos merged with another under 0.1 %, with a hue-shifted variant of themselves under 1 %.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import MagicMock

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from app.catalog.copies import find
from workers.signals.fingerprint import fingerprint

RECALL_AT_LEAST: Final = 0.95
MERGED_AT_MOST: Final = 0.001
VARIANTS_AT_MOST: Final = 0.01
PHASH_BITS: Final = 10
RIVALS_ON: Final = 300  # photos

# Files of one size whose pixels differ by less, on the mean and in levels of 255, are one picture saved twice: the
# folder has the same photo under two names, and no mechanism is to keep them apart.
SAVED_TWICE: Final = 2.0

Picture = Pillow.Image


def cut(picture: Picture, left: float, top: float, right: float, bottom: float) -> Picture:
    """Without these shares of its sides."""
    width, height = picture.size
    return picture.crop(
        (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
    )


def padded(picture: Picture, share: float, colour: str = "white") -> Picture:
    """In a border of this share of each side."""
    return ImageOps.expand(picture, (round(picture.width * share), round(picture.height * share)), colour)


def turned_in_hue(picture: Picture, degrees: int) -> Picture:
    """In other colours of the same saturation and value: a colour variant."""
    hue, saturation, value = picture.convert("HSV").split()
    shift = degrees * 256 // 360
    return Pillow.merge("HSV", (hue.point(lambda level: (level + shift) % 256), saturation, value)).convert("RGB")


def saved(picture: Picture, quality: int = 92) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


COPIES: Final[dict[str, Callable[[Picture], bytes]]] = {
    "recompress q70": lambda picture: saved(picture, 70),
    "half size": lambda p: saved(p.resize((p.width // 2, p.height // 2), Pillow.Resampling.LANCZOS)),
    "3 % crop": lambda picture: saved(cut(picture, 0.015, 0.015, 0.015, 0.015)),
    "3 % crop, one corner": lambda picture: saved(cut(picture, 0.03, 0.03, 0, 0)),
    "3 % crop of each side": lambda picture: saved(cut(picture, 0.03, 0.03, 0.03, 0.03)),
    "10 % pad": lambda picture: saved(padded(picture, 0.05)),
    "10 % pad of each side": lambda picture: saved(padded(picture, 0.10)),
    "10 % pad, black": lambda picture: saved(padded(picture, 0.10, "black")),
    "mirror": lambda picture: saved(ImageOps.mirror(picture)),
    "crop, mirror, q70": lambda picture: saved(ImageOps.mirror(cut(picture, 0.01, 0.02, 0.015, 0)), 70),
}
VARIANTS: Final[dict[str, Callable[[Picture], bytes]]] = {
    f"hue + {degrees}": lambda picture, degrees=degrees: saved(turned_in_hue(picture, degrees))  # type: ignore[misc]
    for degrees in (30, 60, 120)
}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data")
    share = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    files = sorted(file for file in folder.rglob("*.jpg"))[1 :: 2 * share]
    if not files:
        sys.exit(f"There are no photos in {folder}.")
    pictures = [ImageOps.exif_transpose(Pillow.open(file)).convert("RGB") for file in files]
    print(f"{len(pictures)} photos, of every second one of {folder}; rivals on the first {RIVALS_ON} of every kind")
    originals = [fingerprint(picture) for picture in pictures]
    thumbs = {place: mark.thumbs or b"" for place, mark in enumerate(originals)}
    met = list(find([mark.keys for mark in originals], lambda places: {place: thumbs[place] for place in places}))
    alike = {(pair.first, pair.second) for pair in met if not pair.is_variant}
    for left, right in sorted(alike):
        off = levels_apart(pictures[left], pictures[right])
        is_twice = off is not None and off < SAVED_TWICE
        ending = f"{off:.2f} levels apart: one picture saved twice, not counted" if is_twice else "merged"
        print(f"  {files[left].relative_to(folder)} = {files[right].relative_to(folder)}: {ending}")
        alike -= {(left, right)} if is_twice else set()
    merged = len({place for pair in alike for place in pair}) / len(pictures)
    is_met = print_share("different photos merged", merged, merged < MERGED_AT_MOST, f"under {MERGED_AT_MOST:.1%}")
    print(f"{'':28}{'Packshot':>10}{'PHash':>10}{'cleanvision':>13}")
    step = max(1, len(pictures) // RIVALS_ON)
    for name, make in (COPIES | VARIANTS).items():
        made = [make(picture) for picture in pictures]
        marks = [*originals, *(fingerprint(Pillow.open(io.BytesIO(data)).convert("RGB")) for data in made)]
        ours = known(marks)
        some = [(saved(picture), data) for picture, data in zip(pictures[::step], made[::step], strict=True)]
        shares = (ours, *by_rivals(some))
        print(f"{name:28}{shares[0]:10.3f}{shares[1]:10.3f}{shares[2]:13.3f}")
        is_met &= ours >= RECALL_AT_LEAST if name in COPIES else ours <= VARIANTS_AT_MOST
    sys.exit(not is_met)


def levels_apart(left: Picture, right: Picture) -> float | None:
    """By how many levels of 255 pixels differ, on the mean; None where the sizes do."""
    if left.size != right.size:
        return None
    return float(np.abs(np.asarray(left, np.int16) - np.asarray(right, np.int16)).mean())


def known(marks: Sequence[Any]) -> float:
    """The share of photos, the first half, that are joined with their copies, the second half in the same order."""
    half = len(marks) // 2
    thumbs = [mark.thumbs or b"" for mark in marks]
    met = find([mark.keys for mark in marks], lambda places: {place: thumbs[place] for place in places})
    alike = {frozenset((pair.first, pair.second)) for pair in met if not pair.is_variant}
    return sum(frozenset((place, half + place)) in alike for place in range(half)) / half


def by_rivals(some: Sequence[tuple[bytes, bytes]]) -> tuple[float, float]:
    """The share of copies that imagededup's PHash is near to, and that cleanvision puts in a set with the original."""
    # imagededup asks for torchvision for its networks, which its hashes do without.
    for name in ("", ".transforms", ".models", ".models.vision_transformer"):
        sys.modules.setdefault(f"torchvision{name}", MagicMock())
    from cleanvision import Imagelab
    from imagededup.methods import PHash

    hasher = PHash(verbose=False)
    hashes = [[hasher.encode_image(image_array=np.asarray(opened(data))) for data in pair] for pair in some]
    near = sum(hasher.hamming_distance(left, right) <= PHASH_BITS for left, right in hashes) / len(some)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        for place, pair in enumerate(some):
            for which, data in enumerate(pair):
                (Path(folder) / f"{place}-{which}.jpg").write_bytes(data)
        lab = Imagelab(data_path=folder)
        lab.find_issues({"near_duplicates": {}, "exact_duplicates": {}}, n_jobs=1, verbose=False)
        sets = [*lab.info["near_duplicates"]["sets"], *lab.info["exact_duplicates"]["sets"]]
    together = [{Path(name).stem for name in each} for each in sets]
    joined = sum(any({f"{place}-0", f"{place}-1"} <= each for each in together) for place in range(len(some)))
    return near, joined / len(some)


def opened(data: bytes) -> Picture:
    return Pillow.open(io.BytesIO(data)).convert("RGB")


def print_share(name: str, share: float, is_met: bool, limit: str) -> bool:
    print(f"{name:28}{share:10.4f}  ({limit}{'' if is_met else ', MISSED'})")
    return is_met


if __name__ == "__main__":
    main()
