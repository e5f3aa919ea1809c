"""Stands in for `python -m workers.finetune`: the same command line, files and events, steps that cost nothing.

`--after N WHAT`: after step N it waits for the file `go` in its folder (`wait`), goes silent (`hang`), dies (`die`:
SIGKILL), breaks (`crash`: a traceback), refuses (`refuse`: a sentence, exit code 3), reaches its limit (`limit`), slows
down (`slow`), or fails as the engine would, told in its news (`fail-CAUSE`) or by its exit code alone (`exit-CODE`).
`--once`: only in its first attempt. `--deaf`: hears neither the stop file nor SIGTERM. `--child`, `--daemon`: starts a
process, in its own session or in another one with no parent. `--unfinished`: the finished model is cut short.
`--loads`: it never comes further than loading its libraries.
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
EXIT_CODES = {"broken": 1, "refused": 3, "out_of_memory": 4, "disk_full": 5, "diverged": 6}
WEIGHTS = b'{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
DAEMON = "import os, sys; os.fork() and os._exit(0); os.setsid(); open(sys.argv[1], 'w').write(str(os.getpid())); "


class Fake:
    def __init__(self, out: Path, is_deaf: bool, is_unfinished: bool) -> None:
        self.out, self.is_deaf, self.is_unfinished = out, is_deaf, is_unfinished
        self.log, self.step_s = out / "events.jsonl", 0.01
        told = self.log.read_bytes().splitlines() if self.log.exists() else []
        limits = json.loads((out / "limits.json").read_text()) if (out / "limits.json").exists() else {}
        self.seq = max(json.loads(told[-1])["seq"] if told else 0, limits.get("told_seq", 0))

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
        self.tell("phase", phase="save", done=0, total=1)
        folder = self.out / "checkpoints" / f"step-{step:06d}"
        (folder / "weights").mkdir(parents=True, exist_ok=True)
        self.tell("checkpoint", step=step, folder=str(folder.relative_to(self.out)), size_bytes=4, seconds=0.01)

    def finish(self, reason: str, step: int, kept: bool) -> None:
        if kept:
            model = self.out / "model"
            model.mkdir(exist_ok=True)
            (model / "model_index.json").write_text("{}")
            weights = len(WEIGHTS).to_bytes(8, "little") + WEIGHTS + b"1234"
            (model / "weights.safetensors").write_bytes(weights[:-2] if self.is_unfinished else weights)
        self.tell("finished", reason=reason, step=step, kept=kept, elapsed_s=1.0)
        (self.out / "stop").unlink(missing_ok=True)

    def misbehave(self, what: str, step: int) -> int | None:
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "crash":
            raise RuntimeError("the fake trainer broke")
        if what == "refuse":
            print("The base is not there.", file=sys.stderr)
            return 3
        if what.startswith("exit-"):
            return int(what.removeprefix("exit-"))
        if what.startswith("fail-"):
            cause = what.removeprefix("fail-")
            self.tell("failed", cause=cause, sentence=f"The engine says {cause}.")
            return EXIT_CODES[cause]
        if what == "limit":
            self.save(step)
            self.finish(f"out_of_{json.loads((self.out / 'limits.json').read_text())['binding']}", step, kept=True)
            return 0
        if what == "slow":
            self.step_s = 3.0
            return None
        while what == "hang" or (not (self.out / "go").exists() and not self.stop_asked()):
            time.sleep(0.02)
        return None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--after", nargs=2, default=("-1", ""))
    for flag in ("--once", "--deaf", "--child", "--daemon", "--unfinished", "--loads", "--resume"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--leave-free", type=int)
    given = parser.parse_args()
    if given.loads:
        (given.out / "starts").write_text(f"{os.getpid()}\n")
        time.sleep(600)
    steps = int(next(x for x in given.recipe.read_text().splitlines() if x.startswith("steps:")).split()[1])
    if given.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif given.after[1] != "hang":
        signal.signal(signal.SIGTERM, lambda *_: (given.out / "stop").write_text("keep"))
    fake = Fake(given.out, given.deaf, given.unfinished)
    with (given.out / "starts").open("a+") as starts:
        starts.write(f"{os.getpid()}\n")
        starts.seek(0)
        is_main = len(starts.readlines()) == 1
    if given.child:
        child = subprocess.Popen(["sleep", "600"])
        (given.out / "child").write_text(str(child.pid))
    if given.daemon:
        code = f"{DAEMON} import time; time.sleep(600)"
        subprocess.run([sys.executable, "-c", code, str(given.out / "daemon")], check=True, close_fds=True)
    saved = sorted((given.out / "checkpoints").glob("step-*")) if given.resume else []
    step = int(saved[-1].name.removeprefix("step-")) if saved else 0
    fake.tell("attempt", resumed=given.resume, pid=os.getpid(), spent_s=0.0)
    fake.tell("phase", phase="load", done=0, total=1)
    fake.tell("started", step=step, steps=steps, device="cpu")
    while step < steps:
        step += 1
        facts = {"loss": 1 / step, "loss_by_band": [0.1, 0.2, 0.3, None], "images_per_s": 9.0, "step_s": fake.step_s}
        fake.tell("step", step=step, data_wait_s=0.0, memory_bytes=5, memory_total_bytes=None, **facts)
        if step % EVERY == 0:
            fake.tell("validation", step=step, loss=1 / step, loss_by_band=[0.1, 0.2, 0.3, 0.4])
            fake.save(step)
        if step == int(given.after[0]) and (is_main or not given.once):
            code = fake.misbehave(given.after[1], step)
            if code is not None:
                return code
        asked = fake.stop_asked()
        if asked and step < steps:
            if asked == "keep":
                fake.save(step)
            fake.finish("stopped", step, kept=asked == "keep")
            return 0
    fake.tell("samples", step=step, files=[], seconds=0.0)
    fake.finish("completed", step, kept=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
