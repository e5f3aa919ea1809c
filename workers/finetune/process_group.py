"""How the processes of a run come together, and how all of them end when one does.

A recipe with `processes` above 1 starts the others from here, on this machine; `torchrun` starts all of them, on one
machine or several, and its variables are found here. Nothing else of the engine knows the difference. Processes started
here are in the first one's process group, so a signal to the group reaches all.

One that fails leaves its sentence in the store that all of them share; a thread in each looks there every second, and
the first one looks whether those it started are alive. Whoever learns of an end, by a broken exchange or by that
thread, ends too, within `GRACE_S`. Only the first one tells it: in the words of the one that failed. Where there are no
words, because that one was killed, it ends as a killed process does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # they are not in its `__all__`

from app.training.causes import Cause
from app.training.recipe import Recipe
from workers.devices.torch_device import best_device
from workers.errors import InputError
from workers.finetune.ranks import ALONE, Ranks, Replicas, Shards

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

GRACE_S: Final = 10.0
"""How long a process may take to notice by itself that another one ended, and to tell it."""
SMALL_BYTES: Final = 200 << 20
"""A base whose weights take less is copied into each process of a processor without a thought for memory."""
TIMEOUT: Final = timedelta(minutes=30)
"""How long an exchange waits for others: longer than the first process needs for a checkpoint or a finished model."""
_LOOK_EVERY_S: Final = 1.0
_FAILED: Final = "failed"


class ProcessGroup:
    """The processes of a run, as one of them sees them. This class is the group of a process that is alone."""

    def __init__(self, ranks: Ranks = ALONE, device: torch.device | None = None) -> None:
        self.ranks = ranks
        self.device = device or best_device()
        self.tell_for_others: Callable[[str, Cause], int] = lambda sentence, cause: 1
        """Tells that another process failed when this one cannot do so itself any more; gives the exit code."""

    def blame(self, error: BaseException, own: tuple[str, Cause]) -> tuple[str, Cause]:
        """Sentence and cause of the process that failed first: `own`, or another's when `error` only says it is gone.

        Does not come back when another one was killed.
        """
        return own

    def leave(self) -> None:
        """The work is done: wait until the others have ended too."""


class _Several(ProcessGroup):
    """The group as one of several processes sees it; `children` are those that it started."""

    def __init__(
        self, ranks: Ranks, device: torch.device, store: Store, children: Sequence[subprocess.Popen[bytes]]
    ) -> None:
        super().__init__(ranks, device)
        self._store = store
        self._children = children
        self._is_over = threading.Event()
        threading.Thread(target=self._watch, name="process-group", daemon=True).start()

    def blame(self, error: BaseException, own: tuple[str, Cause]) -> tuple[str, Cause]:
        self._is_over.set()
        if not _says_that_one_is_gone(error):
            with suppress(RuntimeError):
                self._store.compare_set(_FAILED, "", json.dumps(own))
            return own
        deadline = time.monotonic() + GRACE_S / 2
        while (failure := _told(self._store)) is None and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S / 4)
        if failure is None:
            self._end_as_killed()
        return failure or own

    def leave(self) -> None:
        self._is_over.set()
        for child in self._children:
            child.wait(TIMEOUT.total_seconds())
        dist.destroy_process_group()

    def _watch(self) -> None:
        # A connection of its own: the other one may be waiting.
        store = self._store.clone()  # type: ignore[attr-defined]  # the stubs lack it
        while not self._is_over.wait(_LOOK_EVERY_S):
            if any(child.poll() for child in self._children) or _is_failed(store):
                break
        if self._is_over.wait(GRACE_S):
            return
        # The process is caught in an exchange with one that is gone.
        failure = _told(store)
        if failure is None or not self.ranks.is_main:
            self._end_as_killed()
        else:
            code = self.tell_for_others(*failure)
            end(self._children)
            os._exit(code)

    def _end_as_killed(self) -> None:
        print("Another process of this run was ended from outside, so this one ends too.", file=sys.stderr, flush=True)
        end(self._children)
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def joined(recipe: Recipe, arguments: Sequence[str]) -> Iterator[ProcessGroup]:
    """`with joined(recipe, arguments) as group`: together with the run's other processes, all there.

    They are started here with the same command-line `arguments`, or were by torchrun. None outlives the block. Raises
    `InputError` when the steps or the devices do not suffice for so many.
    """
    children: list[subprocess.Popen[bytes]] = []
    try:
        count = processes_of(recipe, best_device())
        if "RANK" not in os.environ and count == 1:
            yield ProcessGroup()
            return
        if "RANK" not in os.environ:
            store = _invite(count)
            children += _start(arguments, count)
        else:
            store = _find()
        group = _come_together(recipe, store, children)
        yield group
        group.leave()
    finally:
        end(children)


def processes_of(recipe: Recipe, device: torch.device) -> int:
    """How many processes a run is: one per device, and on a processor one per thread where the model is small.

    Threads of one process wait for each other in every operation, so beside another busy process two take three times
    as long as one; processes wait once a step. Measured with the nano model on 2 cores, seconds a step, alone and
    beside a busy process: one thread 0.41 and 0.41, two threads 0.25 and 0.77, two processes 0.28 and 0.46.
    """
    sizes = [file.stat().st_size for file in Path(recipe.base).rglob("*.safetensors")]
    is_small = 0 < sum(sizes) < SMALL_BYTES
    if recipe.processes > 1 or device.type != "cpu" or not is_small or recipe.uneven_for(recipe.threads) is not None:
        return recipe.processes
    return recipe.threads


def end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes by force and reap them."""
    for child in children:
        child.kill()
    for child in children:
        child.wait()


def _invite(of: int) -> Store:
    """The store for processes on this machine; this one becomes the first of them."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "WORLD_SIZE": str(of), "RANK": "0"}
    # Whoever has no name in the network can still reach itself.
    os.environ.update(rendezvous | {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": str(of), "GLOO_SOCKET_IFNAME": "lo"})
    return store


def _start(arguments: Sequence[str], of: int) -> list[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "workers.finetune", *arguments]
    rendezvous = {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    return [
        subprocess.Popen(command, env={**os.environ, **rendezvous, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(1, of)
    ]


def _find() -> Store:
    """The store that torchrun's variables name; where torchrun keeps none itself, the first process does."""
    is_kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=not is_kept and os.environ["RANK"] == "0",
        timeout=TIMEOUT,
        wait_for_workers=False,
    )


def _come_together(recipe: Recipe, store: Store, children: Sequence[subprocess.Popen[bytes]]) -> ProcessGroup:
    rank, of = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if (uneven := recipe.uneven_for(of)) is not None:
        raise InputError(f"The recipe does not fit its processes: {uneven}.")
    device = best_device()
    local_count = int(os.environ.get("LOCAL_WORLD_SIZE", of))
    if device.type == "cuda":
        if torch.cuda.device_count() < local_count:
            raise InputError(
                f"The run asks for {local_count} processes, one per device; here are {torch.cuda.device_count()}."
            )
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    shared = PrefixStore("run", store)
    group = _Several((Shards if recipe.sharding == "full" else Replicas)(rank, of), device, shared, children)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=shared, rank=rank, world_size=of, timeout=TIMEOUT)
    return group


def _says_that_one_is_gone(error: BaseException) -> bool:
    """Whether an exchange broke, which is never the cause itself: some process ended before."""
    words = ("gloo", "NCCL", "Connection closed by peer", "Connection reset")
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def _is_failed(store: Store) -> bool:
    try:
        return bool(store.check([_FAILED]))
    except RuntimeError:
        return True  # who kept the store is gone


def _told(store: Store) -> tuple[str, Cause] | None:
    """Sentence and cause of the process that failed first, if one could still tell."""
    try:
        if not store.check([_FAILED]):
            return None
        sentence, cause = json.loads(store.get(_FAILED))
        return str(sentence), cast(Cause, str(cause))
    except RuntimeError:
        return None
