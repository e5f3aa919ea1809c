"""How often a true caption is held to contradict its photo, and a false one is found to, by what it claims.

    python -m benchmarks.claims [../shared/data]

`claims_judged.json` says of 152 real photos, drawn with a fixed seed (clothing and shelves from the half on which no
mask was trained, packshots), what a person saw on them before anything was measured: how many things, before which
background, how framed, what is written there, and for each something that is plainly otherwise. Captions are made of
these, one claim each. Rules were tuned on `tuning`, every second photo; `report` is the others. On those no two things
lie apart, so "two apart" is each packshot of one thing beside itself. `brands` are 71 more cartons, whose maker and
title their file names tell; the rule about words was tuned on all of them, after 14 % of their true brands had been
said to contradict.

A photo of which nobody can tell is neither: it counts as not found, and as no alarm. Limits, on `report`: at most 5 %
of the true captions of a kind are said to contradict their photo; of the false ones as many are found as `FOUND`
says, which guards what is reached, for a rule that never speaks raises no alarm either.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps
from PIL.Image import Image as Picture

from app.captions import rules
from app.captions.facts import MeasuredFacts
from app.captions.proposing import measured_facts
from workers.lettering.reader import read as read_text
from workers.signals.measure import measure

JUDGED: Final = Path(__file__).with_name("claims_judged.json")
FALSE_AT_MOST: Final = 0.05
Claim = Literal["count", "two apart", "background", "framing", "text", "brand", "no text"]
FOUND: Final[dict[Claim, float]] = {
    "count": 0.0, "two apart": 0.8, "background": 0.9, "framing": 0.6, "text": 0.05, "brand": 0.05, "no text": 0.4,
}  # fmt: skip
NUMBERS: Final = {1: ("A single", "One"), 2: ("Two", "A photo of two"), 3: ("Three",), 4: ("Four",), 5: ("Five",)}


@dataclass(frozen=True, slots=True)
class SeenClaims:
    """What a person saw on a photo, and what plainly is not so; empty where one may say either.

    `one` and `many` name the thing; "trousers" have no `many`, and are counted by nobody. `is_blank`: whether nothing
    is written there, None where one may say either (a label in a collar).
    """

    one: str
    many: str | None
    counts: list[int]
    wrong_counts: list[int]
    grounds: list[str]
    wrong_grounds: list[str]
    framings: list[str]
    wrong_framings: list[str]
    texts: list[str]
    wrong_texts: list[str]
    is_blank: bool | None


@dataclass(frozen=True, slots=True)
class JudgedCaption:
    """A caption with one claim, whether that is true, and the brand that the catalogue gives."""

    claim: Claim
    text: str
    is_true: bool
    brand: str | None = None


def main() -> None:
    photos = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data")
    lots = read()
    if not (photos / next(iter(lots["report"]))).is_file():
        print(f"NOTE: there are no photos in {photos}, so no claim is measured.")
        return
    print(f"load {os.getloadavg()[0]:.1f}; true captions said to contradict their photo, false ones found")
    met = [show(lot, claim, tries) for lot, of_lot in lots.items() for claim, tries in tried(photos, of_lot).items()]
    sys.exit(not all(met))


def tried(photos: Path, judged: dict[str, SeenClaims]) -> dict[Claim, list[tuple[JudgedCaption, bool]]]:
    """All captions of some photos, by what they claim, and whether each was found to contradict its photo."""
    tries: dict[Claim, list[tuple[JudgedCaption, bool]]] = {claim: [] for claim in FOUND}
    for path, seen in judged.items():
        with Pillow.open(photos / path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
        measured = facts_of(picture)
        for caption in captions_of(seen):
            tries[caption.claim].append((caption, is_contradicted(caption, measured)))
        if path.startswith("grocery/packshots") and seen.counts == [1]:
            doubled = facts_of(Pillow.fromarray(np.hstack([np.asarray(picture)] * 2)))
            for words, is_true in (("Two", True), ("A pair of", True), ("A single", False), ("One", False)):
                caption = JudgedCaption(
                    "two apart", f"{words} {seen.one if words in ('A single', 'One') else seen.many}", is_true
                )
                tries["two apart"].append((caption, is_contradicted(caption, doubled)))
    return {claim: of_claim for claim, of_claim in tries.items() if of_claim}


def read() -> dict[str, dict[str, SeenClaims]]:
    """What was judged: by lot, by the photo's path."""
    lots = json.loads(JUDGED.read_text(encoding="utf-8"))
    return {lot: {path: SeenClaims(**facts) for path, facts in photos.items()} for lot, photos in lots.items()}


def facts_of(picture: Picture) -> MeasuredFacts:
    """What captions of a photo, RGB, are held against."""
    values = measure(picture)
    lines = [line for line in read_text(picture, values.outline) if line.is_trusted]
    return replace(
        measured_facts(values),  # type: ignore[arg-type]  # has the columns' names
        printed=tuple(dict.fromkeys(line.text for line in lines)),
        is_printed_on=bool(lines) and all(line.is_beside is False for line in lines),
    )


def captions_of(seen: SeenClaims) -> Iterator[JudgedCaption]:
    """Captions with one claim each, of all that was judged of a photo."""
    thing = seen.one
    article = "An" if thing[0] in "aeiou" else "A"
    for is_true, counts in ((True, seen.counts), (False, seen.wrong_counts)):
        for number in counts:
            for words in NUMBERS[number]:
                yield JudgedCaption("count", f"{words} {thing if number == 1 else seen.many}", is_true)
            if number == 2 and is_true:
                yield JudgedCaption("count", f"A pair of {seen.many}, seen from above", is_true)
    for is_true, grounds in ((True, seen.grounds), (False, seen.wrong_grounds)):
        for ground in grounds:
            yield JudgedCaption("background", f"{article} {thing} on a {ground} background", is_true)
    for is_true, framings in ((True, seen.framings), (False, seen.wrong_framings)):
        for framing in framings:
            yield JudgedCaption("framing", f"{article} {thing}, {framing}", is_true)
    for is_true, texts in ((True, seen.texts), (False, seen.wrong_texts)):
        for text in texts:
            yield JudgedCaption("text", f"{article} {thing} that reads “{text}”", is_true)
            yield JudgedCaption("brand", f"{article} {text} {thing}", is_true, text)
    if seen.is_blank is not None:
        yield JudgedCaption("no text", f"{article} {thing} without any text", seen.is_blank)


def is_contradicted(caption: JudgedCaption, measured: MeasuredFacts) -> bool:
    """Whether the caption is said to contradict what was measured."""
    return bool(rules.contradictions(caption.text, replace(measured, brand=caption.brand)))


def show(lot: str, claim: Claim, tries: list[tuple[JudgedCaption, bool]]) -> bool:
    """Print a row; whether its limits are met."""
    alarms = [is_told for caption, is_told in tries if caption.is_true]
    finds = [is_told for caption, is_told in tries if not caption.is_true]
    alarmed, met = sum(alarms) / max(1, len(alarms)), sum(finds) / max(1, len(finds))
    is_judged = lot != "tuning" and (lot == "report" or claim != "no text")
    limits = (f" (limit {FALSE_AT_MOST:.0%})", f" (limit {FOUND[claim]:.0%})") if is_judged else ("", "")
    print(
        f"{lot:7} {claim:11} {sum(alarms):3} of {len(alarms):3} true: {alarmed:6.1%}{limits[0]};"
        f" {sum(finds):3} of {len(finds):3} false: {met:6.1%}{limits[1]}"
    )
    return not is_judged or (alarmed <= FALSE_AT_MOST and met >= FOUND[claim])


if __name__ == "__main__":
    main()
