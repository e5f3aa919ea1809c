"""Photos from web addresses: fetched from the public internet only, within limits, whatever a table or a server does.

A real server listens on this machine; the seams are where names and addresses lead. Nothing else is replaced.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from app.intake import fetching
from app.intake.addresses import PrivateHosts, is_public
from app.intake.fetching import Fetcher
from app.intake.politeness import Turns
from app.intake.sources.entry import Unopened
from tests.intake.conftest import encoded, picture

PHOTO: Final = encoded(picture(5))
PUBLIC: Final = "93.184.215.14"
MIB: Final = 1024**2
SHORT: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"


class Shop(BaseHTTPRequestHandler):
    """A web server with a photo, and with every trick that the tests know."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str]]
    answers: dict[str, Callable[[Shop], None]]

    def do_GET(self) -> None:
        self.asked.append((self.headers["Host"], self.path))
        self.answers.get(self.path.split("?")[0], Shop.photo)(self)

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def photo(self) -> None:
        self.say(200, PHOTO, Content_Type="text/html")

    def log_message(self, *_: object) -> None:
        pass


class Web:
    """The server, and names that lead to it through addresses that look public."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.names: dict[str, list[str]] = {"shop.example": [PUBLIC]}
        self.connected: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[str, Callable[[Shop], None]] = {}
        self.fetcher = Fetcher(turns=Turns(folder), resolve=self.resolve, connect=self.connect)

    def resolve(self, host: str, port: int) -> list[str]:
        if host in self.names:
            return self.names[host]
        # Numbers in all spellings are told by the system, which asks nobody for them.
        try:
            return [str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=4)]
        except socket.gaierror:
            return []

    def connect(self, address: str, port: int, timeout_s: float) -> socket.socket:
        self.connected.append(address)
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)

    def fetch(self, url: str, max_bytes: int = MIB) -> bytes:
        return self.fetcher.fetch(url, max_bytes).data


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    handler = type("TestShop", (Shop,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    web = Web(server.server_address[1], tmp_path / "turns")
    handler.asked, handler.answers = web.asked, web.answers  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield web
    server.shutdown()
    server.server_close()


def leading_to(target: str, status: int = 302) -> Callable[[Shop], None]:
    return lambda shop: shop.say(status, Location=target)


def test_a_photo_comes_with_its_bytes_whatever_the_header_calls_them(web: Web) -> None:
    assert web.fetch("http://shop.example/a%20b.jpg?size=l#top") == PHOTO
    assert web.asked == [("shop.example", "/a%20b.jpg?size=l")]
    assert web.connected == [PUBLIC]


def test_addresses_of_any_script_are_asked_for_as_servers_know_them(web: Web) -> None:
    web.names["xn--mbel-5qa.example"] = [PUBLIC]
    assert web.fetch("http://möbel.example/Stühle.jpg") == PHOTO
    assert web.asked == [("xn--mbel-5qa.example", "/St%C3%BChle.jpg")]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", ".".join("0000"), "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.127.255.254", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1",
        "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1",
        "168.63.129.16", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:93.184.215.14", "::ffff:0:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::5db8:d70e", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "100::1",
        "5f00::1", "4000::1", "no address", "",
    ],
)  # fmt: skip
def test_what_is_inside_a_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"])
def test_the_public_internet_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]",
        "127.0.0.1.", "[64:ff9b::7f00:1]", "10.0.0.1", "169.254.169.254", "[fe80::1]", "①②⑦.0.0.1",
    ],
)  # fmt: skip
def test_an_address_inside_is_refused_in_every_spelling(web: Web, host: str) -> None:
    with pytest.raises(Unopened):
        web.fetch(f"http://{host}/a.jpg")
    assert web.connected == [] == web.asked


@pytest.mark.parametrize("answers", [["10.0.0.1"], [PUBLIC, "127.0.0.1"], ["::1", PUBLIC], ["::ffff:10.0.0.1"]])
def test_a_name_that_is_answered_with_an_address_inside_is_refused(web: Web, answers: list[str]) -> None:
    web.names["evil.example"] = answers
    with pytest.raises(Unopened, match=r"evil\.example is an address inside a network"):
        web.fetch("http://evil.example/a.jpg")
    assert web.connected == []


def test_a_name_that_is_answered_otherwise_a_moment_later_leads_nowhere_else(web: Web) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    web.fetcher = replace(web.fetcher, resolve=lambda *_: next(answers))
    assert web.fetch("http://rebind.example/a.jpg") == PHOTO
    assert web.connected == [PUBLIC]  # the very address that was checked
    with pytest.raises(Unopened, match="inside a network"):
        web.fetch("http://rebind.example/a.jpg")


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1/a",
        "//169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://inside.example/",
        "http://0/",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_inside_is_refused(web: Web, target: str, status: int) -> None:
    web.names["inside.example"] = ["192.168.0.9"]
    web.answers["/out"] = leading_to(target, status)
    with pytest.raises(Unopened, match="inside a network"):
        web.fetch("http://shop.example/out")
    assert web.connected == [PUBLIC]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://shop.example/a", "gopher://shop.example/", "data:,x"])
def test_a_redirect_to_another_scheme_is_refused(web: Web, target: str) -> None:
    web.answers["/out"] = leading_to(target)
    with pytest.raises(Unopened, match="http:// or https://"):
        web.fetch("http://shop.example/out")


def test_three_redirects_are_followed_and_no_fourth(web: Web) -> None:
    for number in range(1, 5):
        web.answers[f"/{number}"] = leading_to(f"{number - 1}")
    assert web.fetch("http://shop.example/3") == PHOTO
    with pytest.raises(Unopened, match="more than 3 times"):
        web.fetch("http://shop.example/4")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("file:///etc/passwd", "http:// or https://"),
        ("ftp://shop.example/a.jpg", "http:// or https://"),
        ("/a.jpg", "http:// or https://"),
        ("http:///a.jpg", "names no server"),
        ("http://user:secret@shop.example/a.jpg", "a name or a password"),
        ("http://shop.example@127.0.0.1/a.jpg", "a name or a password"),
        ("http://shop.example:22/a.jpg", "port 22"),
        ("http://shop.example:6379/a.jpg", "port 6379"),
        ("http://shop.example:99999/a.jpg", "none that can be read"),
        ("http://[::1/a.jpg", "none that can be read"),
        ("http://shop.example/a b.jpg", "a space or a sign"),
        ("http://shop.example/a\r\nX-Evil: 1", "a space or a sign"),
        ("http://shop.example\\@127.0.0.1/", "a space or a sign"),
        ("http://" + "a" * 64 + ".example/", "none that can be read"),
        ("http://shop.example/" + "a" * 5000, "more than 4,096 characters"),
        ("http://nobody.example/a.jpg", "no server called nobody.example"),
    ],
)
def test_addresses_that_are_none_are_refused_before_anything_is_asked(web: Web, url: str, sentence: str) -> None:
    with pytest.raises(Unopened, match=sentence):
        web.fetch(url)
    assert web.connected == [] == web.asked


def test_more_bytes_than_the_limit_are_not_waited_for(web: Web) -> None:
    def endless(shop: Shop) -> None:
        shop.send_response(200)
        shop.end_headers()
        try:
            while True:
                shop.wfile.write(bytes(65536))
        except OSError:
            shop.close_connection = True

    web.answers["/said"] = lambda shop: shop.say(200, b"", Content_Length=str(5 * MIB))
    web.answers["/endless"] = endless
    for path in ("said", "endless"):
        with pytest.raises(Unopened, match="1 MB are the limit"):
            web.fetch(f"http://shop.example/{path}")


def test_a_server_that_takes_for_ever_is_cut_off(web: Web) -> None:
    """It sends a byte now and then, so that no single wait is long: in its headers, and in its body."""
    web.fetcher = replace(web.fetcher, whole_s=0.2)
    gate = threading.Event()

    def slowly(begin: bytes) -> Callable[[Shop], None]:
        def answer(shop: Shop) -> None:
            shop.wfile.write(begin)
            while not gate.wait(0.02):
                try:
                    shop.wfile.write(b"a")
                except OSError:
                    return

        return answer

    web.answers["/headers"] = slowly(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    web.answers["/body"] = slowly(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for path in ("headers", "body"):
        with pytest.raises(Unopened, match="try again"):
            web.fetch(f"http://shop.example/{path}")
    gate.set()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda shop: shop.say(404), "The server answers 404 Not Found."),
        (lambda shop: shop.say(206, PHOTO), "answers 206"),
        (lambda shop: shop.say(200), "an empty file"),
        (lambda shop: shop.say(200, PHOTO, Content_Encoding="gzip"), "packed"),
        (lambda shop: shop.say(503, Retry_After="3600"), "come back later"),
        (lambda shop: shop.wfile.write(SHORT) and shop.connection.shutdown(2),
         "before the file was whole|connection broke"),
        (lambda shop: shop.wfile.write(b"\xff\xd8 no http at all\r\n\r\n") and shop.connection.shutdown(2), "broke"),
        (lambda shop: shop.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 500 + b"\r\n") and None, "broke"),
        (lambda shop: shop.connection.shutdown(2), "broke"),
    ],
)  # fmt: skip
def test_whatever_a_server_answers_ends_in_a_sentence(web: Web, answer: Callable[[Shop], None], sentence: str) -> None:
    web.answers["/a"] = lambda shop: (answer(shop), setattr(shop, "close_connection", True))[0]
    with pytest.raises(Unopened, match=sentence):
        web.fetch("http://shop.example/a")


def test_a_busy_server_is_asked_once_more(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(fetching.time, "sleep", waited.append)
    web.answers["/a"] = lambda shop: shop.say(429, Retry_After="2") if len(web.asked) == 1 else shop.photo()
    assert web.fetch("http://shop.example/a") == PHOTO
    assert waited == [2.0]


def test_what_a_server_says_of_training_goes_along(web: Web) -> None:
    web.answers["/a"] = lambda shop: shop.say(200, PHOTO, X_Robots_Tag="noindex, noai", TDM_Reservation="1")
    assert web.fetcher.fetch("http://shop.example/a", MIB).said == {
        "x-robots-tag": "noindex, noai", "tdm-reservation": "1",
    }  # fmt: skip


def test_a_team_can_name_hosts_of_its_own_network_and_no_others(web: Web) -> None:
    web.names |= {"dam.lan": ["10.1.2.3"], "other.lan": ["10.9.9.9"]}
    for listed, urls in {
        ("dam.lan",): ("http://dam.lan:9000/a", "http://DAM.lan/a"),
        ("10.1.0.0/16",): ("http://10.1.2.3:9000/a", "http://dam.lan/a"),
    }.items():
        web.fetcher = replace(web.fetcher, private=PrivateHosts(listed))
        for url in urls:
            assert web.fetch(url) == PHOTO
        for url in ("http://other.lan/a", "http://127.0.0.1/a", "http://shop.example:9000/a"):
            with pytest.raises(Unopened):
                web.fetch(url)


def test_two_requests_at_most_go_to_a_host_at_once(web: Web) -> None:
    inside, most, lock, gate = 0, 0, threading.Lock(), threading.Event()

    def answer(shop: Shop) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            if inside == 2:
                gate.set()
        gate.wait(5)
        with lock:
            inside -= 1
        shop.photo()

    web.answers["/a"] = answer
    threads = [threading.Thread(target=web.fetch, args=("http://shop.example/a",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(web.asked)) == (2, 6)


def test_a_server_that_never_answers_is_not_waited_for_a_million_times(web: Web) -> None:
    asked: list[str] = []

    def dead(address: str, port: int, timeout_s: float) -> socket.socket:
        asked.append(address)
        raise TimeoutError

    web.names["other.example"] = [PUBLIC]
    alive = web.fetcher
    web.fetcher = replace(alive, connect=dead)
    for _ in range(fetching.SILENCES):
        with pytest.raises(Unopened, match="does not answer; try again"):
            web.fetch("http://shop.example/a.jpg")
    for _ in range(3):
        with pytest.raises(Unopened, match=f"did not answer {fetching.SILENCES} times in a row; try again"):
            web.fetch("http://shop.example/a.jpg")
    assert len(asked) == fetching.SILENCES
    assert alive.fetch("http://other.example/a.jpg", MIB).data == PHOTO


def test_a_host_with_many_addresses_of_one_kind_is_tried_at_the_other_too(web: Web) -> None:
    """As where a machine has no way out by IPv6."""
    web.names["shop.example"] = ["2606:4700::1", "2606:4700::2", "2606:4700::3", "2606:4700::4", PUBLIC]
    tried: list[str] = []

    def connect(address: str, port: int, timeout_s: float) -> socket.socket:
        tried.append(address)
        if ":" in address:
            raise TimeoutError
        return web.connect(address, port, timeout_s)

    web.fetcher = replace(web.fetcher, connect=connect)
    assert web.fetch("http://shop.example/a.jpg") == PHOTO
    assert tried == ["2606:4700::1", PUBLIC]


@pytest.mark.parametrize("packing", ["utf-8", "aws-chunked", "none", "", "binary", "identity"])
def test_words_that_name_no_packing_are_passed_over(web: Web, packing: str) -> None:
    web.answers["/a"] = lambda shop: shop.say(200, PHOTO, Content_Encoding=packing)
    assert web.fetch("http://shop.example/a") == PHOTO


@pytest.mark.parametrize("packing", ["gzip", "GZIP", "identity, br", "x-gzip", "zstd"])
def test_a_packed_body_is_never_unpacked(web: Web, packing: str) -> None:
    web.answers["/a"] = lambda shop: shop.say(200, PHOTO, Content_Encoding=packing)
    with pytest.raises(Unopened, match="packed, though it was asked not to"):
        web.fetch("http://shop.example/a")


def test_servers_are_told_who_asks_and_by_the_name_they_go_by(web: Web) -> None:
    heard: list[dict[str, str]] = []
    web.answers["/a"] = lambda shop: (heard.append(dict(shop.headers)), shop.photo())[1]
    web.fetch("http://shop.example/a")
    web.fetch("http://shop.example:8080/a")
    assert [said["Host"] for said in heard] == ["shop.example", "shop.example:8080"]
    assert all(said["User-Agent"].startswith("Packshot (") for said in heard)
    assert not any({"Cookie", "Referer", "Authorization"} & said.keys() for said in heard)
