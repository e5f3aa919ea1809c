"""The real engine killed at random moments, inside saves too, and resumed: what is found, and how it ends.

Engines are forked from a process that has torch in memory, so that a start costs little and a kill can fall anywhere.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from workers.finetune.checkpoint import latest_checkpoint, read_sidecar

_forked = multiprocessing.get_context("forkserver")
_forked.set_forkserver_preload(["tests.workers.warm"])
GIVES_UP_S = 120.0


def start(words: list[str], log: Path, has_own_group: bool = False) -> multiprocessing.process.BaseProcess:
    """`python -m workers.finetune WORDS` in a process that is forked, its words going to the end of `log`."""
    process = _forked.Process(target=engine, args=(words, str(log), has_own_group))
    process.start()
    return process


def engine(words: list[str], log: str, has_own_group: bool) -> None:
    """What the forked process does; its exit code is the engine's."""
    from workers.finetune.__main__ import main

    if has_own_group:
        os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os._exit(main(words))


@dataclass
class Kills:
    """Runs of one recipe and manifest: one straight through, and killed ones that have to end like it."""

    recipe: Path
    manifest: Path
    folder: Path
    chance: random.Random
    took_s: float = 0.0
    save_s: float = 0.05
    end: dict[str, str] = field(default_factory=dict)
    inside_saves: int = 0
    found: int = 0  # complete checkpoints after a kill
    before_any: int = 0  # kills before the first checkpoint was told

    def straight(self) -> None:
        """The run that nobody kills: what the others are measured against."""
        warm = _forked.Process(target=int)  # until then, the parent of all loads torch
        warm.start()
        warm.join()
        began = time.monotonic()
        self.end = self._run_to_end(self.folder / "straight", False)
        self.took_s = time.monotonic() - began
        told = events(self.folder / "straight")
        self.save_s = max(float(str(one["seconds"])) for one in told if one["kind"] == "checkpoint")

    def kill_and_resume(self, number: int) -> None:
        """Start, kill once or twice, look at what is left, go on to the end, and compare it with the straight run."""
        out = self.folder / f"killed-{number}"
        is_resumed = False
        for _ in range(self.chance.choice((1, 1, 2))):
            process = self._start(out, is_resumed)
            is_inside_save = self.chance.random() < 0.5 and self._wait_for_save(out, process.is_alive)
            process.join(self.chance.uniform(0.0, self.save_s if is_inside_save else self.took_s))
            process.kill()
            process.join(GIVES_UP_S)
            assert process.exitcode in (0, -9), (out / "log").read_text()
            is_resumed = (out / "events.jsonl").exists()
            self._look(out, is_inside_save)
            if any(one["kind"] == "finished" for one in events(out)):
                break  # the kill came after the end had been told: a second attempt would be refused
        if any(one["kind"] == "finished" for one in events(out)):
            assert ending(out) == self.end, f"run {number} ended before it was killed, and not like the straight one"
        else:
            assert self._run_to_end(out, is_resumed) == self.end, f"run {number} does not end like the straight one"
        told = events(out)
        assert [one["seq"] for one in told] == list(range(1, len(told) + 1)), f"run {number} has a gap in its news"
        shutil.rmtree(out)

    def _look(self, out: Path, is_inside_save: bool) -> None:
        """After a kill the newest checkpoint that was told of is there and whole."""
        self.inside_saves += is_inside_save
        told = [int(str(one["step"])) for one in events(out) if one["kind"] == "checkpoint"]
        newest = latest_checkpoint(out)[0]
        if not told:
            self.before_any += newest is None
            self.found += newest is not None
            return
        assert newest is not None, f"no whole checkpoint, though that of step {told[-1]} was told"
        assert int(newest.name.removeprefix("step-")) >= told[-1]
        for name, facts in read_sidecar(newest)["files"].items():
            assert digest(newest / name) == facts["sha256"], f"{name} of {newest.name} is not what was saved"
        self.found += 1

    def _run_to_end(self, out: Path, resume: bool) -> dict[str, str]:
        process = self._start(out, resume)
        process.join(GIVES_UP_S)
        assert process.exitcode == 0, (out / "log").read_text()
        return ending(out)

    def _start(self, out: Path, resume: bool) -> multiprocessing.process.BaseProcess:
        out.mkdir(exist_ok=True)
        words = [str(self.recipe), str(self.manifest), str(out), *(["--resume"] if resume else [])]
        return start(words, out / "log")

    def _wait_for_save(self, out: Path, is_alive: Callable[[], bool]) -> bool:
        """Wait until a checkpoint is being written, one that chance picks; whether one was."""
        wanted, seen = self.chance.randint(1, 3), set[str]()
        while is_alive():
            seen |= {one.name for one in (out / "checkpoints").glob(".*.new")}
            if len(seen) >= wanted:
                return True
            time.sleep(0.0005)
        return False


def events(out: Path) -> list[dict[str, object]]:
    """The whole lines of a run's news."""
    try:
        text = (out / "events.jsonl").read_bytes()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]


def ending(out: Path) -> dict[str, str]:
    """Digests of all that the last checkpoint and the finished model hold."""
    newest = latest_checkpoint(out)[0]
    assert newest is not None, (out / "log").read_text()
    last = {f"{newest.name}/{name}": str(facts["sha256"]) for name, facts in read_sidecar(newest)["files"].items()}
    return last | {str(one.relative_to(out)): digest(one) for one in sorted((out / "model").rglob("*.safetensors"))}


def digest(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
