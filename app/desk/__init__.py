"""The desk: where a person reviews one photo after another. A person's queue is a selection with a place to begin."""
