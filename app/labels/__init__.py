"""Labels: what a team says of its photos in its own words, set by set, as an append-only history."""
