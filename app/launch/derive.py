"""Values and reasons for a recipe: from one that was tried on the base, or from the table in `defaults`. Pure."""

from __future__ import annotations

import math
from typing import Any, Final

from app.launch.defaults import (
    BYTES_A_WEIGHT,
    COMPILED_STEPS,
    ENLARGED_AT_MOST,
    FULL_NEEDS_PHOTOS,
    PROCESSES_AT_MOST,
    ROUTED_TOKENS,
    SMALL,
    STARTS,
    UNREPEATED_COMPILED_STEPS,
    Start,
)
from app.launch.facts import GIB, BaseFacts, DataFacts, DeviceFacts, Preset
from app.training.recipe import Recipe

SHARES: Final[dict[Preset, float]] = {"quick": 0.25, "balanced": 1.0, "best": 4.0}
"""Steps of each choice, in shares of the balanced run. With LoRA the best goes on twice as long, not four times:
published LoRA recipes end there, and longer ones overfit."""

_LORA_BEST: Final = 2.0
_CHECKPOINTS: Final = 8
_DAY_S: Final = 86_400.0
_SEED: Final = 11
_OBLONG: Final = 0.1
_LONG_CAPTIONS: Final = 0.5

Values = dict[str, Any]
Reasons = dict[str, str]


def derive(
    base: BaseFacts, data: DataFacts, device: DeviceFacts, preset: Preset, steps: int | None, method: str | None
) -> tuple[Values, Reasons]:
    """Every knob's value and reason. `steps` and `method` are a person's, where they chose: much follows from them."""
    if base.template is not None and method in (None, base.template.method):
        values, reasons = _from_template(base.template, base, device, preset, steps)
    else:
        values, reasons = _from_table(base, data, device, preset, steps, method)
    for name, field in Recipe.model_fields.items():
        if name not in values:
            values[name] = field.default
        reasons.setdefault(name, field.description or "")
    return values, reasons


def _from_template(
    known: Recipe, base: BaseFacts, device: DeviceFacts, preset: Preset, steps: int | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """A recipe that was tried on this base; warm-up, checkpoints and validations keep their share of the run."""
    wanted = steps or round(known.steps * SHARES[preset])
    share = wanted / known.steps
    threads, micro_batch, why = _threads(base, device, known.batch_size, known.micro_batch)
    values = known.model_dump() | {"base": base.name, "threads": threads, "micro_batch": micro_batch, "steps": wanted}
    values["base_revision"] = base.revision
    for name in ("warmup_steps", "checkpoint_every", "validate_every"):
        values[name] = max(1, round(values[name] * share))
    values["warmup_steps"] = min(values["warmup_steps"], int(known.constant_share * wanted))
    if share > 1:
        values["max_wall_clock_s"] = min(_DAY_S, known.max_wall_clock_s * share)
    reasons = dict.fromkeys(values, "as tried on this base")
    reasons |= {
        "steps": f"{SHARES[preset]:g} × the {known.steps:,} tried on this base" if steps is None else "your number",
        "base": "your choice",
        "base_revision": _revision(base),
        "family": "from the base",
        "method": f"only {base.parameters / 1e6:.1f} million of them",
        "resolution_px": "the base’s own",
        "threads": why,
        "warmup_steps": "short: the base is trained already",
        "checkpoint_every": "four in the run",
        "validate_every": "before each checkpoint",
        "ema_decay": f"remembers the last {1 / (1 - known.ema_decay):.0f} steps",
        "seed": "the same in every run",
        "precision": "bf16 is no faster at this width",
    }
    return values, reasons


def _from_table(
    base: BaseFacts, data: DataFacts, device: DeviceFacts, preset: Preset, steps: int | None, method: str | None
) -> tuple[Values, Reasons]:
    """The family's starting point, fitted to the photos and the device."""
    start = STARTS[base.family]
    method, why = (method, "your choice") if method else _method(base, data, device)
    count, why_steps = (steps, "your number") if steps else _steps(start, data, method, preset)
    resolution_px = base.resolution_px
    if base.family == "flux" and preset == "quick":
        resolution_px = min(512, resolution_px)
    values: Values = {"family": base.family, "base": base.name, "base_revision": base.revision}
    values |= {"method": method, "seed": _SEED, "steps": count}
    values["name"] = f"{start.title} {'LoRA' if method == 'lora' else 'full'}, {preset}"
    reasons: Reasons = {
        "name": "from the choices",
        "family": "from the base",
        "base": "your choice",
        "base_revision": _revision(base),
        "method": why,
        "seed": "the same in every run",
        "steps": why_steps,
    }
    _put(values, reasons, _sizes(start, base, data, device, method, resolution_px))
    _put(values, reasons, {"compile": _compile(base, device, values["checkpointing"], count)})
    _put(values, reasons, _rates(start, base, device, method, count))
    _put(values, reasons, _losses(start, base, data, method, resolution_px))
    _put(values, reasons, _rhythm(count))
    return values, reasons


def _revision(base: BaseFacts) -> str:
    return "the one on this machine: a hub’s newest may change" if base.revision else "a folder has none"


def _method(base: BaseFacts, data: DataFacts, device: DeviceFacts) -> tuple[str, str]:
    size = (
        f"{base.parameters / 1e9:.1f} billion weights"
        if base.parameters >= 1e9
        else f"{base.parameters / 1e6:.1f} million weights"
    )
    if base.parameters < SMALL:
        return "full", f"{size}: small enough to train them all"
    if data.train < FULL_NEEDS_PHOTOS:
        return "lora", f"{data.train:,} photos; below {FULL_NEEDS_PHOTOS:,} training all weights would overfit"
    needed = BYTES_A_WEIGHT * base.parameters
    if device.memory_bytes is None or needed > 0.6 * device.memory_bytes:
        room = "no accelerator known" if device.memory_bytes is None else f"{device.memory_bytes / GIB:.0f} GiB here"
        return "lora", f"all {size} need {needed / GIB:.0f} GiB before any picture; {room}"
    return "full", f"{data.train:,} photos, and {needed / GIB:.0f} GiB of weights and optimiser fit"


def _steps(start: Start, data: DataFacts, method: str, preset: Preset) -> tuple[int, str]:
    """LoRA: the published number for 20 to 100 photos, growing with the root of more of them, at most threefold."""
    if method == "full":
        return round(
            start.full_steps * SHARES[preset]
        ), f"{preset}: {SHARES[preset]:g} × {start.full_steps:,} for all weights"
    growth = min(3.0, max(1.0, math.sqrt(data.train / 100)))
    share = _LORA_BEST if preset == "best" else SHARES[preset]
    count = max(100, round(start.lora_steps * growth * share / 100) * 100)
    return count, f"{preset}: {share:g} × {start.lora_steps:,} for 100 photos, more for {data.train:,}"


Found = dict[str, tuple[Any, str]]


def _put(values: Values, reasons: Reasons, knobs: Found) -> None:
    for name, (value, reason) in knobs.items():
        values[name], reasons[name] = value, reason


def _sizes(
    start: Start, base: BaseFacts, data: DataFacts, device: DeviceFacts, method: str, resolution_px: int
) -> Found:
    batch = start.lora_batch if method == "lora" else start.full_batch
    memory = 0.0 if device.memory_bytes is None else device.memory_bytes / GIB
    # A first guess; the preflight measures it, and offers a smaller one where it does not fit.
    fits = 1 if memory < 30 else 2 if memory < 60 else 8
    micro = max(n for n in range(1, fits + 1) if batch % n == 0)
    blocks = "full" if memory < 30 or (method == "full" and memory < 100) else "half" if memory < 60 else "none"
    if base.parameters < SMALL:
        micro, blocks = 0, "none"
    is_oblong = data.oblong_share > _OBLONG
    own = (
        "the base’s own"
        if resolution_px == base.resolution_px
        else f"a draft; the base’s own is {base.resolution_px} px"
    )
    threads, micro, why_threads = _threads(base, device, batch, micro)
    at_once = "all at once: the model is small" if micro == 0 else f"{batch // micro} times {micro} add up to a batch"
    return {
        "resolution_px": (resolution_px, own),
        "buckets": (is_oblong, f"{data.oblong_share * 100:.0f} % of the photos are not square"),
        "enlarge_at_most": (ENLARGED_AT_MOST, "then a small photo is shown smaller, on its own border (PRX part 4)"),
        "batch_size": (batch, f"where {start.title} recipes of this method start"),
        "micro_batch": (micro, at_once),
        "checkpointing": (blocks, "the least that should fit this device; the preflight tells"),
        "precision": _precision(base, device),
        "threads": (threads, why_threads),
        "cache": (True, "pictures and captions are encoded once"),
    }


def _threads(base: BaseFacts, device: DeviceFacts, batch: int, micro_batch: int) -> tuple[int, int, str]:
    """Threads, pictures at once, and why: on a processor a small model is trained by a process on each core, which take
    equal parts of a batch."""
    count = max(n for n in range(1, min(device.cores, PROCESSES_AT_MOST) + 1) if batch % n == 0)
    if device.has_gpu or base.parameters >= SMALL or count == 1:
        return device.threads, micro_batch, "as the worker is set up"
    return count, batch // count, f"each of {count} cores learns from {batch // count} of the {batch} pictures"


def _compile(base: BaseFacts, device: DeviceFacts, blocks: str, steps: int) -> tuple[bool, str]:
    """Whether the preflight tries compiling. A try costs minutes, so only where it may pay."""
    if not device.has_gpu:
        return False, "off: on a CPU it takes long and gains nothing"
    if base.parameters < SMALL:
        return False, "off: the steps of so small a model are too short to pay it back"
    least = UNREPEATED_COMPILED_STEPS if blocks == "none" else COMPILED_STEPS
    if steps < least:
        return False, f"off: with fewer than {least:,} steps it is hardly paid back"
    return True, "tried by the preflight; the run is compiled only where that pays"


def _precision(base: BaseFacts, device: DeviceFacts) -> tuple[str, str]:
    if base.parameters < SMALL and not device.has_gpu:
        return "fp32", "a small model on a CPU: bf16 is no faster"
    return "bf16-autocast", "weights stay in fp32: stored in bf16 they cost PRX 3.7 points of FID"


def _rates(start: Start, base: BaseFacts, device: DeviceFacts, method: str, steps: int) -> Found:
    rate = start.lora_lr if method == "lora" else start.full_lr
    warmup = min(100 if method == "lora" else start.full_warmup, steps // 10)
    needed = BYTES_A_WEIGHT * base.parameters
    is_tight = method == "full" and device.memory_bytes is not None and needed > 0.4 * device.memory_bytes
    # The average remembers about the last twentieth of the run: slower, and a short run's would still be the base.
    decay = min(0.999, round(1 - 20 / max(40, steps), 4))
    loose, tight = (
        "Muon’s gain is shown for training from scratch only",
        "in 8 bits: its memory would not fit otherwise",
    )
    averaged = start.ema_every if steps >= 2000 else 1
    return {
        "lora_rank": (start.rank, f"alpha is the same; where {start.title} recipes start"),
        "optimiser": ("adamw8bit" if is_tight else "adamw", tight if is_tight else loose),
        "adamw_lr": (rate, f"{'LoRA' if method == 'lora' else 'all weights'} of {start.title}"),
        "muon_lr": (rate, "not used by AdamW"),
        "adamw_beta1": (0.9, "usual"),
        "adamw_beta2": (start.beta2, "as PRX was taught" if start.beta2 == 0.95 else "usual for fine-tunes"),
        "weight_decay": (0.0 if start.beta2 == 0.95 else 1e-4, "hardly any: a fine-tune is short"),
        "warmup_steps": (warmup, "at most a tenth of the run"),
        "constant_share": (0.1, "then down in a line"),
        "final_lr_share": (0.1, "a tenth is left at the end"),
        "clip_norm": (start.clip_norm, "as PRX was taught" if start.clip_norm < 1 else "usual"),
        "ema_decay": (decay, "remembers the last twentieth of the run"),
        "ema_every": (averaged, "as PRX was taught" if averaged > 1 else "every step"),
    }  # fmt: skip


def _losses(start: Start, base: BaseFacts, data: DataFacts, method: str, resolution_px: int) -> Found:
    tokens = (resolution_px // base.token_px) ** 2 if base.token_px else 0
    routes = method == "full" and base.family in ("prx", "prx_pixel") and tokens >= ROUTED_TOKENS
    few = f"{tokens:,} tokens; it pays from {ROUTED_TOKENS:,} on and with all weights trained"
    short = 0.3 if data.long_share > _LONG_CAPTIONS and data.caption_words >= 20 else 0.0
    return {
        "caption_dropout": (start.caption_dropout, "so that guidance has something to compare with"),
        "short_caption_share": (short, "short prompts must work too" if short else "the captions are short already"),
        "timestep_mean": (0.0, start.timesteps),
        "timestep_sd": (1.0, start.timesteps),
        "timestep_uniform_share": (start.uniform_share, start.timesteps),
        "timestep_shift": (0.0 if start.uniform_share < 1 else 1.0, "as the base was taught at this size"),
        "min_snr_gamma": (
            start.min_snr_gamma,
            "Hang et al. 2023" if start.min_snr_gamma else "the base learns velocities",
        ),
        "background_weight": (1.0, "off: what lies behind the product is learned like the product"),
        "velocity_floor": (0.05, "what drawing divides by at least"),
        "route_share": (0.35 if routes else 0.0, "SimpleTuner saw more than this slow learning" if routes else few),
        "teacher": ("", "REPA helps from scratch; a short fine-tune of a taught model does without"),
        "lpips": ("", "no LPIPS folder configured" if base.is_pixel else "for pixel models only"),
        "dino": ("", "no DINO folder configured" if base.is_pixel else "for pixel models only"),
        "second_from": (1.0, "one stage: the base knows this size"),
        **_drawing(start, base),
    }


def _drawing(start: Start, base: BaseFacts) -> Found:
    if base.few_steps:
        reason = "this base was distilled to draw so"
        return {"sampling_steps": (base.few_steps, reason), "guidance": (1.0, reason)}
    reason = f"what {start.title} is drawn with"
    return {"sampling_steps": (start.sampling_steps, reason), "guidance": (start.guidance, reason)}


def _rhythm(steps: int) -> Found:
    every = max(1, steps // _CHECKPOINTS)
    return {
        "checkpoint_every": (every, f"{_CHECKPOINTS} in the run: a sheet’s columns"),
        "validate_every": (every, "before each checkpoint"),
        "patience": (0, "off: it goes on to its last step"),
        "report_every": (10, "usual"),
        "max_wall_clock_s": (_DAY_S, "a day; the hard stop is set at the launch"),
    }
