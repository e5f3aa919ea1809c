"""Fetches data sets with the hub's real client, which reads its address from the environment as it is imported.

`python -m tests.intake.hub_child FOLDER` reads lines of [name, revision] and answers each with what came of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from app.errors import AppError
from app.intake import hauls, hub
from app.intake.hub import HubDataset
from app.storage import Storage


def main(root: Path) -> None:
    """Answer each line of the input with one of the output."""
    for line in sys.stdin:
        name, revision = json.loads(line)
        wanted, beats = HubDataset(name, revision), 0

        def beat() -> None:
            nonlocal beats
            beats += 1

        storage = Storage(root)
        folder = wanted.folder(storage)
        try:
            listed = hub.listing(wanted, None, folder / ".listing.json", beat)
            plan = hauls.plan(listed.sizes, 1, 1)
            for files in (plan.words, *(haul.files for haul in plan.hauls)):
                hub.fetch(storage, wanted, listed.commit, files, folder, beat)
            came = "fetched"
        except AppError as refusal:
            came = f"{type(refusal).__name__}: {refusal.sentence}"
        print(json.dumps([came, beats]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
