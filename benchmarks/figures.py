"""Lines of times: percentiles by the clock beside a limit, processor time, and how both grow with what is measured."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import psutil
from sqlalchemy import Engine, text


@dataclass(frozen=True)
class Figure:
    """One line in ms: its median by the clock, and what this process and the database took of the processors.

    `most_growth` is how many times as much it may cost with more photos, None: as many times as there are more.
    """

    p50: float
    cpu: float
    most_growth: float | None


class Figures:
    """Lines that were measured on one database, printed as they come."""

    def __init__(self, engine: Engine) -> None:
        with engine.connect() as connection:
            backend = connection.scalar(text("select pg_backend_pid()"))
        self._server = _parent(backend)
        self._lines: dict[str, Figure] = {}
        print(f"{'':34}{'p50':>7}{'p95':>7}{'cpu':>7}{'db cpu':>7}{'limit':>7}  ms")
        self.begin()

    def begin(self) -> None:
        """What was used until now belongs to no line."""
        self._own, self._database = time.process_time(), self._of_server()

    def line(self, name: str, limit_ms: int, times_ms: list[float], most_growth: float | None = None) -> None:
        """Print one line: the times since the last line."""
        own, database = self._own, self._database
        self.begin()
        cpu = (self._own - own) * 1000 / len(times_ms)
        of_database = (self._database - database) * 1000 / len(times_ms)
        p50, p95 = statistics.median(times_ms), statistics.quantiles(times_ms, n=20)[-1]
        over = "" if p95 <= limit_ms else "  over"
        print(f"{name:34}{p50:7.0f}{p95:7.0f}{cpu:7.0f}{of_database:7.0f}{limit_ms:7}{over}", flush=True)
        self._lines[name] = Figure(p50, cpu + of_database, most_growth)

    def grown_to(self, larger: Figures, times_as_many: float) -> None:
        """Print each line of both: how many times as much it costs with so many times as many photos."""
        print(f"{f'{times_as_many:g} times as many photos':34}{'clock':>7}{'cpu':>7}{'limit':>7}  times as much")
        for name, before in self._lines.items():
            after = larger._lines[name]
            clock, cpu = after.p50 / max(before.p50, 0.1), after.cpu / max(before.cpu, 0.1)
            most = before.most_growth or times_as_many
            over = "" if cpu <= most else "  over"
            print(f"{name:34}{clock:7.2f}{cpu:7.2f}{most:7.2f}{over}")

    def _of_server(self) -> float:
        """Processor seconds of the database's processes, those that ended too; 0 where it is on another machine."""
        if self._server is None:
            return 0.0
        times = self._server.cpu_times()
        spent = times.user + times.system + times.children_user + times.children_system
        for child in self._server.children():
            try:
                of_child = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent += of_child.user + of_child.system
        return spent


def _parent(process_id: int) -> psutil.Process | None:
    try:
        backend = psutil.Process(process_id)
        return backend.parent() if "postgres" in backend.name() else None
    except psutil.NoSuchProcess:
        return None
