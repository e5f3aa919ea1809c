"""Families by name, imported only when asked for, and what every one of them can do.

The arithmetic of a family is cut where the loop needs it: `noisy` makes what the network sees, `predict` asks the
network, `errors` measures its answer in the family's own target, and `clean_from` says which clean input the answer
stands for. So routing, teachers and perceptual losses fit between them without knowing any family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import torch

from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families.fetch import located

Text = Mapping[str, torch.Tensor]
"""One caption encoded: `tokens` [L, width] without padding where the family masks it, and what else it needs by name,
of one shape for all captions (`pooled` [width], ...). A batch of them (`stacked`): the same names with a first axis
B, `tokens` padded with zeros, and `mask` bool [B, L], true on real tokens."""

_MODULES = {
    "flux": "workers.families.flux",
    "flux2": "workers.families.flux2",
    "prx": "workers.families.prx",
    "prx_pixel": "workers.families.prx_pixel",
    "sd15": "workers.families.sd15",
    "sd3": "workers.families.sd3",
    "sdxl": "workers.families.sdxl",
}


class Family(Protocol):
    """A loaded model of one family. `B` pictures of `H` x `W` pixels are `C` x `h` x `w` as the model's clean input."""

    name: str
    pipeline: Any
    denoiser: str
    """What the pipeline calls the part that is trained: its folder's name."""
    folder: Path | None
    """Where the base's parts lie."""
    base_revision: str
    """The commit of a base that came from a model hub; empty for one in a folder."""
    model: torch.nn.Module
    """The denoiser. Its weights are fp32 when it is trained in full; with LoRA only the adapter's have to be."""
    size_multiple: int
    """Sides of pictures are multiples of this: the autoencoder's reduction times the patch size."""
    noise_scale: float
    """Standard deviation of the noise that drawing starts from; training noise is the same."""
    lora_targets: tuple[str, ...]
    """Suffixes of the names of the linear layers that an adapter is put on."""
    encoder_files: tuple[Path, ...]
    """What cached texts depend on besides their words: the text encoders' folders and tokenizers'."""
    encoder_precision: tuple[str, ...]
    """What each text encoder computes in, which cached texts depend on too: it differs between devices."""
    autoencoder_files: tuple[Path, ...]
    """What cached pictures depend on besides their pixels: the autoencoder's folder; empty without one. It computes in
    fp32 wherever it is."""
    holds_base: bool
    """Whether the denoiser's own weights are the base's: until others are loaded or they are trained themselves."""
    is_flow: bool
    """Whether timesteps are a straight line from clean to noise (shifted and logit-normal draws make sense)."""

    def encode_texts(self, texts: Sequence[str]) -> list[Text]:
        """Each text encoded exactly as the pipeline does it, on the CPU, words kept as they are written."""
        ...

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int]:
        """How many tokens each text has before any cut, and how many are read: beyond those, words are lost."""
        ...

    def encode_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures uint8 [B, H, W, 3] as the model's clean input, float32 [B, C, h, w]; the same for the same."""
        ...

    def free_encoders(self) -> None:
        """Give back the device memory of the text encoders and the autoencoder; they come back when asked for."""
        ...

    def shift(self, height_px: int, width_px: int) -> float:
        """The timestep shift that the base was taught with at this size: 1 is none. See `loss.draw_timesteps`."""
        ...

    def noisy(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What the network sees. `timesteps` float32 [B] in (0, 1]: 0 is clean, 1 is noise."""
        ...

    def predict(self, model: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        """The network's answer, shaped like `noisy`. `text` is a batch on the network's device."""
        ...

    def errors(
        self,
        prediction: torch.Tensor,
        clean: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        recipe: Recipe,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mean squared error of each picture in the family's own target and weighting, float32 [B].

        `weights` float32 [B, 1, h, w] say how much each position counts, 1 in the mean of a picture; evenly without.
        """
        ...

    def clean_from(self, prediction: torch.Tensor, noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The clean input that the answer stands for, float32, shaped like `noisy`."""
        ...

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        size_px: int,
        steps: int,
        guidance: float,
    ) -> torch.Tensor:
        """One square picture per (prompt, seed) pair, uint8 [B, size_px, size_px, 3] on the CPU."""
        ...

    def save_weights(self, folder: Path) -> None:
        """Write the denoiser's weights as they are now into `folder`, in diffusers' own format."""
        ...

    def load_weights(self, folder: Path) -> None:
        """Put weights that `save_weights` wrote into `model`. Raises `InputError` when they do not fit."""
        ...

    def base_files(self) -> list[Path]:
        """The files that hold the base's denoiser: configuration, index, weights. Raises `InputError`."""
        ...

    def load_base(self) -> None:
        """Put the base's own weights back. Raises `InputError`."""
        ...

    def export(self, weights: Path, folder: Path) -> None:
        """Write a complete pipeline with the saved `weights` that diffusers loads with no code of ours."""
        ...


def stacked(texts: Sequence[Text]) -> dict[str, torch.Tensor]:
    """Encoded captions as one batch, see `Text`."""
    # At least one column: a batch of nothing but empty captions still needs a text axis.
    lengths = torch.tensor([len(text["tokens"]) for text in texts])
    longest = max(1, int(lengths.max()))
    padded = [torch.nn.functional.pad(text["tokens"], (0, 0, 0, longest - len(text["tokens"]))) for text in texts]
    batch = {name: torch.stack([text[name] for text in texts]) for name in texts[0] if name != "tokens"}
    return {**batch, "tokens": torch.stack(padded), "mask": torch.arange(longest) < lengths[:, None]}


def load_family(name: str, base: str, device: torch.device, is_narrow: bool = False, revision: str = "") -> Family:
    """Load the base (a folder, or a hub name at the commit `revision`) of the named family onto `device`.

    Without a commit a hub's newest is taken; the family's `base_revision` says which. `is_narrow` is for a denoiser
    that stays as it is and is asked under bf16 autocast: see `narrow`. Raises `InputError` for an unknown family or a
    base that is missing or of another kind.
    """
    if name not in _MODULES:
        raise InputError(f"There is no model family called {name}; known are {', '.join(sorted(_MODULES))}.")
    return cast(Family, import_module(_MODULES[name]).load(str(located(base, revision)), device, is_narrow))
