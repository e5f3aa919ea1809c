"""A wire between a browser and the app that a test can cut: a TCP relay whose connections end at once when told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Wire:
    """Relays to the app's address. While it is cut nothing gets through, and what was open is closed."""

    def __init__(self, target: str) -> None:
        self._target = (str(urlsplit(target).hostname), int(urlsplit(target).port or 80))
        self._door = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_cut = False
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self.accepted = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        """Close every connection; new ones are closed as they come."""
        with self._lock:
            self._is_cut = True
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    def close(self) -> None:
        """End the relay."""
        self.cut()
        self._door.close()

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            if self._is_cut:
                near.close()
                continue
            self.accepted += 1
            far = socket.create_connection(self._target)
            with self._lock:
                self._open |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(one)
        one.close()


@contextmanager
def wire(target: str) -> Iterator[Wire]:
    """A wire to an address; ended with the block."""
    one = Wire(target)
    try:
        yield one
    finally:
        one.close()
