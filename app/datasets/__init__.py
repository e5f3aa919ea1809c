"""Datasets: frozen versions of a selection, with exact captions and a grouped split."""
