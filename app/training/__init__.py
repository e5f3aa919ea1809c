"""Training: recipes, runs, their events and checkpoints. Knows no torch."""
