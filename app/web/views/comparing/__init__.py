"""Putting a comparison together, and two runs held against each other."""
