"""How often colours, and whether a product is cropped, are told as a person sees them, on real photos.

    python -m benchmarks.colours [../shared/data]

`colours_judged.json` says of some hundreds of photos which colours a shop would call the product by, which one could
argue about, and whether the frame cuts it off, null where one may say either (a heap, a hanger, a sleeve that just
touches). The photos were drawn with a fixed seed, in lots of a hundred, from the half on which nothing was tuned or
judged before: 70 of clothing, 26 taken in shops, 4 packshots. Colours were written down from the photos alone, before
anything was measured on them, so a name can be tried again after every change; whether a photo cuts its product off was
looked at again, enlarged, wherever the app says so. Names and thresholds were tuned on `tuning`, and on each lot after
its first count: what each was at first sight is in `docs/decisions/mask-by-network.md`.

Limits, on all lots: the colour is wrong on at most 8 % of those named, "cropped" is false on at most 5 % of those
outlined, and of at most 10 % neither is told.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image as Pillow
from PIL import ImageOps

from workers.signals.measure import SignalValues, measure

JUDGED: Final = Path(__file__).with_name("colours_judged.json")
IN_SHOPS: Final = "grocery/in_store"
LIMITS: Final = {"colour wrong": 0.08, "cropped falsely": 0.05, "missed": 0.10}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a person saw: names of colours; whether the frame cuts the product off, None where one may say either."""

    right: list[str]
    arguable: list[str]
    cropped: bool | None


@dataclass(frozen=True, slots=True)
class Tally:
    """Photos, counted: those named, outlined, and of neither; and the ones said otherwise than a person would."""

    photos: int
    named: int
    wrong: int
    arguable: int
    outlined: int
    missed: int
    cropped_wrong: int
    crop_unseen: int

    def shares(self) -> dict[str, float]:
        """What `LIMITS` limits."""
        return {
            "colour wrong": self.wrong / max(1, self.named),
            "cropped falsely": self.cropped_wrong / max(1, self.outlined),
            "missed": self.missed / max(1, self.photos),
        }


def tally(judged: Mapping[str, Judgement], measured: Mapping[str, SignalValues]) -> Tally:
    """Measured values of some photos, by path, against what was judged of them."""
    pairs = [(judged[path], values) for path, values in measured.items()]
    named = [(eye, values.subject_colour) for eye, values in pairs if values.subject_colour is not None]
    outlined = [(eye, values) for eye, values in pairs if values.box is not None]
    return Tally(
        photos=len(pairs),
        named=len(named),
        wrong=sum(name not in eye.right + eye.arguable for eye, name in named),
        arguable=sum(name in eye.arguable for eye, name in named),
        outlined=len(outlined),
        missed=sum(values.subject_colour is None and values.box is None for _, values in pairs),
        cropped_wrong=sum(eye.cropped is False and bool(values.is_cropped) for eye, values in outlined),
        crop_unseen=sum(eye.cropped is True and not values.is_cropped for eye, values in outlined),
    )


def main() -> None:
    photos = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data")
    every: dict[str, Judgement] = {}
    measured: dict[str, SignalValues] = {}
    for lot, judged in read().items():
        measured |= {path: measure(ImageOps.exif_transpose(Pillow.open(photos / path))) for path in judged}
        every |= judged
        show(lot, tally(judged, {path: measured[path] for path in judged}))
    for kind in ("clothing", "grocery/packshots", IN_SHOPS):
        show(kind, tally(every, {path: values for path, values in measured.items() if path.startswith(kind)}))
    shares = tally(every, measured).shares()
    for name, share in shares.items():
        print(f"{name:16} {share:6.1%} (limit {LIMITS[name]:.0%})")
    sys.exit(any(share > LIMITS[name] for name, share in shares.items()))


def read() -> dict[str, dict[str, Judgement]]:
    """What was judged: by lot, by the photo's path."""
    lots = json.loads(JUDGED.read_text())
    return {lot: {path: Judgement(**facts) for path, facts in photos.items()} for lot, photos in lots.items()}


def show(name: str, counts: Tally) -> None:
    print(
        f"{name:18} {counts.photos:3} photos, {counts.named:3} named: {counts.wrong} wrong, {counts.arguable} arguable;"
        f" {counts.outlined:3} outlined: {counts.cropped_wrong} cropped falsely, {counts.crop_unseen} unseen;"
        f" {counts.missed} missed"
    )


if __name__ == "__main__":
    main()
