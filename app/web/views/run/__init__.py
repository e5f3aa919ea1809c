"""The page of one run: its words, its cost, its samples, how it can go on."""
