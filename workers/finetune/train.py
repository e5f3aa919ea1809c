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
    run.tell_started(first_step, len(training), len(validation))
    run.validate(validation, first_step)
    progress = Progress(recipe.batch_size)
    reason: Reason | None = None
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
        if run.is_due(step, recipe.report_every):
            run.facts = progress.facts(step, learner.lr(step - 1))
            report.tell("step", **run.facts)

        # validate
        if run.is_due(step, recipe.validate_every):
            run.validate(validation, step)

        # checkpoint
        if run.is_due(step, recipe.checkpoint_every):
            run.save(step)
        progress.rest()

        # stop?
        reason = run.reason_to_end(step)
        if reason is not None:
            break

    run.finish(step, reason or "completed")
    return reason or "completed"


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

    def tell_started(self, first_step: int, train_count: int, validation_count: int) -> None:
        """Say what is about to run."""
        self.report.tell(
            "started",
            step=first_step,
            steps=self.recipe.steps,
            train_count=train_count,
            validation_count=validation_count,
            parameters=sum(p.numel() for p in self.learner.model.parameters()),
            device=str(self._device),
            recipe_hash=self.recipe.recipe_hash(),
            dataset_hash=self.dataset_hash,
        )

    def is_due(self, step: int, every: int) -> bool:
        """Whether what happens every so many steps happens after `step`; the last step is always one."""
        return step % every == 0 or step == self.recipe.steps

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

    def reason_to_end(self, step: int) -> Reason | None:
        """Why the run ends after `step`, if it does: the plan, a person, or the clock.

        Of the wall clock enough is kept back for a last checkpoint and the export.
        """
        needed_s = 1.0 + 2.0 * self._longest_save_s
        if step == self.recipe.steps:
            return "completed"
        if self.report.stop_request() is not None:
            return "stopped"
        if time.monotonic() - self._started + needed_s >= self.recipe.max_wall_clock_s:
            return "out_of_time"
        return None

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
