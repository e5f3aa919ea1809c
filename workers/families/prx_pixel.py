"""PRX in pixel space: diffusers' `PRXPixelPipeline`.

The transformer sees RGB pictures, predicts the clean picture x0, and is trained in velocity space (Li & He 2025, "Back
to Basics: Let Denoising Generative Models Denoise"; the recipe of PRX part 3). With x_t = (1 - t) x + t n and noise
n ~ N(0, noise_scale^2), the velocity is v = n - x = (x_t - x) / t, so an error in x0 counts 1 / t in v.

Texts are the same as in latent PRX; this pipeline never cleans more of a prompt than broken letters and HTML.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import PRXPixelPipeline

from app.training.recipe import Recipe
from workers.families.pipelines import load_pipeline, picture_means, precisions
from workers.families.prx import Prx

# Smallest t the pipeline divides by when it turns x0 into a velocity (diffusers, pipeline_prx_pixel.py).
SAMPLING_FLOOR = 0.05


class PrxPixel(Prx):
    """A loaded PRX pixel model; see `Family` for what its methods promise."""

    name = "prx_pixel"

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        self.noise_scale = float(pipeline.config.noise_scale)

    def token_limit(self) -> int:
        """Tokens of a prompt that the pipeline reads."""
        return int(self.pipeline.config.prompt_max_tokens)

    def encode_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        """Levels from -1 to 1, where the pictures are."""
        return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0

    def errors(
        self,
        prediction: torch.Tensor,
        clean: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        recipe: Recipe,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """In velocities: an error in x0 divided by t, or by the recipe's floor where t is smaller."""
        t = timesteps[:, None, None, None]
        velocity_error = (prediction.float() - clean) / t.clamp(min=recipe.velocity_floor)
        return picture_means(velocity_error.square(), weights)

    def clean_from(self, prediction: torch.Tensor, noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The answer itself."""
        return prediction.float()

    def noise_shape(self, size_px: int) -> tuple[int, int, int]:
        """The shape of one picture of this size."""
        return 3, size_px, size_px

    def velocity(self, answer: torch.Tensor, points: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """From x_t to the predicted x0, as fast as the pipeline goes."""
        return (points - answer) / time.clamp(min=SAMPLING_FLOOR)

    def decoded(self, points: torch.Tensor) -> torch.Tensor:
        """They are pictures."""
        return points


def load(base: str, device: torch.device, is_narrow: bool = False) -> PrxPixel:
    """Load the pipeline `base` onto `device`. Raises `Refusal`, see `load_pipeline`."""
    narrow = PrxPixel.denoiser if is_narrow else None
    pipeline, folder = load_pipeline(base, PRXPixelPipeline, "a PRX pixel pipeline", precisions(device), narrow)
    family = PrxPixel(pipeline.to(device))
    family.folder = folder
    return family
