"""How many tokens a text that is being written is to each text encoder, and where the encoder stops reading.

Counted here and not by a worker: the answer is wanted while somebody types. Only the small library `tokenizers` is
loaded, and a tokenizer when it is first asked; what only transformers can read is left to the workers.
"""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.captions.text_encoders import EncoderTokenizer, on_this_machine
from app.captions.token_counts import ENCODERS, LIMITS
from app.settings import Settings

log = logging.getLogger(__name__)
Tokens = Callable[[str], tuple[int, int | None]]
"""Of a text: how many tokens it is, marks included, and how many of its characters are read (None: all, or unknown)."""
MOST_CHARACTERS: Final = 20_000  # five times as many as a caption may have


@dataclass(frozen=True, slots=True)
class Meter:
    """A text by the measure of one text encoder, which reads `limit` tokens. `count` is None where that cannot be told.

    `kept` is how much of the text is read, in UTF-16 units, as browsers count; None: all of it, or not known where.
    """

    encoder: str
    limit: int
    count: int | None
    kept: int | None = None

    @property
    def title(self) -> str:
        """The encoder’s name and its limit."""
        return f"{ENCODERS[self.encoder]} {self.limit}"

    @property
    def over(self) -> int:
        """How many tokens are cut off."""
        return max(0, (self.count or 0) - self.limit)

    @property
    def share(self) -> float:
        """How much of the limit is used, 0 to 1."""
        return min((self.count or 0) / self.limit, 1.0)


def counted(counts: Mapping[str, int]) -> tuple[Meter, ...]:
    """As a worker counted, which tells no place; an encoder that is not there cannot be told."""
    return tuple(Meter(name, limit, counts.get(name)) for name, limit in LIMITS.items())


def live(settings: Settings, text: str) -> tuple[Meter, ...]:
    """As the tokenizers on this machine count now."""
    here = {each.encoder: each for each in on_this_machine(settings)}
    return tuple(_meter(here.get(name), name, limit, text[:MOST_CHARACTERS]) for name, limit in LIMITS.items())


def _meter(tokenizer: EncoderTokenizer | None, name: str, limit: int, text: str) -> Meter:
    tokens = _loaded_now(tokenizer, limit) if tokenizer is not None else None
    if tokens is None:
        return Meter(name, limit, None)
    count, kept = tokens(text)
    return Meter(name, limit, count, None if kept is None else len(text[:kept].encode("utf-16-le")) // 2)


def _loaded_now(tokenizer: EncoderTokenizer, limit: int) -> Tokens | None:
    file = tokenizer.folder / "tokenizer.json"
    try:
        return _loaded(tokenizer.encoder, file, limit, file.stat().st_mtime_ns)
    except Exception as error:  # of a library in Rust, of many kinds; and a file that is not there
        log.debug("The tokenizer %s cannot be read here: %s", file, error)
        return None


@lru_cache(maxsize=8)
def _loaded(encoder: str, file: Path, limit: int, written_ns: int) -> Tokens:
    """`written_ns` changes when the file is written anew."""
    from tokenizers import Tokenizer  # where a text is weighed, and not when the app starts

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    before, after = _chat(file.parent) if encoder == "qwen" else ("", "")

    def tokens(text: str) -> tuple[int, int | None]:
        # As PRX’s pipeline cleans a prompt; the others take it as it is, and a chat takes off what is around it.
        cleaned = html.unescape(html.unescape(text)).strip() if encoder in ("gemma", "nano") else text
        cleaned = cleaned.strip() if encoder == "qwen" else cleaned
        encoding = tokenizer.encode(f"{before}{cleaned}{after}")
        count = len(encoding.ids)
        lead = text.find(cleaned)
        if count <= limit or lead < 0:
            return count, None
        return count, lead + min(
            max(_first_cut(tokenizer, encoding, limit, bool(before)) - len(before), 0), len(cleaned)
        )

    return tokens


def _first_cut(tokenizer: Any, encoding: Any, limit: int, is_chat: bool) -> int:
    """The character at which the first token begins that is cut off. The marks of begin and end are kept, except where
    they stand in the text itself, as those of a chat."""
    marks = 0 if is_chat else tokenizer.num_special_tokens_to_add(False)
    of_text = [
        place for place, is_mark in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        if is_chat or not is_mark
    ]  # fmt: skip
    return int(of_text[limit - marks][0])


def _chat(folder: Path) -> tuple[str, str]:
    """What the chat of FLUX.2 klein puts before and behind a prompt. Raises OSError, ValueError, KeyError and
    TemplateError where the folder says it in no way that is understood."""
    own = folder / "chat_template.jinja"
    template = (
        own.read_text()
        if own.is_file()
        else json.loads((folder / "tokenizer_config.json").read_bytes())["chat_template"]
    )
    says = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(template)
    place = "PACKSHOT"
    chat = says.render(
        messages=[{"role": "user", "content": place}], add_generation_prompt=True, enable_thinking=False, tools=None
    )
    before, middle, after = chat.partition(place)
    if not middle:
        raise TemplateError("the prompt is not in it")
    return before, after
