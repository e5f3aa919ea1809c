"""The training loop. It reads top to bottom: load, prepare, then per step the same bands in the same order."""

from __future__ import annotations

from pathlib import Path

import torch

from app.datasets.manifest import ManifestRow, content_hash, part_hashes
from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families.fetch import kept_to
from workers.families.registry import Family, load_family
from workers.finetune.batches import Members, Texts, captions_of, training_batches
from workers.finetune.cache import TensorCache
from workers.finetune.clock import Clock, Reason, RunEnded, asked_to_draw
from workers.finetune.forward import forward_batches
from workers.finetune.loop_state import LoopState
from workers.finetune.members import faults, notes, read_rows, validation_rows
from workers.finetune.ranks import ALONE, Ranks
from workers.finetune.report import Progress, Report
from workers.finetune.train_state import Diverged, keeps_base_narrow, make_train_state


def train(
    recipe: Recipe,
    manifest: Path,
    out: Path,
    report: Report,
    device: torch.device,
    resume: bool,
    cache: Path | None = None,
    ranks: Ranks = ALONE,
) -> Reason:
    """Train the recipe's base with the manifest's members; checkpoints and the finished model go to `out`.

    Encoded members are kept in `cache`, by default OUT/cache. Each of several processes calls this with own `ranks`.
    Returns why it ended. Raises `InputError` for bad input, `Diverged` when the loss explodes.
    """
    # load
    torch.set_num_threads(max(1, recipe.threads // ranks.world_size))
    clock = Clock(recipe, out, report, ranks)
    clock.sign_of_life("load", 0)
    rows = read_rows(manifest)
    family = load_base(recipe, device, out if resume else None)
    run = LoopState(recipe, out, report, clock, family, content_hash(rows), ranks, part_hashes(rows), photos=rows)
    remarks = look_at(rows, run, resume)

    try:
        # prepare
        training, validation = encode(rows, manifest.parent, recipe, family, clock, cache or out / "cache", ranks)
        train_state, auxiliary = make_train_state(family, recipe, ranks, run.saved_weights)
        run.take_up(train_state)
        run.begin(training[0], validation, [*remarks, *auxiliary.notes])
        progress = Progress()
        for batches in training_batches(training, recipe, run.step, ranks.rank, ranks.world_size):
            # step
            progress.begin()
            passes = forward_batches(family, batches, recipe, run.step, device, auxiliary, train_state.gather)
            grad_norm = train_state.update(run.step)
            run.step += 1
            progress.end(passes.errors, passes.timesteps, grad_norm)

            # report
            if run.has_exploded(passes) or run.is_due(recipe.report_every):
                run.tell_step(progress.facts(run.step, train_state.lr(run.step - 1), ranks))

            # validate
            if run.is_due(recipe.validate_every):
                run.validate(validation)

            # checkpoint, sample
            is_asked = asked_to_draw(out, ranks)
            if run.is_due(recipe.checkpoint_every) or is_asked:
                run.save()
                run.sample()
            progress.rest()

            run.look()  # stop?
    except RunEnded as ended:
        return run.finish(ended.reason)
    except Diverged as error:
        run.salvage_and_raise(error)
    return run.finish("completed")


def load_base(recipe: Recipe, device: torch.device, resumed: Path | None = None) -> Family:
    """The recipe's base on the device; of a model hub, the commit that the recipe names or the hub's newest.

    The run in the folder `resumed` goes on from the commit it began from, whatever its name stands for by now. Raises
    `InputError`.
    """
    revision = recipe.base_revision if resumed is None else kept_to(recipe, resumed)
    return load_family(recipe.family, recipe.base, device, keeps_base_narrow(recipe, device), revision)


def look_at(rows: list[ManifestRow], run: LoopState, resume: bool) -> list[str]:
    """What is worth knowing of the members, once it is known where the run goes on from.

    Raises `InputError` for members that no run should begin with. One that is under way has begun with them, so there
    it is only told.
    """
    if resume:
        run.look_back()
    sentences = faults(rows)
    if sentences and run.step == 0:
        raise InputError(" ".join(sentences))
    return [*sentences, *notes(rows, run.recipe, run.family)]


def encode(
    rows: list[ManifestRow], folder: Path, recipe: Recipe, family: Family, clock: Clock, cache: Path, ranks: Ranks
) -> tuple[list[Members], Members]:
    """The training members of each stage and the validation members, captions and pictures encoded or found again.

    Afterwards the encoders have left the device. Raises `RunEnded` in between when the run has to end.
    """
    kept = TensorCache(cache)
    clock.begin("encode", len(rows))
    learned = [row for row in rows if row.split == "train"]
    held_out = validation_rows(rows)
    captions = captions_of(learned, held_out, recipe)
    texts = Texts(captions, family, kept if recipe.cache else None, clock.looking("encode"), ranks)
    stages = sorted({recipe.stage(0), recipe.stage(recipe.steps - 1)}, key=lambda stage: stage.number)
    bound = recipe.enlarge_at_most
    needs_pictures, needs_masks = bool(recipe.teacher), recipe.needs_masks
    training = [
        Members(learned, folder, family, texts, stage.resolution_px, recipe.buckets, needs_pictures, bound,
                needs_masks=needs_masks)
        for stage in stages
    ]  # fmt: skip
    # Validation stays at the first stage's size, so that its curve is one curve; and no mask weighs there, so that runs
    # compare.
    validation = Members(held_out, folder, family, texts, recipe.resolution_px, recipe.buckets, False, bound)
    for members in (*training, validation):
        if family.autoencoder_files and recipe.cache:
            members.encode(kept, clock.looking("encode"), ranks)
        else:
            members.decode(clock.looking("encode"), ranks)
    family.free_encoders()
    return training, validation
