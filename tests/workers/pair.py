"""Runs the training command as several processes that find each other by torchrun's variables, in seconds.

A server process imports torch and diffusers once; every process of a run is forked from it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from torch.distributed import TCPStore  # type: ignore[attr-defined]  # it is not in its `__all__`

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.workers.warm"])


def forked(work: Callable[..., None], *given: str) -> multiprocessing.process.BaseProcess:
    """A process, forked from the server, that does `work`, a function of a module."""
    process = _FORKS.Process(target=work, args=given)
    process.start()
    return process


def run_together(
    arguments: Sequence[str], of: int, meanwhile: Callable[[list[int]], None] | None = None, timeout_s: float = 300.0
) -> list[int | None]:
    """The exit codes of `of` processes of `python -m workers.finetune ARGUMENTS`; those that hang are killed.

    `meanwhile` is called with their process ids while they run.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    processes = [_FORKS.Process(target=_one, args=(list(arguments), rank, of, store.port)) for rank in range(of)]
    for process in processes:
        process.start()
    if meanwhile is not None:
        meanwhile([process.pid or 0 for process in processes])
    for process in processes:
        process.join(timeout_s)
    hanging = [process for process in processes if process.is_alive()]
    for process in hanging:
        process.kill()
        process.join()
    assert not hanging
    return [process.exitcode for process in processes]


def _one(arguments: list[str], rank: int, of: int, port: int) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(of), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
        TORCHELASTIC_USE_AGENT_STORE="True", GLOO_SOCKET_IFNAME="lo",
    )  # fmt: skip
    from workers.finetune.__main__ import main

    recipe = next(word for word in arguments if word.endswith(".yaml"))
    sys.stderr = Path(recipe).with_name(f"words-{rank}.txt").open("a", buffering=1)
    # As the command itself ends: without waiting for threads that torch may have left.
    os._exit(main(arguments))
