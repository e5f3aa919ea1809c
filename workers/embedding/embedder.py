"""What an embedder does: pictures in, vectors out. One comes with the installation, others by PACKSHOT_EMBEDDER."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Vectors = np.ndarray[tuple[int, ...], np.dtype[np.floating[Any]]]


class Embedder(ABC):
    """A loaded model. Vectors of the same name, revision, preprocessing and length can be compared; others cannot."""

    name: str
    revision: str
    preprocessing: str
    dimensions: int
    reads_words: bool
    wanted_px: int = 0
    """Pictures may come reduced to where both sides have this many pixels, or more; 0: as they are."""

    @abstractmethod
    def look(self, pictures: Sequence[Picture]) -> Vectors:
        """(n, dimensions) float32, each of length 1, for upright RGB pictures."""

    def read(self, phrase: str) -> Vectors:
        """(dimensions,) float32 of length 1, near to the pictures that the phrase describes."""
        raise NotImplementedError(f"{self.name} reads no words")

    @staticmethod
    def of_length_one(vectors: Vectors) -> Vectors:
        """The vectors as float32 of length 1; one of zeros stays one."""
        lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
        unit: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
        return unit
