"""Thousands of damaged pictures and archives: each is taken or refused with a reason; nothing crashes, hangs or swells.

A child process reads them, so that one that kills it, or that it does not come back from, is known by its seed.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Final

from tests.faults.mutations import PICTURES

MUTATIONS: Final = int(os.environ.get("PACKSHOT_MUTATIONS", "2000"))
FIRST: Final = int(os.environ.get("PACKSHOT_FIRST_SEED", "0"))
# Each takes some milliseconds; this is for a machine that is busy with other things.
LIMIT_S: Final = 30.0
# The whole files take 20 MiB at most: an archive of them is unpacked one by one.
LIMIT_MIB: Final = 200


@dataclass
class Seen:
    """What became of the mutations of some seeds, and those of them that nothing should become."""

    outcomes: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    most_mib: int = 0
    longest_s: float = 0.0

    def take(self, line: str) -> None:
        """One line of the child's."""
        seed, name, kind, outcome, spent, mib = (part.strip() for part in line.split("|"))
        self.most_mib, self.longest_s = max(self.most_mib, int(mib)), max(self.longest_s, float(spent))
        family = "picture" if name in PICTURES else "archive"
        self.outcomes[f"{family} {outcome.split(':')[0] if family == 'picture' else 'read'}"] += 1
        if outcome.startswith("RAISED") or int(mib) > LIMIT_MIB:
            self.bad.append(f"seed {seed}: {name}, {kind}: {outcome}, {mib} MiB")


def read_all(first: int, last: int) -> Seen:
    """Read the mutations of all seeds, starting again behind one that ends a child or keeps it."""
    seen, following = Seen(), first
    while following < last:
        command = [sys.executable, "-m", "tests.faults.fuzzed", str(following), str(last)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines: queue.Queue[str] = queue.Queue()
        assert child.stdout is not None
        reader = threading.Thread(target=_pass_on, args=(child.stdout, lines), daemon=True)
        reader.start()
        assert lines.get(timeout=4 * LIMIT_S) == "ready\n"
        try:
            while following < last:
                line = lines.get(timeout=LIMIT_S)
                if "|" not in line:
                    seen.bad.append(f"seed {following}: the process ended with {child.wait()}")
                    following += 1
                    break
                seen.take(line)
                following += 1
        except queue.Empty:
            seen.bad.append(f"seed {following}: not read within {LIMIT_S:.0f} s")
            following += 1
        finally:
            child.kill()
            child.wait()
            reader.join()
    return seen


def _pass_on(stream: IO[str], lines: queue.Queue[str]) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put("")


def test_every_mutated_file_is_taken_or_refused_with_a_reason() -> None:
    seen = read_all(FIRST, FIRST + MUTATIONS)
    print(f"seeds {FIRST} to {FIRST + MUTATIONS - 1}: {dict(sorted(seen.outcomes.items()))}")
    print(f"at most {seen.most_mib} MiB and {seen.longest_s:.2f} s a file")
    assert not seen.bad, "\n".join(seen.bad)
    assert sum(seen.outcomes.values()) == MUTATIONS
