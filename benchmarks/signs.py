"""Whether the measures tell real photos from what was done to them: `python -m benchmarks.signs`.

Photos: `shared/data` (or `PACKSHOT_TEST_PHOTOS`), clothing and grocery, of every two the one that no limit was tuned
on. Each is measured as intake keeps it for the screen, as it is and after each change. Printed is how many photos each
rule speaks of at its usual limit: as they are (false alarms, though nobody has looked at each) and changed.

Rivals in the same run, on the same pixels: cleanvision's own checks for the same faults, where it has one. It calls a
picture grey by its mode, blurry where little differs at 64 px, and knows no borders, collages or blocks.

Seconds a photo are CPU seconds of one thread, for the measures beside framing, background, colour and sharpness.
"""

from __future__ import annotations

import io
import os
import random
import sys
import tempfile
import time
import types
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from app.review.rules import LIMITS
from workers.signals.encoding import blockiness, detail
from workers.signals.lab import lab_planes
from workers.signals.layout import layout_of, outline_of, parts_in
from workers.signals.light import chroma_of, light_on
from workers.signals.mask import find_subject
from workers.signals.measure import MASK_SIDE_PX, SignalValues, measure

Picture = Pillow.Image
Change = Callable[[Picture], Picture]
SEED = 20261130
PHOTOS = 150
MS_AT_MOST = 3.0


def main() -> int:
    """Print the table, and whether the limits are kept."""
    chance = random.Random(SEED)
    paths = photos(chance)
    others = [opened(path) for path in chance.sample(paths, 20)]
    print(f"{len(paths)} real photos that no limit was tuned on, seed {SEED}, load {os.getloadavg()[0]:.1f}")
    pictures = [opened(path) for path in paths]
    plain = [measure(as_kept(picture)) for picture in pictures]
    failed = False
    print(f"{'change':34}{'rule':12}{'false alarms':>14}{'found':>8}{'least':>8}{'cleanvision':>13}")
    for words, limit, change, least, rival in changes(chance, others):
        changed = [as_kept(change(picture)) for picture in pictures]
        spoken_of = share(limit, [measure(picture) for picture in changed])
        alarms = share(limit, plain)
        theirs = f"{rivals(changed, rival):.2f}" if rival else "no check"
        failed |= spoken_of < least or alarms > 0.03
        print(f"{words:34}{limit.split('_')[0]:12}{alarms:14.3f}{spoken_of:8.2f}{least:8.2f}{theirs:>13}")
    took = cost(pictures)
    print(f"cost of these measures: {took:.2f} ms of CPU a photo; limit {MS_AT_MOST} ms")
    return int(failed or took > MS_AT_MOST)


def changes(chance: random.Random, others: list[Picture]) -> list[tuple[str, str, Change, float, str]]:
    """What is done to a photo, the limit that has to find it, in how many at least, and cleanvision's name for it."""
    return [
        ("saved at quality 10", "blocky_above", lambda photo: saved(photo, 10), 0.9, ""),
        ("saved at quality 20", "blocky_above", lambda photo: saved(photo, 20), 0.8, ""),
        ("enlarged twice", "enlarged_below", lambda photo: enlarged(photo, 2), 0.8, "blurry"),
        ("enlarged three times", "enlarged_below", lambda photo: enlarged(photo, 3), 0.95, "blurry"),
        ("grey, saved as RGB", "grey_below", lambda photo: photo.convert("L").convert("RGB"), 1.0, "grayscale"),
        ("black bars above and below", "framed_above", lambda photo: framed(photo, 0, 12, "black"), 0.9, ""),
        ("a grey frame of 4 %", "framed_above", lambda photo: framed(photo, 25, 25, "#808080"), 0.9, ""),
        ("two side by side", "collage_above", lambda photo: beside(photo, chance.choice(others), 0), 0.85, ""),
        ("two with a gap", "collage_above", lambda photo: beside(photo, chance.choice(others), 12), 0.9, ""),
    ]


def photos(chance: random.Random) -> list[Path]:
    """Some of every second photo. Exits where there are none."""
    named = os.environ.get("PACKSHOT_TEST_PHOTOS")
    root = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    kept = []
    for folder in ("clothing/*", "grocery/packshots", "grocery/in_store"):
        for place in sorted(root.glob(folder)):
            kept += sorted(place.rglob("*.jpg"))[1::2]
    if not kept:
        sys.exit(f"No real photos at {root}; set PACKSHOT_TEST_PHOTOS to their folder.")
    return chance.sample(kept, min(PHOTOS, len(kept)))


def opened(path: Path) -> Picture:
    """A photo, upright."""
    with Pillow.open(path) as photo:
        return ImageOps.exif_transpose(photo).convert("RGB")


def saved(picture: Picture, quality: int, subsampling: int = 2) -> Picture:
    """A picture as JPEG keeps it."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return Pillow.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def as_kept(picture: Picture) -> Picture:
    """As `app/intake/thumbnails.py` keeps a view."""
    return saved(picture, 92, subsampling=0)


def enlarged(picture: Picture, times: float) -> Picture:
    """A picture of which only every so manieth pixel is known."""
    small = (round(picture.width / times), round(picture.height / times))
    return picture.resize(small, Pillow.Resampling.LANCZOS).resize(picture.size, Pillow.Resampling.BICUBIC)


def framed(picture: Picture, across: int, down: int, colour: str) -> Picture:
    """A picture with bars or a frame, an `across`-th and a `down`-th of its sides wide."""
    wide = picture.width // across if across else 0
    return ImageOps.expand(picture, (wide, picture.height // down), colour)


def beside(first: Picture, second: Picture, gap: int) -> Picture:
    """Two pictures in one."""
    both = Pillow.new("RGB", (2 * first.width + gap, first.height), "white")
    both.paste(first, (0, 0))
    both.paste(ImageOps.fit(second, first.size), (first.width + gap, 0))
    return both


def share(name: str, seen: list[SignalValues]) -> float:
    """How many of the photos the rule with this limit speaks of."""
    limit = LIMITS[name]
    values = [getattr(photo, limit.signal) for photo in seen]
    speaks = [v is not None and (v > limit.usual if limit.is_above else v < limit.usual) for v in values]
    return sum(speaks) / len(speaks)


def rivals(pictures: list[Picture], issue: str) -> float:
    """How many of the pictures cleanvision calls so."""
    # It looks for torchvision, and needs it for nothing here.
    sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))
    from cleanvision import Imagelab

    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        for number, picture in enumerate(pictures):
            picture.save(Path(folder) / f"{number}.png")
        lab = Imagelab(data_path=folder)
        lab.find_issues({issue: {}}, n_jobs=1, verbose=False)
        return float(lab.issues[f"is_{issue}_issue"].mean())


def cost(pictures: list[Picture]) -> float:
    """CPU milliseconds a photo of the measures in `light`, `encoding` and `layout`."""
    spent = 0.0
    for picture in pictures[:60]:
        small = picture.copy()
        small.thumbnail((MASK_SIDE_PX, MASK_SIDE_PX), Pillow.Resampling.BOX)
        pixels, grey = np.asarray(small), np.asarray(picture.convert("L"))
        lab = lab_planes(pixels)
        finding = find_subject(pixels, lab)
        began = time.process_time()
        blockiness(grey), detail(grey), chroma_of(lab), layout_of(pixels)
        if finding.subject is not None:
            parts_in(finding.subject), outline_of(finding.subject)
            light_on(pixels, lab, finding.subject, finding)
        spent += time.process_time() - began
    return 1000 * spent / len(pictures[:60])


if __name__ == "__main__":
    sys.exit(main())
