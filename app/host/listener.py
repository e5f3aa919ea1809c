"""The web app's listening socket. The supervisor holds it, so a restarted web app loses neither port nor callers."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException

import psutil

from app.errors import Conflict, Refused


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A TCP socket that listens; port 0 takes a free one. Raises Conflict for a taken port, Refused for a bad host."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise Refused(f"“{host}” is not an address that can be listened on ({error.strerror}).") from error
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
            listener.listen(128)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Conflict(
                    f"Port {port} is taken{_by_whom(port)}. Stop that, or choose another port: --port {_next(port)}, "
                    "or --port 0 for any free one."
                ) from error
            raise Refused(f"{host} port {port} cannot be listened on: {error.strerror}.") from error
        yield listener


def address_of(host: str, port: int) -> str:
    """What to type into a browser on this machine."""
    if host in ("0.0.0.0", "::"):  # noqa: S104
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def answers(host: str, port: int, timeout_s: float = 2.0) -> bool:
    """Whether the web app there says that it is well."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    with suppress(OSError, HTTPException):
        connection = HTTPConnection(reachable, port, timeout=timeout_s)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    return False


def _by_whom(port: int) -> str:
    """Who listens on a port, where this user may know."""
    with suppress(psutil.Error):
        listeners = [
            connection for connection in psutil.net_connections("tcp") if connection.status == psutil.CONN_LISTEN
        ]
        pid = next((listener.pid for listener in listeners if listener.laddr and listener.laddr.port == port), None)
        if pid is None:
            return ""
        process = psutil.Process(pid)
        if "app.cli" in process.cmdline():
            # Our web app shares the socket with its supervisor, which would start it again.
            return f" by another Packshot (pid {process.ppid()})"
        return f" by {process.name()} (pid {pid})"
    return ""


def _next(port: int) -> int:
    return port + 1 if port < 65535 else port - 1
