"""Where a fine-tune of each family starts: learning rates, sizes and lengths before anything was measured.

Sources, by the letter that stands behind a figure below:
  [D] diffusers' training examples (SD 1.5 LoRA 1e-4, full 1e-5 with EMA; SD 3 logit-normal; FLUX.2 LoRA warm-up 100)
  [K] sd-scripts' documentation (SDXL LoRA 1e-4; FLUX LoRA rank 16, 1e-4)
  [T] SimpleTuner's quickstarts (SD 3 full 1e-5, "4e-5 could explode", shift 3)
  [O] OneTrainer's presets (FLUX.2 klein LoRA 3e-5; FLUX.2 full 1e-6)
  [P] Photoroom's PRX posts, parts 2 and 3, and the repository's configurations (clip 0.2, caption dropout 0.1,
      logit-normal timesteps with a tenth drawn evenly, betas 0.9 and 0.95, EMA 0.999 every 10 steps)
  [H] Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy": gamma 5
  [ours] within the range of the above, not tried on product photos
Alpha is always the rank here. Tools that set alpha to a part of the rank print learning rates that do not compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Start:
    """The starting point of one family. Batches count pictures a step; steps are for 20 to 100 photos with LoRA."""

    title: str
    rank: int
    lora_lr: float
    lora_batch: int
    lora_steps: int
    full_lr: float
    full_batch: int
    full_steps: int
    full_warmup: int
    beta2: float
    clip_norm: float
    caption_dropout: float
    uniform_share: float  # of the timesteps; 1: all drawn evenly
    min_snr_gamma: float
    ema_every: int
    sampling_steps: int
    guidance: float
    timesteps: str  # in words, with where they come from


_EVEN: Final = "drawn evenly, as the base was taught; min-SNR 5 keeps nearly clean pictures from ruling (Hang et al.)"
_LOGIT: Final = "logit-normal as in SD 3's training, shifted as the base was taught at this size"
_PRX: Final = "logit-normal, a tenth drawn evenly, as PRX was taught; the others shifted as it was"

STARTS: Final[dict[str, Start]] = {
    # [D] rates and EMA, [H]
    "sd15": Start("SD 1.5", 16, 1e-4, 8, 1500, 1e-5, 32, 5000, 100, 0.99, 1.0, 0.1, 1.0, 5.0, 1, 30, 7.5, _EVEN),
    # [K] LoRA, [ours] full: OneTrainer's generic rate is 3e-6
    "sdxl": Start("SDXL", 32, 1e-4, 4, 2000, 5e-6, 32, 5000, 100, 0.99, 1.0, 0.1, 1.0, 5.0, 1, 30, 5.0, _EVEN),
    # [T] rates and warm-up, [D] timesteps
    "sd3": Start("SD 3", 32, 1e-4, 4, 2000, 1e-5, 32, 5000, 500, 0.99, 1.0, 0.1, 0.0, 0.0, 1, 28, 4.5, _LOGIT),
    # [K] rank and rate, [O] full
    "flux": Start("FLUX.1", 16, 1e-4, 4, 2000, 1e-6, 16, 3000, 100, 0.99, 1.0, 0.05, 0.0, 0.0, 1, 28, 3.5, _LOGIT),
    # [O] between OneTrainer's 3e-5 and diffusers' 1e-4
    "flux2": Start("FLUX.2", 32, 5e-5, 4, 2000, 1e-6, 16, 3000, 100, 0.99, 1.0, 0.05, 0.0, 0.0, 1, 28, 4.0, _LOGIT),
    # [P], LoRA and the full rate [ours]: pre-training used 1e-4
    "prx": Start("PRX", 32, 1e-4, 8, 2000, 2e-5, 64, 10_000, 500, 0.95, 0.2, 0.1, 0.1, 0.0, 10, 28, 5.0, _PRX),
    "prx_pixel": Start(
        "PRX pixel", 32, 1e-4, 8, 2000, 2e-5, 64, 10_000, 500, 0.95, 0.2, 0.1, 0.1, 0.0, 10, 28, 5.0, _PRX
    ),
}

SMALL: Final = 50_000_000
"""A denoiser with fewer weights than this is trained in full whatever the device: an addition would save nothing."""

FULL_NEEDS_PHOTOS: Final = 1000
"""Fewer photos than this teach an addition better than all weights: those would overfit. [ours]"""

PROCESSES_AT_MOST: Final = 4
"""How many processes train a small model on a processor: each imports torch, which takes seconds and 0.4 GB. [ours]"""

BYTES_A_WEIGHT: Final = 20
"""Full training: fp32 weight, gradient, AdamW's two memories and the averaged weight, four bytes each."""

ROUTED_TOKENS: Final = 1024
"""TREAD pays from this many tokens on; at 256 px it made PRX worse (FID 18.2 to 21.6, PRX part 2)."""

COMPILED_STEPS: Final = 2000
"""A run of fewer steps does not try compiling: it takes a minute or two, trying it as long again, and the most that was
seen of it were 0.1 s of a step (Krea 2), so both are paid back after about so many."""

UNREPEATED_COMPILED_STEPS: Final = 10_000
"""The same where no block is computed twice: there Krea 2 gained nothing, so only a long run, of which trying is a
small part, tries it. [ours]"""

ENLARGED_AT_MOST: Final = 1.334
"""A photo is enlarged by a third and no more, then shown smaller on its own border (PRX part 4: 384 px for 512)."""

LABELS: Final[dict[str, str]] = {
    "name": "Name",
    "family": "Family",
    "base": "Base model",
    "base_revision": "Base’s commit",
    "method": "Method",
    "lora_rank": "LoRA rank",
    "seed": "Seed",
    "resolution_px": "Resolution",
    "buckets": "Buckets",
    "enlarge_at_most": "Enlarged at most",
    "batch_size": "Batch",
    "micro_batch": "At once",
    "steps": "Steps",
    "caption_dropout": "Captions left out",
    "short_caption_share": "Short captions",
    "cache": "Cache",
    "optimiser": "Optimiser",
    "muon_lr": "Muon’s rate",
    "adamw_lr": "Learning rate",
    "adamw_beta1": "Beta 1",
    "adamw_beta2": "Beta 2",
    "weight_decay": "Weight decay",
    "warmup_steps": "Warm-up",
    "constant_share": "Full rate until",
    "final_lr_share": "Rate at the end",
    "clip_norm": "Clip",
    "ema_decay": "Weights kept",
    "ema_every": "Averaged every",
    "timestep_mean": "Timestep centre",
    "timestep_sd": "Timestep spread",
    "timestep_uniform_share": "Drawn evenly",
    "timestep_shift": "Timestep shift",
    "min_snr_gamma": "Min-SNR",
    "background_weight": "Background’s weight",
    "velocity_floor": "Velocity floor",
    "precision": "Precision",
    "checkpointing": "Recomputed blocks",
    "compile": "Compile",
    "route_share": "Token routing",
    "route_from": "Routed from block",
    "route_to": "Routed to block",
    "teacher": "Teacher (REPA)",
    "teacher_weight": "Teacher’s weight",
    "teacher_block": "Teacher’s block",
    "teacher_until": "Teacher until",
    "lpips": "LPIPS folder",
    "lpips_weight": "LPIPS weight",
    "dino": "DINO loss folder",
    "dino_weight": "DINO weight",
    "second_from": "Second stage from",
    "second_resolution_px": "Second resolution",
    "second_batch_size": "Second batch",
    "threads": "CPU threads",
    "processes": "Processes",
    "sharding": "Weights shared out",
    "checkpoint_every": "Checkpoints every",
    "validate_every": "Validated every",
    "patience": "Patience",
    "report_every": "Told every",
    "max_wall_clock_s": "Time limit, s",
    "sampling_steps": "Sampling steps",
    "guidance": "Guidance",
}
"""The name of each knob on the page, in the recipe's order."""
