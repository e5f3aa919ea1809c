"""What SD 3, FLUX.1 and FLUX.2 share beside the line of `flow`: how texts are encoded, the shift, and drawing.

Texts are encoded in the precision of their encoders, which is how they are also kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import torch

from workers.families.flow import Flow
from workers.families.pipelines import ENCODED_AT_ONCE, load_pipeline, precisions
from workers.families.registry import Text

_Loaded = TypeVar("_Loaded", bound="Velocity")


class Velocity(Flow):
    """A loaded pipeline of one of them; see `Family` for what its methods promise. Subclasses encode and predict."""

    text_tokens: int
    """Tokens of the (longest-reading) text encoder that the transformer is shown, padding included."""
    texts_at_once = ENCODED_AT_ONCE
    """Texts encoded together."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        # All three lay patches of 2 x 2 latents side by side as one token.
        self.size_multiple = 2 * int(pipeline.vae_scale_factor)

    def encode_texts(self, texts: Sequence[str]) -> list[Text]:
        """As the pipeline does, with the padding that its transformer is shown too, in the encoder's own precision."""
        self.to_device(*self.text_encoders)
        encoded: list[Text] = []
        for start in range(0, len(texts), self.texts_at_once):
            with torch.no_grad():
                parts = self.encode_prompts(list(texts[start : start + self.texts_at_once]))
            rows = zip(*parts.values(), strict=True)
            # Copied, or each text would keep all that were encoded with it in memory.
            encoded += [dict(zip(parts, (part.to("cpu", copy=True) for part in row), strict=True)) for row in rows]
        return encoded

    def encode_prompts(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        """The parts of `Text` for all `prompts`, each with a first axis for them, on the device."""
        raise NotImplementedError

    def shift(self, height_px: int, width_px: int) -> float:
        """The scheduler's fixed shift, or the one that its `mu` for so many picture tokens amounts to.

        diffusers turns a timestep t into s / (s + 1 / t - 1) = s t / (1 + (s - 1) t) with s = exp(mu), or s = mu for
        schedulers whose shift is "linear".
        """
        config = self.pipeline.scheduler.config
        if not config.use_dynamic_shifting:
            return float(config.shift)
        mu = self.mu((height_px // self.size_multiple) * (width_px // self.size_multiple))
        return math.exp(mu) if config.time_shift_type == "exponential" else mu

    def mu(self, tokens: int) -> float:
        """The parameter of a dynamic shift for a picture of so many tokens, on the scheduler's line between two."""
        config = self.pipeline.scheduler.config
        per_token = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
        return float(config.base_shift + per_token * (tokens - config.base_image_seq_len))

    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], size_px: int, steps: int, guidance: float
    ) -> torch.Tensor:
        """By the pipeline's own call, with a generator for each picture."""
        self.to_device(*self.text_encoders, "vae")
        with self.arithmetic():
            pictures = self.pipeline(
                prompt=list(prompts),
                height=size_px,
                width=size_px,
                num_inference_steps=steps,
                generator=[torch.Generator(self.device).manual_seed(seed) for seed in seeds],
                output_type="pt",
                guidance_scale=self.usable_guidance(guidance),
                max_sequence_length=self.text_tokens,
            ).images
        levels: torch.Tensor = (pictures.float() * 255.0).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).cpu()

    def usable_guidance(self, guidance: float) -> float:
        """The `guidance` that the pipeline's call is told."""
        return guidance


def load_velocity(
    kind: type[_Loaded],
    pipeline_class: Any,
    words: str,
    base: str,
    device: torch.device,
    is_narrow: bool,
    **options: Any,
) -> _Loaded:
    """The pipeline `base` as `kind`, on `device`. Raises `Refusal`; see `load_pipeline` for the rest."""
    narrow = kind.denoiser if is_narrow else None
    pipeline, folder = load_pipeline(base, pipeline_class, words, precisions(device), narrow, **options)
    loaded = kind(pipeline.to(device))
    loaded.folder = folder
    return loaded


def patches(latents: torch.Tensor) -> torch.Tensor:
    """Latents [B, C, h, w] as [B, 4 C, h / 2, w / 2]: each square of 2 x 2 as one point of four times the channels."""
    return torch.nn.functional.pixel_unshuffle(latents, 2)


def tokens(points: torch.Tensor) -> torch.Tensor:
    """Points [B, C, h, w] as a sequence [B, h w, C], row by row."""
    return points.flatten(2).transpose(1, 2)


def points(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A sequence [B, h w, C] as points [B, C, h, w] again."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, height, width)
