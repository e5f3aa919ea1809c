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
from workers.captions.chat_protocol import MARK, Declined, Dialect, NoAnswer, Reply
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
# So many photos in a row refused, each for itself, and the server is taken to refuse them all.
REFUSALS: Final = 20
# Errors that may pass: too early, too many, the server's own (529: overloaded, as some say it).
_PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class _Passing(Exception):
    """A failure that may pass. `wait_s` is what the server asks for; `may_cost`: it may have worked on the question."""

    def __init__(self, sentence: str, wait_s: float | None = None, *, may_cost: bool = False) -> None:
        super().__init__(sentence)
        self.wait_s = wait_s
        self.may_cost = may_cost


class _Stopped(InputError):
    """Somebody asked to stop."""


@dataclass
class _Took:
    """Tokens that a photo took, over all tries."""

    tokens_in: int = 0
    tokens_out: int = 0


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
    _dialect: Dialect = field(default_factory=Dialect)
    _silences: int = 0
    _refusals: int = 0
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
        """An answer to each as they come, also to those that failed; to fewer where a stop was asked.

        Raises SpendLimitReached behind the answers that were paid, and InputError where the server refuses the key, the
        model or everything, or does not answer any more.
        """
        timeout = httpx.Timeout(self.timeout_s, connect=CONNECT_S, pool=None)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        refusals: list[InputError] = []

        def ask(question: PhotoQuestion) -> PhotoAnswer | None:
            # Once one is refused, the others are not sent; those on their way are paid, and so waited for.
            if refusals or self.is_stopped():
                return None
            took = _Took()
            try:
                answer = self._answer(client, question, took)
            except InputError as refusal:
                if not isinstance(refusal, _Stopped):
                    refusals.append(refusal)
                if took == _Took():
                    return None
                answer = PhotoAnswer(question.image_id, asked=question.text, failure=str(refusal))
            return replace(answer, tokens_in=took.tokens_in, tokens_out=took.tokens_out)

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

    def _answer(self, client: httpx.Client, question: PhotoQuestion, took: _Took) -> PhotoAnswer:
        """An answer, by as many tries as it takes; what they took is counted. Raises InputError."""
        picture = shrink(question.picture) if question.picture is not None else None
        said = ""
        for number in range(TRIES):
            self._wait_until(self._not_before)
            try:
                reply = self._try(client, question, picture, took)
                break
            except _Passing as passing:
                said = self._without_key(str(passing))
                log.warning("caption of photo %s, try %s: %s", question.image_id, number + 1, said)
                if passing.wait_s is not None and passing.wait_s > MAX_PATIENCE_S:
                    raise InputError(
                        f"The caption server is busy and asks to come back in {passing.wait_s:,.0f} s. What was "
                        "written stays; asked again it goes on."
                    ) from None
                if number + 1 < TRIES:
                    self._pause(number, passing.wait_s)
            except NoAnswer as refused:
                said = self._without_key(str(refused))
                self._refused_one(said)
                return PhotoAnswer(question.image_id, asked=question.text, failure=said)
        else:
            self._silent(said)
            failure = f"{said} Tried {TRIES} times."
            return PhotoAnswer(question.image_id, asked=question.text, failure=failure)
        self._silences = self._refusals = 0
        return PhotoAnswer(question.image_id, reply.text, question.text, is_cut=reply.is_cut)

    def _try(self, client: httpx.Client, question: PhotoQuestion, picture: Picture | None, took: _Took) -> Reply:
        """One request. Raises _Passing for what may pass, NoAnswer for what is refused for this photo, and InputError
        for what would be refused for all."""
        reserved = self.purse.reserve(question.most_tokens)
        tokens_in = tokens_out = 0
        mark, dialect = f"{MARK}{uuid4().hex}", self._dialect
        # What a server does not count is counted by its length: four letters to a token, roughly.
        about = len(question.text) // 4 + 1000
        try:
            body = chat_protocol.body_of(question, self.name, picture, dialect)
            status, headers, data = self._send(client, body, mark)
            if status != 200:
                raise self._refused(status, headers, data, question, dialect)
            # It is paid for, whatever it is worth.
            counted_in, counted_out = chat_protocol.tokens_of(data)
            tokens_in = about if counted_in is None else counted_in
            tokens_out = min(question.most_tokens, len(data) // 4 + 1) if counted_out is None else counted_out
            try:
                return chat_protocol.read_reply(data, headers, mark)
            except Declined:
                raise
            except NoAnswer as broken:
                raise _Passing(str(broken)) from None
        except _Passing as passing:
            if passing.may_cost:
                tokens_in, tokens_out = about, question.most_tokens
            raise
        finally:
            self.purse.settle(reserved, tokens_in, tokens_out)
            took.tokens_in += tokens_in
            took.tokens_out += tokens_out

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
                        raise _Passing(f"The server did not answer within {self.timeout_s:,.0f} s.", may_cost=True)
                return answer.status_code, answer.headers, bytes(data)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise _Passing("The server takes no connections.") from None
        except httpx.TimeoutException:
            raise _Passing(f"The server did not answer within {self.timeout_s:,.0f} s.", may_cost=True) from None
        except httpx.HTTPError:  # cut off, or nothing that HTTP knows
            raise _Passing("The server’s answer was cut off.", may_cost=True) from None

    def _refused(
        self, status: int, headers: httpx.Headers, data: bytes, question: PhotoQuestion, dialect: Dialect
    ) -> Exception:
        """What a status other than 200 means, of a question put in this dialect."""
        said = self._without_key(chat_protocol.said_in(data))
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
        # Others asked at the same time are told the same, and ask again too.
        if status == 400 and dialect.limit_name == "max_tokens" and "max_completion_tokens" in said:
            self._dialect = replace(self._dialect, limit_name="max_completion_tokens")
            return _Passing("The server wants another name for the limit.", 0.0)
        if status in (400, 422) and dialect.has_temperature and "temperature" in said:
            self._dialect = replace(self._dialect, has_temperature=False)
            return _Passing("The server takes no temperature.", 0.0)
        if status in (400, 422, 501) and question.schema is not None and dialect.has_form and _is_about_form(said):
            # The schema is in the question too, and the answer is held against it here.
            self._dialect = replace(self._dialect, has_form=False)
            return _Passing("The server holds no answer to a schema.", 0.0)
        if status == 402:
            return InputError(f"The caption server wants money first: {said or status}")
        return NoAnswer(f"The server refused the question ({status}){f': {said}' if said else '.'}")

    def _pause(self, number: int, asked_s: float | None) -> None:
        """Wait before the next try; where the server asked for it, every question waits. Raises _Stopped."""
        grown = min(LONGEST_PAUSE_S, self.first_pause_s * 2**number)
        wait_s = grown * random.uniform(0.5, 1.0) if asked_s is None else asked_s  # noqa: S311  # no secret
        until = time.monotonic() + wait_s
        with self._lock:
            if asked_s is not None:
                self._not_before = max(self._not_before, until)
        self._wait_until(until)

    def _wait_until(self, until: float) -> None:
        """Raises _Stopped."""
        while (left := until - time.monotonic()) > 0:
            if self.is_stopped():
                raise _Stopped("Stopped.")
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

    def _refused_one(self, said: str) -> None:
        """Count a photo that was refused. Raises InputError where all are taken to be."""
        with self._lock:
            self._refusals += 1
            if self._refusals >= REFUSALS:
                raise InputError(
                    f"The caption server refused {REFUSALS} photos in a row. {said} What was written stays; asked "
                    "again it goes on."
                )

    def _without_key(self, said: str) -> str:
        """What a server said, where it repeats the key."""
        return said.replace(self.key, "…") if self.key else said


def _is_about_form(said: str) -> bool:
    return any(word in said.lower() for word in ("response_format", "json_schema", "schema", "guided", "grammar"))
