"""A captioner that somebody else runs: any server that speaks chat completions (vLLM, SGLang, Ollama, OpenAI).

So many questions at once, each tried again with growing pauses, longer where the server asks for it; the address is an
owner's, redirects are not followed, and the key is in no message. Knows no database.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import httpx

from app.captions.asking import Asking
from workers.captions import chat_protocol
from workers.captions.captioner import PhotoAnswer, PhotoQuestion
from workers.captions.chat_protocol import MARK, NoAnswer, Reply
from workers.captions.purse import Purse
from workers.captions.shrinking import shrink
from workers.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

log = logging.getLogger(__name__)

TRIES: Final = 5
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
# What a busy server may ask for; for more, its photos wait until somebody asks again.
MAX_PATIENCE_S: Final = 120.0
CONNECT_S: Final = 10.0
MOST_BYTES: Final = 4 << 20
# So many photos in a row without any answer, and the server is taken to be gone: there may be a million.
SILENCES: Final = 3
# Errors that may pass: too early, too many, the server's own (529: overloaded, as some say it).
_PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class _Passing(Exception):
    """A failure that may pass. `wait_s` is what the server asks for."""

    def __init__(self, sentence: str, wait_s: float | None = None) -> None:
        super().__init__(sentence)
        self.wait_s = wait_s


@dataclass
class ServerCaptioner:
    """A model at a server. `concurrency` questions are asked at once; `purse` says what they may cost; `is_stopped`
    ends pauses early."""

    name: str
    url: str
    key: str = field(default="", repr=False)
    concurrency: int = 8
    timeout_s: float = 120.0
    purse: Purse = field(default_factory=Purse)
    is_stopped: Callable[[], bool] = lambda: False
    first_pause_s: float = FIRST_PAUSE_S
    revision: str = ""
    looks: bool = True
    answers_together: bool = False
    _limit_name: str = "max_tokens"
    _has_form: bool = True
    _silences: int = 0
    _not_before: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def at_once(self) -> int:
        """Twice as many as are asked at once, so that the server is seldom idle; whoever stops waits for these."""
        return 2 * self.concurrency

    def obstacle(self, asking: Asking) -> str:
        """It can be asked anything."""
        return ""

    def answer(self, questions: Sequence[PhotoQuestion]) -> Iterator[PhotoAnswer]:
        """An answer to each as they come, also to those that failed.

        Raises SpendLimitReached behind the answers that were paid, and InputError where the server refuses the key, the
        model or everything, or does not answer any more.
        """
        timeout = httpx.Timeout(self.timeout_s, connect=CONNECT_S, pool=None)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        refusals: list[InputError] = []

        def ask(question: PhotoQuestion) -> PhotoAnswer | None:
            # Once one is refused, the others are not sent; those on their way are paid, and so waited for.
            if refusals:
                return None
            try:
                return self._answer(client, question)
            except InputError as refusal:
                refusals.append(refusal)
                return None

        with (
            httpx.Client(timeout=timeout, headers=headers, follow_redirects=False) as client,
            ThreadPoolExecutor(self.concurrency, "caption") as pool,
        ):
            asked = [pool.submit(ask, question) for question in questions]
            try:
                for future in as_completed(asked):
                    if (answer := future.result()) is not None:
                        yield answer
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        if refusals:
            raise refusals[0]

    def _answer(self, client: httpx.Client, question: PhotoQuestion) -> PhotoAnswer:
        picture = shrink(question.picture) if question.picture is not None else None
        said = ""
        for number in range(TRIES):
            self._wait_until(self._not_before)
            try:
                reply = self._try(client, question, picture)
                break
            except _Passing as passing:
                said = str(passing)
                log.warning("caption of photo %s, try %s: %s", question.image_id, number + 1, said)
                if passing.wait_s is not None and passing.wait_s > MAX_PATIENCE_S:
                    raise InputError(
                        f"The caption server is busy and asks to come back in {passing.wait_s:,.0f} s. What was "
                        "written stays; asked again it goes on."
                    ) from None
                if number + 1 < TRIES:
                    self._pause(number, passing.wait_s)
            except NoAnswer as refused:
                return PhotoAnswer(question.image_id, asked=question.text, failure=str(refused))
        else:
            self._silent(said)
            failure = f"{said} Tried {TRIES} times."
            return PhotoAnswer(question.image_id, asked=question.text, failure=failure)
        self._silences = 0
        return PhotoAnswer(
            question.image_id, reply.text, question.text, reply.tokens_in or 0, reply.tokens_out or 0, reply.is_cut
        )

    def _try(self, client: httpx.Client, question: PhotoQuestion, picture: Picture | None) -> Reply:
        """One request. Raises _Passing for what may pass, NoAnswer for what is refused for this photo, and InputError
        for what would be refused for all."""
        reserved = self.purse.reserve(question.most_tokens)
        tokens_in = tokens_out = 0
        mark = f"{MARK}{uuid4().hex}"
        try:
            body = chat_protocol.body_of(question, self.name, picture, self._limit_name, self._has_form)
            status, headers, data = self._send(client, body, mark)
            if status == 200:
                try:
                    reply = chat_protocol.read_reply(data, headers, mark)
                except NoAnswer as broken:
                    raise _Passing(str(broken)) from None
                # What a server does not count is counted by its length: four letters to a token, roughly.
                tokens_in = reply.tokens_in if reply.tokens_in is not None else len(question.text) // 4 + 1000
                tokens_out = reply.tokens_out if reply.tokens_out is not None else len(reply.text) // 4 + 1
                return replace(reply, tokens_in=tokens_in, tokens_out=tokens_out)
            raise self._refused(status, headers, data, question)
        finally:
            self.purse.settle(reserved, tokens_in, tokens_out)

    def _send(self, client: httpx.Client, body: bytes, mark: str) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body of an answer. The whole of it comes within `timeout_s` and a few MB."""
        deadline = time.monotonic() + self.timeout_s
        headers = {"Content-Type": "application/json", "X-Request-Id": mark}
        data = bytearray()
        try:
            with client.stream("POST", f"{self.url}/chat/completions", content=body, headers=headers) as answer:
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > MOST_BYTES:
                        raise NoAnswer(f"The server’s answer is longer than {MOST_BYTES >> 20} MB.")
                    if time.monotonic() > deadline:
                        raise _Passing(f"The server did not answer within {self.timeout_s:,.0f} s.")
                return answer.status_code, answer.headers, bytes(data)
        except httpx.TimeoutException:
            raise _Passing(f"The server did not answer within {self.timeout_s:,.0f} s.") from None
        except httpx.ConnectError:
            raise _Passing("The server takes no connections.") from None
        except httpx.HTTPError:  # cut off, or nothing that HTTP knows
            raise _Passing("The server’s answer was cut off.") from None

    def _refused(self, status: int, headers: httpx.Headers, data: bytes, question: PhotoQuestion) -> Exception:
        """What a status other than 200 means."""
        said = chat_protocol.said_in(data)
        said = said.replace(self.key, "…") if self.key else said
        if status in _PASSING:
            busy = "is busy" if status in (429, 503, 529) else "broke"
            return _Passing(f"The server {busy} ({status}).", chat_protocol.wait_of(headers.get("retry-after")))
        if status in (401, 403):
            return InputError(f"The caption server refuses the key ({status}); set PACKSHOT_CAPTION_SERVER_KEY.")
        if status == 404:
            return InputError(f"The caption server knows no model {self.name}, or has another address: {said or 404}")
        if 300 <= status < 400:
            return InputError(
                f"The caption server answers with a redirect ({status}), which is not followed; set "
                "PACKSHOT_CAPTION_SERVER to where it leads."
            )
        if status == 400 and self._limit_name == "max_tokens" and "max_completion_tokens" in said:
            self._limit_name = "max_completion_tokens"
            return _Passing("The server wants another name for the limit.", 0.0)
        if status in (400, 422, 501) and question.schema is not None and self._has_form and _is_about_form(said):
            # The schema is in the question too, and the answer is held against it here.
            self._has_form = False
            return _Passing("The server holds no answer to a schema.", 0.0)
        if status == 402:
            return InputError(f"The caption server wants money first: {said or status}")
        return NoAnswer(f"The server refused the question ({status}){f': {said}' if said else '.'}")

    def _pause(self, number: int, asked_s: float | None) -> None:
        """Wait before the next try; where the server asked for it, every question waits. Raises InputError when
        stopped."""
        grown = min(LONGEST_PAUSE_S, self.first_pause_s * 2**number)
        wait_s = grown * random.uniform(0.5, 1.0) if asked_s is None else asked_s  # noqa: S311  # no secret
        until = time.monotonic() + wait_s
        with self._lock:
            if asked_s is not None:
                self._not_before = max(self._not_before, until)
        self._wait_until(until)

    def _wait_until(self, until: float) -> None:
        """Raises InputError when stopped."""
        while (left := until - time.monotonic()) > 0:
            if self.is_stopped():
                raise InputError("Stopped.")
            time.sleep(min(left, 0.2))

    def _silent(self, said: str) -> None:
        """Count a photo that got no answer. Raises InputError where the server is taken to be gone."""
        with self._lock:
            self._silences += 1
            if self._silences >= SILENCES:
                raise InputError(
                    f"The caption server gave no answer for {SILENCES} photos in a row, each tried {TRIES} times. "
                    f"{said} What was written stays; asked again it goes on."
                )


def _is_about_form(said: str) -> bool:
    return any(word in said.lower() for word in ("response_format", "json_schema", "schema", "guided", "grammar"))
