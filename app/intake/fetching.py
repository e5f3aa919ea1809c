"""Fetching the bytes of a photo from a web address that a stranger's table names, without being led into our network.

A table can name any address, so its photo is fetched as if its writer sat inside: only http and https, on the ports of
the web, from addresses of the public internet. The very address that was checked is connected to, for a name may be
answered differently a moment later; each redirect is checked like the first. What comes back is only bytes: what they
are, their reader finds out. Raises `Unopened` with a sentence for everything that ends without a whole file.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, zip_longest
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from app.intake.addresses import PrivateHosts, is_public
from app.intake.politeness import Turns
from app.intake.sources.entry import Unopened, too_large

MAX_REDIRECTS: Final = 3
PORTS: Final = frozenset({80, 443, 8080, 8443})
MAX_URL: Final = 4_096
CONNECT_S: Final = 10.0
WHOLE_S: Final = 40.0
MAX_BYTES: Final = 64 * 1024 * 1024
# A busy server may ask for this much patience once; for more, its photo is refused and can be tried again.
MAX_PATIENCE_S: Final = 20.0
ADDRESSES_TRIED: Final = 3
# A server that kept so many photos in a row waiting for nothing is not waited for again, for there may be a million.
SILENCES: Final = 8
_CHUNK_BYTES: Final = 1 << 18
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# Servers turn strangers without a name away, and their keepers want to know whom to write to.
USER_AGENT: Final = "Packshot (takes in product photos that a team's own table names)"
# By these a server says what may be done with its files; those that opt out of training go along with the photo.
_TOLD_BY_SERVERS: Final = ("X-Robots-Tag", "TDM-Reservation")
# What a body is packed in where a server does not do as it is asked. Other words there ("utf-8", "aws-chunked") are
# mistakes of whoever uploaded the file, and the file is as it is.
_PACKINGS: Final = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz"})
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")

Resolve = Callable[[str, int], list[str]]
Connect = Callable[[str, int, float], socket.socket]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes behind an address, and what its server said of them, by header, in the words of `catalog.rights`."""

    data: bytes
    said: dict[str, str] = field(default_factory=dict)


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, in the order in which to try them. Raises OSError."""
    return list(dict.fromkeys(str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def connect(address: str, port: int, timeout_s: float) -> socket.socket:
    """A connection to an address, which is no name."""
    return socket.create_connection((address, port), timeout_s)


@cache
def system_trust() -> ssl.SSLContext:
    """Whose certificates this machine trusts, read once: that takes longer than many a photo."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches photos. `private` are hosts inside a team's network that it allows; `turns` holds two requests a host.

    `resolve` and `connect` are how it reaches the network, `trust` says whose certificates it takes. `silences` counts
    by host how often in a row it waited for nothing.
    """

    private: PrivateHosts = field(default_factory=PrivateHosts)
    turns: Turns = field(default_factory=Turns)
    resolve: Resolve = resolve
    connect: Connect = connect
    trust: Callable[[], ssl.SSLContext] = system_trust
    whole_s: float = WHOLE_S
    silences: dict[str, int] = field(default_factory=dict)

    def fetch(self, url: str, max_bytes: int) -> Fetched:
        """The file behind a web address, at most `max_bytes` of it. Raises Unopened, saying why there is none."""
        max_bytes, left_s = min(max_bytes, MAX_BYTES), self.whole_s
        redirects, patience = 0, 1
        while True:
            place = _place(url, self.private)
            host = str(place.hostname)
            with self.turns.of(host):
                if self.silences.get(host, 0) >= SILENCES:
                    raise Unopened(f"The server {host} did not answer {SILENCES} times in a row; try again.")
                # Waiting for others, or as a server asks, takes nothing from the time that a file has.
                begun = time.monotonic()
                with self._answer(place, begun + left_s) as answer:
                    if answer.status in _REDIRECTS and (target := answer.getheader("Location")):
                        redirects += 1
                        if redirects > MAX_REDIRECTS:
                            raise Unopened(f"The address leads on more than {MAX_REDIRECTS} times.")
                        url, wait_s = urljoin(place.geturl(), target), 0.0
                    elif answer.status in (429, 503) and patience:
                        patience, wait_s = patience - 1, _patience_s(answer)
                    else:
                        fetched = _read(answer, max_bytes, begun + left_s)
                        self.silences.pop(host, None)
                        return fetched
                left_s -= time.monotonic() - begun
            if wait_s > MAX_PATIENCE_S:
                raise Unopened("The server is busy and asks to come back later; try again.")
            time.sleep(wait_s)

    @contextlib.contextmanager
    def _answer(self, place: SplitResult, deadline: float) -> Iterator[http.client.HTTPResponse]:
        """The beginning of a server's answer. The connection is cut at the deadline, whatever the server does."""
        host, is_safe = str(place.hostname), place.scheme == "https"
        port = place.port or (443 if is_safe else 80)
        lines = [self._connection(host, port, deadline)]
        cut = threading.Timer(max(0.0, deadline - time.monotonic()), _cut, [lines])
        cut.daemon = True
        cut.start()
        try:
            if is_safe:
                # In the list before it shakes hands, so that it can be cut then too.
                name = host.rstrip(".")  # certificates name no root
                safe = self.trust().wrap_socket(
                    lines[-1], server_hostname=name, do_handshake_on_connect=False, suppress_ragged_eofs=False
                )
                lines.append(safe)
                safe.do_handshake()
            request = http.client.HTTPConnection(host, port)
            request.default_port = 443 if is_safe else 80  # which is not named to the server
            request.sock = lines[-1]
            target = (place.path or "/") + (f"?{place.query}" if place.query else "")
            request.putrequest("GET", target, skip_accept_encoding=True)
            for name, value in (
                ("Accept", "image/*, */*;q=0.5"), ("Accept-Encoding", "identity"), ("User-Agent", USER_AGENT),
                ("Connection", "close"),
            ):  # fmt: skip
                request.putheader(name, value)
            request.endheaders()
            with request.getresponse() as answer:
                yield answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, TimeoutError) or time.monotonic() >= deadline:
                self._count_silence(host)
            raise Unopened(self._why_none(error, deadline)) from None
        finally:
            cut.cancel()
            lines[-1].close()

    def _count_silence(self, host: str) -> None:
        self.silences[host] = self.silences.get(host, 0) + 1

    def _why_none(self, error: Exception, deadline: float) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return "The server's certificate cannot be trusted, so nothing was fetched."
        if time.monotonic() >= deadline:
            return f"The file was not here after {self.whole_s:.0f} seconds; try again."
        if isinstance(error, TimeoutError):
            return f"The server sent nothing for {CONNECT_S:.0f} seconds; try again."
        if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return "No safe connection to the server came about, so nothing was fetched."
        return "The connection broke; try again."

    def _connection(self, host: str, port: int, deadline: float) -> socket.socket:
        addresses = _in_time(lambda: self.resolve(host, port), min(CONNECT_S, deadline - time.monotonic()))
        if not addresses:
            raise Unopened(f"There is no server called {host}.")
        for address in addresses:
            if not is_public(address) and not self.private.allows(host, address):
                raise Unopened(f"{host} is an address inside a network, and from there nothing is fetched.")
        for address in _both_kinds_first(addresses)[:ADDRESSES_TRIED]:
            left_s = min(CONNECT_S, deadline - time.monotonic())
            if left_s <= 0:
                break
            with contextlib.suppress(OSError):
                return self.connect(address, port, left_s)
        self._count_silence(host)
        raise Unopened(f"The server {host} does not answer; try again.")


def fetch(url: str, max_bytes: int) -> Fetched:
    """The file behind a web address of the public internet, at most `max_bytes` of it. Raises Unopened."""
    return _FETCHER.fetch(url, max_bytes)


_FETCHER: Final = Fetcher()


def _place(url: str, private: PrivateHosts) -> SplitResult:
    """A web address in parts that can be asked for. Raises Unopened."""
    if len(url) > MAX_URL:
        raise Unopened(f"The address has more than {MAX_URL:,} characters.")
    if _UNSAFE.search(url.strip()):
        raise Unopened("The address holds a space or a sign that none may hold.")
    try:
        place = urlsplit(quote(url.strip(), safe="/:?#[]@!$&'()*+,;=%~-._"))
        host = urlsplit(url.strip()).hostname or ""
        port = place.port
        ascii_host = host if ":" in host else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        raise Unopened("The address is none that can be read.") from None
    if place.scheme not in ("http", "https"):
        raise Unopened("Only addresses that begin with http:// or https:// are fetched.")
    if not ascii_host or "%" in host:
        raise Unopened("The address names no server.")
    if place.username is not None or place.password is not None:
        raise Unopened("The address holds a name or a password; such addresses are not fetched.")
    if port is not None and port not in PORTS and not private.names(ascii_host):
        raise Unopened(f"The address names port {port}; photos are fetched from {', '.join(map(str, sorted(PORTS)))}.")
    shown = f"[{ascii_host}]" if ":" in ascii_host else ascii_host
    return place._replace(netloc=shown if port is None else f"{shown}:{port}", fragment="")


def _read(answer: http.client.HTTPResponse, max_bytes: int, deadline: float) -> Fetched:
    if time.monotonic() >= deadline:
        raise TimeoutError  # headers that were cut off read like whole ones
    if answer.status != 200:
        words = f"{answer.status} {http.client.responses.get(answer.status, '')}".rstrip()
        raise Unopened(f"The server answers {words}.")
    if _PACKINGS.intersection(re.findall(r"[a-z-]+", answer.getheader("Content-Encoding", "").lower())):
        raise Unopened("The server sends the file packed, though it was asked not to.")
    if answer.length is not None and answer.length > max_bytes:
        raise too_large(answer.length, max_bytes)
    data = bytearray()
    while chunk := answer.read(_CHUNK_BYTES):
        data += chunk
        if len(data) > max_bytes:
            raise too_large(len(data), max_bytes)
        if time.monotonic() >= deadline:
            raise TimeoutError
    if time.monotonic() >= deadline:
        raise TimeoutError  # a body that was cut off may read like a whole one too
    if answer.length:
        raise Unopened("The connection broke before the file was whole; try again.")
    if not data:
        raise Unopened("The server sends an empty file.")
    said = {
        name.lower(): ", ".join(values)[:500] for name in _TOLD_BY_SERVERS if (values := answer.headers.get_all(name))
    }
    return Fetched(bytes(data), said)


def _patience_s(answer: http.client.HTTPResponse) -> float:
    """How many seconds a busy server asks to wait; one where it says a date or nothing."""
    asked = answer.getheader("Retry-After", "1").strip()
    return float(asked) if re.fullmatch(r"[0-9]{1,9}", asked) else 1.0


def _cut(lines: list[socket.socket]) -> None:
    with contextlib.suppress(OSError):
        lines[-1].shutdown(socket.SHUT_RDWR)


def _in_time(ask: Callable[[], list[str]], limit_s: float) -> list[str]:
    """What asking for addresses brings within so many seconds: a system's own resolver knows no limit."""
    answers: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(ask())
        except (OSError, UnicodeError):
            answers.put([])

    threading.Thread(target=work, daemon=True).start()
    try:
        return answers.get(timeout=max(0.0, limit_s))
    except queue.Empty:
        return []


def _both_kinds_first(addresses: list[str]) -> list[str]:
    """IPv4 and IPv6 in turn, in their order: where the one leads nowhere, the other is tried before time is up."""
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    rest = [address for address in addresses if address not in first]
    return [address for address in chain.from_iterable(zip_longest(first, rest)) if address is not None]
