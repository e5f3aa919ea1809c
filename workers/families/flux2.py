"""FLUX.2 klein, base and distilled: diffusers' `Flux2KleinPipeline`.

One text encoder, Qwen3, given the prompt as a chat message and read at three of its middle layers, laid side by side.
The clean input is not the autoencoder's latents but squares of 2 x 2 of them, normalised by channel with the running
mean and variance of the autoencoder's batch norm. Tokens have four numbers of place: time, row, column, and the place
in a text. The transformer is told t itself, for it multiplies by 1000 inside.

The base models are guided classifier-free, against the empty text. The distilled ones draw in about four steps and
take no guidance, so `guidance` does nothing; training on plain velocities unlearns the four steps. Train a base; its
LoRA also fits the distilled model of the same size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from diffusers import Flux2KleinPipeline

from workers.families.registry import Text
from workers.families.velocity import Velocity, load_velocity, patches, points, tokens

# FLUX.1's shift in training: a line between these two parameters at these numbers of picture tokens.
_MU = (0.5, 1.15)
_MU_TOKENS = (256, 4096)


class Flux2(Velocity):
    """A loaded FLUX.2 klein model; see `Family` for what its methods promise. A `Text` has `tokens` only."""

    name = "flux2"
    text_tokens = 512
    # The encoder also works out which word comes next, for all its words at each place: large, and of no use here.
    texts_at_once = 8

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        self.is_distilled = bool(pipeline.config.is_distilled)
        # The layers of diffusers' LoRA script for klein, and the texts' attention as for FLUX.1. `to_out` is told by
        # its whole name: in the other blocks it is a list.
        singles = range(pipeline.transformer.config.num_single_layers)
        self.lora_targets = (
            *("to_q", "to_k", "to_v", "to_out.0"),
            *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
            *("to_qkv_mlp_proj", *(f"single_transformer_blocks.{index}.attn.to_out" for index in singles)),
        )

    def encode_prompts(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        """`tokens` [B, 512, 3 x width], padding included: the pipeline does not mask it."""
        embeddings, _ = self.pipeline.encode_prompt(prompts, device=self.device, max_sequence_length=self.text_tokens)
        return {"tokens": embeddings}

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int]:
        """With the chat's own marks, about a dozen."""
        tokenizer = self.pipeline.tokenizer
        chats = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
            for text in texts
        ]
        return [len(tokenizer(chat)["input_ids"]) for chat in chats], self.text_tokens

    def normalised(self, latents: torch.Tensor) -> torch.Tensor:
        """Squares of 2 x 2, each channel by its running mean and variance."""
        norm = self.pipeline.vae.bn
        mean: torch.Tensor = norm.running_mean.float()
        variance: torch.Tensor = norm.running_var.float() + float(self.pipeline.vae.config.batch_norm_eps)
        return (patches(latents) - mean[:, None, None]) / variance.sqrt()[:, None, None]

    def mu(self, tokens: int) -> float:
        """FLUX.1's line, whatever the scheduler's files say: what the base was taught with, not what it draws with.

        The pipeline draws by a fit to what looked best, which moves nearly all draws to noise: at 1,024 px and 28 steps
        a shift of 8.6, not 3.2. By the makers' word the models were trained by FLUX.1's rule (OneTrainer, pull request
        1516, merged 13 June 2026; SimpleTuner's numbers are the same).
        """
        per_token = (_MU[1] - _MU[0]) / (_MU_TOKENS[1] - _MU_TOKENS[0])
        return _MU[0] + per_token * (tokens - _MU_TOKENS[0])

    def predict(self, model: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        batch, _, height, width = noisy.shape
        answer = model(
            hidden_states=tokens(noisy),
            timestep=timesteps,
            guidance=None,
            encoder_hidden_states=text["tokens"].to(noisy.dtype),
            txt_ids=_places(1, 1, text["tokens"].shape[1]).to(noisy.device).expand(batch, -1, -1),
            img_ids=_places(height, width, 1).to(noisy.device).expand(batch, -1, -1),
            return_dict=False,
        )
        return points(cast(torch.Tensor, answer[0]), height, width)

    def usable_guidance(self, guidance: float) -> float:
        """A distilled model takes none, and the pipeline would say so with each picture."""
        return 1.0 if self.is_distilled else guidance


def _places(height: int, width: int, length: int) -> torch.Tensor:
    """Time (0), row, column and place in the text of each token, int64 [h w l, 4]."""
    zero = torch.zeros(1, dtype=torch.int64)
    return torch.cartesian_prod(zero, torch.arange(height), torch.arange(width), torch.arange(length))


def load(base: str, device: torch.device, is_narrow: bool = False) -> Flux2:
    """Load the pipeline `base` onto `device`. Raises `Refusal`, see `load_pipeline`."""
    return load_velocity(Flux2, Flux2KleinPipeline, "a FLUX.2 klein pipeline", base, device, is_narrow)
