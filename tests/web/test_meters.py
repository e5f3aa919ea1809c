"""Meters: how many tokens a text is to each encoder while it is written, and the very place where the encoder stops."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.captions.text_encoders import EncoderTokenizer
from app.settings import PROJECT, Settings
from app.web.views import meters
from app.web.views.meters import Meter

NANO = PROJECT / "models/nano/tokenizer/tokenizer.json"
CHAT = (
    "{% for message in messages %}{{ '<s>' + message.role + '\n' + message.content + '</s>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
)


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-hub"))


def base(settings: Settings, kind: str) -> Path:
    """A base with the shipped tokenizer under the class of another encoder’s."""
    folder = settings.data_dir / "models" / kind
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "X", "tokenizer": ["transformers", kind]}))
    (folder / "tokenizer" / "tokenizer.json").write_bytes(NANO.read_bytes())
    return folder / "tokenizer"


def by_name(settings: Settings, text: str) -> dict[str, Meter]:
    return {meter.encoder: meter for meter in meters.live(settings, text)}


@pytest.mark.parametrize("word", ["kettle ", "Crème brûlée 壶 ", "🧑‍🍳 tea "])
def test_what_is_kept_is_what_the_encoder_reads(settings: Settings, word: str) -> None:
    """The kept characters are as many tokens as the limit, and a few more are more: at the edge, not near it."""
    base(settings, "CLIPTokenizer")
    text = word * 120
    for name in ("clip", "nano"):
        meter = by_name(settings, text)[name]
        assert meter.count is not None and meter.count > meter.limit and meter.kept is not None
        kept = text.encode("utf-16-le")[: meter.kept * 2].decode("utf-16-le")
        inside, beyond = (by_name(settings, part)[name] for part in (kept.rstrip(), kept + text[len(kept) :][:8]))
        assert inside.count is not None and inside.count <= meter.limit and inside.kept is None
        assert beyond.count is not None and beyond.count > inside.count
        assert meter.over == meter.count - meter.limit


def test_a_short_text_is_read_whole_and_what_is_not_here_cannot_be_told(settings: Settings) -> None:
    told = by_name(settings, "Red kettle.")
    assert told["nano"].count and told["nano"].kept is None and told["nano"].over == 0
    assert {name for name, meter in told.items() if meter.count is None} == {"clip", "t5", "gemma", "qwen"}
    assert [meter.title for meter in meters.live(settings, "")] == [
        "CLIP 77", "T5 256", "T5Gemma 256", "Qwen 512", "nano 48",
    ]  # fmt: skip


def test_a_chat_counts_what_stands_around_the_prompt(settings: Settings) -> None:
    folder = base(settings, "Qwen2Tokenizer")
    (folder / "chat_template.jinja").write_text(CHAT)
    chat = by_name(settings, "Red kettle.")["qwen"].count
    assert chat is not None and chat > (by_name(settings, "Red kettle.")["nano"].count or 0)
    long = by_name(settings, "kettle " * 600)["qwen"]
    assert long.kept is not None and 0 < long.kept < 600 * len("kettle ")
    (folder / "chat_template.jinja").write_text("{{ 1 / 0 }}")
    (folder / "tokenizer.json").touch()
    assert by_name(settings, "Red kettle.")["qwen"].count is None


def test_what_cannot_be_read_here_cannot_be_told(settings: Settings, tmp_path: Path) -> None:
    folder = base(settings, "T5Tokenizer")
    (folder / "tokenizer.json").unlink()
    assert by_name(settings, "Red kettle.")["t5"].count is None
    (folder / "tokenizer.json").write_text("{")
    assert by_name(settings, "Red kettle.")["t5"].count is None
    assert EncoderTokenizer("t5", folder).version


def test_meters_are_a_fragment_for_everybody_and_keep_nothing(client: TestClient) -> None:
    told = client.post("/captions/tokens", data={"text": "Red &amp; blue kettle. " * 20}).text
    assert re.search(r"\d+ / 48", told) and "cut off" in told and "cannot tell: no tokenizer is here" in told
    assert "data-kept" not in told, "an escape is one character to the encoder: no place can be told"
    assert "data-kept" in client.post("/captions/tokens", data={"text": "Red kettle. " * 30}).text
    assert client.post("/captions/tokens", data={"text": "x " * 100_000}).status_code == 200
