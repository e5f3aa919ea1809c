"""Stable Diffusion XL: diffusers' `StableDiffusionXLPipeline`.

Two CLIP text encoders, both read at their last layer but one, and the second one's summary of the whole text. The
U-Net is also told the picture's size as it came and as it is shown, and where it was cut (Podell et al. 2023, section
2.2). Here it is the photo's own size, so that a small one that was enlarged is known as such and its blur is not
learned as a look; and it is never cut. When it draws, the pipeline says that the picture came as large as it is.
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
        """The summary of the text, and float32 [B, 6]: height and width as it came, the cut's corner 0, 0, as shown."""
        height, width = (side * self._reduction for side in noisy.shape[-2:])
        shown = noisy.new_tensor([height, width], dtype=torch.float32).expand(len(noisy), 2)
        came = text.get("original_px", shown)
        sizes = torch.cat([came, torch.zeros_like(shown), shown], dim=1)
        return {"added_cond_kwargs": {"text_embeds": text["pooled"], "time_ids": sizes}}


def load(base: str, device: torch.device, is_narrow: bool = False) -> Sdxl:
    """Load the pipeline `base` onto `device`, drawing without a watermark. Raises `Refusal`."""
    words = "a Stable Diffusion XL pipeline"
    return load_unet(Sdxl, StableDiffusionXLPipeline, words, base, device, is_narrow, add_watermarker=False)
