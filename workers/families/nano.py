"""The nano base before it has learned anything: a PRX pixel pipeline small enough to train on one CPU core.

Everything is standard diffusers and transformers, so the folder loads with no code of ours. The text encoder is never
trained: a one-layer T5 with random weights whose attention looks at the two neighbours on either side. Random vectors
keep words apart, and neighbours tell which noun a colour belongs to.

`python -m workers.families.nano FOLDER` writes the untrained pipeline.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, PRXPixelPipeline, PRXTransformer2DModel
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

SIZE_PX = 64
PROMPT_MAX_TOKENS = 48
NOISE_SCALE = 1.0
TEXT_WIDTH = 192
WORDS = Path(__file__).with_name("nano_words.txt")

_PAD = "<pad>"
_NEIGHBOURS = (-2, -1, 1, 2)
# Size of the four neighbours' part in a token's encoding, its own vector being 1.
_NEIGHBOUR_SHARE = 0.8


def build(folder: Path, seed: int) -> None:
    """Write the untrained pipeline into `folder`; the same files for the same seed and library versions."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer = build_tokenizer()
        pipeline = PRXPixelPipeline(
            transformer=PRXTransformer2DModel(
                in_channels=3,
                patch_size=8,
                context_in_dim=TEXT_WIDTH,
                hidden_size=128,
                mlp_ratio=3.5,
                num_heads=4,
                depth=6,
                axes_dim=[16, 16],
                bottleneck_size=64,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(),
            text_encoder=build_text_encoder(len(tokenizer)),
            tokenizer=tokenizer,
            default_sample_size=SIZE_PX,
            prompt_max_tokens=PROMPT_MAX_TOKENS,
            noise_scale=NOISE_SCALE,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, lower-cased, with every word of `nano_words.txt` as one piece; other words fall into pieces.

    There is no unknown token: any text is spelled in at most its bytes, so words never met stay apart.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192,
        min_frequency=1,
        show_progress=False,
        special_tokens=[_PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    words = sorted(set(WORDS.read_text(encoding="utf-8").split()))
    tokenizer.train_from_iterator(words, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=_PAD, model_max_length=PROMPT_MAX_TOKENS, padding_side="right"
    )


def build_text_encoder(vocabulary_size: int) -> T5EncoderModel:
    """A random, frozen T5 encoder with one attention head for each of the two neighbours on either side."""
    heads = len(_NEIGHBOURS)
    config = T5Config(
        vocab_size=vocabulary_size,
        d_model=TEXT_WIDTH,
        d_kv=TEXT_WIDTH // heads,
        d_ff=64,
        num_layers=1,
        num_heads=heads,
        relative_attention_num_buckets=32,
        dropout_rate=0.0,
        feed_forward_proj="relu",
        is_encoder_decoder=False,
        use_cache=False,
        pad_token_id=0,
        decoder_start_token_id=0,
    )
    encoder = T5EncoderModel(config).eval().requires_grad_(False)
    attention = encoder.encoder.block[0].layer[0].SelfAttention
    encoder.shared.weight.normal_()
    # Where to look is decided by position alone: queries are silent and each head's bias picks one distance. T5
    # puts the exact distance d of a token to the right in bucket 16 + d and to the left in bucket d.
    attention.q.weight.zero_()
    bias = attention.relative_attention_bias.weight.zero_()
    for head, distance in enumerate(_NEIGHBOURS):
        bias[16 + distance if distance > 0 else -distance, head] = 12.0
    attention.v.weight.normal_(std=TEXT_WIDTH**-0.5)
    attention.o.weight.normal_(std=_NEIGHBOUR_SHARE * TEXT_WIDTH**-0.5)
    return encoder


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m workers.families.nano", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the untrained pipeline is written")
    parser.add_argument("--seed", type=int, default=7, help="fixes the random weights")
    given = parser.parse_args()
    build(given.folder, given.seed)
    sizes = {str(f.relative_to(given.folder)): f.stat().st_size for f in given.folder.rglob("*.safetensors")}
    print(json.dumps(sizes))


if __name__ == "__main__":
    main()
