"""Tokens of captions are counted by the tokenizers on this machine, once for each caption and version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app import jobs
from app.captions import text_encoders, token_counts, writing
from app.captions.tables import Caption, CaptionTokens
from app.database import transaction, utc_now
from app.jobs import Job
from app.selection import counting
from app.selection.query import parse
from app.selection.tables import PhotoIndex
from app.selection.wording import sentence
from app.settings import PROJECT, Settings
from tests import cast
from workers import celery_app, cpu
from workers.captions import tokenizers

LONG = "Red kettle on a table &amp; a white cup. " * 9


@pytest.fixture
def without_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only the shipped base lies on this machine."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-hub"))


def base(folder: Path, kind: str = "CLIPTokenizer") -> None:
    """A base whose tokenizer has the class of another encoder's; its file is the shipped one's, with a limit set."""
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "X", "tokenizer": ["transformers", kind]}))
    parts = json.loads((PROJECT / "models/nano/tokenizer/tokenizer.json").read_bytes())
    parts["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer" / "tokenizer.json").write_text(json.dumps(parts))


def ids(session: Session, catalog_id: int, query: str) -> list[int]:
    return sorted(session.scalars(parse(query, catalog_id).select(PhotoIndex.image_id)))


@pytest.mark.usefixtures("emptied", "without_hub")
def test_captions_are_counted_once_and_again_where_they_or_the_tokenizers_are_new(
    engine: Engine, settings: Settings
) -> None:
    base(settings.data_dir / "models" / "large", "CLIPTokenizerFast")
    with transaction(engine) as session:
        pile = cast.catalog(session)
        short, long, bare = (cast.image(session, pile, caption=text) for text in ("Red kettle.", LONG, None))
        counting.request_due(session)
        counting.request_due(session)
        (job,) = session.scalars(select(Job).where(Job.kind == "captions.count"))
    celery_app.do(job.id, cpu.count_tokens, settings)
    with transaction(engine) as session:
        assert jobs.get(session, job.id).result == {"captions": 2, "encoders": ["clip", "nano"]}
        counted = {row.image_id: row.counts for row in session.scalars(select(CaptionTokens))}
        assert counted.keys() == {short.id, long.id}
        # The limit in the file cuts nothing off; only PRX unescapes what was escaped.
        assert counted[long.id]["clip"] > counted[long.id]["nano"] > 77 > counted[short.id]["nano"] >= 2
        assert ids(session, pile.id, "tokens_clip:>77") == [long.id]
        assert ids(session, pile.id, "tokens_nano:<10") == [short.id]
        assert ids(session, pile.id, "tokens_t5:none") == [short.id, long.id, bare.id]
        counting.request_due(session)
        assert len(session.scalars(select(Job).where(Job.kind == "captions.count")).all()) == 1
        before = writing.current(session, [short.id])[short.id]
        writing.rewrite(session, short.id, LONG, cast.person(session), before.id)
        session.flush()
        assert ids(session, pile.id, "tokens_clip:none") == [short.id, bare.id], "the new caption is not counted"
        counting.request_due(session)
        again = session.scalars(select(Job).where(Job.kind == "captions.count").order_by(Job.id.desc())).first()
    assert again is not None
    celery_app.do(again.id, cpu.count_tokens, settings)
    shutil.rmtree(settings.data_dir / "models" / "large")
    with transaction(engine) as session:
        assert ids(session, pile.id, "tokens_clip:>77") == [short.id, long.id]
        token_counts.forget_others(session, text_encoders.named(text_encoders.on_this_machine(settings)))
        assert ids(session, pile.id, "tokens_clip:>77") == []
        counting.request_due(session)
        last = session.scalars(select(Job).where(Job.kind == "captions.count").order_by(Job.id.desc())).first()
    assert last is not None and last.id != again.id
    celery_app.do(last.id, cpu.count_tokens, settings)
    with transaction(engine) as session:
        assert jobs.get(session, last.id).result["encoders"] == ["nano"]
        assert session.scalars(select(Caption.id).where(Caption.superseded_at.is_(None))).all()


@pytest.mark.usefixtures("emptied", "without_hub")
def test_a_broken_tokenizer_counts_nothing_and_what_failed_is_not_asked_for_over_and_over(
    engine: Engine, settings: Settings
) -> None:
    base(settings.data_dir / "models" / "torn")
    (settings.data_dir / "models" / "torn" / "tokenizer" / "tokenizer.json").write_text("{")
    with transaction(engine) as session:
        pile = cast.catalog(session)
        cast.image(session, pile, caption="Red kettle.")
        counting.request_due(session)
        job = session.scalars(select(Job).where(Job.kind == "captions.count")).one()
        job.state, job.ended_at = "failed", utc_now()
        session.flush()
        counting.request_due(session)
        assert session.scalars(select(Job.id).where(Job.kind == "captions.count", Job.state == "queued")).all() == []
        job.ended_at = utc_now() - 2 * counting.PAUSE
        session.flush()
        counting.request_due(session)
        again = session.scalars(select(Job).where(Job.kind == "captions.count", Job.state == "queued")).one()
    celery_app.do(again.id, cpu.count_tokens, settings)
    with transaction(engine) as session:
        assert jobs.get(session, again.id).result == {"captions": 1, "encoders": ["nano"]}
        assert list(session.scalars(select(CaptionTokens)).one().counts) == ["nano"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("tokens_clip:>77", "2 photos with a caption of more than 77 CLIP tokens."),
        ("tokens_gemma:20..256", "2 photos with a caption of 20 to 256 T5Gemma tokens."),
        ("tokens_t5:none", "2 photos whose number of T5 tokens cannot be told."),
    ],
)
def test_sentences_tell_tokens(query: str, words: str) -> None:
    assert sentence(parse(query, 1), 2) == words


@pytest.mark.usefixtures("without_hub")
def test_the_shipped_base_is_counted_as_its_pipeline_counts(settings: Settings) -> None:
    transformers = pytest.importorskip("transformers")
    (here,) = text_encoders.on_this_machine(settings)
    assert here.encoder == "nano"
    whole = transformers.AutoTokenizer.from_pretrained(str(here.folder), local_files_only=True)
    texts = ["Red kettle.", "Crème brûlée, 新款 100 %", "a", LONG.replace("&amp;", "&").strip()]
    assert tokenizers.counter(here)(texts) == [len(whole(text)["input_ids"]) for text in texts]
