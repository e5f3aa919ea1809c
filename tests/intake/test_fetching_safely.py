"""Photos from https: a real TLS server on this machine, under certificates that are made on the spot."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from app.intake import fetching
from app.intake.sources.entry import Unopened
from tests.intake.test_fetching import PHOTO, PUBLIC, Shop, Web, leading_to

if shutil.which("openssl") is None:
    pytest.skip("openssl makes the certificates, and is not here", allow_module_level=True)

NAMED = "subjectAltName=DNS:shop.example,DNS:inside.example,IP:93.184.215.14"


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def _certificate(folder: Path, name: str, days: str = "2", named: str = NAMED) -> tuple[Path, Path]:
    """A certificate under its own authority, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", days,
        "-subj", f"/CN={name}", "-addext", named, "-keyout", str(key), "-out", str(certificate),
    )  # fmt: skip
    return certificate, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("certificates")
    return {
        "trusted": _certificate(folder, "trusted"),
        "stranger": _certificate(folder, "stranger"),
        "other name": _certificate(folder, "other-name", named="subjectAltName=DNS:elsewhere.example"),
    }


@pytest.fixture
def serve(certificates: dict[str, tuple[Path, Path]], tmp_path: Path) -> Iterator[Callable[..., Web]]:
    """Begins a TLS server with one of the certificates; the fetcher trusts `trusted` and `other name`."""
    running: list[ThreadingHTTPServer] = []
    trust = ssl.create_default_context(cafile=str(certificates["trusted"][0]))
    trust.load_verify_locations(str(certificates["other name"][0]))

    def begin(name: str = "trusted", context: ssl.SSLContext | None = None) -> Web:
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, certificates[name]))
        handler = type("SafeShop", (Shop,), {})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        web = Web(server.server_address[1], tmp_path / "turns")
        web.fetcher = replace(web.fetcher, trust=lambda: trust)
        handler.asked, handler.answers = web.asked, web.answers  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        return web

    yield begin
    for server in running:
        server.shutdown()
        server.server_close()


def test_a_photo_comes_over_tls_under_a_name_and_an_address_of_its_certificate(serve: Callable[..., Web]) -> None:
    web = serve()
    for host in ("shop.example", "shop.example.", PUBLIC):
        web.names[host] = [PUBLIC]
        assert web.fetch(f"https://{host}/a.jpg") == PHOTO
    assert web.connected == [PUBLIC] * 3
    seen = dict.fromkeys(host for host, _ in web.asked)
    assert list(seen) == ["shop.example", "shop.example.", PUBLIC]


@pytest.mark.parametrize("name", ["stranger", "other name"])
def test_a_certificate_that_cannot_be_trusted_is_said(serve: Callable[..., Web], name: str) -> None:
    web = serve(name)
    with pytest.raises(Unopened, match=r"^The server's certificate cannot be trusted"):
        web.fetch("https://shop.example/a.jpg")
    assert web.asked == []


def test_what_is_no_certificate_is_not_called_one(
    serve: Callable[..., Web], certificates: dict[str, tuple[Path, Path]]
) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(*map(str, certificates["trusted"]))
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    web = serve(context=old)
    with pytest.raises(Unopened, match=r"^No safe connection to the server came about"):
        web.fetch("https://shop.example/a.jpg")

    # One that speaks no TLS at all, and one that hangs up while hands are shaken.
    for said, sentence in ((b"HTTP/1.0 400 Bad Request\r\n\r\n", "No safe connection"), (b"", "The connection broke")):
        ours, theirs = socket.socketpair()
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        web.fetcher = replace(web.fetcher, connect=lambda *_, line=ours: line)
        with theirs, pytest.raises(Unopened, match=f"^{sentence}"):
            web.fetch("https://shop.example/a.jpg")


@pytest.mark.parametrize("body", [b"Content-Length: 100000\r\n\r\nabc", b"Connection: close\r\n\r\nabc"])
def test_a_body_that_breaks_off_under_tls_is_no_photo(serve: Callable[..., Web], body: bytes) -> None:
    """Without a length, only TLS itself tells the end of a body from a line that broke."""
    web = serve()

    def break_off(shop: Shop) -> None:
        shop.wfile.write(b"HTTP/1.1 200 OK\r\n" + body)
        shop.wfile.flush()
        socket.socket.shutdown(shop.connection, socket.SHUT_RDWR)
        shop.close_connection = True

    web.answers["/a"] = break_off
    with pytest.raises(Unopened, match=r"connection broke"):
        web.fetch("https://shop.example/a")


def test_redirects_between_schemes_are_checked_like_the_first(serve: Callable[..., Web]) -> None:
    web = serve()
    web.names["inside.example"] = ["10.0.0.8"]
    for number in range(1, 5):
        web.answers[f"/{number}"] = leading_to(f"https://shop.example:8443/{number - 1}", 308)
    assert web.fetch("https://shop.example/3") == PHOTO
    with pytest.raises(Unopened, match="more than 3 times"):
        web.fetch("https://shop.example/4")
    for target in ("https://inside.example/a", "http://169.254.169.254/a", "https://[::ffff:10.0.0.8]/", "https://0/"):
        web.answers["/out"] = leading_to(target)
        with pytest.raises(Unopened, match="inside a network"):
            web.fetch("https://shop.example/out")
    assert set(web.connected) == {PUBLIC}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_slow_body_is_never_taken_for_a_whole_one(serve: Callable[..., Web], scheme: str) -> None:
    """It has no length, so that what arrived before it was cut off looks like a file."""
    web = serve()
    web.fetcher = replace(web.fetcher, whole_s=0.3)
    gate = threading.Event()

    def slowly(shop: Shop) -> None:
        shop.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PHOTO)
        shop.wfile.flush()
        gate.wait(10)
        shop.close_connection = True

    web.answers["/a"] = slowly
    ours, theirs = socket.socketpair()
    if scheme == "http":
        theirs.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PHOTO)
        web.fetcher = replace(web.fetcher, connect=lambda *_: ours)
    with ours, theirs, pytest.raises(Unopened, match=r"^The file was not here after 0 seconds; try again"):
        web.fetch(f"{scheme}://shop.example/a")
    gate.set()


def test_the_system_s_trust_is_read_once() -> None:
    assert fetching.system_trust() is fetching.system_trust()
    assert fetching.system_trust().verify_mode is ssl.CERT_REQUIRED
