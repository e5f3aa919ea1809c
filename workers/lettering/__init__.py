"""Lettering: the text that stands in photos, read from their pixels."""
