"""What each training method does on the nano model, off against on: a markdown table on the standard output.

    python -m benchmarks.ablations [--only NAME ...] [--steps 200]

Every row is a real run of the training engine, one thread, batches of 16, on the same drawn pictures of six kinds that
the base has never seen, with the same seed; "plain, another seed" shows how far two runs differ by chance. Losses are
those of the finished model on held-out pictures under the plain recipe's error, all and by noise level (clean to
noise). "Long" and "short" are shares of prompts drawn right, judged against known truth: kind, colour and background
of a whole caption, kind and colour of two words. Peak memory is counted above what the process held before the run.

Methods whose worth cannot be seen in 200 steps or with random teachers are run for a few steps for their price only.
What 64 tokens and 200 steps say about thousands of tokens and a day, they say by accident.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from torch._inductor import config as inductor

from app.datasets.manifest import ManifestRow, read_manifest, write_manifest
from app.demo.catalogue import held_out_prompts
from app.demo.drawing import draw
from app.demo.judge import judge
from app.demo.kinds import fresh
from app.demo.scene import BACKGROUNDS, COLOURS, FRAMINGS, UNREADABLE
from app.demo.worlds import FRESH_WITHHELD, describe, make_scene
from app.training.recipe import Recipe, read_recipe
from app.training.runs import NANO_RECIPE, PROJECT
from workers.families import nano
from workers.families.registry import load_family
from workers.finetune.batches import Members, Texts
from workers.finetune.forward import validation_errors
from workers.finetune.loss import BandedLoss
from workers.finetune.report import EventLog
from workers.finetune.train import train

CPU = torch.device("cpu")
SIDE_PX = 64
LEARNED, HELD_OUT = 240, 48
PROMPTS, DRAWING_STEPS = 24, 15
PRICE_STEPS = 12
PLAIN = "plain"


@dataclass(frozen=True)
class Row:
    """A run: its name, how its recipe differs, and whether only its price is of interest."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    is_price: bool = False
    base: str = "nano"


def rows(teachers: Path) -> list[Row]:
    """The table from top to bottom."""
    sd15 = {"family": "sd15", "optimiser": "adamw", "timestep_uniform_share": 1.0, "resolution_px": SIDE_PX}
    return [
        Row(PLAIN),
        Row("plain, another seed", {"seed": 12}),
        Row("aspect buckets", {"buckets": True}),
        Row("no caption dropout", {"caption_dropout": 0.0}),
        Row("short captions 30 %", {"short_caption_share": 0.3}),
        Row("no EMA", {"ema_decay": 0.0}),
        Row("EMA every 10 steps", {"ema_decay": 0.817, "ema_every": 10}),  # 0.98 to the tenth power
        Row("uniform timesteps", {"timestep_uniform_share": 1.0}),
        Row("logit-normal, mean 0", {"timestep_mean": 0.0, "timestep_uniform_share": 0.0}),
        Row("timestep shift 3", {"timestep_shift": 3.0}),
        Row("AdamW", {"optimiser": "adamw"}),
        Row("8-bit AdamW", {"optimiser": "adamw8bit"}),
        Row("Prodigy", {"optimiser": "prodigy"}),
        Row("LoRA rank 16", {"method": "lora", "lora_rank": 16, "optimiser": "adamw", "adamw_lr": 0.004}),
        Row("bf16 autocast", {"precision": "bf16-autocast"}),
        Row("token routing 50 %", {"route_share": 0.5, "route_from": 2}),
        Row("32 px, then 64 px", {"resolution_px": 32, "second_from": 0.5, "second_resolution_px": SIDE_PX}),
        Row("plain, price", is_price=True),
        Row("checkpointing half", {"checkpointing": "half"}, is_price=True),
        Row("checkpointing full", {"checkpointing": "full"}, is_price=True),
        Row("REPA, ViT-S", {"teacher": str(teachers / "dino"), "teacher_block": 3}, is_price=True),
        Row("LPIPS", {"lpips": str(teachers / "lpips")}, is_price=True),
        Row("DINO loss, ViT-S", {"dino": str(teachers / "dino")}, is_price=True),
        Row("compiled blocks", {"compile": True}, is_price=True),
        Row("SD 1.5 tiny", sd15, base="sd15"),
        Row("SD 1.5 tiny, min-SNR 5", {**sd15, "min_snr_gamma": 5.0}, base="sd15"),
        Row("SD 1.5 tiny, no cache", {**sd15, "cache": False}, is_price=True, base="sd15"),
        Row("SD 1.5 tiny, cached", sd15, is_price=True, base="sd15"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="rows whose name holds this; may be repeated")
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_set(folder / "set")
        every = rows(folder)
        chosen = [row for row in every if not given.only or any(name in row.name for name in given.only)]
        if any(row.base == "sd15" for row in chosen):
            write_sd15(folder / "sd15")
        if any(str(folder) in str(row.changes) for row in chosen):
            write_teachers(folder)
        print(f"{given.steps} steps of 16 pictures at {SIDE_PX} px, torch {torch.__version__}, one thread; "
              f"price rows {min(PRICE_STEPS, given.steps)} steps\n")  # fmt: skip
        print("| method | loss | by noise level | long | short | steps/s | peak MB | seconds before step 1 |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        failed = 0
        for row in chosen:
            print(f"{time.strftime('%H:%M:%S')} {row.name}", file=sys.stderr, flush=True)
            results = apart(lambda row=row: measured(row, folder, given.steps))
            failed += "error" in results
            print(line(row, results), flush=True)
    return 1 if failed else 0


def measured(row: Row, folder: Path, steps: int) -> dict[str, Any]:
    """Train, look at the events, and try the finished model."""
    inductor.force_disable_caches = True  # what another run has compiled is no measure
    recipe = recipe_of(row, folder, min(PRICE_STEPS, steps) if row.is_price else steps)
    out = folder / "runs" / row.name
    manifest = folder / "set" / "manifest.jsonl"
    before = forget_peak()
    with contextlib.redirect_stderr(io.StringIO()), EventLog(out) as report:
        train(recipe, manifest, out, report, CPU, False, folder / "cache")
    results = speed(out) | {"peak_mb": (peak_bytes() - before) / 1e6}
    if row.is_price:
        return results
    plain = recipe_of(Row(PLAIN, {"family": recipe.family}, base=row.base), folder, steps)
    family = load_family(recipe.family, str(out / "model"), CPU)
    results |= losses(family, plain, manifest)
    return results | (shares_right(family) if row.base == "nano" else {})


def recipe_of(row: Row, folder: Path, steps: int) -> Recipe:
    """The demo's recipe with one thread and smaller batches, and the row's changes."""
    base = PROJECT / "models/nano" if row.base == "nano" else folder / row.base
    knobs = {
        "base": str(base), "batch_size": 16, "steps": steps, "threads": 1, "seed": 11, "report_every": 4,
        "muon_lr": 0.002, "adamw_lr": 0.002, "checkpoint_every": steps, "validate_every": steps,
        "warmup_steps": min(10, steps // 3),
    }  # fmt: skip
    return Recipe.model_validate({**read_recipe(NANO_RECIPE).model_dump(), **knobs, **row.changes})


def speed(out: Path) -> dict[str, Any]:
    """Steps a second without the first ones, and seconds spent before them: encoding, compiling."""
    events = [json.loads(text) for text in (out / "events.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["kind"] == "step"]
    usual = statistics.median(event["step_s"] for event in steps[1:] or steps)
    encode = sum(event["kind"] == "phase" and event.get("phase") == "encode" for event in events)
    assert encode, "the run told no phase called encode"
    return {"steps_per_s": 1.0 / usual, "before_s": before_training_s(events, usual)}


def before_training_s(events: list[dict[str, Any]], usual_s: float) -> float:
    """From the beginning of encoding to the first event of steps, less what those steps usually take."""
    from datetime import datetime

    def at(kind: str, **facts: str) -> tuple[datetime, dict[str, Any]]:
        event = next(e for e in events if e["kind"] == kind and all(e.get(k) == v for k, v in facts.items()))
        return datetime.fromisoformat(event["at"]), event

    encoding, _ = at("phase", phase="encode")
    stepped_at, first = at("step")
    return max(0.0, (stepped_at - encoding).total_seconds() - first["step"] * usual_s)


def losses(family: Any, recipe: Recipe, manifest: Path) -> dict[str, Any]:
    """The finished model's error on the held-out pictures, all squares of 64 px, all and by band."""
    held_out = [row for row in read_manifest(manifest) if row.split == "validation"]
    texts = Texts([row.caption for row in held_out], family, None, lambda done, total: None)
    members = Members(held_out, manifest.parent, family, texts, SIDE_PX, has_buckets=False)
    members.decode(lambda done, total: None)
    counted = BandedLoss()
    for errors, timesteps, _ in validation_errors(family, members, recipe):
        counted.add(errors, timesteps)
    return {"loss": counted.mean(), "bands": counted.by_band()}


def shares_right(family: Any) -> dict[str, Any]:
    """Shares of prompts for combinations never shown that are drawn right, as whole captions and as two words."""
    prompts = held_out_prompts(PROMPTS)
    shares = {}
    for form in ("long", "short"):
        words = [two_words(p.colour, p.kind) for p in prompts]
        texts = [f"{w} {p.text}" if form == "long" else w for w, p in zip(words, prompts, strict=True)]
        drawn = family.draw(texts, range(PROMPTS), SIDE_PX, DRAWING_STEPS, 3.0).numpy()
        verdicts = [
            judge(picture).right(p.kind, p.colour, p.background) for picture, p in zip(drawn, prompts, strict=True)
        ]
        shares[form] = float(np.mean([all(v if form == "long" else v[1:]) for v in verdicts]))
    return shares


def two_words(colour: str, kind: str) -> str:
    """What somebody in a hurry types, and the first sentence of every caption here."""
    return f"{colour} {kind}.".capitalize()


def write_set(folder: Path) -> None:
    """Drawn pictures of the demo's kinds, every third not square, with a short and a long sentence each."""
    (folder / "pictures").mkdir(parents=True)
    rng = np.random.default_rng(5)
    shown = [
        (kind, colour, ground)
        for kind in fresh.KINDS for colour in COLOURS for ground in BACKGROUNDS
        if (colour, ground) not in UNREADABLE and (kind, colour, ground) not in FRESH_WITHHELD
    ]  # fmt: skip
    rng.shuffle(shown)
    members = []
    for number in range(LEARNED + HELD_OUT):
        kind, colour, ground = shown[number % len(shown)]
        scene = make_scene(kind, colour, ground, rng, FRAMINGS[0] if rng.random() < 0.6 else FRAMINGS[rng.integers(5)])
        width, height = ((96, 96), (96, 96), (128, 80), (96, 96), (96, 96), (80, 128))[number % 6]
        file = folder / "pictures" / f"{number:04d}.png"
        Pillow.fromarray(draw(scene, width, height)).save(file, compress_level=1)
        members.append(ManifestRow(
            file=f"pictures/{file.name}", caption=f"{two_words(colour, kind)} {describe(scene)}",
            split="train" if number < LEARNED else "validation", group=f"{colour}-{kind}",
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(), width_px=width, height_px=height,
        ))  # fmt: skip
    write_manifest(folder / "manifest.jsonl", members)


def write_sd15(folder: Path) -> None:
    """A Stable Diffusion 1.5 of random weights, small enough for one core, with an autoencoder of 4x."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    tokenizer = nano.build_tokenizer()
    tokenizer.model_max_length = 48
    tokenizer.eos_token = tokenizer.bos_token = tokenizer.pad_token
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=48, pad_token_id=0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    StableDiffusionPipeline(
        unet=UNet2DConditionModel(
            sample_size=16, block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8, cross_attention_dim=64,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), attention_head_dim=4,
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        vae=AutoencoderKL(
            block_out_channels=(16, 16, 16), down_block_types=("DownEncoderBlock2D",) * 3, norm_num_groups=4,
            up_block_types=("UpDecoderBlock2D",) * 3, layers_per_block=1, latent_channels=4, scaling_factor=4.0,
        ),
        text_encoder=CLIPTextModel(text), tokenizer=tokenizer,
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, skip_prk_steps=True
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)  # fmt: skip


def write_teachers(folder: Path) -> None:
    """A DINOv2 of the size of ViT-S/14 and the network of LPIPS, both with random weights: good for prices only."""
    from safetensors.torch import save_file
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    size = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "mlp_ratio": 4}
    Dinov2Model(Dinov2Config(image_size=224, patch_size=14, **size)).save_pretrained(folder / "dino")
    (folder / "lpips").mkdir()
    tensors: dict[str, torch.Tensor] = {}
    given, places = 3, (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    for place, wanted in zip(places, (64, 64, 128, 128, *[256] * 3, *[512] * 6), strict=True):
        tensors[f"features.{place}.weight"] = torch.randn(wanted, given, 3, 3) * (2 / given / 9) ** 0.5
        tensors[f"features.{place}.bias"] = torch.zeros(wanted)
        given = wanted
    for number, channels in enumerate((64, 128, 256, 512, 512)):
        tensors[f"lin{number}.model.1.weight"] = torch.rand(1, channels, 1, 1) / channels
    save_file(tensors, folder / "lpips" / "weights.safetensors")


def apart(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` tells, done in a process of its own so that no run warms or fills the memory of the next."""
    fork = multiprocessing.get_context("fork")
    mine, theirs = fork.Pipe(duplex=False)

    def run() -> None:
        try:
            theirs.send(work())
        except Exception as error:
            traceback.print_exc()
            theirs.send({"error": f"{type(error).__name__}: {' '.join(str(error).split())}"})

    process = fork.Process(target=run)
    process.start()
    theirs.close()
    try:
        results: dict[str, Any] = mine.recv()
    except EOFError:
        results = {"error": "the process died"}
    process.join()
    return results


def forget_peak() -> int:
    """Start counting this process's peak memory anew; the bytes it holds now."""
    Path("/proc/self/clear_refs").write_text("5")
    return status_bytes("VmRSS")


def peak_bytes() -> int:
    """The most memory this process held since `forget_peak`."""
    return status_bytes("VmHWM")


def status_bytes(name: str) -> int:
    """A size in this process's status file (Linux)."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0]) * 1024


def line(row: Row, results: dict[str, Any]) -> str:
    """The table's line."""
    if "error" in results:
        return f"| {row.name} | {results['error'][:160]} | | | | | | |"
    bands = " ".join(f"{band:.3f}" for band in results.get("bands", []))
    cells = [
        row.name,
        f"{results['loss']:.4f}" if "loss" in results else "",
        bands,
        f"{results['long']:.0%}" if "long" in results else "",
        f"{results['short']:.0%}" if "short" in results else "",
        f"{results['steps_per_s']:.2f}",
        f"{results['peak_mb']:.0f}",
        f"{results['before_s']:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
