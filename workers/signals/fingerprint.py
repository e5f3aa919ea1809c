"""A picture's fingerprint, by which its copies are known again. What it holds: `app/catalog/fingerprints.py`."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image as Pillow
from scipy.fft import dctn

from app.catalog.fingerprints import FIELDS, SIDE, pack

SIDE_PX: Final = 64


def fingerprint(picture: Pillow.Image) -> bytes | None:
    """The fingerprint of an RGB picture of any size; None for one that is flat, which tells nothing."""
    grey = np.asarray(picture.convert("L").resize((SIDE_PX, SIDE_PX), Pillow.Resampling.BOX), dtype=np.float64)
    colours = np.asarray(picture.resize((FIELDS, FIELDS), Pillow.Resampling.BOX), dtype=np.uint8)
    return pack(dctn(grey, norm="ortho")[:SIDE, :SIDE], colours)
