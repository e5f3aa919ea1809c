"""What the loop keeps beside the weights: what is on disk, the last losses, and how a run begins, pauses and ends."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from PIL import Image

from app.datasets.manifest import ManifestRow
from app.errors import DiskFull
from app.training.learning import LEAST_PRODUCTS, Look
from app.training.recipe import Recipe
from workers import disk
from workers.disk import clear_leftovers, replaced_whole
from workers.errors import InputError
from workers.families import weights
from workers.families.export import Origin, export
from workers.families.registry import Family
from workers.finetune.batches import Members
from workers.finetune.checkpoint import (
    WEIGHTS,
    checkpoint_folder,
    latest_checkpoint,
    let_go_of_states,
    load_state,
    mark_exploded,
    read_sidecar,
    save_checkpoint,
)
from workers.finetune.clock import Clock, Reason, RunEnded
from workers.finetune.forward import Pass, validation_errors
from workers.finetune.learning_watch import LearningWatch, by_product, short, told
from workers.finetune.loss import BAND_COUNT, BandedLoss
from workers.finetune.ranks import ALONE, Ranks
from workers.finetune.report import Report, memory
from workers.finetune.train_state import Diverged, TrainState

PREVIEWS = "previews.json"
STATES_KEPT = 2
_DRAWN_AT_ONCE = 4
# What a checkpoint has to tell a run that goes on from it.
_TOLD = {"step": int, "recipe": dict, "learning_hash": str, "dataset_hash": str, "losses": dict, "best": dict}


@dataclass(frozen=True)
class Preview:
    """A picture drawn again and again while the run goes on."""

    prompt_id: int
    text: str
    seed: int


@dataclass
class LoopState:
    """One process's work on a run."""

    recipe: Recipe
    out: Path
    report: Report
    clock: Clock
    family: Family
    dataset_hash: str
    ranks: Ranks = ALONE
    members: Mapping[str, str] = field(default_factory=dict)  # `part_hashes` of them
    train_state: TrainState | None = None
    facts: dict[str, object] = field(default_factory=dict)
    step: int = 0
    photos: Sequence[ManifestRow] = ()

    def __post_init__(self) -> None:
        self._validation: dict[str, Any] = {}
        self._best: dict[str, Any] = {}
        self._saved: tuple[int, Path] | None = None
        self._watch = LearningWatch()
        self._passed_over: list[str] = []

    @property
    def trained(self) -> TrainState:
        """The train_state, once there is one."""
        assert self.train_state is not None  # noqa: S101 - set before the first step
        return self.train_state

    def look_back(self) -> None:
        """Find the latest checkpoint that is what was saved, if there is one: the same for all processes.

        Nobody else may be at work in `out`: what an earlier attempt left half-written is deleted. Raises `InputError`
        when it is another run's, and when none of several is whole: to begin again is for a person to decide.
        """
        step = self.ranks.same(self._saved_step() if self.ranks.is_main else 0)
        if step == 0:
            return
        folder = checkpoint_folder(self.out, step)
        sidecar = read_sidecar(folder)
        if sidecar["learning_hash"] != self._learning_hash:
            raise InputError(f"{folder} was learned {self._otherwise(sidecar)}")
        if (known := sidecar.get("base_revision", "")) and known != self.family.base_revision:
            raise InputError(
                f"{folder} was learned from another commit of the base: base_revision is "
                f"{self.family.base_revision or 'empty'} and was {known}. Start a new run or restore the recipe."
            )
        if sidecar["dataset_hash"] != self.dataset_hash:
            raise InputError(f"{folder} was learned from other members{self._other_parts(sidecar)}")
        self.step = step
        self._saved = (step, folder)
        self._validation = dict(sidecar["losses"]["validation"])
        self._best = dict(sidecar["best"])
        self._watch = LearningWatch(sidecar.get("watch"))

    @property
    def saved_weights(self) -> Path | None:
        """The averaged weights that were found looking back, or None to start from the base's."""
        return self._saved[1] / WEIGHTS if self._saved is not None else None

    def take_up(self, train_state: TrainState) -> None:
        """Learn with `train_state` from here on: from what was found looking back, or from the beginning.

        Its model already holds `saved_weights`.
        """
        self.train_state = train_state
        if self._saved is not None:
            train_state.restore(load_state(self._saved[1]))

    def begin(self, training: Members, validation: Members, notes: Sequence[str]) -> None:
        """Say what is about to run and what is worth knowing about it, and measure and draw where it starts from.

        Raises `InputError` when the disk cannot hold two checkpoints.
        """
        self._check_space()
        remarks = [*self._passed_over, *notes]
        products = len(set(validation.groups))
        if self.recipe.patience and products < LEAST_PRODUCTS:
            few = f"{products} of {LEAST_PRODUCTS} products that this takes are held out"
            remarks.append(f"Nobody can tell when it stops learning, so it does not stop early: {few}.")
        self._tell(
            "started",
            step=self.step,
            steps=self.recipe.steps,
            train_count=len(training),
            validation_count=len(validation),
            parameters=sum(p.numel() for p in self.family.model.parameters()),
            trained_parameters=sum(p.numel() for p in self.trained.parameters.values()),
            device=_name(next(self.family.model.parameters()).device),
            buckets=[[*training.size(bucket[0]), len(bucket)] for bucket in training.buckets if bucket],
            recipe_hash=self.recipe.recipe_hash(),
            dataset_hash=self.dataset_hash,
            **({"base_revision": revision} if (revision := self.family.base_revision) else {}),
            **({"note": " ".join(remarks)} if remarks else {}),
        )
        # A look that an interruption adds counts for nothing, so that the run ends where it would have.
        self.validate(validation, is_counted=self.step == 0 or not self._watch.is_known)
        if self.step == 0:
            self.sample()
        self._look_at_learning()

    def look(self) -> None:
        """Between two steps: raises `RunEnded` when the run has to end before its last one."""
        if self.step < self.recipe.steps:
            self.clock.look("train", self.step, self.recipe.steps)
        self._look_at_learning()

    def has_exploded(self, passes: Pass) -> bool:
        """Take in the errors of the step that was just made; whether the loss has exploded."""
        stage = self.recipe.stage(self.step - 1).number
        is_over = self._watch.step(self.step, stage, passes.errors, passes.timesteps, self.ranks)
        return self._watch.divergence.ends() if self.step == self.recipe.steps else is_over

    def is_due(self, every: int) -> bool:
        """Whether what happens every so many steps happens now; the last step is always one."""
        return self.step % every == 0 or self.step == self.recipe.steps

    def tell_step(self, facts: dict[str, object]) -> None:
        """Tell what the last steps were like. Raises `Diverged` when the loss has exploded."""
        self.facts = facts
        self._tell("step", **facts, **memory(next(self.family.model.parameters()).device))
        self.clock.took("step", float(str(facts["step_s"])))
        self._check_loss()

    def validate(self, members: Members, is_counted: bool = True) -> None:
        """The averaged weights' error on the validation members, under noise and timesteps that never change.

        After a resume it has to be what was saved: a checkpoint that was not really put back shows here. Raises
        `Diverged` where the weights are worse than the base by so much that the loss has exploded.
        """
        if len(members) == 0:
            return
        self.clock.begin("validate", len(members) * BAND_COUNT)
        losses, by_member = BandedLoss(), [0.0] * len(members)
        with self.trained.averaged():
            for errors, timesteps, numbers in validation_errors(self.family, members, self.recipe, self.ranks):
                losses.add(errors, timesteps)
                for number, error in zip(numbers, errors.tolist(), strict=True):
                    by_member[number] += error / BAND_COUNT
                self.clock.look("validate", losses.count() * self.ranks.world_size, len(members) * BAND_COUNT)
        losses.add_others(self.ranks)
        products = by_product(members.groups, self.ranks.totals(by_member))
        loss = losses.mean()
        self.trained.check(loss, "validation loss", max(self.step, 1) - 1)
        # Other threads and processes add up in another order.
        if self._validation.get("step") == self.step and not math.isclose(
            loss, self._validation["loss"], rel_tol=1e-6 if self._device.type == "cpu" else 1e-3
        ):
            raise InputError(
                f"The checkpoint of step {self.step} gives the validation loss {loss:.6f} and was saved with "
                f"{self._validation['loss']:.6f}: it was not put back as it was."
            )
        if is_counted:
            self._watch.validated(Look(self.step, loss, products), losses.by_band())
            if self.step < self.recipe.warmup_steps:
                self._watch.is_warming_up()
        training = [None if level is None else short(level) for level in self._watch.divergence.losses]
        look = Look(self.step, loss, products, tuple(training))
        no_better = self._watch.streak.length
        self._validation = {**told(look), "loss_by_band": losses.by_band(), "no_better": no_better}
        if not self._best or loss < self._best["loss"]:
            self._best = {"step": self.step, "loss": loss}
        self._tell("validation", **self._validation)
        self._check_loss()

    def save(self) -> None:
        """Write the checkpoint of this step: the same whole one, however many processes there are."""
        started = time.monotonic()
        folder = checkpoint_folder(self.out, self.step)
        self._watch.saved(self.step, self._validation["loss"] if self._validation.get("step") == self.step else None)
        with self.clock.moving("save"):
            state = self.trained.state()
            if self.ranks.is_main:
                size_bytes = self._write(state)
            else:
                self._write_averaged(folder)
        if self.ranks.is_main:
            seconds = round(time.monotonic() - started, 3)
            relative_path = str(folder.relative_to(self.out))
            self._tell("checkpoint", step=self.step, folder=relative_path, size_bytes=size_bytes, seconds=seconds)
            let_go_of_states(self.out, STATES_KEPT, self._watch.last_sound())
        self.ranks.wait()
        self.clock.took("save", time.monotonic() - started)
        self._saved = (self.step, folder)

    def sample(self) -> None:
        """Draw the previews's pictures with the averaged weights, as they will be drawn from the finished model.

        All processes draw them all, because each may hold only a part of the weights.
        """
        previews = read_previews(self.out)
        if not previews:
            return
        self.clock.begin("sample", len(previews))
        started = time.monotonic()
        folder = self.out / "samples" / f"step-{self.step:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        with self.trained.averaged():
            for start in range(0, len(previews), _DRAWN_AT_ONCE):
                chunk = previews[start : start + _DRAWN_AT_ONCE]
                for preview, picture in zip(chunk, draw_previews(self.family, self.recipe, chunk), strict=True):
                    file = folder / f"{preview.prompt_id}-{preview.seed}.png"
                    if self.ranks.is_main:
                        Image.fromarray(picture.numpy()).save(file)
                    files.append(
                        {"prompt_id": preview.prompt_id, "seed": preview.seed, "file": str(file.relative_to(self.out))}
                    )
                self.clock.look("sample", len(files), len(previews))
        self.family.free_encoders()
        seconds = time.monotonic() - started
        self.clock.took("picture", seconds / len(files))
        self._tell("samples", step=self.step, files=files, seconds=round(seconds, 3))

    def finish(self, reason: Reason) -> Reason:
        """Save what is not yet saved and write OUT/model, unless the person asked to throw the rest away.

        The reason that was told: a clock that runs out after the last step has ended nothing. Raises `Diverged` where
        the loss exploded since its last window was full.
        """
        if self.step == self.recipe.steps and reason != "stopped":
            reason = "completed"
        is_discarded = reason == "stopped" and self.report.stop_request() == "discard"
        is_wanted = not self.ranks.same(is_discarded)
        if is_wanted and self._watch.divergence.ends():
            self.salvage_and_raise(self._exploded())
        if is_wanted and self.train_state is not None and self.step > 0 and (self._saved or (0,))[0] != self.step:
            self.save()
        model_step = self._model_step(reason) if is_wanted and self._saved is not None else 0
        if model_step:
            self._export(model_step)
        facts: dict[str, object] = {"model_step": model_step}
        if reason == "no_better":
            reference = self._watch.streak.reference
            facts |= {"looks": self._watch.streak.length, "than_step": reference.step if reference else 0}
        elapsed_s = round(self.report.spent_s(), 3)
        self._tell("finished", reason=reason, step=self.step, kept=model_step > 0, elapsed_s=elapsed_s, **facts)
        return reason

    def salvage_and_raise(self, error: Diverged) -> NoReturn:
        """Write OUT/model from the last checkpoint before the loss rose; no run goes on from later ones.

        `error` is raised again and tells what there is. For all processes.
        """
        good_step = self._watch.last_sound()
        error.facts = {"good_step": good_step, "model_step": 0}
        # A full disk must not hide why the run ended.
        with suppress(DiskFull):
            if self.ranks.is_main:
                mark_exploded(self.out, good_step)
            if good_step:
                self._export(good_step)
                error.facts["model_step"] = good_step
        raise error

    def _check_loss(self) -> None:
        if self._watch.divergence.is_over:
            raise self._exploded()

    def _exploded(self) -> Diverged:
        known = self._watch.divergence
        times = f"{known.above:,.1f}" if known.above < 100 else f"{min(known.above, 1e6):,.0f}"
        times = f"more than {times}" if known.above > 1e6 else times
        return Diverged(
            f"The loss exploded: since step {known.since or 0:,} it stays far above what it started from, "
            f"{times} times at step {self.step:,}, with a learning rate of "
            f"{self.trained.lr(self.step - 1):.1e}: it is too high for this model."
        )

    def _model_step(self, reason: Reason) -> int:
        """The checkpoint that becomes the finished model: the last one, unless it is known to be worse than another."""
        if reason == "no_better":
            return self._watch.best_saved()
        is_sound = self._watch.divergence.since is None
        return (self._saved or (0,))[0] if is_sound else self._watch.last_sound()

    def _look_at_learning(self) -> None:
        patience = self.recipe.patience
        if patience and self._watch.streak.length >= patience and self.step < self.recipe.steps:
            raise RunEnded("no_better")

    @property
    def _learning_hash(self) -> str:
        return self.recipe.learning_hash(self._base_shift)

    @property
    def _base_shift(self) -> float:
        return self.family.shift(self.recipe.resolution_px, self.recipe.resolution_px)

    def _otherwise(self, sidecar: Mapping[str, Any]) -> str:
        """In what the learning that a checkpoint tells of differs from this one."""
        differences = self.recipe.differences(sidecar["recipe"])
        if differences:
            return f"with another recipe: {'; '.join(differences)}. Start a new run or restore the recipe."
        meanings = "; ".join(self.recipe.new_meanings(self._base_shift).values()) or "recipes are hashed otherwise"
        return f"by an earlier version of Packshot: {meanings} now. Start a new run; its checkpoints still draw."

    def _other_parts(self, sidecar: Mapping[str, Any]) -> str:
        """In what the members that a checkpoint tells of differ from these; before 30 November 2026 none told it."""
        known = sidecar.get("members", {})
        odd = [name for name, digest in self.members.items() if known.get(name, digest) != digest]
        # Other pictures have other captions, too, and that goes without saying.
        named = f": other {' and '.join(odd[:1] if odd[0] == 'pictures' else odd)}" if odd else ""
        return f"{named}. Start a new run or restore the manifest."

    def _saved_step(self) -> int:
        """The step of the latest checkpoint that a run can go on from; 0 without any. Newer ones are told of."""
        clear_leftovers(self.out)
        with self.clock.moving("load"):
            folder, faults = latest_checkpoint(self.out, _TOLD)
        if folder is None and faults:
            raise InputError(f"No usable checkpoint in {self.out}. {' '.join(faults)}")
        step = int(read_sidecar(folder)["step"]) if folder is not None else 0
        self._passed_over = [*faults, f"The run goes on from step {step:,} instead."] if faults else []
        return step

    def _export(self, step: int) -> None:
        started = time.monotonic()
        checkpoint = checkpoint_folder(self.out, step)
        origin = Origin(self.recipe, self.dataset_hash, step, self.photos)
        with self.clock.moving("export"), self.ranks.as_loaded(self.family.model):
            if self.ranks.is_main:
                with replaced_whole(self.out / "model") as temporary:
                    export(self.family, checkpoint / WEIGHTS, temporary, origin)
        self.ranks.wait()
        self.clock.took("export", time.monotonic() - started)

    def _write(self, state: Mapping[str, torch.Tensor]) -> int:
        """Write the checkpoint of this step; its bytes."""
        facts = {
            "recipe": self.recipe.model_dump(mode="json"),
            "recipe_hash": self.recipe.recipe_hash(),
            "learning_hash": self._learning_hash,
            "dataset_hash": self.dataset_hash,
            "members": dict(self.members),
            "base_revision": self.family.base_revision,
            "elapsed_s": self.report.spent_s(),
            "losses": {"training": self.facts, "validation": self._validation},
            "best": self._best,
            "watch": self._watch.state(),
        }
        return save_checkpoint(self.out, self.step, self._write_averaged, state, facts).size_bytes

    def _check_space(self) -> None:
        # A checkpoint holds the averaged and the trained weights and up to two numbers of memory for each weight.
        weights_bytes = sum(p.numel() * p.element_size() for p in self.trained.parameters.values())
        needed, free = 2 * 4 * weights_bytes, disk.free_for_us(self.out)
        if free < needed:
            raise InputError(f"The disk of {self.out} has {free:,} bytes for this; two checkpoints need {needed:,}.")

    def _write_averaged(self, folder: Path) -> None:
        with self.trained.averaged(), self.ranks.as_loaded(self.family.model):
            if self.ranks.is_main:
                weights.save(self.family, folder)

    def _tell(self, kind: Any, **facts: object) -> None:
        self.report.tell(kind, **facts)
        self.clock.heard()

    @property
    def _device(self) -> torch.device:
        return next(self.family.model.parameters()).device


def read_previews(out: Path) -> list[Preview]:
    """What OUT/previews.json asks to be drawn; nothing without it. Raises `InputError` for a broken file."""
    file = out / PREVIEWS
    if not file.exists():
        return []
    try:
        return [
            Preview(int(entry["prompt_id"]), str(entry["text"]), int(entry["seed"]))
            for entry in json.loads(file.read_text())
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"The pictures asked for in {file} cannot be read: {error}.") from error


def draw_previews(family: Family, recipe: Recipe, previews: Sequence[Preview]) -> torch.Tensor:
    """Pictures uint8 [len(previews), S, S, 3], drawn as the recipe says."""
    texts, seeds = [preview.text for preview in previews], [preview.seed for preview in previews]
    return family.draw(texts, seeds, recipe.resolution_px, recipe.sampling_steps, recipe.guidance)


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
