"""What a trainer is told beside its recipe, in OUT/limits.json, and how long its ending takes. Pure."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from app.training.limits import Binding

FILE: Final = "limits.json"


@dataclass(frozen=True, slots=True)
class TrainerLimits:
    """Seconds on the device over all attempts, what they stand for, and what to reserve for the sheet afterwards.

    At least `reserve_s` seconds are reserved, and what drawing `reserve_pictures` takes once that is known. `told_seq`
    is the number of the last event, and `spent_s` the seconds of earlier attempts, as far as whoever follows the run
    knows: a power loss may have taken from the run's folder what was kept elsewhere.
    """

    seconds: float = math.inf
    binding: Binding = "time"
    reserve_s: float = 0.0
    told_seq: int = 0
    spent_s: float = 0.0
    reserve_pictures: int = 0

    def reserved_s(self, picture_s: float) -> float:
        """Seconds to reserve for the sheet, where a picture takes `picture_s` (0: nobody knows)."""
        return max(self.reserve_s, drawing_s(self.reserve_pictures, picture_s, self.seconds))

    def written(self) -> bytes:
        """As the file holds it."""
        return json.dumps(asdict(self)).encode()


def read(out: Path) -> TrainerLimits:
    """What OUT/limits.json says; without it nothing is limited. Raises ValueError for a broken file."""
    file = out / FILE
    if not file.exists():
        return TrainerLimits()
    try:
        given = TrainerLimits(**json.loads(file.read_text()))
        return TrainerLimits(
            float(given.seconds), given.binding, float(given.reserve_s),
            int(given.told_seq), float(given.spent_s), int(given.reserve_pictures),
        )  # fmt: skip
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"The limits in {file} cannot be read: {error}.") from error


def drawing_s(pictures: int, picture_s: float, limit_s: float) -> float:
    """Seconds to reserve for so many pictures. At most half of the limit: a run too short for its sheet still learns
    something."""
    return min(pictures * picture_s, limit_s / 2)


def ending_s(step_s: float, save_s: float, export_s: float, reserved_s: float) -> float:
    """Seconds in which nothing new is begun: one more step, the last save and export, and what is reserved."""
    return 1.0 + 1.5 * step_s + save_s + export_s + reserved_s
