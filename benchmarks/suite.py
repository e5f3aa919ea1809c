"""How long the tests take now, against the suite of commit d19a536, one after the other on the same machine.

    python -m benchmarks.suite [--turns 1] [--processes 2]

Each turn runs both, in an order that changes from turn to turn. The rival is a clone of this repository at that commit,
in a temporary folder; it is run by the same Python with the same packages, and it is checked that it imports its own
code. The promise: at most two thirds of the rival's time. Besides whole seconds the CPU time is told, which other work
on the machine changes less. The folders are the files that are committed: nothing that is not is run. Test files of
things that did not exist then are left out: those of `SINCE`, and all that came after `COMPARED`, the commit up to
which the same things were tested. Tests that came into older files since count against us.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
RIVAL = "d19a536"
COMPARED = "36a78d9"
LIMIT = 0.67
SINCE = ("tests/test_old_data.py", "tests/test_quick.py")
ONE_CORE_EACH = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
WORDS = ("-m", "pytest", "--dist", "worksteal", "-q")
WHERE = "import app, workers; print(app.__file__); print(workers.__file__)"


@dataclass
class Suite:
    """A checked-out commit whose tests are run, and what that took."""

    name: str
    folder: Path
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """One core for each process, no hub, and this folder's code before that of an editable installation."""
        quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(self.folder)}
        return {**os.environ, **ONE_CORE_EACH, **quiet}

    def imports_its_own_code(self) -> bool:
        locations = subprocess.run(
            [sys.executable, "-c", WHERE],
            cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return all(Path(line).is_relative_to(self.folder) for line in locations.split())

    def run(self, processes: int) -> str:
        """Run it once; pytest's last line."""
        began, before = time.perf_counter(), os.times()
        done = subprocess.run(
            [sys.executable, *WORDS, *(f"--ignore={path}" for path in left_out()), "-n", str(processes)],
            cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        after = os.times()
        self.wall_s.append(time.perf_counter() - began)
        spent = after.children_user - before.children_user + after.children_system - before.children_system
        self.cpu_s.append(spent)
        lines = done.stdout.strip().splitlines()
        for line in lines:
            if line.startswith(("FAILED", "ERROR")):
                print(f"  {self.name}: {line}")
        # 2 is an interrupted run, 5 an empty one: their seconds say nothing.
        if done.returncode not in (0, 1) or not re.search(r"\d passed", lines[-1]):
            raise SystemExit(f"The suite of {self.name} did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return lines[-1]


def left_out() -> list[str]:
    """Test files that the rival has nothing like, and the rough ones."""
    added = ("git", "diff", "--diff-filter=A", "--name-only", COMPARED, "HEAD", "--", "tests")
    names = subprocess.run(added, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split()
    return ["tests/faults", *SINCE, *(name for name in names if Path(name).name.startswith("test_"))]


def checked_out(name: str, commit: str, folder: Path) -> Suite:
    """A clone of this repository at a commit."""
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(PROJECT), str(folder)], check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=folder, check=True)
    suite = Suite(name, folder)
    if not suite.imports_its_own_code():
        raise SystemExit(f"{folder} does not import its own code, so its seconds would say nothing.")
    return suite


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the tests against those of an earlier commit.")
    parser.add_argument("--turns", type=int, default=1, help="how often each suite is run")
    parser.add_argument("--processes", type=int, default=2, help="how many test processes at once")
    given = parser.parse_args()
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as place:
        ours = checked_out(f"now ({head})", "HEAD", Path(place) / "ours")
        rival = checked_out(RIVAL, RIVAL, Path(place) / "rival")
        for turn in range(given.turns):
            for suite in (ours, rival) if turn % 2 == 0 else (rival, ours):
                print(f"{suite.name}: {suite.run(given.processes)}", flush=True)
    for suite in (ours, rival):
        wall_s, cpu_s = statistics.median(suite.wall_s), statistics.median(suite.cpu_s)
        print(f"{suite.name:<16} {wall_s:6.0f} s   {cpu_s:6.0f} s of CPU")
    ratio = statistics.median(ours.wall_s) / statistics.median(rival.wall_s)
    cpu = statistics.median(ours.cpu_s) / statistics.median(rival.cpu_s)
    print(f"The suite takes {ratio:.2f} of the time of that of {RIVAL}, and {cpu:.2f} of its CPU time; limit {LIMIT}")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
