"""The catalog in memory: what a filter asks of a million photos, answered in the web process; see `memory`."""
