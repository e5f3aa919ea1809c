"""Fetching the bytes of a photo from a web address."""

from __future__ import annotations

from app.intake.sources.entry import Unopened


def fetch(url: str, max_bytes: int) -> bytes:
    """The bytes behind a web address, at most `max_bytes`. Raises Unopened, saying why there are none."""
    raise Unopened("Photos at web addresses are not fetched; download them and take in the folder.")
