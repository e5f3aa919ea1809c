"""Embeddings: numbers by which photos that look alike are near to each other, and the map drawn from them."""
