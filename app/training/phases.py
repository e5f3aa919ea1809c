"""What a trainer may be doing, as its `phase` events name it, and the same in words. Pure."""

from __future__ import annotations

from typing import Final

WORDS: Final = {
    "start": "starting the trainer",
    "load": "loading the base model",
    "decode": "decoding every photo",
    "encode": "encoding photos and captions",
    "compile": "compiling the model",
    "measure": "timing steps",
    "train": "training",
    "validate": "measuring the validation loss",
    "sample": "drawing samples",
    "save": "saving a checkpoint",
    "export": "writing the finished model",
}
"""A preflight goes through the same phases as a run, but decodes every photo first and times steps."""

PREPARING: Final = ("start", "load", "encode", "compile")
"""Phases of a trainer before its first step; `start` is until it tells the first of its own."""


def words(phase: str) -> str:
    """A phase in words; one of another version by its name."""
    return WORDS.get(phase, phase)
