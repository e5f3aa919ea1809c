"""Stable Diffusion XL: diffusers' `StableDiffusionXLPipeline`.

Two CLIP text encoders, both read at their last layer but one, and the second one's summary of the whole text. The
U-Net is also told the picture's size before and after cropping and where it was cut (Podell et al. 2023, section
2.2): here always its own size, uncut, which is also what the pipeline says when it draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline

from workers.families.registry import Text
from workers.families.unet import LORA_TARGETS, Unet, load_unet


class Sdxl(Unet):
    """A loaded SDXL model; see `Family` for what its methods promise. A `Text` has `tokens` and `pooled`."""

    name = "sdxl"
    text_encoders = ("text_encoder", "text_encoder_2")
    tokenizers = ("tokenizer", "tokenizer_2")
    lora_targets = (*LORA_TARGETS, "proj_in", "proj_out")  # convolutions in SD 1.5

    @property
    def encoder_files(self) -> tuple[Path, ...]:
        """With the pipeline's index, which says what the empty text is."""
        index = () if self.folder is None else (self.folder / "model_index.json",)
        return (*super().encoder_files, *index)

    def encode_prompts(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        """`tokens` [B, 77, 768 + 1280], padding included: the pipeline does not mask it; `pooled` [B, 1280]."""
        tokens, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=False
        )
        if self.pipeline.config.force_zeros_for_empty_prompt:
            empty = torch.tensor([not prompt for prompt in prompts], device=tokens.device)
            tokens = tokens.masked_fill(empty[:, None, None], 0.0)
            pooled = pooled.masked_fill(empty[:, None], 0.0)
        return {"tokens": tokens, "pooled": pooled}

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """Also shifted and scaled by channel, for autoencoders whose config says so."""
        config = self.pipeline.vae.config
        if config.latents_mean is None or config.latents_std is None:
            return super().scaled(latents)
        mean, sd = (latents.new_tensor(v)[None, :, None, None] for v in (config.latents_mean, config.latents_std))
        return super().scaled((latents - mean) / sd)

    def conditions(self, noisy: torch.Tensor, text: Text) -> Mapping[str, Any]:
        """The summary of the text, and float32 [B, 6]: height and width, the cut's corner 0, 0, height and width."""
        height, width = (side * self._reduction for side in noisy.shape[-2:])
        sizes = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32, device=noisy.device)
        return {"added_cond_kwargs": {"text_embeds": text["pooled"], "time_ids": sizes.repeat(len(noisy), 1)}}


def load(base: str, device: torch.device, is_narrow: bool = False) -> Sdxl:
    """Load the pipeline `base` onto `device`, drawing without a watermark. Raises `Refusal`."""
    words = "a Stable Diffusion XL pipeline"
    return load_unet(Sdxl, StableDiffusionXLPipeline, words, base, device, is_narrow, add_watermarker=False)
