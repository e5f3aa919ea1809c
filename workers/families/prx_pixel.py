"""PRX in pixel space: diffusers' `PRXPixelPipeline`, trained in full.

The transformer sees RGB pictures, predicts the clean picture x0, and is trained in velocity space (Li & He 2025, "Back
to Basics: Let Denoising Generative Models Denoise"; the recipe of PRX part 3). With x_t = (1 - t) x + t n and noise
n ~ N(0, noise_scale^2), the velocity is v = n - x = (x_t - x) / t, so an error in x0 counts 1 / t in v.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import PRXPixelPipeline, PRXTransformer2DModel
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from workers.refusals import Refusal

# Smallest t the pipeline divides by when it turns x0 into a velocity (diffusers, pipeline_prx_pixel.py).
SAMPLING_FLOOR = 0.05
_ENCODED_AT_ONCE = 64


class PrxPixel:
    """A loaded PRX pixel model; see `Family` for what its methods promise."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.model: torch.nn.Module = pipeline.transformer.float()
        self.device = next(self.model.parameters()).device

    def encode_texts(self, texts: Sequence[str]) -> list[torch.Tensor]:
        encoded: list[torch.Tensor] = []
        for start in range(0, len(texts), _ENCODED_AT_ONCE):
            chunk = list(texts[start : start + _ENCODED_AT_ONCE])
            embeddings, mask, _, _ = self.pipeline.encode_prompt(
                chunk, device=self.device, do_classifier_free_guidance=False
            )
            encoded += [row[kept].detach().clone() for row, kept in zip(embeddings, mask, strict=True)]
        return encoded

    def to_input(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0

    def start_noise(self, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        noise = torch.randn(tuple(shape), generator=generator, device=generator.device)
        return noise * float(self.pipeline.config.noise_scale)

    def errors(
        self,
        model: torch.nn.Module,
        clean: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        text: torch.Tensor,
        mask: torch.Tensor,
        floor: float,
    ) -> torch.Tensor:
        t = timesteps[:, None, None, None]
        noisy = (1.0 - t) * clean + t * noise
        (predicted,) = model(noisy, timesteps, text, mask, return_dict=False)
        velocity_error = (predicted.float() - clean) / t.clamp(min=floor)
        return cast(torch.Tensor, velocity_error.square().mean(dim=(1, 2, 3)))

    @torch.inference_mode()
    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], size_px: int, steps: int, guidance: float
    ) -> torch.Tensor:
        # The pipeline's own loop hands the transformer two timesteps whatever the batch, so with guidance it draws
        # one picture at a time only. This is the same arithmetic for a batch; a test holds the two equal.
        pipeline = self.pipeline
        text, mask, no_text, no_mask = pipeline.encode_prompt(
            list(prompts), device=self.device, do_classifier_free_guidance=guidance > 1.0
        )
        noise = [
            self.start_noise((1, 3, size_px, size_px), torch.Generator(self.device).manual_seed(seed)) for seed in seeds
        ]
        latents = torch.cat(noise)
        pipeline.scheduler.set_timesteps(steps, device=self.device)
        for t in pipeline.scheduler.timesteps:
            time = t.float() / pipeline.scheduler.config.num_train_timesteps
            clean = self._predict(latents, time, text, mask)
            if guidance > 1.0:
                unguided = self._predict(latents, time, no_text, no_mask)
                clean = unguided + guidance * (clean - unguided)
            velocity = (latents - clean) / time.clamp(min=SAMPLING_FLOOR)
            latents = pipeline.scheduler.step(velocity, t, latents).prev_sample
        pictures = (latents / 2 + 0.5).clamp(0.0, 1.0) * 255.0
        return pictures.permute(0, 2, 3, 1).round().to(torch.uint8).cpu()

    def save_weights(self, model: torch.nn.Module, folder: Path) -> None:
        cast(PRXTransformer2DModel, model).save_pretrained(folder, safe_serialization=True)
        _forget_origin(folder / "config.json")

    def load_weights(self, folder: Path) -> None:
        try:
            saved = PRXTransformer2DModel.from_pretrained(folder, low_cpu_mem_usage=False)
            self.model.load_state_dict(saved.state_dict())
        except (OSError, ValueError, RuntimeError) as error:
            raise Refusal(f"The weights in {folder} cannot be loaded: {' '.join(str(error).split())}") from error

    def export(self, weights: Path, folder: Path) -> None:
        self.pipeline.save_pretrained(folder, safe_serialization=True)
        shutil.rmtree(folder / "transformer")
        shutil.copytree(weights, folder / "transformer")
        _forget_origin(folder / "model_index.json")

    def _predict(
        self, latents: torch.Tensor, time: torch.Tensor, text: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        timesteps = time.expand(latents.shape[0])
        return cast(torch.Tensor, self.model(latents, timesteps, text, mask, return_dict=False)[0])


def load(base: str, device: torch.device) -> PrxPixel:
    """Load the pipeline in the folder `base`, or of that name on the hub, in fp32 onto `device`.

    Raises `Refusal` when it is not there or is no PRX pixel pipeline. Runs no code from the folder and unpickles
    nothing: only this class and safetensors files are loaded.
    """
    folder = Path(base)
    if folder.is_dir():
        _check_kind(folder)
    elif folder.is_absolute() or base.count("/") != 1:
        raise Refusal(f"The base model folder {base} is missing.")
    # Their bars draw over a run's own lines, some with every checkpoint.
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        pipeline = PRXPixelPipeline.from_pretrained(base, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        raise Refusal(f"The base model {base} cannot be loaded: {' '.join(str(error).split())}") from error
    pipeline.set_progress_bar_config(disable=True)
    return PrxPixel(pipeline.to(device))


def _check_kind(folder: Path) -> None:
    index = folder / "model_index.json"
    if not index.is_file():
        raise Refusal(f"The base model folder {folder} holds no pipeline.")
    try:
        kind = json.loads(index.read_text())["_class_name"]
    except (ValueError, KeyError, TypeError):
        kind = None
    if kind != PRXPixelPipeline.__name__:
        raise Refusal(f"The base model in {folder} is not a PRX pixel pipeline.")


def _forget_origin(config: Path) -> None:
    # diffusers notes where it loaded a part from: a folder of this machine, in a file that is given away.
    known = json.loads(config.read_text())
    known.pop("_name_or_path", None)
    config.write_text(json.dumps(known, indent=2) + "\n")
