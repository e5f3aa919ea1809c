"""How long `packshot --help` takes, against an empty Python and against importing torch, in turns on the same machine.

    python benchmarks/startup.py [rounds]

The promise: under half a second, and under a third of what loading torch alone would cost.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LIMIT_S = 0.5
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "packshot --help": [sys.executable, "-m", "app.cli", "--help"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            took = seconds(command)
            if number:  # the first round warms the file cache
                times[name].append(took)
    medians = {name: statistics.median(values) for name, values in times.items()}
    empty, ours, torch = medians.values()
    for name, median in medians.items():
        print(f"{name:<16} {median * 1000:6.0f} ms   {median / empty:5.1f} x an empty Python")
    print(f"packshot --help takes {ours / torch:.2f} of `import torch`; limit {LIMIT_S * 1000:.0f} ms and 0.33")
    return 0 if ours < LIMIT_S and ours / torch < 1 / 3 else 1


if __name__ == "__main__":
    sys.exit(main())
