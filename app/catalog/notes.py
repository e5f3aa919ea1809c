"""Notes on photos: what had to be assumed to take a file in, in a word that filters know and a sentence for people."""

from __future__ import annotations

from typing import Final, Literal

Note = Literal[
    "cmyk-without-profile", "broken-profile", "large-profile", "large-text", "first-of-several", "largest-page",
    "missing-end-mark", "laid-on-white", "reduced-to-8-bit", "hdr-brought-down",
]  # fmt: skip

SENTENCES: Final[dict[Note, str]] = {
    "cmyk-without-profile": "CMYK without a usable profile: its colours are approximate.",
    "broken-profile": "The embedded colour profile cannot be used; the colours are taken as sRGB.",
    "large-profile": "The embedded colour profile has over 1 MB; it was used all the same.",
    "large-text": "The file holds over 1 MB of text, which was passed over.",
    "first-of-several": "The file holds several frames, pages or pictures; the first, or its main one, was taken.",
    "largest-page": "The file holds several pages; the largest was taken, not the first.",
    "missing-end-mark": "The file lacks its end mark; its picture is whole.",
    "laid-on-white": "Its transparent parts were laid on white.",
    "reduced-to-8-bit": "It has more than 8 bits a channel; they were reduced to 8.",
    "hdr-brought-down": "It is brighter than a screen’s white in places (HDR); these were brought down to it.",
}
NAMES: Final[tuple[Note, ...]] = tuple(SENTENCES)
