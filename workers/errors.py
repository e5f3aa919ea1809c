"""Refused work: what a worker says when what it was given cannot be worked on, in one sentence and without a trace."""

from __future__ import annotations


class InputError(Exception):
    """The input is at fault, not the program. The message is one sentence fit for the person who asked."""
