"""A server that speaks as a model hub does, as far as fetching a data set takes, with what goes wrong there."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server was asked, and how it answers some paths: each answer once, in turn."""

    files: Mapping[str, bytes]
    address: str = ""
    asking: int = 0  # the process that a turn "kill" ends while it is answered
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
        elif (
            path.startswith("/datasets/")
            and (data := self.hub.files.get(path.split(f"/resolve/{COMMIT}/")[-1])) is not None
        ):
            self._send(data, turn)
        else:
            self._say(404, b"", **{"X-Error-Code": "EntryNotFound"})

    def _about(self, name: str, revision: str = "main") -> None:
        if name.startswith("nobody/"):
            self._say(404, b"", **{"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", "v1", COMMIT):
            self._say(404, b"", **{"X-Error-Code": "RevisionNotFound"})
        else:
            siblings = [{"rfilename": own, "size": len(data)} for own, data in self.hub.files.items()]
            about = {"id": name, "sha": COMMIT, "siblings": siblings}
            self._say(200, json.dumps(about).encode(), Content_Type="application/json")

    def _send(self, data: bytes, turn: str) -> None:
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        more = {"ETag": etag, "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if first:
            more["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        self._say(206 if first else 200, data[first:], turn=turn, **more)

    def _say(self, status: int, body: bytes, turn: str = "", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) - 1000] if turn in ("cut", "kill") else body)
        if turn in ("cut", "kill") and self.command == "GET":
            self.wfile.flush()
            self.close_connection = True
            if turn == "kill":
                os.kill(self.hub.asking, signal.SIGKILL)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[Hub]:
    """The server with one data set of these files, whatever it is called."""
    hub = Hub(files=files)
    handler = type("AnsweringForTests", (Answering,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()


def client_of(hub: Hub, root: Path) -> dict[str, str]:
    """The environment in which the hub's client asks this server, and keeps its cache below a folder."""
    return os.environ | {
        "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": str(root / "cache"),
        "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HOME": str(root / "home"),
    }  # fmt: skip
