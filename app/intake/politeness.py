"""At most two requests to a host at once, counted over all workers of a machine by locks on files."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.intake.sources.entry import Unopened

AT_ONCE: Final = 2
_WAIT_S: Final = 0.05
# Longer than any photo takes while others wait behind it.
PATIENCE_S: Final = 600.0


def _folder() -> Path:
    # Of this user alone, so that nobody else can hold the locks.
    return Path(tempfile.gettempdir()) / f"packshot-hosts-{os.getuid()}"


@dataclass(frozen=True, slots=True)
class Turns:
    """Whose turn it is to ask a host. A worker that dies gives its turn back, for the system drops its locks."""

    folder: Path = field(default_factory=_folder)

    @contextlib.contextmanager
    def of(self, host: str, patience_s: float = PATIENCE_S) -> Iterator[None]:
        """Wait until fewer than two others ask this host. Raises Unopened after so many seconds."""
        deadline = time.monotonic() + patience_s
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = hashlib.sha256(host.lower().encode()).hexdigest()[:32]
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context((self.folder / f"{name}-{number}").open("a")) for number in range(AT_ONCE)]
            while not any(_lock(file.fileno()) for file in files):
                if time.monotonic() >= deadline:
                    raise Unopened("Other photos of the same server took all the time; try again.")
                time.sleep(_WAIT_S)
            yield


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
