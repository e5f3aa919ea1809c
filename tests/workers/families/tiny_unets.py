"""SD 1.5 and SDXL pipelines of a few thousand random weights, built without a hub, in the shape of the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, PreTrainedTokenizerFast

PICTURE_PX = 16
"""Latents of such a picture are 4 x 8 x 8."""
TOKENS = 12
WIDTH = 32

# The noise schedule of Stable Diffusion 1 and of SDXL (their scheduler_config.json).
SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level pieces between marks of beginning and end; padded, as CLIP's is, with the end mark."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        special_tokens=["<start>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    pieces.train_from_iterator(["red mug box blue green white number"], trainer)
    pieces.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 0), ("<end>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, bos_token="<start>", eos_token="<end>", pad_token="<end>", model_max_length=TOKENS
    )


def text_config(vocabulary_size: int) -> CLIPTextConfig:
    """The config of a CLIP text encoder of two layers."""
    return CLIPTextConfig(
        vocab_size=vocabulary_size,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        projection_dim=WIDTH,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def autoencoder() -> AutoencoderKL:
    """An autoencoder that halves each side; its factor makes latents about as large as the noise, as real ones do."""
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=PICTURE_PX,
        scaling_factor=4.0,
    )


def unet(**more: Any) -> UNet2DConditionModel:
    """A U-Net of two levels, both with attention to the text."""
    return UNet2DConditionModel(
        sample_size=PICTURE_PX // 2,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        attention_head_dim=4,
        norm_num_groups=4,
        **more,
    )


def sd15(folder: Path, **schedule: Any) -> Path:
    """Write an SD 1.5 pipeline into `folder`; `schedule` changes its scheduler's config."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        words = tokenizer()
        StableDiffusionPipeline(
            vae=autoencoder(),
            text_encoder=CLIPTextModel(text_config(len(words))).eval(),
            tokenizer=words,
            unet=unet(cross_attention_dim=WIDTH),
            scheduler=PNDMScheduler(**{**SCHEDULE, "skip_prk_steps": True, **schedule}),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder, safe_serialization=True)
    return folder


def sdxl(folder: Path, forces_zeros: bool = True, **schedule: Any) -> Path:
    """Write an SDXL pipeline into `folder`; `schedule` changes its scheduler's config."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        words = tokenizer()
        StableDiffusionXLPipeline(
            vae=autoencoder(),
            text_encoder=CLIPTextModel(text_config(len(words))).eval(),
            text_encoder_2=CLIPTextModelWithProjection(text_config(len(words))).eval(),
            tokenizer=words,
            tokenizer_2=tokenizer(),
            unet=unet(
                cross_attention_dim=2 * WIDTH,
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=6 * 8 + WIDTH,
            ),
            scheduler=EulerDiscreteScheduler(**{**SCHEDULE, **schedule}),
            force_zeros_for_empty_prompt=forces_zeros,
            add_watermarker=False,
        ).save_pretrained(folder, safe_serialization=True)
    return folder
