"""Stable Diffusion 1.x: diffusers' `StableDiffusionPipeline`. One CLIP text encoder, 77 tokens, its last layer."""

from __future__ import annotations

import torch
from diffusers import StableDiffusionPipeline

from workers.families.unet import Unet, load_unet


class Sd15(Unet):
    """A loaded SD 1.5 model; see `Family` for what its methods promise."""

    name = "sd15"

    def encode_prompts(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        """`tokens` [B, 77, 768], padding included: the pipeline does not mask it."""
        tokens, _ = self.pipeline.encode_prompt(prompts, self.device, 1, do_classifier_free_guidance=False)
        return {"tokens": tokens}


def load(base: str, device: torch.device, is_narrow: bool = False) -> Sd15:
    """Load the pipeline `base` onto `device`, without its safety checker. Raises `Refusal`."""
    without_checker = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return load_unet(
        Sd15, StableDiffusionPipeline, "a Stable Diffusion 1 pipeline", base, device, is_narrow, **without_checker
    )
