"""The colour that a person would name a product by, from its photo: where to look, and when not to say.

**Outlined.** That of the subject's largest part of one hue, or of one grey (`app.catalog.colours.leading_colour`). A
subject of which no such part has a third is multicoloured, and so is one where it has hardly half and three fifths of
the subject look nothing like it. White cloth by daylight at home is darker than on a table with lamps, so where the
background is no one colour white starts at `WHITE_AT_HOME`: of 300 photos the garments from there to 85 were white, all
four, those from 82 on light grey but for one.

**Without an outline**, as of heaps in a shop or a hat in a hand, most photos have a colour all the same: that of half
of what the network is sure of, or else that of the frame's middle, if most of it is one.

**Not told.** Skin, wood, cardboard, and white cartons by lamp light are all of one colour, orange to yellow of little
chroma. A mask that is not sure has often taken some of them along, so from it that colour is told only where nearly all
is of it: potatoes that fill the frame are brown. Of 500 judged photos that is all that the names of those in shops rest
on; without it one in five of them was wrong.
"""

from __future__ import annotations

from typing import Final, TypedDict

import numpy as np
from numpy.typing import NDArray

from app.catalog.colours import CLEAR_SHARE, MULTICOLOUR, WHITE, LeadingColour, leading_colour, name_colour
from workers.signals.lab import Planes, distance
from workers.signals.mask import Segmentation
from workers.signals.regions import Mask, shrunk

COLOURS_ENOUGH: Final = 4096
# A share of these is true to 3 %, 95 times in 100.
SHARES_ENOUGH: Final = 1024
WHITE_AT_HOME: Final = 83.0
LIKELY_OF_FRAME: Final = 0.05
LIKELY_SHARE: Final = 0.5
# From a fifth of the frame on at each side.
MIDDLE_FROM: Final = 0.2
MIDDLE_SHARE: Final = 0.6
HEAP_SHARE: Final = 0.9
SURE_OUTLINE: Final = 0.93
ONE_COLOUR_SHARE: Final = 0.85
MIXED_SHARE: Final = 0.55
MIXED_DELTA_E: Final = 35.0
MIXED_APART: Final = 0.6
# Hue in degrees, chroma.
LAMP_HUE: Final = (40.0, 88.0)
LAMP_CHROMA: Final = (24.0, 57.0)
# Nearer to red than this, skin has no such chroma.
SKIN_HUE: Final = 47.0
SKIN_CHROMA: Final = 45.0
PALE_LEVEL: Final = 65.0
PALE_CHROMA: Final = 6.0
FEWEST: Final = 50


class Colour(TypedDict):
    """The columns of `Signals` that this file measures."""

    subject_lab: list[float] | None
    subject_colour: str | None


def colour_of(lab: Planes, finding: Segmentation) -> Colour:
    """The product's colour in a photo as CIELAB (3, h, w): its Lab and name, both None where they cannot be told.

    Of a subject of many colours the name alone.
    """
    if finding.subject is None:
        leading = None if finding.is_plain else _unoutlined(lab, finding.likely)
    else:
        core = shrunk(finding.subject, 2)
        colours = _colours_of(lab, core if np.count_nonzero(core) >= FEWEST else finding.subject)
        leading = leading_colour(colours.T)
        if leading.share < CLEAR_SHARE or _is_mixed(colours, leading):
            return {"subject_lab": None, "subject_colour": MULTICOLOUR}
        is_sure = finding.is_plain or finding.confidence >= SURE_OUTLINE or leading.share >= ONE_COLOUR_SHARE
        if not is_sure and _is_lamp_light(leading):
            leading = None
    if leading is None:
        return {"subject_lab": None, "subject_colour": None}
    return {
        "subject_lab": [round(float(value), 2) for value in leading.lab],
        "subject_colour": name_colour(leading.lab, WHITE if finding.is_plain else WHITE_AT_HOME),
    }


def _unoutlined(lab: Planes, likely: Mask | None) -> LeadingColour | None:
    """The colour of what is likely product, or else of the frame's middle, where it leads clearly enough."""
    if likely is not None and np.count_nonzero(likely) >= LIKELY_OF_FRAME * likely.size:
        leading = leading_colour(_colours_of(lab, likely, SHARES_ENOUGH).T)
        if leading.share >= LIKELY_SHARE and not _is_lamp_light(leading):
            return leading
    height, width = lab.shape[1:]
    top, left = round(height * MIDDLE_FROM), round(width * MIDDLE_FROM)
    middle = np.zeros((height, width), dtype=bool)
    middle[top : height - top, left : width - left] = True
    leading = leading_colour(_colours_of(lab, middle, SHARES_ENOUGH).T)
    return leading if leading.share >= (HEAP_SHARE if _is_lamp_light(leading) else MIDDLE_SHARE) else None


def _colours_of(lab: Planes, where: Mask, enough: int = COLOURS_ENOUGH) -> Planes:
    return colours_at(lab, np.flatnonzero(where), enough)


def _is_mixed(colours: Planes, leading: LeadingColour) -> bool:
    """Whether most of some colours (3, n) look nothing like the one that leads, by hardly half of them."""
    if leading.share >= MIXED_SHARE:
        return False
    apart = distance(colours, leading.lab.astype(np.float32)[:, None])
    return bool(np.count_nonzero(apart > MIXED_DELTA_E) / len(apart) >= MIXED_APART)


def _is_lamp_light(leading: LeadingColour) -> bool:
    level, a, b = map(float, leading.lab)
    hue, chroma = np.degrees(np.arctan2(b, a)) % 360, np.hypot(a, b)
    palest = PALE_CHROMA if level >= PALE_LEVEL else LAMP_CHROMA[0]
    strongest = SKIN_CHROMA if hue < SKIN_HUE else LAMP_CHROMA[1]
    return bool(LAMP_HUE[0] <= hue <= LAMP_HUE[1] and palest <= chroma <= strongest)


def colours_at(lab: Planes, where: NDArray[np.intp], enough: int = COLOURS_ENOUGH) -> Planes:
    """The colours (3, n) at these places of a frame, or at every third, fifth ... of them: medians need no more.

    An even step would meet the same columns in each row.
    """
    return lab.reshape(3, -1).take(where[:: len(where) // enough | 1], axis=1)
