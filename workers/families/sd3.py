"""Stable Diffusion 3 and 3.5: diffusers' `StableDiffusion3Pipeline`.

Three text encoders: two CLIPs, read at their last layer but one and laid side by side, then T5 behind them; and the two
CLIPs' summaries as one vector. A base may come without T5: the pipeline then shows zeros in its place, as the model
saw now and then in training, and diffusers loads it, and what is exported from it, when told `text_encoder_3=None,
tokenizer_3=None`. Without a CLIP the pipeline cannot draw, so such a base is refused.

The transformer is told t * 1000. Guidance is classifier-free: against the empty text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import StableDiffusion3Pipeline

from workers.errors import InputError
from workers.families.registry import Text
from workers.families.velocity import Velocity, load_velocity


class Sd3(Velocity):
    """A loaded SD 3 model; see `Family` for what its methods promise. A `Text` has `tokens` and `pooled`."""

    name = "sd3"
    text_encoders = ("text_encoder", "text_encoder_2", "text_encoder_3")
    tokenizers = ("tokenizer", "tokenizer_2", "tokenizer_3")
    text_tokens = 256
    # The layers of diffusers' LoRA script for SD 3: attention, of pictures (twice in some blocks of 3.5) and of texts.
    lora_targets = (
        *("to_q", "to_k", "to_v", "to_out.0"),
        *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
    )

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        self._time_scale = float(pipeline.scheduler.config.num_train_timesteps)

    def encode_prompts(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        """`tokens` [B, 77 + 256, 4096], padding included: the pipeline does not mask it; `pooled` [B, 768 + 1280]."""
        embeddings, _, pooled, _ = self.pipeline.encode_prompt(
            prompts,
            prompt_2=None,
            prompt_3=None,
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.text_tokens,
        )
        return {"tokens": embeddings, "pooled": pooled}

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int]:
        """T5's, which reads on where the CLIPs stop; the first CLIP's without it."""
        if self.pipeline.text_encoder_3 is None:
            tokenizer, limit = self.pipeline.tokenizer, int(self.pipeline.tokenizer_max_length)
        else:
            tokenizer, limit = self.pipeline.tokenizer_3, self.text_tokens
        return [len(tokenizer(text)["input_ids"]) for text in texts], limit

    def predict(self, model: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        answer = model(
            hidden_states=noisy,
            timestep=timesteps * self._time_scale,
            encoder_hidden_states=text["tokens"].to(noisy.dtype),
            pooled_projections=text["pooled"].to(noisy.dtype),
            return_dict=False,
        )
        return cast(torch.Tensor, answer[0])


def load(base: str, device: torch.device, is_narrow: bool = False) -> Sd3:
    """Load the pipeline `base` onto `device`. Raises `InputError`, also when one of its CLIP encoders is missing."""
    folder = Path(base)
    parts = (*Sd3.text_encoders, *Sd3.tokenizers)
    absent = dict.fromkeys(part for part in parts if folder.is_dir() and not (folder / part).is_dir())
    family = load_velocity(
        Sd3, StableDiffusion3Pipeline, "a Stable Diffusion 3 pipeline", base, device, is_narrow, **absent
    )
    if family.pipeline.text_encoder is None or family.pipeline.text_encoder_2 is None:
        raise InputError(f"The base model {base} lacks a CLIP text encoder; only the T5 encoder may be left out.")
    return family
