"""Removal: what an owner takes away for good: a photo, a catalog, a version that nothing uses, the cache."""
