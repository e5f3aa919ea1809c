"""What whoever starts the engine lets it know beside the recipe: OUT/limits.json."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.refusals import Refusal

LIMITS = "limits.json"


@dataclass(frozen=True)
class Limits:
    """Seconds on the device over all sittings, what they stand for, and seconds to keep back for others afterwards:
    at least what drawing `reserve_pictures` takes, once that is known, and then at most half of all.

    `told_seq` is the number of the last news, and `spent_s` the seconds of earlier sittings, as far as whoever follows
    the run knows: a power loss may have taken from the run's folder what was kept elsewhere.
    """

    seconds: float
    binding: Literal["time", "money"] = "time"
    reserve_s: float = 0.0
    told_seq: int = 0
    spent_s: float = 0.0
    reserve_pictures: int = 0


def read_limits(out: Path) -> Limits:
    """What OUT/limits.json says; without it nothing is limited. Raises `Refusal` for a broken file."""
    file = out / LIMITS
    if not file.exists():
        return Limits(math.inf)
    try:
        given = Limits(**json.loads(file.read_text()))
        return Limits(
            float(given.seconds), given.binding, float(given.reserve_s),
            int(given.told_seq), float(given.spent_s), int(given.reserve_pictures),
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        raise Refusal(f"The limits in {file} cannot be read: {error}.") from error
