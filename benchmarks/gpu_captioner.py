"""What a GPU makes of our captioner: photos a second at batch sizes, against a bare `generate` loop.

    python -m benchmarks.gpu_captioner            # needs a CUDA device with 20 GB, a few minutes
    python -m benchmarks.gpu_captioner --tiny     # the same on the CPU with a toy: no figures, only that it works

The model is Qwen2.5-VL 3B in its real shapes with random weights, in bf16; the tokeniser is a toy, so that nothing is
fetched, and words weigh nothing beside the picture's tokens. Ours reads JPEG files of 1,024 px in threads ahead, makes
them ready, asks and reads the answer. The bare loop has the same files decoded in memory, and nothing else to do but
the processor, `generate`, and reading the answer; both write 96 tokens, no fewer. A batch that the card has no memory
for is said so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from PIL.Image import Image as Picture
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from app.captions.asking import Asking
from app.catalog.ahead import ahead
from tests.workers.captions import tiny_captioners
from workers.captions import families, transformer
from workers.captions.captioner import PhotoQuestion
from workers.captions.shrinking import shrink
from workers.captions.transformer import TransformerCaptioner

BATCHES = (1, 4, 16, 32)
ROUNDS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="a toy on the CPU")
    given = parser.parse_args(arguments)
    if not given.tiny and not torch.cuda.is_available():
        print("There is no CUDA device here, and this benchmark measures one; --tiny only tries it out.")
        return 1
    device = torch.device("cpu" if given.tiny else "cuda")
    with tempfile.TemporaryDirectory() as folder:
        captioner = toy(Path(folder)) if given.tiny else full(Path(folder), device)
        files = photos(Path(folder), 64 if given.tiny else 1024, 2 if given.tiny else max(BATCHES))
        card = "CPU" if given.tiny else torch.cuda.get_device_name(device)
        weights = sum(part.numel() for part in captioner.model.parameters())
        attention = captioner.model.config._attn_implementation
        print(f"{card}, torch {torch.__version__}; {weights / 1e9:.2f} billion weights, attention {attention}")
        print("batch  ours/s  bare/s  ours/bare   GiB")
        for size in (1, 2) if given.tiny else BATCHES:
            row(captioner, files[:size], device, 1 if given.tiny else ROUNDS)
    return 0


def row(captioner: TransformerCaptioner, files: Sequence[Path], device: torch.device, rounds: int) -> None:
    """Measure both loops at a batch of all these files, and print it."""
    size = len(files)
    most = 3 if device.type == "cpu" else Asking().most_tokens
    captioner.model.generation_config.min_new_tokens = most
    decoded = [Pillow.open(file).convert("RGB") for file in files]
    try:
        plain = rate(lambda: bare(captioner, decoded, most), size, device, rounds)
        mine = rate(lambda: ours(captioner, list(files) * rounds, size, most), size * rounds, device, 1)
    except torch.OutOfMemoryError:
        print(f"{size:5}  does not fit in the memory of this card")
        return
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    print(f"{size:5}{mine:8.2f}{plain:8.2f}{mine / plain:11.3f}{peak:6.1f}", flush=True)


def ours(captioner: TransformerCaptioner, files: Sequence[Path], size: int, most: int) -> None:
    """Batches of `size`, as a job asks about them, without its database."""
    question = Asking().question

    def read(file: Path) -> Picture:
        return Pillow.open(file).convert("RGB")

    with closing(ahead(read, files, max(2, size // 2))) as pictures:
        for _ in range(0, len(files), size):
            batch = [PhotoQuestion(place, question, next(pictures), most_tokens=most) for place in range(size)]
            captioner.answer(batch)


def bare(captioner: TransformerCaptioner, decoded: Sequence[Picture], most: int) -> None:
    """As somebody would write it by hand, its pictures decoded."""
    pictures = [shrink(picture) for picture in decoded]
    inputs = captioner.inputs(pictures, [Asking().question] * len(pictures))
    inputs = inputs.to(captioner.model.device, dtype=captioner.model.dtype)
    with torch.inference_mode():
        tokens = captioner.model.generate(**inputs, max_new_tokens=most, do_sample=False, num_beams=1)
    captioner.tokenizer.batch_decode(tokens, skip_special_tokens=True)


def rate(act: Callable[[], None], photos_each: int, device: torch.device, rounds: int) -> float:
    """Photos a second, after a round that warms it up."""
    act()
    wait(device)
    began = time.perf_counter()
    for _ in range(rounds):
        act()
    wait(device)
    return photos_each * rounds / (time.perf_counter() - began)


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def photos(folder: Path, side_px: int, count: int) -> list[Path]:
    """JPEG files of smooth noise."""
    generator = np.random.default_rng(0)
    files = []
    for number in range(count):
        low = Pillow.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        files.append(folder / f"{number}.jpg")
        low.resize((side_px, side_px)).save(files[-1], "JPEG")
    return files


def toy(folder: Path) -> TransformerCaptioner:
    """The same family, tiny."""
    return transformer.load(str(tiny_captioners.qwen25(folder / "toy")), "cpu")


def full(folder: Path, device: torch.device) -> TransformerCaptioner:
    """Qwen2.5-VL 3B in its makers' shapes, with random weights made on the device."""
    small = toy(folder)
    tokens = small.model.config
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
            "num_key_value_heads": 2, "vocab_size": 151936, "max_position_embeddings": 128000,
            "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 32, "hidden_size": 1280, "out_hidden_size": 2048, "intermediate_size": 3420, "num_heads": 16,
            "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        image_token_id=tokens.image_token_id, video_token_id=tokens.video_token_id, tie_word_embeddings=True,
        vision_start_token_id=tokens.vision_start_token_id, vision_end_token_id=tokens.vision_end_token_id,
    )  # fmt: skip
    with torch.device(device):
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        model = Qwen2_5_VLForConditionalGeneration(config).eval()
        torch.set_default_dtype(before)
    pictures = type(small.processor.image_processor)(patch_size=14, merge_size=2, min_pixels=3136, max_pixels=1003520)
    small.processor.image_processor = pictures
    family = families.family_of(config.model_type, has_chat_template=True)
    return TransformerCaptioner("qwen2.5-vl-3b-random", model, small.processor, small.tokenizer, family)


if __name__ == "__main__":
    sys.exit(main())
