"""The chat-completions protocol, as OpenAI made it and vLLM, SGLang and Ollama speak it: bodies written and read.

Pure: no network. Nothing that a server says is believed before it is checked.
"""

from __future__ import annotations

import base64
import email.utils
import io
import json
import math
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


class Declined(NoAnswer):
    """The model, or what watches over it, will not answer this question, however often it is asked."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What servers differ in: the name of the limit of an answer's length, whether they take a temperature, and whether
    they hold answers to a schema."""

    limit_name: str = "max_tokens"
    has_temperature: bool = True
    has_form: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer out of a body: its text, and whether it was cut off."""

    text: str
    is_cut: bool


def body_of(question: PhotoQuestion, model: str, picture: Picture | None, dialect: Dialect) -> bytes:
    """A request for one answer, as JSON."""
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
        dialect.limit_name: question.most_tokens,
        "stream": False,
    }
    if dialect.has_temperature:
        body["temperature"] = 0
    if question.schema is not None and dialect.has_form:
        form = {"name": "captions", "schema": question.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return json.dumps(body).encode()


def read_reply(data: bytes, headers: Mapping[str, str], mark: str) -> Reply:
    """The answer in a body. Raises NoAnswer where there is none, or it is one to another question than `mark`'s, and
    Declined where there will be none."""
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
        end, refusal = choice.get("finish_reason"), message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        said = said_in(data) if given.get("error") else ""
        raise NoAnswer(f"The server’s answer holds no message{f': {said}' if said else '.'}") from None
    if end == "content_filter" or (isinstance(refusal, str) and refusal):
        said = _short(refusal) if isinstance(refusal, str) else ""
        raise Declined(f"The model declines to answer{f': {said}' if said else '.'}")
    if content is None and end == "length":
        content = ""  # all of it were thoughts, which some servers tell apart
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise NoAnswer("The server’s answer holds no text.")
    return Reply(content, end == "length")


def tokens_of(data: bytes) -> tuple[int | None, int | None]:
    """The tokens of question and answer that a body counts, whatever else it holds; None where it does not tell."""
    try:
        usage = json.loads(data)["usage"]
        return _count(usage["prompt_tokens"]), _count(usage["completion_tokens"])
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        return None, None


def said_in(data: bytes) -> str:
    """What a server says of a refused request, in a short line."""
    try:
        given = json.loads(data)
        error = given.get("error", given) if isinstance(given, dict) else given
        text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    except (ValueError, RecursionError):
        text = data[:400].decode(errors="replace")
    return _short(str(text or ""))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return "".join(letter for letter in line if letter.isprintable())[:200]


def wait_of(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After asks for, as a number or a date (RFC 9110, 10.2.3); None where it says nothing."""
    if not value:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _TOKENS_AT_MOST
    return value if is_count else None
