"""A small network that says of each pixel how likely it is product, whatever lies behind: folds, tiles, wood, shadow.

Weights and how they came to be: `mask_network.onnx` and `mask_network.md` beside this file. 1.4 ms a photo on one core.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnxruntime

from workers.signals.lab import Field, Pixels

WEIGHTS: Final = Path(__file__).with_suffix(".onnx")
# The network was trained on photos pressed into this square, whatever their shape.
SIDE_PX: Final = 160


def log_odds(pixels: Pixels, weights: Path = WEIGHTS) -> Field:
    """How likely each part of a photo is product: uint8 sRGB (h, w, 3), at least 1 px a side, to the log odds.

    float32 (SIDE_PX / 2, SIDE_PX / 2), above 0 where product is likelier than not: the photo pressed into a square.
    `weights`: a network of the same form, in a file of its own.
    """
    odds = np.asarray(_session(weights).run(None, {"pixels": squared(pixels)})[0], dtype=np.float32)
    return odds.reshape(odds.shape[2:])


def squared(pixels: Pixels) -> Field:
    """A photo, uint8 sRGB (h, w, 3), pressed into the network's square: float32 (1, 3, SIDE_PX, SIDE_PX), 0 to 255."""
    # Of a photo up to twice as large each pixel lies between four; a mean over parts of them takes three times as long.
    is_near = max(pixels.shape[:2]) <= 2 * SIDE_PX
    way = cv2.INTER_LINEAR if is_near else cv2.INTER_AREA
    square = cv2.resize(pixels, (SIDE_PX, SIDE_PX), interpolation=way)
    return np.ascontiguousarray(square.transpose(2, 0, 1)[None], dtype=np.float32)


@cache
def _session(weights: Path) -> onnxruntime.InferenceSession:
    """One for each process and file, with one thread: photos are shared among processes, not among threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
