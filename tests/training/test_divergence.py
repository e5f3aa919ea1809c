"""The rules on real losses: runs recorded by benchmarks/loss_series.py, sound, memorising and exploding ones."""

from __future__ import annotations

import json
import lzma
import math
from pathlib import Path
from typing import Any

import pytest

from app.training.divergence import Divergence
from app.training.learning import Look, Streak, verdict

SERIES: list[dict[str, Any]] = json.loads(lzma.decompress(Path(__file__).with_name("series.json.xz").read_bytes()))
BY_NAME = {run["name"]: run for run in SERIES}
HOT = [name for name in BY_NAME if name.startswith(("muon ", "adamw "))]
EXPLODING = [name for name in HOT if " 0.01" not in name]
MEMORISING = ["17 photos", "8 photos"]
SOUND = [name for name in BY_NAME if name not in HOT]


def replayed(run: dict[str, Any], watch: Divergence | None = None) -> tuple[Divergence, list[Look]]:
    """The run as its trainer would have followed it, to its explosion or its end."""
    watch = watch or Divergence()
    second = math.ceil(run["second_from"] * run["of"])
    looks, told = [], dict(run["looks"])

    def look(step: int) -> None:
        loss = sum(told[step]) / len(told[step])
        looks.append(Look(step, loss, tuple((1, photo) for photo in told[step]), tuple(watch.losses)))
        watch.validated(loss, looks[0].loss)

    sums, counts = run["steps"][0]
    watch.begin([total / count if count else None for total, count in zip(sums, counts, strict=True)])
    look(0)
    for step, (sums, counts) in enumerate(run["steps"], start=1):
        if watch.take(step, int(step > second), sums, counts):
            break
        if step in told:
            look(step)
    return watch, looks


def test_there_is_something_to_go_by() -> None:
    assert len(SOUND) >= 20 and len(EXPLODING) == 10


@pytest.mark.parametrize("name", SOUND)
def test_no_sound_run_is_said_to_explode(name: str) -> None:
    watch, _ = replayed(BY_NAME[name])
    assert not watch.is_over and watch.since is None


@pytest.mark.parametrize("name", EXPLODING)
def test_every_run_that_explodes_is_stopped_within_twenty_steps(name: str) -> None:
    watch, looks = replayed(BY_NAME[name])
    assert watch.is_over and watch.above > 2
    assert watch.since is not None and watch.since <= 10
    assert looks[-1].step <= 20


@pytest.mark.parametrize("name", [name for name in SOUND if name not in (*MEMORISING, "batch of 1")])
def test_no_run_that_learns_is_warned_of_or_stopped(name: str) -> None:
    _, looks = replayed(BY_NAME[name])
    assert verdict(looks).worse_since is None
    streak = Streak()
    for look in looks:
        streak = streak.after(look)
        assert streak.length < 3


@pytest.mark.parametrize("name", MEMORISING)
def test_runs_that_memorise_their_photos_are_overfitting(name: str) -> None:
    _, looks = replayed(BY_NAME[name])
    told = verdict(looks)
    assert told.is_overfitting
    assert told.lowest == 50 and told.worse_since is not None and told.worse_since <= 100


@pytest.mark.parametrize("name", [name for name in HOT if name not in EXPLODING])
def test_runs_that_are_spoilt_without_exploding_are_worse_and_not_overfitting(name: str) -> None:
    _, looks = replayed(BY_NAME[name])
    told = verdict(looks)
    assert told.worse_since is not None and not told.is_overfitting


def run_of(factors: list[float], stage_from: int = 10**6) -> Divergence:
    """Steps of 32 pictures, 8 in each band, whose losses are such factors of 0.1, 0.05, 0.2 and 0.3."""
    watch = Divergence()
    for step, factor in enumerate(factors, start=1):
        watch.take(step, int(step >= stage_from), [8 * loss * factor for loss in (0.1, 0.05, 0.2, 0.3)], [8] * 4)
    return watch


def test_a_loss_that_stays_up_explodes_and_one_that_comes_down_does_not() -> None:
    assert run_of([1.0] * 20 + [5.0] * 15).is_over
    assert not run_of([1.0] * 20 + [5.0] * 10 + [1.0] * 20).is_over
    assert not run_of([1.0] * 20 + [3.0] * 60).is_over


def test_one_window_that_is_gone_is_enough() -> None:
    watch = run_of([1.0] * 20 + [1e7] * 5)
    assert watch.is_over and watch.since == 20


def test_what_bounces_below_its_start_has_only_forgotten_a_little() -> None:
    assert not run_of([1.0] * 10 + [0.01] * 60 + [0.2] * 60).is_over


def test_another_size_is_another_loss() -> None:
    assert not run_of([1.0] * 20 + [6.0] * 60, stage_from=21).is_over
    assert run_of([1.0] * 20 + [6.0] * 20 + [60.0] * 15, stage_from=21).is_over


def test_a_jump_in_one_band_is_no_explosion() -> None:
    watch = Divergence()
    for step in range(1, 80):
        watch.take(step, 0, [8 * 0.1, 8 * 0.05, 8 * 0.2, 8 * 0.3 * (20 if step > 30 else 1)], [8] * 4)
    assert not watch.is_over


def test_kept_weights_that_are_far_worse_prove_it_before_three_windows_are_full() -> None:
    watch = run_of([1.0] * 20 + [6.0] * 5)
    assert not watch.is_over
    watch.validated(1.9, 1.0)
    assert not watch.is_over
    watch.validated(2.0, 1.0)
    assert watch.is_over


def test_memorising_alone_makes_no_validation_an_explosion() -> None:
    watch = run_of([1.0] * 20)
    watch.validated(9.0, 1.0)
    assert not watch.is_over


@pytest.mark.parametrize("name", ["muon 0.03", "plain"])
@pytest.mark.parametrize("cut", [1, 7, 13])
def test_written_down_and_taken_up_it_decides_alike(name: str, cut: int) -> None:
    straight = Divergence()
    parts = Divergence()
    for step, (sums, counts) in enumerate(BY_NAME[name]["steps"][:30], start=1):
        straight.take(step, 0, sums, counts)
        parts.take(step, 0, sums, counts)
        if step % cut == 0:
            parts = Divergence.known(json.loads(json.dumps(parts.state())) | {"of another version": 1})
        assert parts == straight


def test_empty_bands_and_losses_of_any_size_are_taken() -> None:
    watch = Divergence()
    for step in range(1, 60):
        watch.take(step, 0, [0.0, 0.0, 1e300, 0.0], [0, 0, 40, 0])
    assert not watch.is_over and watch.losses[0] is None
    assert math.isfinite(watch.above)


def steps_of(watch: Divergence, losses: list[float], first: int = 1, stage: int = 0, photos: int = 4) -> bool:
    """Steps with one photo in each of four bands, all with the same loss."""
    return max(watch.take(first + i, stage, [loss] * photos, [1] * photos) for i, loss in enumerate(losses))


def test_a_run_that_ends_before_its_window_is_full_has_exploded_all_the_same() -> None:
    # Three steps in all; and the last three of many.
    for before in (1, 40):
        watch = Divergence()
        assert not steps_of(watch, [0.1] * before)
        assert not steps_of(watch, [5e4, 450_536.0], before + 1), "the window is not full"
        assert watch.ends() and watch.above > 1e4
        assert watch.since is not None and watch.since <= before
    # A spike at the end is none: single steps of sound runs rise 18.8 times.
    spiky = Divergence()
    steps_of(spiky, [0.1] * 40 + [2.0])
    assert not spiky.ends()


def test_another_size_does_not_make_an_exploded_loss_the_new_start() -> None:
    watch = Divergence()
    steps_of(watch, [0.1] * 40)
    assert steps_of(watch, [1e4] * 3, 41) or steps_of(watch, [1e5], 44, stage=1)
    slower = Divergence()
    steps_of(slower, [0.1] * 40)
    assert not steps_of(slower, [0.8] * 8, 41) and slower.high
    assert steps_of(slower, [0.9] * 16, 49, stage=1)


def test_kept_weights_that_are_gone_prove_it_alone() -> None:
    watch = Divergence()
    steps_of(watch, [0.1] * 16)
    watch.validated(1.0, 0.1)
    watch.validated(0.0, 0.0)
    assert not watch.is_over
    watch.validated(9e8, 0.1)
    assert watch.is_over and watch.since == 16 and watch.above > 1e9
