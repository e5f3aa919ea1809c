"""Captions: written from facts, or by a model that looks at photos."""
