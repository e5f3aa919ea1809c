"""Tiny untrained pipelines of SD 3, FLUX.1 and FLUX.2 klein, built offline: the real classes, made small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
)

WORDS = ["a", "red", "blue", "green", "box", "mug", "on", "white", "background", "Zlorf", "SKU-77", "user", "assistant"]
CLIP_TOKENS = 16
CHAT = "{% for m in messages %}user {{ m['content'] }} {% endfor %}assistant"


def tokenizer(length: int) -> PreTrainedTokenizerFast:
    """Word by word, split at spaces; other words are one and the same."""
    vocabulary = {word: index for index, word in enumerate(["<pad>", "<unk>", "<s>", "</s>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=length,
        padding_side="right",
    )


def clip(kind: type[Any], width: int) -> Any:
    config = CLIPTextConfig(
        vocab_size=32,
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CLIP_TOKENS,
        eos_token_id=3,
        pad_token_id=0,
        bos_token_id=2,
    )
    return kind(config)


def t5(width: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=32,
        d_model=width,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
        is_encoder_decoder=False,
        use_cache=False,
        pad_token_id=0,
        decoder_start_token_id=0,
    )
    return T5EncoderModel(config)


def vae_options(levels: int) -> dict[str, Any]:
    return {
        "block_out_channels": (8,) * levels,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "sample_size": 16,
    }


def vae(levels: int) -> AutoencoderKL:
    """Halves pictures `levels` - 1 times; the real ones have four levels."""
    return AutoencoderKL(
        **vae_options(levels), scaling_factor=1.5, shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False
    )


def sd3_pipeline(with_t5: bool = True, levels: int = 2) -> StableDiffusion3Pipeline:
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=8,
            joint_attention_dim=32,
            caption_projection_dim=64,
            pooled_projection_dim=28,
            pos_embed_max_size=12,
            dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(levels),
        text_encoder=clip(CLIPTextModelWithProjection, 12),
        tokenizer=tokenizer(CLIP_TOKENS),
        text_encoder_2=clip(CLIPTextModelWithProjection, 16),
        tokenizer_2=tokenizer(CLIP_TOKENS),
        text_encoder_3=t5(32) if with_t5 else None,
        tokenizer_3=tokenizer(256) if with_t5 else None,
    )


def flux_pipeline(guided: bool = True, levels: int = 2) -> FluxPipeline:
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=12,
            guidance_embeds=guided,
            axes_dims_rope=(4, 6, 6),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0 if guided else 1.0, use_dynamic_shifting=guided),
        vae=vae(levels),
        text_encoder=clip(CLIPTextModel, 12),
        tokenizer=tokenizer(CLIP_TOKENS),
        text_encoder_2=t5(32),
        tokenizer_2=tokenizer(512),
    )


def flux2_pipeline(is_distilled: bool = False, levels: int = 2) -> Flux2KleinPipeline:
    words = tokenizer(4096)
    words.chat_template = CHAT
    autoencoder = AutoencoderKLFlux2(**vae_options(levels))
    # As after training: the running values are what normalises latents.
    autoencoder.bn.running_mean.uniform_(-0.5, 0.5)
    autoencoder.bn.running_var.uniform_(0.2, 2.0)
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=autoencoder,
        text_encoder=Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=32,
                hidden_size=8,
                intermediate_size=16,
                num_hidden_layers=27,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=4,
                pad_token_id=0,
                bos_token_id=2,
                eos_token_id=3,
            )
        ),
        tokenizer=words,
        transformer=Flux2Transformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=24,
            timestep_guidance_channels=32,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=is_distilled,
    )


def sd3(folder: Path, t5: Literal["with", "without"] = "with") -> Path:
    """An SD 3.5 pipeline in `folder`."""
    return _written(lambda: sd3_pipeline(with_t5=t5 == "with"), folder)


def flux(folder: Path, kind: Literal["dev", "schnell"] = "dev") -> Path:
    """A FLUX.1 pipeline in `folder`."""
    return _written(lambda: flux_pipeline(guided=kind == "dev"), folder)


def flux2(folder: Path, kind: Literal["base", "distilled"] = "base") -> Path:
    """A FLUX.2 klein pipeline in `folder`."""
    return _written(lambda: flux2_pipeline(is_distilled=kind == "distilled"), folder)


def _written(pipeline: Callable[[], Any], folder: Path) -> Path:
    # The same weights each time, and large enough that pictures differ by their words.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = pipeline()
        for parameter in made.transformer.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape)
        made.save_pretrained(folder, safe_serialization=True)
    return folder
