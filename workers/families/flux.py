"""FLUX.1, dev and schnell: diffusers' `FluxPipeline`.

Two text encoders: T5's tokens, and of CLIP only the summary. Latents are shown to the transformer as tokens of 2 x 2
with three numbers of place each: 0, row and column (text tokens have 0, 0, 0). It is told t itself, for it multiplies
by 1000 inside.

Dev was taught to draw in one pass what guidance would draw in two, and is told how hard: `guidance` is that number
(3.5 is usual), no classifier-free guidance, so a caption left out in training has nothing to be compared with. While it
is trained the number is 1: the pictures to be learned are to be drawn as they are. Schnell has no such input and
`guidance` does nothing; it was also taught to draw in one to four steps, which training on plain velocities unlearns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from diffusers import FluxPipeline

from workers.families.registry import Text
from workers.families.velocity import Velocity, load_velocity, patches, points, tokens


class Flux(Velocity):
    """A loaded FLUX.1 model; see `Family` for what its methods promise. A `Text` has `tokens` and `pooled`."""

    name = "flux"
    text_encoders = ("text_encoder", "text_encoder_2")
    tokenizers = ("tokenizer", "tokenizer_2")
    # The layers of diffusers' LoRA script for FLUX.1: attention in all blocks, feed-forward where texts and pictures
    # are apart.
    lora_targets = (
        *("to_q", "to_k", "to_v", "to_out.0"),
        *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
        *("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
    )

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        self.is_guided = bool(pipeline.transformer.config.guidance_embeds)

    @property
    def text_tokens(self) -> int:  # type: ignore[override]
        """Of T5, as the makers' own code (black-forest-labs/flux) has it for dev and for schnell."""
        return 512 if self.is_guided else 256

    def encode_prompts(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        """`tokens` [B, 512 or 256, 4096], padding included: the pipeline does not mask it; `pooled` [B, 768]."""
        embeddings, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, max_sequence_length=self.text_tokens
        )
        return {"tokens": embeddings, "pooled": pooled}

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int]:
        """T5's: CLIP's summary stops at 77, but no word is lost by that."""
        return [len(self.pipeline.tokenizer_2(text)["input_ids"]) for text in texts], self.text_tokens

    def predict(self, model: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        squares = patches(noisy)
        height, width = squares.shape[-2:]
        answer = model(
            hidden_states=tokens(squares),
            timestep=timesteps,
            guidance=torch.ones_like(timesteps) if self.is_guided else None,
            pooled_projections=text["pooled"].to(noisy.dtype),
            encoder_hidden_states=text["tokens"].to(noisy.dtype),
            txt_ids=noisy.new_zeros(text["tokens"].shape[1], 3),
            img_ids=_places(height, width).to(noisy),
            return_dict=False,
        )
        return torch.nn.functional.pixel_shuffle(points(cast(torch.Tensor, answer[0]), height, width), 2)


def _places(height: int, width: int) -> torch.Tensor:
    """0, row and column of each picture token, int64 [h w, 3]."""
    zero = torch.zeros(1, dtype=torch.int64)
    return torch.cartesian_prod(zero, torch.arange(height), torch.arange(width))


def load(base: str, device: torch.device, is_narrow: bool = False) -> Flux:
    """Load the pipeline `base` onto `device`. Raises `Refusal`, see `load_pipeline`."""
    return load_velocity(Flux, FluxPipeline, "a FLUX.1 pipeline", base, device, is_narrow)
