"""Counting tokens with the tokenizers of text encoders that lie on this machine.

Most are a `tokenizer.json`, which the small library `tokenizers` reads; transformers is loaded for those that are older
files, and where a chat stands around the text.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.captions.text_encoders import EncoderTokenizer

Count = Callable[[Sequence[str]], list[int]]
"""Tokens of each text, marks of beginning and end included, as the trainer counts them."""


def counter(of: EncoderTokenizer) -> Count:
    """What counts with a tokenizer; loaded once."""
    return _loaded(of.encoder, of.folder, of.version)


@lru_cache(maxsize=16)
def _loaded(encoder: str, folder: Path, version: str) -> Count:
    """`version` changes with the files, so that a folder is read again when it was written anew."""
    file = folder / "tokenizer.json"
    if encoder == "qwen" or not file.is_file():
        return _of_transformers(encoder, folder)
    from tokenizers import Tokenizer  # where it is needed alone

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(each.ids) for each in tokenizer.encode_batch([_clean(encoder, text) for text in texts])]


def _of_transformers(encoder: str, folder: Path) -> Count:
    from transformers import AutoTokenizer  # of seconds, for old files alone

    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)

    def said(text: str) -> str:
        if encoder != "qwen":
            return _clean(encoder, text)
        chat = [{"role": "user", "content": text}]  # as FLUX.2 klein reads it, see `workers/families/flux2.py`
        return str(
            tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, enable_thinking=False)
        )

    return lambda texts: [len(tokenizer(said(text))["input_ids"]) for text in texts]


def _clean(encoder: str, text: str) -> str:
    """As PRX's pipeline cleans a prompt before it is parted; the other pipelines take it as it is."""
    return html.unescape(html.unescape(text)).strip() if encoder in ("gemma", "nano") else text
