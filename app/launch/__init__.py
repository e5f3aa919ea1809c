"""Launching a run: facts and choices in, a recipe with reasons, what was measured of it, what it will take, checks."""
