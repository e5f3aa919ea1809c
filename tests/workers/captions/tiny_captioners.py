"""Tiny, randomly initialised models that write text about images, built without a hub. Their texts mean nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

_WORDS = [
    "a",
    "red",
    "blue",
    "kettle",
    "shoe",
    "on",
    "white",
    "grey",
    "describe",
    "the",
    "product",
    "user",
    "assistant",
]
_SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
_NOT_WORDS = list(range(len(_SPECIAL)))  # an untrained model may else end before its first word
_CHAT = (
    "{% for message in messages %}user {% for part in message['content'] %}{% if part['type'] == 'image' %}<image> "
    "{% else %}{{ part['text'] }} {% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)
_SIDE_PX = 32
_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per word of a small vocabulary."""
    vocabulary = {word: number for number, word in enumerate([*_SPECIAL, *_WORDS])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    made.add_special_tokens({"additional_special_tokens": _SPECIAL[4:]})
    return made


def blip(folder: Path) -> Path:
    """BLIP: an image-to-text model with a processor that owns image processor and tokeniser."""
    torch.manual_seed(0)
    words = tokenizer()
    text = {
        **_SMALL, "vocab_size": len(words), "max_position_embeddings": 64, "encoder_hidden_size": 32,
        "projection_dim": 16, "bos_token_id": words.bos_token_id, "pad_token_id": words.pad_token_id,
        "eos_token_id": words.eos_token_id, "sep_token_id": words.eos_token_id,
    }  # fmt: skip
    vision = {**_SMALL, "image_size": _SIDE_PX, "patch_size": 16, "projection_dim": 16}
    BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    size = {"height": _SIDE_PX, "width": _SIDE_PX}
    BlipProcessor(BlipImageProcessorPil(size=size), words).save_pretrained(folder)
    return folder


def encoder_decoder(folder: Path) -> Path:
    """ViT and GPT-2 as encoder and decoder: image processor and tokeniser lie beside each other without an owner."""
    torch.manual_seed(0)
    words = tokenizer()
    encoder = ViTModel(ViTConfig(**_SMALL, image_size=_SIDE_PX, patch_size=16))
    decoder = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(words),
            n_positions=64,
            n_embd=32,
            n_layer=2,
            n_head=2,
            is_decoder=True,
            add_cross_attention=True,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
        )
    )
    model = VisionEncoderDecoderModel(encoder=encoder, decoder=decoder)
    model.generation_config.decoder_start_token_id = words.bos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.suppress_tokens = _NOT_WORDS
    model.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": _SIDE_PX, "width": _SIDE_PX}).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def llava(folder: Path) -> Path:
    """LLaVA: a chat model whose image takes one token per patch."""
    torch.manual_seed(0)
    words = tokenizer()
    vision = CLIPVisionConfig(**_SMALL, image_size=_SIDE_PX, patch_size=16, projection_dim=16)
    text = LlamaConfig(
        **_SMALL, vocab_size=len(words), max_position_embeddings=128, num_key_value_heads=2,
        bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
    )  # fmt: skip
    image_token = words.convert_tokens_to_ids("<image>")
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=image_token, vision_feature_layer=-1)
    model = LlavaForConditionalGeneration(config)
    model.generation_config.suppress_tokens = _NOT_WORDS
    model.save_pretrained(folder)
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": _SIDE_PX}, crop_size={"height": _SIDE_PX, "width": _SIDE_PX}
    )
    LlavaProcessor(
        pictures, words, patch_size=16, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=_CHAT,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def llama_alone(folder: Path) -> Path:
    """A language model that sees nothing."""
    words = tokenizer()
    LlamaForCausalLM(LlamaConfig(**_SMALL, vocab_size=len(words), num_key_value_heads=2)).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
