"""Signed-in browsers, as their person's page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.people import SignIn

# What browsers call themselves: the first that fits, for each also names the ones it descends from.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip


@dataclass(frozen=True)
class BrowserRow:
    """One browser: its key, its name in words, and whether it is the one that asks."""

    key: str
    words: str
    address: str
    signed_in_at: datetime
    seen_at: datetime
    is_here: bool


def row(sign_in: SignIn, here: str) -> BrowserRow:
    """A sign-in as its person reads it. `here` is the key of the browser that asks."""
    return BrowserRow(
        sign_in.key, words(sign_in.browser), sign_in.address, sign_in.created_at, sign_in.seen_at, sign_in.key == here
    )


def words(user_agent: str) -> str:
    """A browser's name and system: "Firefox on Linux"; "A browser" where it does not say."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return " on ".join(part for part in (browser or "A browser", system) if part)
