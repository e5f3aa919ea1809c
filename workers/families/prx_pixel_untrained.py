"""The model of PRX's 24-hour run before it has learned anything: a PRX pixel pipeline of 1.18 billion random weights.

`python -m workers.families.prx_pixel_untrained FOLDER [--texts PRX]` writes it. Its text encoder and tokenizer, T5Gemma
2B read up to 256 tokens, are those of a released PRX model, a folder or a name on a hub. Sizes are those of
Photoroom/PRX (`prx_jit_32_small.yaml`): hidden 1792, 16 blocks, 28 heads, patches of 32, a bottleneck of 256. Noise has
a standard deviation of 1 there, where diffusers' pipeline would take 2.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, PRXPixelPipeline, PRXTransformer2DModel

from workers.disk import replaced_whole
from workers.errors import InputError
from workers.families.fetch import located
from workers.families.prx import mend

TEXTS = "Photoroom/prx-512-t2i-sft"
SIZES = {"hidden_size": 1792, "depth": 16, "num_heads": 28, "patch_size": 32, "bottleneck_size": 256, "mlp_ratio": 3.5}
NOISE_SCALE = 1.0
SHIFT = 3.0
SIZE_PX = 512
PROMPT_MAX_TOKENS = 256


def build(folder: Path, texts: str, seed: int, sizes: dict[str, Any]) -> None:
    """Write the pipeline into `folder`, whole or not at all; the same files for the same seed and library versions.

    `texts` is a PRX pipeline with a text encoder, `sizes` are those of `PRXTransformer2DModel`. Raises `InputError`.
    """
    source = located(texts)
    try:
        index = json.loads((source / "model_index.json").read_text())
        width = int(json.loads((source / "transformer" / "config.json").read_text())["context_in_dim"])
        parts = {part: index[part] for part in ("text_encoder", "tokenizer")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{source} holds no PRX pipeline with a text encoder: {error}.") from error
    side = sizes["hidden_size"] // sizes["num_heads"] // 2
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = PRXTransformer2DModel(in_channels=3, context_in_dim=width, axes_dim=[side, side], **sizes)
    with replaced_whole(folder) as temporary:
        model.save_pretrained(temporary / "transformer")
        FlowMatchEulerDiscreteScheduler(shift=SHIFT).save_pretrained(temporary / "scheduler")
        for part in parts:
            shutil.copytree(source / part, temporary / part)
        pipeline = {
            "_class_name": PRXPixelPipeline.__name__,
            "transformer": ["diffusers", PRXTransformer2DModel.__name__],
            "scheduler": ["diffusers", FlowMatchEulerDiscreteScheduler.__name__],
            **parts,
            "default_sample_size": SIZE_PX,
            "prompt_max_tokens": PROMPT_MAX_TOKENS,
            "noise_scale": NOISE_SCALE,
        }
        (temporary / "model_index.json").write_text(json.dumps(pipeline, indent=2) + "\n")
        mend(temporary)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    name = "python -m workers.families.prx_pixel_untrained"
    parser = argparse.ArgumentParser(prog=name, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the untrained pipeline is written")
    parser.add_argument("--texts", default=TEXTS, help="a PRX model whose text encoder and tokenizer it gets")
    parser.add_argument("--seed", type=int, default=7, help="fixes the random weights")
    given = parser.parse_args(arguments)
    try:
        build(given.folder, given.texts, given.seed, SIZES)
    except InputError as refusal:
        raise SystemExit(str(refusal)) from refusal


if __name__ == "__main__":
    main()
