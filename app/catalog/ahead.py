"""Work of several threads on one list, in its order: for NumPy, which lets others run while it counts. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


def ahead(act: Callable[[_Asked], _Answer], asked: Iterable[_Asked], threads: int) -> Generator[_Answer]:
    """What `act` answers to each, in their order, by so many threads, which are a few ahead of whoever takes it.

    NumPy lets other threads run while it counts, so that as many cores are at work.
    """
    if threads < 2:
        yield from map(act, asked)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[_Answer]] = deque()
        try:
            for each in asked:
                waiting.append(pool.submit(act, each))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
