"""Stands in for the engine: RECIPE MANIFEST OUT [--resume], the same files, no learning. How it behaves is told before.

`--after N WHAT`: once step N is done, do WHAT: `wait` (until OUT/go is there), `die` (SIGKILL), `crash` (a traceback),
`refuse` (a sentence and exit code 3). `--deaf`: hears neither the stop file nor SIGTERM. `--child`: starts a process.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

EVERY = 2


class Fake:
    def __init__(self, out: Path, is_deaf: bool) -> None:
        self.out, self.is_deaf = out, is_deaf
        self.log = out / "events.jsonl"
        self.seq = len(self.log.read_bytes().splitlines()) if self.log.exists() else 0

    def tell(self, kind: str, **facts: object) -> None:
        self.seq += 1
        event = {"seq": self.seq, "at": datetime.now(UTC).isoformat(), "kind": kind, **facts}
        with self.log.open("a") as file:
            file.write(json.dumps(event) + "\n")
        print(kind, facts, file=sys.stderr, flush=True)

    def stop_asked(self) -> str | None:
        stop = self.out / "stop"
        return stop.read_text() if stop.exists() and not self.is_deaf else None

    def save(self, step: int) -> None:
        folder = self.out / "checkpoints" / f"step-{step:06d}"
        (folder / "weights").mkdir(parents=True, exist_ok=True)
        self.tell("checkpoint", step=step, folder=str(folder.relative_to(self.out)), size_bytes=4, seconds=0.01)

    def finish(self, reason: str, step: int, kept: bool) -> None:
        if kept:
            (self.out / "model").mkdir(exist_ok=True)
        self.tell("finished", reason=reason, step=step, kept=kept, elapsed_s=1.0)
        (self.out / "stop").unlink(missing_ok=True)

    def misbehave(self, what: str) -> int | None:
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "crash":
            raise RuntimeError("the fake trainer broke")
        if what == "refuse":
            print("The base is not there.", file=sys.stderr)
            return 3
        while not (self.out / "go").exists() and not self.stop_asked():
            time.sleep(0.02)
        return None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--after", nargs=2, default=("-1", ""))
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--child", action="store_true")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    steps = int(next(x for x in given.recipe.read_text().splitlines() if x.startswith("steps:")).split()[1])
    if given.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: (given.out / "stop").write_text("keep"))
    fake = Fake(given.out, given.deaf)
    with (given.out / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if given.child:
        child = subprocess.Popen(["sleep", "600"])
        (given.out / "child").write_text(str(child.pid))
    saved = sorted((given.out / "checkpoints").glob("step-*")) if given.resume else []
    step = int(saved[-1].name.removeprefix("step-")) if saved else 0
    fake.tell("started", step=step, steps=steps, device="cpu")
    while step < steps:
        step += 1
        facts = {"loss": 1 / step, "loss_by_band": [0.1, 0.2, 0.3, None], "images_per_s": 9.0}
        fake.tell("step", step=step, **facts)
        if step % EVERY == 0:
            fake.tell("validation", step=step, loss=1 / step, loss_by_band=[0.1, 0.2, 0.3, 0.4])
            fake.save(step)
        if step == int(given.after[0]):
            code = fake.misbehave(given.after[1])
            if code is not None:
                return code
        asked = fake.stop_asked()
        if asked and step < steps:
            if asked == "keep":
                fake.save(step)
            fake.finish("stopped", step, kept=asked == "keep")
            return 0
    fake.finish("completed", step, kept=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
