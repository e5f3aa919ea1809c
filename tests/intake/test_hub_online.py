"""Data sets fetched from a model hub: its real client in a process of its own, asking a server that speaks as the hub
does, with what goes wrong there: gated, missing, too busy, down, cut off midway."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pytest

from app.intake.hub import HubDataset
from app.storage import Storage
from tests.intake.conftest import encoded, picture

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
# The client writes 10 MiB at a time, and goes on behind the last that it wrote.
LARGE: Final = os.urandom(1 << 20) * 11
FILES: Final = {
    "README.md": b"---\nlicense: cc-by-4.0\n---\n", "images/a.jpg": encoded(picture(1)), "data/b.zip": LARGE,
    "run.py": b"raise SystemExit", "../../out.jpg": b"x",
}  # fmt: skip


@dataclass
class Hub:
    """What the server was asked, and how it answers some paths: each answer once, in turn."""

    address: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    turns: dict[str, list[str]] = field(default_factory=dict)


class Answering(BaseHTTPRequestHandler):
    """The few calls of the hub's HTTP interface that fetching a data set takes."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        turn = next(iter(self.hub.turns.get(path, ())), "")
        if turn:
            self.hub.turns[path].pop(0)
        if turn.isdigit() or turn in ("gated", "busy"):
            status = {"gated": 401, "busy": 429}.get(turn) or int(turn)
            wait = {"Retry-After": "1"} if turn == "busy" else {}
            self._say(status, b"", **({"X-Error-Code": "GatedRepo"} if turn == "gated" else {}), **wait)
        elif path.startswith("/api/datasets/"):
            self._about(*path.removeprefix("/api/datasets/").split("/revision/"))
        elif path.startswith("/datasets/") and (data := FILES.get(path.split(f"/resolve/{COMMIT}/")[-1])) is not None:
            self._send(data, turn)
        else:
            self._say(404, b"", **{"X-Error-Code": "EntryNotFound"})

    def _about(self, name: str, revision: str = "main") -> None:
        if name.startswith("nobody/"):
            self._say(404, b"", **{"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", "v1", COMMIT):
            self._say(404, b"", **{"X-Error-Code": "RevisionNotFound"})
        else:
            siblings = [{"rfilename": own, "size": len(data)} for own, data in FILES.items()]
            about = {"id": name, "sha": COMMIT, "siblings": siblings}
            self._say(200, json.dumps(about).encode(), Content_Type="application/json")

    def _send(self, data: bytes, turn: str) -> None:
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        more = {"ETag": etag, "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if first:
            more["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        self._say(206 if first else 200, data[first:], cut=turn == "cut", **more)

    def _say(self, status: int, body: bytes, cut: bool = False, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) - 1000] if cut else body)
        if cut and self.command == "GET":
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def served() -> Iterator[Hub]:
    hub = Hub()
    handler = type("AnsweringForTests", (Answering,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()


@dataclass
class Child:
    """The process with the hub's client, and its storage."""

    process: subprocess.Popen[str]
    storage: Storage

    def fetch(self, name: str, revision: str = "main") -> tuple[str, int]:
        """What came of a data set, and how many signs of life there were."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, revision]) + "\n")
        self.process.stdin.flush()
        came, beats = json.loads(self.process.stdout.readline())
        return came, beats


@pytest.fixture(scope="module")
def child(served: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    root = tmp_path_factory.mktemp("hub")
    environment = os.environ | {
        "HF_ENDPOINT": served.address, "HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": str(root / "cache"),
        "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HOME": str(root / "home"),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.intake.hub_child", str(root / "data")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    with process:
        yield Child(process, Storage(root / "data"))
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(autouse=True)
def forgetful(served: Hub) -> None:
    served.asked.clear()
    served.turns.clear()


def files(child: Child, wanted: HubDataset) -> dict[str, bytes]:
    folder = wanted.folder(child.storage)
    paths = [
        path for path in folder.rglob("*") if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    ]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_data_set_is_fetched_at_its_commit_without_what_runs_or_leads_out(served: Hub, child: Child) -> None:
    assert child.fetch("shop/kettles", "v1")[0] == "fetched"
    wanted = {name: FILES[name] for name in ("README.md", "images/a.jpg", "data/b.zip")}
    assert files(child, HubDataset("shop/kettles", "v1")) == wanted
    asked = [path for _, path, _ in served.asked]
    assert asked[0] == "/api/datasets/shop/kettles/revision/v1"
    assert all(f"/resolve/{COMMIT}/" in path for path in asked[1:])


def test_a_file_that_is_cut_off_midway_goes_on_where_it_was(served: Hub, child: Child) -> None:
    path = f"/datasets/shop/cut/resolve/{COMMIT}/data/b.zip"
    served.turns[path] = ["whole", "cut"]  # asked about, then fetched
    assert child.fetch("shop/cut")[0] == "fetched"
    assert files(child, HubDataset("shop/cut"))["data/b.zip"] == LARGE
    ranges = [asked for method, its, asked in served.asked if its == path and method == "GET" and asked]
    assert ranges == [f"bytes={10 << 20}-"]


def test_a_hub_that_has_had_too_many_requests_is_waited_for(served: Hub, child: Child) -> None:
    served.turns["/api/datasets/shop/busy/revision/main"] = ["busy"]
    served.turns[f"/datasets/shop/busy/resolve/{COMMIT}/images/a.jpg"] = ["busy"]
    came, beats = child.fetch("shop/busy")
    assert came == "fetched" and beats > 4
    assert files(child, HubDataset("shop/busy"))["images/a.jpg"] == FILES["images/a.jpg"]


@pytest.mark.parametrize(
    ("name", "revision", "turns", "sentence"),
    [
        ("nobody/here", "main", {}, "Refused: The model hub has no data set nobody/here, or none that it shows here."),
        ("shop/a", "v9", {}, "Refused: shop/a has no revision v9."),
        ("shop/b", "main", {"/api/datasets/shop/b/revision/main": ["gated"]},
         "Refused: hf://datasets/shop/b@main is kept for people who asked on its page, and HF_TOKEN names none."),
        # The page of a gated data set can be read by anybody, its files cannot.
        ("shop/c", "main", {f"/datasets/shop/c/resolve/{COMMIT}/README.md": ["gated"] * 9},
         "Refused: README.md of hf://datasets/shop/c@main cannot be fetched: hf://datasets/shop/c@main is kept for "
         "people who asked on its page, and HF_TOKEN names none."),
        ("shop/d", "main", {"/api/datasets/shop/d/revision/main": ["503"]},
         "Refused: The model hub answers 503. What was taken in stays; go on when that has passed."),
        ("shop/e", "main", {f"/datasets/shop/e/resolve/{COMMIT}/data/b.zip": ["404"] * 9},
         "Refused: data/b.zip of hf://datasets/shop/e@main cannot be fetched: "),
    ],
)  # fmt: skip
def test_what_a_hub_answers_is_said_in_one_sentence(
    served: Hub, child: Child, name: str, revision: str, turns: dict[str, list[str]], sentence: str
) -> None:
    served.turns.update(turns)
    came, _ = child.fetch(name, revision)
    assert came == sentence if sentence.endswith(".") else came.startswith(sentence)


def test_what_was_fetched_is_kept_and_not_fetched_again(served: Hub, child: Child) -> None:
    broken = f"/datasets/shop/again/resolve/{COMMIT}/data/b.zip"
    served.turns[broken] = ["404"] * 9
    assert "cannot be fetched" in child.fetch("shop/again")[0]
    served.turns.clear()
    served.asked.clear()
    assert child.fetch("shop/again")[0] == "fetched"
    assert {path.split("/")[-1] for _, path, _ in served.asked} == {"b.zip"}, "nor is what it holds asked again"
