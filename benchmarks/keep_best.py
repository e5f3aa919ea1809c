"""Of a photo and a copy of it that was damaged, is the undamaged one suggested as the best?

    python -m benchmarks.keep_best [folder of photos] [how many]

Photos are some of every second one, by chance (seed 7); limits were set on others. The damaged copy is the one taken in
first, so that a tie counts as wrong. Beside it, what keeps the larger file, as deduplicators do. Target: 95 % of the
copies that are known as such (how many are is what `benchmarks.copies` measures).
"""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PIL import Image as Pillow
from PIL import ImageOps

from app.catalog import grouping
from app.catalog.copies import find
from app.catalog.grouping import Contender, KnownPair
from benchmarks.copies import COPIES, Picture, saved
from workers.signals.measure import SignalValues, measure

RIGHT_AT_LEAST: Final = 0.95
SEED: Final = 7


def enlarged(picture: Picture) -> bytes:
    """As large as before, from half the size."""
    half = picture.resize((picture.width // 2, picture.height // 2), Pillow.Resampling.LANCZOS)
    return saved(half.resize(picture.size, Pillow.Resampling.BICUBIC))


DAMAGE: Final[dict[str, Callable[[Picture], bytes]]] = {
    "recompress q40": lambda picture: saved(picture, 40),
    "recompress q20": lambda picture: saved(picture, 20),
    "enlarged from half": enlarged,
    "enlarged twice": lambda p: saved(p.resize((p.width * 2, p.height * 2), Pillow.Resampling.BICUBIC)),
    "half size": COPIES["half size"],
    "3 % crop of each side": COPIES["3 % crop of each side"],
    "10 % pad of each side": COPIES["10 % pad of each side"],
}


def contender(number: int, picture: Picture, size_bytes: int) -> tuple[Contender, SignalValues]:
    """What grouping knows of a picture, measured as take-in does."""
    view = picture.copy()
    view.thumbnail((1024, 1024))
    seen = measure(view)
    known = (seen.is_cropped, seen.sharpness, seen.fill, seen.subject_lab, seen.detail, seen.blockiness, seen.border)
    return Contender(number, str(number), *picture.size, size_bytes, None, *known), seen


def suggested(original: bytes, damaged: bytes) -> tuple[bool, str] | None:
    """Whether the original is the best of the two, and why; None where they are not known to be copies."""
    both = [
        contender(number, ImageOps.exif_transpose(Pillow.open(io.BytesIO(data))).convert("RGB"), len(data))
        for number, data in ((1, damaged), (2, original))
    ]
    marks = [seen for _, seen in both]
    thumbs = {place: mark.frame_thumbs or b"" for place, mark in enumerate(marks)}
    met = find([mark.frame_keys for mark in marks], lambda places: {place: thumbs[place] for place in places})
    pairs = [
        KnownPair(1, 2, m.rest, m.pose, m.cut, *m.frames, m.is_variant)
        if m.first == 0
        else KnownPair(1, 2, m.rest, m.pose, -m.cut, m.frames[1], m.frames[0], m.is_variant)
        for m in met
    ]
    for group in grouping.groups([photo for photo, _ in both], pairs, ()):
        if group.grade == "photo":
            return group.members[0].image_id == 2, group.reason
    return None


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data")
    files = sorted(folder.rglob("*.jpg"))[1::2]
    if not files:
        sys.exit(f"There are no photos in {folder}.")
    random.Random(SEED).shuffle(files)
    files = files[: int(sys.argv[2]) if len(sys.argv) > 2 else 200]
    print(f"{len(files)} photos, seed {SEED}; the undamaged one is suggested")
    print(f"{'':26}{'Packshot':>10}{'larger file':>13}  by")
    is_met = True
    for name, make in DAMAGE.items():
        right, larger, why = [], [], {}
        for file in files:
            original = file.read_bytes()
            damaged = make(ImageOps.exif_transpose(Pillow.open(file)).convert("RGB"))
            larger.append(len(original) > len(damaged))
            if (answer := suggested(original, damaged)) is not None:
                right.append(answer[0])
                why[answer[1]] = why.get(answer[1], 0) + 1
        share = sum(right) / max(1, len(right))
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(why.items(), key=lambda item: -item[1]))
        print(f"{name:26}{share:10.3f}{sum(larger) / len(larger):13.3f}  {reasons}; known {len(right)}", flush=True)
        is_met &= share >= RIGHT_AT_LEAST
    sys.exit(not is_met)


if __name__ == "__main__":
    main()
