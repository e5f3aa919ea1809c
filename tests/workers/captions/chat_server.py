"""A server on this machine that speaks chat completions, and fails as real ones do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Said:
    """One answer: a status, headers, and a body; a cut one ends before its end, a dripping one comes letter
    by letter, blanks first, for two seconds."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False
    is_dripping: bool = False


@dataclass
class ChatServer:
    """What was asked, by body and headers, and what `says` answers to the n-th request (from 0)."""

    url: str = ""
    says: Callable[[int, dict[str, Any]], Said] = lambda number, body: completion("A red kettle.")
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def texts(self) -> list[str]:
        """The words of each question."""
        return [body["messages"][0]["content"][-1]["text"] for body in self.asked]


def completion(text: Any, headers: dict[str, str] | None = None, finish: str = "stop", **more: Any) -> Said:
    """A body as a server makes it."""
    body = {
        "id": "chatcmpl-1", "object": "chat.completion", "model": "tiny",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 10}, **more,
    }  # fmt: skip
    return Said(json.dumps(body).encode(), headers=headers or {})


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """A server on a free port, until the end."""
    state = ChatServer()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            with state.lock:
                number = len(state.asked)
                state.asked.append({"path": self.path, **json.loads(data)})
                state.headers.append({name.lower(): value for name, value in self.headers.items()})
                state.at_work += 1
                state.most_at_work = max(state.most_at_work, state.at_work)
            try:
                self._say(state.says(number, state.asked[number]))
            except OSError:
                self.close_connection = True
            finally:
                with state.lock:
                    state.at_work -= 1

        def _say(self, said: Said) -> None:
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body) + (100 if said.is_cut or said.is_dripping else 0)))
            self.end_headers()
            for _ in range(100 if said.is_dripping else 0):
                self.wfile.write(b" ")
                self.wfile.flush()
                if ended.wait(0.02):
                    return
            self.wfile.write(said.body)
            if said.is_cut:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
