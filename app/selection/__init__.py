"""Selections: the filter language over photos, what it asks for in few rows, and pages and counts of what it gives."""
