"""The body of `captions.count`: how many tokens the captions of a catalog are to each text encoder."""

from __future__ import annotations

import logging
from typing import Any

from app.captions import text_encoders, token_counts
from app.captions.text_encoders import EncoderTokenizer
from workers.captions import tokenizers
from workers.celery_app import Work

log = logging.getLogger(__name__)


def count(work: Work) -> dict[str, Any]:
    """Count the current captions that the tokenizers of this machine have not counted, a thousand at a time.

    Raises Cancelled and GivesWay between them; what was counted stays.
    """
    catalog_id, done, after = int(work.arguments["catalog_id"]), 0, 0
    here = text_encoders.on_this_machine(work.settings)
    counted_by = text_encoders.named(here)
    counters = {each.encoder: counter for each in here if (counter := _loaded(each)) is not None}
    while True:
        with work.transaction() as session:
            some = token_counts.uncounted(session, catalog_id, counted_by, after)
        if not some:
            return {"captions": done, "encoders": list(counters)}
        texts = [text for _, _, text in some]
        counts = {encoder: counter(texts) for encoder, counter in counters.items()}
        with work.transaction() as session:
            token_counts.record(
                session,
                {some[place][1]: {name: counts[name][place] for name in counts} for place in range(len(some))},
                counted_by,
            )
            done, after = done + len(some), some[-1][0]
            work.keep(session, done)
        work.go_on()


def _loaded(tokenizer: EncoderTokenizer) -> tokenizers.Count | None:
    """None where its files are broken: what it would count is not known then."""
    try:
        return tokenizers.counter(tokenizer)
    except Exception as error:  # of a library in Rust, and of transformers, of many kinds
        log.warning("The tokenizer %s cannot be read: %s", tokenizer.folder, error)
        return None
