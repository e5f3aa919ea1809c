"""Tiny, randomly initialised models that write text about images, built without a hub. Their texts mean nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GPT2Config,
    GPT2LMHeadModel,
    Idefics3Processor,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SiglipImageProcessorPil,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessorPil,
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


def tokenizer(*more: str, **named: str) -> PreTrainedTokenizerFast:
    """One token per word of a small vocabulary, behind the special ones and as many `more` as a family has; some are
    `named` by what its processor calls them."""
    vocabulary = {word: number for number, word in enumerate([*_SPECIAL, *more, *_WORDS])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        extra_special_tokens=named,
    )  # fmt: skip
    made.add_special_tokens({"additional_special_tokens": [*_SPECIAL[4:], *more]})
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


def _chat(picture: str) -> str:
    """A chat template in which a picture stands as this text."""
    return _CHAT.replace("<image> ", picture)


def _no_others(model: Any, vocabulary: int, first_word: int, words: int = len(_WORDS)) -> None:
    """Let an untrained model write words alone."""
    model.generation_config.suppress_tokens = [*range(first_word), *range(first_word + words, vocabulary)]


def blip2(folder: Path) -> Path:
    """BLIP-2: a query transformer between the picture and OPT."""
    torch.manual_seed(3)
    words = tokenizer()
    model = Blip2ForConditionalGeneration(
        Blip2Config(
            vision_config={**_SMALL, "image_size": _SIDE_PX, "patch_size": 16},
            qformer_config={**_SMALL, "encoder_hidden_size": 32, "vocab_size": len(words)},
            text_config={
                "model_type": "opt", "vocab_size": len(words), "hidden_size": 32, "word_embed_proj_dim": 32,
                "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 256,
                "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            },
            num_query_tokens=4,
            image_token_index=words.convert_tokens_to_ids("<image>"),
        )
    )  # fmt: skip
    _no_others(model, len(words), len(_SPECIAL))
    model.save_pretrained(folder)
    pictures = BlipImageProcessorPil(size={"height": _SIDE_PX, "width": _SIDE_PX})
    Blip2Processor(pictures, words, num_query_tokens=4).save_pretrained(folder)
    return folder


def paligemma(folder: Path) -> Path:
    """PaliGemma: SigLIP and Gemma, asked by a verb and a language."""
    torch.manual_seed(0)
    pictures = SiglipImageProcessorPil(size={"height": _SIDE_PX, "width": _SIDE_PX})
    pictures.image_seq_length = 4
    processor = PaliGemmaProcessor(pictures, tokenizer())
    processor.save_pretrained(folder)
    size = len(processor.tokenizer)
    text = {**_SMALL, "model_type": "gemma", "vocab_size": size, "num_key_value_heads": 1, "head_dim": 16}
    vision = {**_SMALL, "model_type": "siglip_vision_model", "image_size": _SIDE_PX, "patch_size": 16}
    model = PaliGemmaForConditionalGeneration(
        PaliGemmaConfig(
            vision_config={**vision, "vision_use_head": False},
            text_config={**text, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
            image_token_index=processor.image_token_id,
            projection_dim=32,
            hidden_size=32,
        )
    )
    _no_others(model, size, len(_SPECIAL))
    model.save_pretrained(folder)
    return folder


def florence(folder: Path) -> Path:
    """Florence-2: DaViT and BART, asked by tasks."""
    torch.manual_seed(0)
    words = tokenizer(image_token="<image>")
    text = {
        "model_type": "bart", "vocab_size": len(words), "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "max_position_embeddings": 256, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
        "decoder_start_token_id": 2, "forced_bos_token_id": None, "forced_eos_token_id": None,
    }  # fmt: skip
    vision = {
        "depths": [1, 1], "patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1],
        "patch_prenorm": [False, True], "embed_dim": [16, 32], "num_heads": [2, 2], "num_groups": [2, 2],
        "window_size": 4, "projection_dim": 32, "max_position_embeddings": 10,
    }  # fmt: skip
    image_token = words.convert_tokens_to_ids("<image>")
    model = Florence2ForConditionalGeneration(
        Florence2Config(vision_config=vision, text_config=text, image_token_id=image_token)
    )
    _no_others(model, len(words), len(_SPECIAL))
    model.save_pretrained(folder)
    side = {"height": _SIDE_PX, "width": _SIDE_PX}
    pictures = CLIPImageProcessorPil(size=side, crop_size=side, do_center_crop=False)
    pictures.image_seq_length = 17
    Florence2Processor(pictures, words).save_pretrained(folder)
    return folder


def smolvlm(folder: Path) -> Path:
    """SmolVLM: SigLIP and Llama, a chat model whose pictures are cut into tiles."""
    torch.manual_seed(0)
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    more = ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *tiles]
    words = tokenizer(*more)
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    text = {**_SMALL, **ends, "model_type": "llama", "vocab_size": len(words), "num_key_value_heads": 2}
    model = SmolVLMForConditionalGeneration(
        SmolVLMConfig(
            vision_config={**_SMALL, "image_size": _SIDE_PX, "patch_size": 8},
            text_config={**text, "max_position_embeddings": 1024},
            scale_factor=2,
            image_token_id=words.convert_tokens_to_ids("<image>"),
            pad_token_id=0,
        )
    )
    _no_others(model, len(words), len(_SPECIAL) + len(more))
    model.save_pretrained(folder)
    pictures = SmolVLMImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": _SIDE_PX})
    Idefics3Processor(pictures, words, image_seq_len=4, chat_template=_chat("<image>")).save_pretrained(folder)
    _rename_processor(folder, "SmolVLMProcessor")
    return folder


def _rename_processor(folder: Path, name: str) -> None:
    """As the makers' own folders have it: the class that they load, which wants parts for videos."""
    file = folder / "processor_config.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"processor_class": name}))


_QWEN: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "Qwen2VLProcessor": (
        Qwen2VLConfig, Qwen2VLForConditionalGeneration, {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2},
    ),
    "Qwen2_5_VLProcessor": (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        {
            "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 64, "window_size": 32,
            "fullatt_block_indexes": [1],
        },
    ),
    "Qwen3VLProcessor": (
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        {
            "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 64, "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
    ),
}  # fmt: skip


def qwen2(folder: Path) -> Path:
    """Qwen2-VL: pictures take tokens by their size."""
    return _qwen(folder, "Qwen2VLProcessor")


def qwen25(folder: Path) -> Path:
    """Qwen2.5-VL: the same, its attention in windows."""
    return _qwen(folder, "Qwen2_5_VLProcessor")


def qwen3(folder: Path) -> Path:
    """Qwen3-VL."""
    return _qwen(folder, "Qwen3VLProcessor")


def _qwen(folder: Path, name: str) -> Path:
    torch.manual_seed(0)
    more = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    words = tokenizer(*more)
    start, end, image, video = words.convert_tokens_to_ids(more)
    config, model_class, own = _QWEN[name]
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    text = {
        **_SMALL, "vocab_size": len(words), "num_key_value_heads": 2, "max_position_embeddings": 512, "head_dim": 16,
        "rope_parameters": rope, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    vision = {"depth": 2, "num_heads": 2, "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2, **own}
    model = model_class(
        config(
            text_config=text, vision_config=vision, image_token_id=image, video_token_id=video,
            vision_start_token_id=start, vision_end_token_id=end,
        )
    )  # fmt: skip
    _no_others(model, len(words), len(_SPECIAL) + len(more))
    model.save_pretrained(folder)
    pictures = Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, min_pixels=16 * 16, max_pixels=64 * 64)
    pictures.save_pretrained(folder)
    words.chat_template = _chat("<|vision_start|><|image_pad|><|vision_end|> ")
    words.save_pretrained(folder)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"processor_class": name}))
    return folder


def llama_alone(folder: Path) -> Path:
    """A language model that sees nothing."""
    words = tokenizer()
    LlamaForCausalLM(LlamaConfig(**_SMALL, vocab_size=len(words), num_key_value_heads=2)).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
