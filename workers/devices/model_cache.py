"""The one model that is loaded on the device, kept for the next use of it, and how to let go of it."""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workers.devices.torch_device import best_device

if TYPE_CHECKING:
    from workers.families.registry import Family

Model = TypeVar("Model")


@dataclass(frozen=True)
class Memory:
    """What this process holds: main memory at its peak, and memory of the accelerator now (0 without one)."""

    peak_resident_bytes: int
    device_bytes: int


class ModelCache:
    """Keeps the last model that was asked for loaded; asking for another one lets go of it first."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._base: tuple[str, str, str] | None = None
        self._weights: Path | None = None
        self._family: Family | None = None
        self._other: tuple[str, Any] | None = None

    def family(self, name: str, base: str, weights: Path | None = None, revision: str = "") -> Family:
        """The model of family `name` from `base`, with the saved `weights` (a folder, whole or an adapter) if given.

        `revision` is the commit of a base on a model hub.

        Another checkpoint of the same base costs only the reading of its weights. Raises `Refusal` when the base or
        the weights are not there.
        """
        import torch

        from workers.families import weights as saved
        from workers.families.registry import load_family

        if self._family is None or self._base != (name, base, revision):
            self.release()
            torch.set_num_threads(self._threads)
            self._family = load_family(name, base, best_device(), revision=revision)
            self._base = (name, base, revision)
        if weights != self._weights:
            try:
                saved.load(self._family, weights)
            except BaseException:
                # Half of one model and half of another must not be drawn with.
                self.release()
                raise
        self._weights = weights
        return self._family

    def other(self, name: str, load: Callable[[], Model]) -> Model:
        """A model that draws nothing, by `load` unless it was the last one asked for. Raises what `load` does."""
        if self._other is None or self._other[0] != name:
            self.release()
            self._other = name, load()
        model: Model = self._other[1]
        return model

    def memory(self) -> Memory:
        """What is held at this moment."""
        import torch

        device_bytes = torch.cuda.memory_allocated() if torch.cuda.is_available() else 0
        return Memory(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, device_bytes)

    def release(self) -> None:
        """Let go of the loaded model and give its memory back."""
        if self._family is None and self._other is None:
            return
        import torch

        self._family = self._base = self._weights = self._other = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
