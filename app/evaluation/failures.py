"""What can be wrong with a sample, one word each, told with one tap. Pure."""

from __future__ import annotations

from typing import Final, Literal, get_args

from app.errors import Refused

Failure = Literal["wrong_colour", "wrong_count", "bad_text", "deformed", "background", "crop", "copy"]

FAILURES: Final[tuple[Failure, ...]] = get_args(Failure)
"""In the order in which digits tell them."""
WORDS: Final[dict[Failure, str]] = {
    "wrong_colour": "wrong colour",
    "wrong_count": "wrong count",
    "bad_text": "bad text",
    "deformed": "deformed",
    "background": "background",
    "crop": "cropped",
    "copy": "copy of a photo",
}


def known(tag: str) -> Failure:
    """A failure by its name. Raises Refused."""
    for failure in FAILURES:
        if failure == tag:
            return failure
    raise Refused(f"“{tag[:40]}” is not one of the failures.")
