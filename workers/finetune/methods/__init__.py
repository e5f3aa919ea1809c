"""Ways to train: each in a file of its own, off unless the recipe asks for it, described in docs/methods.md."""
