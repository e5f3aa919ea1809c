"""The training loop. It reads top to bottom: load, prepare, then per step the same bands in the same order."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from app.datasets.manifest import ManifestError, ManifestRow, content_hash, read_manifest
from app.training.recipe import Recipe
from workers.families.registry import Family, load_family
from workers.finetune.batches import Batch, Members, training_batches
from workers.finetune.checkpoint import (
    latest_checkpoint,
    load_state,
    read_sidecar,
    replaced_whole,
    save_checkpoint,
)
from workers.finetune.learner import Learner
from workers.finetune.loss import BAND_COUNT, BandedLoss, draw_timesteps, keyed_generator
from workers.finetune.report import Progress, Report
from workers.refusals import Refusal

VALIDATION_AT_MOST = 64
Reason = Literal["completed", "stopped", "out_of_time"]


def train(recipe: Recipe, manifest: Path, out: Path, report: Report, device: torch.device, resume: bool) -> Reason:
    """Train the recipe's base with the manifest's members; checkpoints and the finished model go to `out`.

    Returns why it ended. Raises `Refusal` for input that cannot be worked on, `Diverged` when the loss is no number.
    """
    # load
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(recipe.threads)
    rows = _read_rows(manifest)
    family = load_family(recipe.family, recipe.base, device)
    training = Members([r for r in rows if r.split == "train"], manifest.parent, recipe.resolution_px, family)
    validation = Members(_validation_rows(rows), manifest.parent, recipe.resolution_px, family)

    # prepare
    learner = Learner(family.model, recipe)
    run = _Run(recipe, out, report, family, learner, content_hash(rows))
    first_step = run.resume() if resume else 0
    _check_space(out, learner)
    progress = Progress(recipe.batch_size)
    parameters = sum(p.numel() for p in learner.model.parameters())
    report.tell(
        "started",
        step=first_step,
        steps=recipe.steps,
        train_count=len(training),
        validation_count=len(validation),
        parameters=parameters,
        device=str(device),
        recipe_hash=recipe.recipe_hash(),
        dataset_hash=run.dataset_hash,
    )
    run.validate(validation, first_step)
    reason: Reason = "completed"
    step = first_step

    for step, batch in enumerate(training_batches(training, recipe, first_step), start=first_step + 1):
        # step
        progress.begin()
        generator = keyed_generator(device, recipe.seed, "step", step)
        timesteps = draw_timesteps(len(batch.pictures), recipe, generator)
        errors = batch_errors(family, learner.model, batch, timesteps, generator, recipe)
        grad_norm = learner.update(errors.mean(), step - 1)
        progress.end(errors.detach(), timesteps, grad_norm)

        # report
        if step % recipe.report_every == 0 or step == recipe.steps:
            run.facts = progress.facts(step, learner.lr(step - 1))
            report.tell("step", **run.facts)

        # validate
        if step % recipe.validate_every == 0 or step == recipe.steps:
            run.validate(validation, step)

        # checkpoint
        if step % recipe.checkpoint_every == 0 or step == recipe.steps:
            run.save(step)
        progress.rest()

        # stop?
        if report.stop_request() is not None and step < recipe.steps:
            reason = "stopped"
            break
        if run.is_out_of_time() and step < recipe.steps:
            reason = "out_of_time"
            break

    run.finish(step, reason)
    return reason


def batch_errors(
    family: Family,
    model: torch.nn.Module,
    batch: Batch,
    timesteps: torch.Tensor,
    generator: torch.Generator,
    recipe: Recipe,
) -> torch.Tensor:
    """The error of each picture of the batch, float32 [B], under noise drawn from `generator`."""
    device = timesteps.device
    clean = family.to_input(batch.pictures.to(device))
    noise = family.start_noise(clean.shape, generator)
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16-autocast"):
        return family.errors(
            model, clean, noise, timesteps, batch.text.to(device), batch.mask.to(device), recipe.velocity_floor
        )


@dataclass
class _Run:
    """What the loop keeps beside the weights: the clock, the last losses, and what is already on disk."""

    recipe: Recipe
    out: Path
    report: Report
    family: Family
    learner: Learner
    dataset_hash: str

    def __post_init__(self) -> None:
        self.facts: dict[str, object] = {}
        self._validation: dict[str, object] = {}
        self._saved: tuple[int, Path] | None = None
        self._longest_save_s = 0.0
        self._started = time.monotonic()
        self._device = next(self.learner.model.parameters()).device

    def resume(self) -> int:
        """Put back the latest complete checkpoint; its step, or 0 when there is none yet."""
        folder = latest_checkpoint(self.out)
        if folder is None:
            return 0
        sidecar = read_sidecar(folder)
        if sidecar["learning_hash"] != self.recipe.learning_hash():
            raise Refusal(f"{folder} was learned with another recipe; start a new run or restore the recipe.")
        if sidecar["dataset_hash"] != self.dataset_hash:
            raise Refusal(f"{folder} was learned from other members; start a new run or restore the manifest.")
        state = load_state(folder)
        # The averaged weights pass through the model because only the family knows how they are stored.
        self.family.load_weights(folder / "transformer")
        averaged = {name: tensor.clone() for name, tensor in self.learner.model.state_dict().items()}
        self.learner.restore(state, averaged)
        self._started -= float(sidecar["elapsed_s"])
        self._saved = (int(sidecar["step"]), folder)
        return int(sidecar["step"])

    def validate(self, members: Members, step: int) -> None:
        """The averaged weights' error on the validation members, under noise and timesteps that never change."""
        if len(members) == 0:
            return
        losses = BandedLoss()
        with torch.inference_mode():
            for start in range(0, len(members), self.recipe.batch_size):
                batch = members.batch(range(start, min(start + self.recipe.batch_size, len(members))))
                for band in range(BAND_COUNT):
                    timesteps = torch.full((len(batch.pictures),), (band + 0.5) / BAND_COUNT, device=self._device)
                    generator = keyed_generator(self._device, self.recipe.seed, "validation", start)
                    errors = batch_errors(self.family, self.learner.ema, batch, timesteps, generator, self.recipe)
                    losses.add(errors, timesteps)
        self.learner.check(losses.mean(), "validation loss", max(step, 1) - 1)
        self._validation = {"step": step, "loss": losses.mean(), "loss_by_band": losses.by_band()}
        self.report.tell("validation", **self._validation)

    def save(self, step: int) -> None:
        """Write the checkpoint of `step`."""
        started = time.monotonic()
        saved = save_checkpoint(
            self.out,
            step,
            lambda folder: self.family.save_weights(self.learner.ema, folder),
            self.learner.state(),
            {
                "recipe": self.recipe.model_dump(mode="json"),
                "recipe_hash": self.recipe.recipe_hash(),
                "learning_hash": self.recipe.learning_hash(),
                "dataset_hash": self.dataset_hash,
                "elapsed_s": time.monotonic() - self._started,
                "losses": {"training": self.facts, "validation": self._validation},
            },
        )
        seconds = time.monotonic() - started
        self._longest_save_s = max(self._longest_save_s, seconds)
        self._saved = (step, saved.folder)
        folder = str(saved.folder.relative_to(self.out))
        self.report.tell("checkpoint", step=step, folder=folder, size_bytes=saved.size_bytes, seconds=round(seconds, 3))

    def is_out_of_time(self) -> bool:
        """Whether what is left of the wall clock is needed for the last checkpoint and the export."""
        needed_s = 1.0 + 2.0 * self._longest_save_s
        return time.monotonic() - self._started + needed_s >= self.recipe.max_wall_clock_s

    def finish(self, step: int, reason: Reason) -> None:
        """Save what is not yet saved and write OUT/model, unless the person asked to throw the rest away."""
        kept = not (reason == "stopped" and self.report.stop_request() == "discard")
        if kept and (self._saved is None or self._saved[0] != step):
            self.save(step)
        if kept and self._saved is not None:
            with replaced_whole(self.out / "model") as temporary:
                self.family.export(self._saved[1] / "transformer", temporary)
        elapsed_s = round(time.monotonic() - self._started, 3)
        self.report.tell("finished", reason=reason, step=step, kept=kept, elapsed_s=elapsed_s)


def _read_rows(manifest: Path) -> list[ManifestRow]:
    try:
        rows = read_manifest(manifest)
    except ManifestError as error:
        raise Refusal(str(error)) from error
    if not any(row.split == "train" for row in rows):
        raise Refusal(f"The manifest {manifest} has no members to learn from.")
    return rows


def _validation_rows(rows: list[ManifestRow]) -> list[ManifestRow]:
    held_out = sorted((r for r in rows if r.split == "validation"), key=lambda r: (r.sha256, r.caption))
    return held_out[:: -(-len(held_out) // VALIDATION_AT_MOST) or 1]


def _check_space(out: Path, learner: Learner) -> None:
    # A checkpoint holds the averaged and the trained weights and up to two numbers of memory for each weight.
    weights_bytes = sum(p.numel() * p.element_size() for p in learner.model.parameters())
    needed, free = 2 * 4 * weights_bytes, shutil.disk_usage(out).free
    if free < needed:
        raise Refusal(f"The disk of {out} has {free:,} bytes free; two checkpoints need {needed:,}.")
