"""Exports: a frozen version, written out in the formats that other tools read."""
