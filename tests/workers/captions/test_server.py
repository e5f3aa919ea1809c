"""The captioner at a server, against one on this machine that fails as real ones do."""

from __future__ import annotations

import base64
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image

from app.captions.answers import schema_of
from app.captions.asking import Prices
from app.settings import Settings
from tests.workers.captions.chat_server import ChatServer, Said, chat_server, completion
from workers.captions import chat_protocol, server
from workers.captions.captioner import PhotoAnswer, PhotoQuestion
from workers.captions.purse import Purse, SpendLimitReached
from workers.captions.server import ServerCaptioner
from workers.errors import InputError

KEY = "sk-secret-of-ana"
BUSY = Said(b'{"error": {"message": "slow down"}}', 429, {"Retry-After": "0"})


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


def captioner(chat: ChatServer, **options: Any) -> ServerCaptioner:
    return ServerCaptioner("org/tiny", chat.url, KEY, **{"concurrency": 2, "first_pause_s": 0.001, **options})


def questions(count: int, **options: Any) -> list[PhotoQuestion]:
    picture = Image.new("RGB", (2000, 1000), (200, 30, 30))
    return [PhotoQuestion(number, f"What is photo {number}?", picture, **options) for number in range(count)]


def answers(asked: ServerCaptioner, count: int, **options: Any) -> list[PhotoAnswer]:
    return sorted(asked.answer(questions(count, **options)), key=lambda answer: answer.image_id)


def then(*first: Said, last: Said | None = None) -> Callable[[int, dict[str, Any]], Said]:
    """These answers, one after the other, then the last one again and again."""
    return lambda number, _: first[number] if number < len(first) else last or completion("A red kettle.")


def test_photos_are_asked_about_with_their_pictures_at_most_so_many_at_once(chat: ChatServer) -> None:
    both = threading.Barrier(2)

    def say(number: int, body: dict[str, Any]) -> Said:
        both.wait(10)
        return completion("About " + body["messages"][0]["content"][-1]["text"])

    chat.says = say
    got = answers(captioner(chat), 6, most_tokens=77)
    assert [answer.text for answer in got] == [f"About What is photo {number}?" for number in range(6)]
    assert {(answer.tokens_in, answer.tokens_out, answer.failure) for answer in got} == {(1000, 10, "")}
    assert chat.most_at_work == 2
    body, headers = chat.asked[0], chat.headers[0]
    assert (body["path"], body["model"], body["max_tokens"]) == ("/v1/chat/completions", "org/tiny", 77)
    assert headers["authorization"] == f"Bearer {KEY}"
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    sent = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))))
    assert (sent.format, sent.size) == ("JPEG", (1024, 512))
    assert "response_format" not in body


@pytest.mark.parametrize(
    "failure",
    [
        BUSY,
        Said(b"oh no", 500),
        Said(b'{"choices": [{"mess', is_cut=True),
        Said(b'{"choices": [{"mess'),
        Said(b'{"choices": []}'),
        Said(b"[1, 2]"),
        Said(b"[" * 100_000),
        completion(None),
        Said(b'{"choices": {"0": 1}}'),
        Said(b"\xff\xfe\x00"),
        completion("Another.", {"X-Request-Id": "packshot-of-another"}),
        completion("Another.", id="chatcmpl-packshot-of-another"),
    ],
    ids=[
        "429",
        "500",
        "cut",
        "broken",
        "empty",
        "array",
        "deep",
        "no text",
        "map",
        "bytes",
        "another's header",
        "another's id",
    ],
)
def test_what_may_pass_is_tried_again(chat: ChatServer, failure: Said) -> None:
    chat.says = then(failure)
    (answer,) = answers(captioner(chat), 1)
    assert (answer.text, answer.failure, len(chat.asked)) == ("A red kettle.", "", 2)


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_the_address_is_taken_as_people_copy_it(end: str, chat: ChatServer, settings: Settings) -> None:
    given = Settings(
        data_dir=settings.data_dir, caption_model="m", caption_server=chat.url.removesuffix("/v1") + end
    )  # fmt: skip
    assert given.caption_server == chat.url
    own = Settings(data_dir=settings.data_dir, caption_model="m", caption_server="https://host/openai/")
    assert own.caption_server == "https://host/openai"


def test_its_own_request_id_coming_back_is_no_other_photo(chat: ChatServer) -> None:
    chat.says = lambda number, _: completion("Yes.", {"X-Request-Id": chat.headers[number]["x-request-id"]})
    assert [answer.text for answer in answers(captioner(chat), 2)] == ["Yes.", "Yes."]
    assert len({headers["x-request-id"] for headers in chat.headers}) == 2


def test_a_photo_that_is_always_answered_about_another_is_refused_with_the_reason(chat: ChatServer) -> None:
    chat.says = then(last=completion("Another.", id="packshot-0"))
    (answer,) = answers(captioner(chat), 1)
    assert answer.failure == "The server answered about another photo. Tried 5 times."
    assert answer.text == ""


def test_a_slow_server_is_not_waited_for_longer_than_told(chat: ChatServer) -> None:
    chat.says = then(replace(completion("Too late."), is_dripping=True))
    (answer,) = answers(captioner(chat, timeout_s=0.2), 1)
    assert (answer.text, len(chat.asked)) == ("A red kettle.", 2)


def test_pauses_grow_and_a_retry_after_holds_for_all(chat: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    chat.says = then(*[Said(b"", 500)] * 3, Said(b"", 429, {"Retry-After": "7"}))
    slept: list[float] = []
    now = 1000.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    monkeypatch.setattr(server.time, "sleep", sleep)
    monkeypatch.setattr(server.time, "monotonic", lambda: now)
    monkeypatch.setattr(server.random, "uniform", lambda *_: 1.0)
    (answer,) = answers(captioner(chat, first_pause_s=1.0), 1)
    assert answer.text == "A red kettle."
    assert sum(slept) == pytest.approx(1 + 2 + 4 + 7)


def test_a_question_that_is_new_waits_as_long_as_the_server_asked_another_to(
    chat: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, slept = 1000.0, list[float]()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    monkeypatch.setattr(server.time, "sleep", sleep)
    monkeypatch.setattr(server.time, "monotonic", lambda: now)
    asked = captioner(chat)
    asked._not_before = now + 7  # as a question asked beside this one was told
    (answer,) = answers(asked, 1)
    assert (answer.text, sum(slept)) == ("A red kettle.", pytest.approx(7))


def test_a_server_that_asks_for_too_much_patience_ends_the_work_in_words(chat: ChatServer) -> None:
    chat.says = then(last=Said(b"", 429, {"Retry-After": "3600"}))
    with pytest.raises(InputError, match=r"asks to come back in 3,600 s\. What was written stays"):
        answers(captioner(chat), 4)
    assert len(chat.asked) <= 2


def test_a_server_that_is_gone_is_not_asked_about_every_photo(chat: ChatServer) -> None:
    chat.says = then(completion("A red kettle."), last=Said(b"", 502))
    got = []
    with pytest.raises(InputError, match=r"no answer for 3 photos in a row, each tried 5 times\. The server broke"):
        for answer in captioner(chat, concurrency=1).answer(questions(50)):
            got.append(answer)
    assert [answer.text for answer in got] == ["A red kettle.", "", ""]
    assert len(chat.asked) == 1 + 3 * 5


def test_nobody_listening_is_told(chat: ChatServer) -> None:
    nowhere = ServerCaptioner("org/tiny", "http://127.0.0.1:9/v1", concurrency=1, first_pause_s=0.0)
    with pytest.raises(InputError, match="takes no connections"):
        answers(nowhere, 3)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (Said(f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode(), 401), "refuses the key (401)"),
        (
            Said(b'{"error": {"message": "no such model"}}', 404),
            "knows no model org/tiny, or has another address: no",
        ),
        (
            Said(b"", 307, {"Location": "http://169.254.169.254/"}),
            "answers with a redirect (307), which is not",
        ),
    ],
)
def test_what_would_be_refused_for_every_photo_ends_the_work(chat: ChatServer, said: Said, sentence: str) -> None:
    chat.says = then(last=said)
    with pytest.raises(InputError) as refused:
        answers(captioner(chat), 5)
    assert sentence in str(refused.value) and KEY not in str(refused.value)
    assert len(chat.asked) <= 2


def test_a_photo_that_the_server_refuses_is_told_and_others_go_on(
    chat: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = Said(json.dumps({"error": {"message": f"image too large\x1b[2J {KEY}"}}).encode(), 400)
    chat.says = lambda number, body: refusal if "photo 1?" in chat.texts[number] else completion("A red kettle.")
    first, second, third = answers(captioner(chat), 3)
    assert (first.text, third.text) == ("A red kettle.", "A red kettle.")
    assert second.failure == "The server refused the question (400): image too large[2J …"
    assert KEY not in caplog.text


def test_the_schema_goes_along_and_is_left_out_where_the_server_knows_none(chat: ChatServer) -> None:
    refusal = Said(b'{"error": {"message": "response_format is not supported"}}', 400)
    chat.says = lambda _, body: refusal if "response_format" in body else completion("{}")
    schema = schema_of(("long", "tags"), "p1")
    got = answers(captioner(chat, concurrency=1), 2, schema=schema)
    assert [answer.text for answer in got] == ["{}", "{}"]
    assert chat.asked[0]["response_format"]["json_schema"]["schema"] == schema
    assert len(chat.asked) == 3, "the second photo is not asked about with it"


def test_what_a_server_takes_is_learned_by_all_that_are_asked_at_once(chat: ChatServer) -> None:
    both = threading.Barrier(2)

    def say(number: int, body: dict[str, Any]) -> Said:
        if number < 2:
            both.wait(10)
        for name in ("max_tokens", "temperature", "response_format"):
            if name in body:
                instead = " Use max_completion_tokens." if name == "max_tokens" else ""
                return Said(f'{{"error": {{"message": "Unsupported: {name}.{instead}"}}}}'.encode(), 400)
        return completion("{}")

    chat.says = say
    got = answers(captioner(chat), 3, schema=schema_of(("long",), "p1"))
    assert [(answer.text, answer.failure) for answer in got] == [("{}", "")] * 3
    assert chat.asked[-1]["max_completion_tokens"] == 96
    assert len(chat.asked) == 2 * 4 + 1, "the third photo is asked about rightly at once"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (completion(None, finish="content_filter"), "The model declines to answer."),
        (
            completion("", choices=[{"message": {"content": None, "refusal": f"I cannot.\n{KEY}"}}]),
            "The model declines to answer: I cannot. …",
        ),
    ],
)
def test_a_model_that_declines_is_not_asked_five_times(chat: ChatServer, said: Said, sentence: str) -> None:
    chat.says = then(said)
    first, second = answers(captioner(chat, concurrency=1), 2)
    assert (first.failure, second.text, len(chat.asked)) == (sentence, "A red kettle.", 2)
    assert (first.tokens_in, first.tokens_out) == (1000, 10), "it is paid all the same"


def test_thoughts_that_took_the_whole_length_are_an_answer_cut_off(chat: ChatServer) -> None:
    chat.says = then(completion(None, finish="length"))
    (answer,) = answers(captioner(chat), 1)
    assert (answer.text, answer.is_cut, answer.failure, len(chat.asked)) == ("", True, "", 1)


def test_an_error_that_comes_as_a_success_is_told_without_the_key(
    chat: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    chat.says = then(last=Said(json.dumps({"error": {"message": f"no room for {KEY}"}}).encode()))
    (answer,) = answers(captioner(chat), 1)
    assert answer.failure == "The server’s answer holds no message: no room for … Tried 5 times."
    assert KEY not in caplog.text


def test_a_server_that_refuses_every_photo_is_not_asked_about_a_million(chat: ChatServer) -> None:
    chat.says = then(last=Said(b'{"error": "no pictures"}', 400))
    with pytest.raises(
        InputError, match=r"refused 20 photos in a row\. The server refused the question \(400\): no pict"
    ):
        answers(captioner(chat, concurrency=1), 50)
    assert len(chat.asked) == 20


@pytest.mark.parametrize(
    ("failure", "tokens"),
    [
        (Said(b'{"choices": [], "usage": {"prompt_tokens": 700, "completion_tokens": 7}}'), (1700, 17)),
        (Said(b'{"choices": [{"mess', is_cut=True), (2004, 106)),
        (replace(completion("Too late."), is_dripping=True), (2004, 106)),
        (Said(b"oh no", 500), (1000, 10)),
    ],
    ids=["broken", "cut", "slow", "500"],
)
def test_what_broken_answers_cost_is_counted(chat: ChatServer, failure: Said, tokens: tuple[int, int]) -> None:
    chat.says = then(failure)
    purse = Purse(Prices(1000.0, 1000.0))
    (answer,) = answers(captioner(chat, timeout_s=0.2, purse=purse), 1)
    assert (answer.text, answer.tokens_in, answer.tokens_out) == ("A red kettle.", *tokens)
    assert purse.spent == pytest.approx(sum(tokens) / 1000)


def test_what_was_paid_before_the_limit_is_reached_comes_with_the_photo(chat: ChatServer) -> None:
    chat.says = then(last=Said(b'{"choices": [], "usage": {"prompt_tokens": 4000, "completion_tokens": 0}}'))
    got = []
    with pytest.raises(SpendLimitReached):
        for answer in captioner(chat, purse=Purse(Prices(1000.0), limit=6.0)).answer(questions(3)):
            got.append(answer)
    assert [(answer.text, answer.tokens_in) for answer in got] == [("", 4000)]


def test_what_a_picture_costs_is_learned_from_one_before_many_are_asked(chat: ChatServer) -> None:
    dear = {"prompt_tokens": 30_000, "completion_tokens": 10}
    chat.says = then(last=completion("A red kettle.", usage=dear))
    purse = Purse(Prices(100.0), limit=5.0)  # an answer costs 3, which nobody knows before the first
    with pytest.raises(SpendLimitReached, match=r"€3\.00 of €5\.00"):
        answers(captioner(chat, concurrency=8, purse=purse), 8)
    assert len(chat.asked) == 1 and purse.spent == pytest.approx(3.0)


def test_the_spend_limit_stops_before_it_is_passed_and_what_was_paid_is_kept(chat: ChatServer) -> None:
    purse = Purse(Prices(1000.0, 1000.0), limit=6.0, spent=0.5)  # an answer costs 1.01, expected are 2.096 at most
    got = []
    with pytest.raises(SpendLimitReached, match=r"^The spend limit is reached: €4\.54 of €6\.00 are spent"):
        for answer in captioner(chat, purse=purse).answer(questions(20)):
            got.append(answer)
    assert len(got) == len(chat.asked) == 4
    assert purse.spent == pytest.approx(0.5 + 4 * 1.01) and purse.spent <= 6.0


def test_tokens_that_a_server_does_not_count_or_lies_about_are_estimated(chat: ChatServer) -> None:
    chat.says = then(last=completion("A red kettle.", usage={"prompt_tokens": -5, "completion_tokens": True}))
    (answer,) = answers(captioner(chat), 1)
    assert answer.tokens_in > 0 and answer.tokens_out > 0


def test_an_endless_answer_is_not_read_to_its_end(chat: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_BYTES", 1 << 20)
    chat.says = then(last=Said(b" " * (2 << 20)))
    (answer,) = answers(captioner(chat), 1)
    assert answer.failure == "The server’s answer is longer than 1 MB."


def test_a_stop_ends_a_pause(chat: ChatServer) -> None:
    chat.says = then(last=Said(b"", 429, {"Retry-After": "100"}))
    is_stopped = iter([False, False, *[True] * 99])
    assert answers(captioner(chat, concurrency=1, is_stopped=lambda: next(is_stopped)), 5) == []
    assert len(chat.asked) == 1, "the others are not sent"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-3", 0.0), ("nan", None), ("soon", None), (None, None),
     ("inf", None), ("Mon, 30 Nov 99999999999 12:00:10 GMT", None), ("", None),
     ("Mon, 30 Nov 2026 12:00:10 GMT", 10.0), ("Mon, 30 Nov 2026 11:00:00 GMT", 0.0)],
)  # fmt: skip
def test_a_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert chat_protocol.wait_of(value, datetime(2026, 11, 30, 12, tzinfo=UTC)) == seconds
