"""Pipelines of a few thousand weights, built offline, one function per kind; their denoisers answer to every input.

A fresh PRX transformer ignores its blocks (their gates begin at zero) and so every test of them: `stirred` moves all
weights a little.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    PRXPipeline,
    PRXPixelPipeline,
    PRXTransformer2DModel,
)
from transformers.models.t5gemma.configuration_t5gemma import T5GemmaConfig, T5GemmaModuleConfig
from transformers.models.t5gemma.modeling_t5gemma import T5GemmaEncoder

from tests.workers.families.tiny_flow import flux, flux2, sd3  # noqa: F401  (found by name)
from tests.workers.families.tiny_unets import sd15, sdxl  # noqa: F401  (found by name)
from workers.families import nano

SIZE_PX = 16


def stirred(model: torch.nn.Module, size: float = 0.05) -> torch.nn.Module:
    """The model with noise of this size, the same each time, on all its weights."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * size)
    return model


def prx_transformer(channels: int, patch: int, context: int, **options: Any) -> torch.nn.Module:
    """A PRX transformer of two blocks."""
    shape = {"hidden_size": 32, "mlp_ratio": 2.0, "num_heads": 2, "depth": 2, "axes_dim": [8, 8]}
    model = PRXTransformer2DModel(in_channels=channels, patch_size=patch, context_in_dim=context, **shape, **options)
    return stirred(model)


def prx_pixel(folder: Path) -> Path:
    """A PRX pixel pipeline in `folder`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = nano.build_tokenizer()
        PRXPixelPipeline(
            transformer=prx_transformer(3, 4, nano.TEXT_WIDTH, bottleneck_size=16, resolution_embeds=True),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            text_encoder=nano.build_text_encoder(len(tokenizer)),
            tokenizer=tokenizer,
            default_sample_size=SIZE_PX,
            prompt_max_tokens=16,
            noise_scale=1.5,
        ).save_pretrained(folder, safe_serialization=True)
    return folder


def prx(folder: Path, vae: Literal["kl", "dc"] = "kl", encoder: Literal["t5", "t5gemma"] = "t5") -> Path:
    """A latent PRX pipeline in `folder`: autoencoder of 2x (KL) or 2x (DC), text encoder of either kind."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = nano.build_tokenizer()
        text_encoder = nano.build_text_encoder(len(tokenizer)) if encoder == "t5" else t5gemma(len(tokenizer))
        width = nano.TEXT_WIDTH if encoder == "t5" else text_encoder.config.hidden_size
        PRXPipeline(
            transformer=prx_transformer(4, 2 if vae == "kl" else 1, width),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            vae=kl_autoencoder() if vae == "kl" else dc_autoencoder(),
            default_sample_size=SIZE_PX,
        ).save_pretrained(folder, safe_serialization=True)
    if encoder == "t5gemma":
        composite(text_encoder.config).save_pretrained(folder / "text_encoder")
    return folder


def t5gemma(vocabulary_size: int) -> torch.nn.Module:
    """A T5Gemma encoder of one layer."""
    part = T5GemmaModuleConfig(
        vocab_size=vocabulary_size,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=64,
        layer_types=["full_attention"],
        query_pre_attn_scalar=4,
        dropout_rate=0.0,
    )
    return T5GemmaEncoder(part).eval()


def composite(part: Any) -> Any:
    """The config that a T5Gemma encoder's folder must hold to be loaded back."""
    return T5GemmaConfig(encoder=part.to_dict(), decoder=part.to_dict(), is_encoder_decoder=False)


def kl_autoencoder() -> torch.nn.Module:
    """A KL autoencoder that halves each side, with a shift and a scale as the Flux one has."""
    return AutoencoderKL(
        sample_size=SIZE_PX,
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=1,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.1159,
        scaling_factor=0.3611,
    )


def dc_autoencoder() -> torch.nn.Module:
    """A deep-compression autoencoder that halves each side: a scale, no shift, no distribution."""
    blocks = ("ResBlock", "EfficientViTBlock")
    return AutoencoderDC(
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=blocks,
        decoder_block_types=blocks,
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        upsample_block_type="interpolate",
        downsample_block_type="stride_conv",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
