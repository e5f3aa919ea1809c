"""Signals: what can be measured of a photo, one file for each kind of measurement."""
