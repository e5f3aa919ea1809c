"""What checks of samples take, and whether they tell the truth: `python -m benchmarks.sample_checks`.

1. Seconds of one core for the checks of a 1024 px picture: file decoded, signals, profile; text and embedding apart,
   whose seconds are printed beside. Processor time of this process, single-threaded.
2. Planted faults: the drawn cases of `benchmarks/drawn_samples.py` at 1024 px. Every one has to be found, and no check
   may fail that neither is planted nor follows from what is.
3. Real photos, judged by hand (`tests/evaluation/judged_photos.json`: faults that an eye sees, and what an eye is not
   sure of): how often a check fails where nothing is wrong, at most 5 in 100, and how many of the faults are seen.
   Photos: `shared/data` (or `PACKSHOT_TEST_PHOTOS`), held against the house's profile as packshots.
4. Copies: the same photos made worse as a model redraws them, against their originals among all others.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFilter, ImageOps

from app.catalog import copies
from app.evaluation import profiles, sample_rules
from app.evaluation.likeness import COPY_FROM
from app.evaluation.prompt_claims import PromptClaims, claims_of
from app.evaluation.sample_rules import SampleFacts
from benchmarks.drawn_samples import CASES, Picture, good
from workers.embedding import efficientnet
from workers.embedding.embedder import Vectors
from workers.lettering.reader import read
from workers.sample_job import measured_of
from workers.signals.measure import measure

SECONDS_AT_MOST: Final = 0.25
ALARMS_AT_MOST: Final = 0.05
SIDE_PX: Final = 1024
PHOTO_PX: Final = 1024
COPIED: Final = 60
JUDGED: Final = Path(__file__).resolve().parents[1] / "tests" / "evaluation" / "judged_photos.json"
HOUSE: Final = profiles.shipped()["house"]
# Of a real photo as a packshot; what its prompt asks for beside that is not known.
PACKSHOT: Final = PromptClaims(is_packshot=True)
# Checks of pictures that a person was asked about.
ASKED: Final = (
    "whiteness", "off_white", "fill_least", "centring", "cropped", "border", "inset", "props", "text_beside",
    "watermark", "sharpness",
)  # fmt: skip


def main() -> int:
    """Print the four tables, and whether the limits are kept."""
    print(f"load {os.getloadavg()[0]:.1f}; seconds are those of the processor")
    with tempfile.TemporaryDirectory() as folder:
        embedder = efficientnet.load(Path(folder))
        failed = [cost(embedder), planted()]
        root = Path(os.environ.get("PACKSHOT_TEST_PHOTOS") or Path(__file__).resolve().parents[2] / "shared" / "data")
        if root.is_dir():
            failed += [real(root), copied(root, embedder)]
        else:
            print(f"No real photos at {root}; set PACKSHOT_TEST_PHOTOS to their folder.")
    return int(any(failed))


def facts_of(picture: Picture, size_bytes: int = 1_000_000, is_read: bool = True) -> SampleFacts:
    """What the measuring of samples knows of a picture."""
    flat = Pillow.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture if picture.mode == "RGBA" else None)
    measured = measured_of(1, flat, size_bytes)
    outline = measured.evidence["outline"] or ""
    lines = tuple(read(flat, outline)) if is_read else ()
    return SampleFacts(*flat.size, values=measured.values, outline=outline, lines=lines)


def cost(embedder: efficientnet.EfficientNet) -> bool:
    """Seconds of a picture."""
    file = io.BytesIO()
    good(SIDE_PX).save(file, "PNG")

    def checked() -> None:
        with Pillow.open(io.BytesIO(file.getvalue())) as opened:
            facts = facts_of(opened.convert("RGB"), is_read=False)
        sample_rules.checks(facts, PACKSHOT, HOUSE)

    picture = good(SIDE_PX)
    seconds = seconds_of(checked, 20)
    print(f"checks of one {SIDE_PX} px picture  {seconds:.3f} s   limit {SECONDS_AT_MOST} s")
    print(f"  apart: text {seconds_of(lambda: read(picture, None), 3):.3f} s", end="")
    print(f", embedding {seconds_of(lambda: embedder.look([picture]), 5):.3f} s")
    return seconds > SECONDS_AT_MOST


def seconds_of(work: Callable[[], object], times: int) -> float:
    """Processor seconds of this process for one time, after a first that loads what is kept."""
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def planted() -> bool:
    """The drawn cases."""
    missed, wrong, faults = [], [], 0
    for case in CASES:
        held = sample_rules.checks(facts_of(case.picture(SIDE_PX)), claims_of("", case.atoms), HOUSE)
        failed = {check.name for check in held if check.answer == "failed"}
        faults += len(case.fails)
        missed += [f"{case.name}: {name}" for name in case.fails if name not in failed]
        wrong += [f"{case.name}: {name}" for name in sorted(failed - {*case.fails, *case.may_fail})]
    print(f"planted faults seen  {faults - len(missed)} of {faults} in {len(CASES)} drawn pictures   limit: all")
    for line in missed:
        print(f"  missed  {line}")
    for line in wrong:
        print(f"  alarm   {line}")
    return bool(missed or wrong)


def real(root: Path) -> bool:
    """Photos judged by hand."""
    judged = json.loads(JUDGED.read_text())
    alarms, sound, seen, faults, untold = Counter[str](), Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for name, truth in judged.items():
        held = sample_rules.of_profile(facts_of(opened(root / name)), PACKSHOT, HOUSE)
        for check in held:
            if check.name not in ASKED or check.name in truth["unsure"]:
                continue
            untold[check.name] += check.answer == "cannot_tell"
            if check.name in truth["faults"]:
                faults[check.name] += 1
                seen[check.name] += check.answer == "failed"
            else:
                sound[check.name] += 1
                alarms[check.name] += check.answer == "failed"
                if check.answer == "failed":
                    print(f"  alarm   {name}: {check.name}. {check.why}")
    print(f"{len(judged)} real photos judged by hand{'alarms':>12}{'of':>5}{'seen':>7}{'of':>5}{'cannot tell':>13}")
    for name in ASKED:
        counts = f"{alarms[name]:12}{sound[name]:5}{seen[name]:7}{faults[name]:5}{untold[name]:13}"
        print(f"  {name:32}{counts}")
    share = alarms.total() / max(1, sound.total())
    print(f"false alarms  {share:.3f} of {sound.total()} answers   limit {ALARMS_AT_MOST}")
    return share >= ALARMS_AT_MOST


def opened(path: Path) -> Picture:
    """A photo, upright, as large as samples are."""
    with Pillow.open(path) as photo:
        upright = ImageOps.exif_transpose(photo).convert("RGB")
    upright.thumbnail((PHOTO_PX, PHOTO_PX))
    return upright


def copied(root: Path, embedder: efficientnet.EfficientNet) -> bool:
    """Photos drawn again softly, against their originals."""
    names = list(json.loads(JUDGED.read_text()))[-COPIED:]
    photos = [ImageOps.fit(opened(root / name), (512, 512)) for name in names]
    originals = [measure(photo) for photo in photos]
    vectors = look(embedder, photos)
    changes: dict[str, Callable[[Picture], Picture]] = {
        "drawn at 128 px": lambda photo: photo.resize((128, 128)).resize((512, 512), Pillow.Resampling.BICUBIC),
        "blurred by 3 px": lambda photo: photo.filter(ImageFilter.GaussianBlur(3)),
        "mirrored": ImageOps.mirror,
    }
    cosines = vectors @ vectors.T - 2 * np.eye(len(vectors))
    print(f"nearest other photo: cosine {cosines.max():.3f} at most; a copy from {COPY_FROM}")
    failed = bool(cosines.max() >= COPY_FROM)
    for words, change in changes.items():
        drawn = [change(photo) for photo in photos]
        marks = [measure(picture) for picture in drawn]
        keys = [each.frame_keys for each in (*originals, *marks)]
        thumbs = {place: each.frame_thumbs for place, each in enumerate((*originals, *marks)) if each.frame_thumbs}
        is_new = np.arange(len(keys)) >= len(photos)
        hits, wrong = set(), 0
        for match in copies.find(keys, lambda places, kept=thumbs: {place: kept[place] for place in places}, is_new):
            photo, sample = sorted((match.first, match.second))
            if not match.is_variant and photo < len(photos) <= sample:
                hits |= {photo} if sample - len(photos) == photo else set()
                wrong += sample - len(photos) != photo
        near = (look(embedder, drawn) * vectors).sum(axis=1)
        hits |= {place for place, cosine in enumerate(near) if cosine >= COPY_FROM}
        print(f"  {words:20}{len(hits):4} of {len(photos)} copies seen, {wrong} wrongly; cosine {np.median(near):.2f}")
        failed |= wrong > 0 or len(hits) < 0.9 * len(photos)
    return failed


def look(embedder: efficientnet.EfficientNet, pictures: Sequence[Picture]) -> Vectors:
    """(n, d) vectors of many pictures."""
    some = [list(pictures[start : start + 16]) for start in range(0, len(pictures), 16)]
    return np.concatenate([embedder.look(each) for each in some])


if __name__ == "__main__":
    sys.exit(main())
