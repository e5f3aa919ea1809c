"""How often colours, and whether a product is cropped, are told as a person sees them, on real photos.

    python -m benchmarks.colours [../shared/data]

`colours_judged.json` says of three hundred photos, drawn at random with a fixed seed from those on which nothing was
tuned or judged before, which colours a shop would call the product by, which one could argue about, and whether it is
cut off by the frame, null where that is a matter of taste (a heap, a hanger). They were written down from the photos
alone, before what the app says was looked at: a name can be tried again after every change. Whether it is cut off was
looked at again, enlarged, wherever the app says so. Names and thresholds were tuned on `tuning`; `report` was looked at
only as a whole; `fresh` was judged after the last change.

Limits, each on all photos of `report` and `fresh`: the colour is wrong on at most 8 % of those named, with one in two of
the arguable ones counted as wrong; "cropped" is false on at most 5 % of those outlined; neither is told on 10 % at most.
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
TUNED: Final = "tuning"
LIMITS: Final = {"colour wrong": 0.08, "cropped falsely": 0.05, "missed": 0.10}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a person saw: names of colours, and whether the frame cuts the product off, None where one may say either."""

    right: list[str]
    arguable: list[str]
    cropped: bool | None


@dataclass(frozen=True, slots=True)
class Tally:
    """Photos, counted: those named, outlined, missed; and of these the ones said otherwise than a person would."""

    photos: int
    named: int
    wrong: int
    arguable: int
    outlined: int
    cropped_wrong: int
    crop_unseen: int

    def shares(self) -> dict[str, float]:
        """What `LIMITS` limits."""
        return {
            "colour wrong": (self.wrong + self.arguable / 2) / max(1, self.named),
            "cropped falsely": self.cropped_wrong / max(1, self.outlined),
            "missed": 1 - self.named / max(1, self.photos),
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
        cropped_wrong=sum(eye.cropped is False and bool(values.is_cropped) for eye, values in outlined),
        crop_unseen=sum(eye.cropped is True and not values.is_cropped for eye, values in outlined),
    )


def main() -> None:
    photos = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data")
    samples: dict[str, dict[str, dict[str, object]]] = json.loads(JUDGED.read_text())
    kept: dict[str, tuple[Judgement, SignalValues]] = {}
    for sample, every in samples.items():
        judged = {path: Judgement(**facts) for path, facts in every.items()}  # type: ignore[arg-type]
        measured = {path: measure(ImageOps.exif_transpose(Pillow.open(photos / path))) for path in judged}
        for kind in ("clothing", "grocery/packshots", "grocery/in_store", ""):
            show(f"{sample} {kind or 'all'}", tally(judged, {p: v for p, v in measured.items() if p.startswith(kind)}))
        if sample != TUNED:
            kept |= {path: (judged[path], values) for path, values in measured.items()}
    whole = tally({path: eye for path, (eye, _) in kept.items()}, {path: values for path, (_, values) in kept.items()})
    show("untuned", whole)
    for name, share in whole.shares().items():
        print(f"{name:16} {share:6.1%} (limit {LIMITS[name]:.0%})")
    sys.exit(any(share > LIMITS[name] for name, share in whole.shares().items()))


def show(name: str, counts: Tally) -> None:
    print(
        f"{name:26} {counts.photos:3} photos, {counts.named:3} named: {counts.wrong} wrong, {counts.arguable} arguable;"
        f" {counts.outlined:3} outlined: {counts.cropped_wrong} cropped falsely, {counts.crop_unseen} unseen"
    )


if __name__ == "__main__":
    main()
