"""PRX in pixel space: diffusers' `PRXPixelPipeline`.

The transformer sees RGB pictures, predicts the clean picture x0, and is trained in velocity space (Li & He 2025, "Back
to Basics: Let Denoising Generative Models Denoise"; the recipe of PRX part 3). With x_t = (1 - t) x + t n and noise
n ~ N(0, noise_scale^2), the velocity is v = n - x = (x_t - x) / t, so an error in x0 counts 1 / t in v.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from diffusers import PRXPixelPipeline

from app.training.recipe import Recipe
from workers.families.pipelines import ENCODED_AT_ONCE, Pipeline, load_pipeline, seeded_noise
from workers.families.registry import Text

# Smallest t the pipeline divides by when it turns x0 into a velocity (diffusers, pipeline_prx_pixel.py).
SAMPLING_FLOOR = 0.05


class PrxPixel(Pipeline):
    """A loaded PRX pixel model; see `Family` for what its methods promise."""

    name = "prx_pixel"
    lora_targets = ("img_qkv_proj", "txt_kv_proj", "to_out.0", "gate_proj", "up_proj", "down_proj")

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        self.noise_scale = float(pipeline.config.noise_scale)
        self.size_multiple = int(pipeline.transformer.config.patch_size)

    def encode_texts(self, texts: Sequence[str]) -> list[Text]:
        self.to_device(*self.text_encoders)
        encoded: list[Text] = []
        for start in range(0, len(texts), ENCODED_AT_ONCE):
            chunk = list(texts[start : start + ENCODED_AT_ONCE])
            embeddings, mask, _, _ = self.pipeline.encode_prompt(
                chunk, device=self.device, do_classifier_free_guidance=False
            )
            rows = zip(embeddings, mask, strict=True)
            encoded += [{"tokens": row[kept].detach().to("cpu", torch.float32, copy=True)} for row, kept in rows]
        return encoded

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int]:
        limit = int(self.pipeline.config.prompt_max_tokens)
        return [len(self.pipeline.tokenizer(text)["input_ids"]) for text in texts], limit

    def encode_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0

    def noisy(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        t = timesteps[:, None, None, None]
        return (1.0 - t) * clean + t * noise

    def predict(self, model: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        return cast(torch.Tensor, model(noisy, timesteps, text["tokens"], text["mask"], return_dict=False)[0])

    def errors(
        self,
        prediction: torch.Tensor,
        clean: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        recipe: Recipe,
    ) -> torch.Tensor:
        t = timesteps[:, None, None, None]
        velocity_error = (prediction.float() - clean) / t.clamp(min=recipe.velocity_floor)
        return velocity_error.square().mean(dim=(1, 2, 3))

    def clean_from(self, prediction: torch.Tensor, noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return prediction.float()

    @torch.inference_mode()
    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], size_px: int, steps: int, guidance: float
    ) -> torch.Tensor:
        # The pipeline's own loop hands the transformer two timesteps whatever the batch, so with guidance it draws
        # one picture at a time only. This is the same arithmetic for a batch; a test holds the two equal.
        pipeline = self.pipeline
        self.to_device(*self.text_encoders)
        text, mask, no_text, no_mask = pipeline.encode_prompt(
            list(prompts), device=self.device, do_classifier_free_guidance=guidance > 1.0
        )
        latents = seeded_noise((3, size_px, size_px), seeds, self.device) * self.noise_scale
        pipeline.scheduler.set_timesteps(steps, device=self.device)
        for t in pipeline.scheduler.timesteps:
            time = t.float() / pipeline.scheduler.config.num_train_timesteps
            clean = self._answer(latents, time, text, mask)
            if guidance > 1.0:
                unguided = self._answer(latents, time, no_text, no_mask)
                clean = unguided + guidance * (clean - unguided)
            velocity = (latents - clean) / time.clamp(min=SAMPLING_FLOOR)
            latents = pipeline.scheduler.step(velocity, t, latents).prev_sample
        pictures = (latents / 2 + 0.5).clamp(0.0, 1.0) * 255.0
        return pictures.permute(0, 2, 3, 1).round().to(torch.uint8).cpu()

    def _answer(
        self, latents: torch.Tensor, time: torch.Tensor, text: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        timesteps = time.expand(latents.shape[0])
        return cast(torch.Tensor, self.model(latents, timesteps, text, mask, return_dict=False)[0])


def load(base: str, device: torch.device) -> PrxPixel:
    """Load the pipeline `base` onto `device`, its transformer in fp32. Raises `Refusal`, see `load_pipeline`."""
    pipeline, folder = load_pipeline(base, PRXPixelPipeline, "a PRX pixel pipeline")
    pipeline.transformer.float()
    family = PrxPixel(pipeline.to(device))
    family.folder = folder
    return family
