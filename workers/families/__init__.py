"""Model families: one file each, saying how to load, encode, train, draw, save and export that kind of model.

The training loop and the sampler know only the `Family` protocol in `registry`; whatever is particular to a family
(its loss target, its text cleaning, the quirks of its pipeline) stays inside its own file.
"""
