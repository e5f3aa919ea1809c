"""Whether a base was taught to draw in a few steps, and in how many. Pure, no torch.

Such a base was distilled from another one. Training on plain velocities or noise, which is what every fine-tune here
does, unlearns the few steps while it goes on (Z-Image-Turbo's trainers report the same, and train with an adapter that
takes the distillation out). FLUX.2 klein says so of itself; FLUX.1 schnell is the one without an input for guidance;
of all others only the name tells.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

_KLEIN: Final = 4
_SCHNELL: Final = 4
_BY_NAME: Final[dict[str, int]] = {"prx": 8, "prx_pixel": 8, "sd15": 4, "sdxl": 4, "sd3": 4, "flux": 4, "flux2": 4}
"""PRX: its documentation in diffusers, with guidance 1. SDXL and SD 3.5 turbo: their cards, one to four."""

_NAMES: Final = re.compile(r"(?<![a-z])(distilled|turbo|lightning|schnell|hyper|lcm|dmd2?)(?![a-z])")
_UNDONE: Final = re.compile(r"(un|de)[-_]?distill")


def steps_of(folder: Path, name: str, family: str) -> int:
    """Steps that the base in `folder`, called `name`, was taught to draw in; 0 for one that draws in many."""
    index = _json(folder / "model_index.json")
    if _UNDONE.search(name.lower()):
        return 0
    if family == "flux2" and "is_distilled" in index:
        return _KLEIN if index["is_distilled"] else 0
    if family == "flux":
        return 0 if _json(folder / "transformer" / "config.json").get("guidance_embeds") else _SCHNELL
    return _BY_NAME[family] if _NAMES.search(name.lower().rpartition("/")[2]) else 0


def warning(steps: int) -> str:
    """What training does to a base that was taught to draw in so many steps, a sentence without its full stop."""
    return (
        f"this base was distilled to draw in {steps} steps without guidance, and training unlearns that: few-step "
        "pictures get worse the longer it goes on. Train the base that it was distilled from; where the two are of one "
        "size, its LoRA fits this one too"
    )


def _json(file: Path) -> dict[str, Any]:
    try:
        known = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
