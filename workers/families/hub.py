"""Putting an exported model on a model hub, private unless told otherwise.

`HF_TOKEN=... python -m workers.families.hub FOLDER NAME` creates the repository NAME (maker/model) where it is missing
and uploads the folder. The token comes from the environment alone and is said nowhere; where the hub is, too
(`HF_ENDPOINT`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, Protocol

from workers.errors import InputError
from workers.families.export import FACTS

TOKEN = "HF_TOKEN"  # noqa: S105 - the name of the variable, not its value


class Hub(Protocol):
    """What is asked of `huggingface_hub.HfApi`."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> Any:
        """Make the repository where it is missing."""
        ...

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> Any:
        """Put all files of the folder there in one commit."""
        ...


def push(folder: Path, name: str, is_public: bool = False, hub: Hub | None = None) -> str:
    """Upload the export in `folder` as `name`; where it lies now. Raises `InputError`."""
    if name.count("/") != 1 or not all(name.split("/")):
        raise InputError(f"{name} is no name on a hub; it has the form maker/model.")
    facts = _facts(folder)
    hub = hub or _hub()
    try:
        hub.create_repo(name, private=not is_public, exist_ok=True)
        message = f"Fine-tuned from {facts.get('base')}, {facts.get('step')} steps"
        at = hub.upload_folder(repo_id=name, folder_path=folder, commit_message=message)
    except (OSError, ValueError) as error:  # all errors of the hub are one of them
        token = os.environ.get(TOKEN, "")
        words = " ".join(str(error).split())
        raise InputError(f"The hub did not take {name}: {words.replace(token, '...') if token else words}") from None
    return str(at)


def binding(folder: Path) -> list[str]:
    """What the licences in an export bind to, a sentence for each part that is not free. Raises `InputError`."""
    return [
        f"{part['name']}: {part['licence']}. {part['binds']}" for part in _facts(folder)["licences"] if part["binds"]
    ]


def _facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / FACTS).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no model that Packshot exported: it has no {FACTS}.") from error
    return dict(facts)


def _hub() -> Hub:
    from huggingface_hub import HfApi

    token = os.environ.get(TOKEN)
    if not token:
        raise InputError(f"No token is configured: set {TOKEN} to one that may write to the hub.")
    hub: Hub = HfApi(token=token)
    return hub


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m workers.families.hub", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="an exported model: a run's folder `model`")
    parser.add_argument("name", help="what it is called on the hub: maker/model")
    parser.add_argument("--public", action="store_true", help="let everybody see it")
    given = parser.parse_args()
    try:
        for sentence in binding(given.folder):
            print(sentence, file=sys.stderr)
        print(push(given.folder, given.name, given.public))
    except InputError as refusal:
        sys.exit(str(refusal))


if __name__ == "__main__":
    main()
