"""The chat-completions protocol, as OpenAI made it and vLLM, SGLang and Ollama speak it: bodies written and read.

Pure: no network. Nothing that a server says is believed before it is checked.
"""

from __future__ import annotations

import base64
import email.utils
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from workers.captions.captioner import PhotoQuestion

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# By this a question is known again in the answer: servers give an X-Request-Id back, vLLM in its `id` too.
MARK: Final = "packshot-"
_TOKENS_AT_MOST: Final = 10_000_000
_QUALITY: Final = 90


class NoAnswer(Exception):
    """What came back is no answer to the question; the message says why, in a sentence."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer out of a body: its text, tokens (None: not told), and whether it was cut off."""

    text: str
    tokens_in: int | None
    tokens_out: int | None
    is_cut: bool


def body_of(question: PhotoQuestion, model: str, picture: Picture | None, limit_name: str, has_form: bool) -> bytes:
    """A request for one answer, as JSON; `has_form` asks the server to hold the answer to its schema."""
    content: list[dict[str, Any]] = []
    if picture is not None:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=_QUALITY)
        url = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
        content.append({"type": "image_url", "image_url": {"url": url}})
    content.append({"type": "text", "text": question.text})
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        limit_name: question.most_tokens,
        "temperature": 0,
        "stream": False,
    }
    if question.schema is not None and has_form:
        form = {"name": "captions", "schema": question.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return json.dumps(body).encode()


def read_reply(data: bytes, headers: Mapping[str, str], mark: str) -> Reply:
    """The answer in a body. Raises NoAnswer where there is none, or it is one to another question than `mark`'s."""
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        raise NoAnswer("The server’s answer is no JSON.") from None
    if not isinstance(given, dict):
        raise NoAnswer("The server’s answer is JSON, but no object.")
    for name in (headers.get("x-request-id", ""), str(given.get("id", ""))):
        if MARK in name and mark not in name:
            raise NoAnswer("The server answered about another photo.")
    try:
        choice = given["choices"][0]
        message = choice["message"]
        content = message.get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise NoAnswer("The server’s answer holds no message.") from None
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise NoAnswer("The server’s answer holds no text.")
    usage = given.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    is_cut = choice.get("finish_reason") == "length"
    return Reply(content, _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), is_cut)


def said_in(data: bytes) -> str:
    """What a server says of a refused request, in a short line."""
    try:
        given = json.loads(data)
        error = given.get("error", given) if isinstance(given, dict) else given
        text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    except (ValueError, RecursionError):
        text = data[:400].decode(errors="replace")
    line = " ".join(str(text or "").split())
    return "".join(letter for letter in line if letter.isprintable())[:200]


def wait_of(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After asks for, as a number or a date (RFC 9110, 10.2.3); None where it says nothing."""
    if not value:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if seconds == seconds else None  # not a number is none
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _TOKENS_AT_MOST
    return value if is_count else None
