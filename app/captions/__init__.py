"""Captions: what a photo is said to show, as an append-only history."""
