"""The drawn demo catalogue: deterministic, with known truth, honest about being drawn."""
