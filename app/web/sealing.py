"""Sealed tokens: what a page names without saying it. Nobody but this server reads one or makes one, and each is good
for a while only.

The key lies in the data folder's `run`, which no backup takes along: with it gone, pages that are open load once more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from app.storage import Storage

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

Part = str | int | None


def seal(storage: Storage, parts: Sequence[Part]) -> str:
    """A token for these parts; another one each time."""
    return _lock(storage.root).encrypt(json.dumps(list(parts)).encode()).decode()


def unseal(storage: Storage, token: str, lasts: timedelta) -> list[Part] | None:
    """The parts of a token; None where it is none of ours, or older than `lasts`."""
    from cryptography.fernet import InvalidToken

    try:
        parts = json.loads(_lock(storage.root).decrypt(token.encode(), int(lasts.total_seconds())))
    except (InvalidToken, UnicodeEncodeError):
        return None
    return list(parts)


def sealed_at(storage: Storage, token: str) -> float:
    """When a token was made, in seconds since the epoch. Raises InvalidToken for what `unseal` does not read."""
    return float(_lock(storage.root).extract_timestamp(token.encode()))


@lru_cache(maxsize=8)
def _lock(root: Path) -> Fernet:
    """The lock of a data folder; its key is made once, by whichever process needs it first."""
    from cryptography.fernet import Fernet

    path = root / "run" / "sealing.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = path.with_name(f".{os.getpid()}.{os.urandom(4).hex()}.key")
        with os.fdopen(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Fernet.generate_key())
        with suppress(FileExistsError):
            os.link(mine, path)
        mine.unlink()
    return Fernet(path.read_bytes())
