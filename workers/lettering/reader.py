"""Reads the text in a picture with PP-OCR, whose weights come in rapidocr's wheel: nothing is downloaded.

onnxruntime works on one thread: as many workers read as there are cores. The direction classifier is left out, for
photos are taken in upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from app.catalog.text_lines import TextLine, is_beside
from workers.lettering.tiled import with_tiled

# Raise the first when more is added to what was read, both when the reading changes: images read by a version before
# `READ_SINCE` are read again, to the others only what is tiled over them is added, which takes a sixth of the time.
LETTERING_VERSION: Final = 4
READ_SINCE: Final = 2
SIDE_PX: Final = 960
# The detector enlarges a picture until its shorter side has 736 px: of a strip 20 px wide that took 5 GB and half a
# minute. So a strip is laid on paper that is this share of its length wide.
WIDTH_AT_LEAST: Final = 1 / 3
FAINTEST: Final = 0.5
LONGEST: Final = 200
MOST: Final = 100


def read(picture: Pillow.Image, outline: str | None, known: Sequence[TextLine] | None = None) -> list[TextLine]:
    """The lines of text in a picture of any mode and size, and where they stand towards the subject's outline.

    `known` are those of an earlier reading, to which only what is tiled over the picture is added. Raises OSError when
    the picture's pixels cannot be read.
    """
    small = _within(picture.convert("RGB"))
    lines = _lines(small, outline) if known is None else known
    return with_tiled(small, lines, lambda tiles: _lines(tiles.convert("RGB"), outline))[:MOST]


def _lines(small: Pillow.Image, outline: str | None) -> list[TextLine]:
    if min(small.size) < 16:
        return []
    answer = _engine()(np.ascontiguousarray(np.asarray(_on_paper(small))[:, :, ::-1]), use_cls=False)
    if answer.txts is None or answer.boxes is None:
        return []
    lines = []
    for text, score, corners in zip(answer.txts, answer.scores, answer.boxes, strict=True):
        # Nothing in a picture is a control sign; the database keeps no NUL.
        words = " ".join("".join(sign for sign in text if sign.isprintable()).split())[:LONGEST]
        if words and score >= FAINTEST:
            box = _box(corners, small.size)
            lines.append(TextLine(words, round(float(score), 3), box, is_beside(outline, box)))
    return lines


def _box(corners: NDArray[np.float32], size: tuple[int, int]) -> tuple[float, float, float, float]:
    width, height = size
    x, y = corners[:, 0] / width, corners[:, 1] / height
    x0, y0, x1, y1 = (round(min(1.0, max(0.0, float(edge))), 4) for edge in (x.min(), y.min(), x.max(), y.max()))
    return x0, y0, x1, y1


def _on_paper(picture: Pillow.Image) -> Pillow.Image:
    """A strip at the left or the top of white paper; every other picture as it is."""
    least = round(max(picture.size) * WIDTH_AT_LEAST)
    if min(picture.size) >= least:
        return picture
    paper = Pillow.new("RGB", (max(picture.width, least), max(picture.height, least)), "white")
    paper.paste(picture)
    return paper


def _within(picture: Pillow.Image) -> Pillow.Image:
    picture.thumbnail((SIDE_PX, SIDE_PX), Pillow.Resampling.BOX)
    return picture


@cache
def _engine() -> Any:
    import rapidocr

    models = Path(rapidocr.__file__).parent / "models"
    threads = {f"EngineConfig.onnxruntime.{which}_op_num_threads": 1 for which in ("intra", "inter")}
    return rapidocr.RapidOCR(params={"Global.log_level": "error", "Global.model_root_dir": str(models), **threads})
