"""Words of texts in plain Python: what a search for them is compared with."""

from __future__ import annotations

import re
import unicodedata
from typing import Final


def plain(text: str) -> str:
    """A text without letter case and accents."""
    parts = unicodedata.normalize("NFKD", text).lower()
    return "".join(part for part in parts if not unicodedata.combining(part)).replace("ß", "ss")


SIGNS: Final = "%&+#€@🔥"


def words(text: str) -> list[tuple[str, set[str]]]:
    """The words of a text, plain, each with the signs before and behind it; each character of Chinese is one."""
    parted: list[tuple[str, set[str]]] = []
    before: set[str] = set()
    for word, sign in re.findall(rf"([\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+)|([{SIGNS}])", plain(text)):
        if word:
            parted.append((word, before))
            before = set()
        else:
            before.add(sign)
            if parted:
                parted[-1][1].add(sign)
    return parted


def _is_begun(word: tuple[str, set[str]], asked: tuple[str, set[str]], typed: str) -> bool:
    """Whether a word begins as the last one of what was typed, or where a sign ends that one, is it."""
    is_ended = plain(typed).rstrip()[-1:] in SIGNS
    return (word[0] == asked[0] if is_ended else word[0].startswith(asked[0])) and asked[1] <= word[1]


def mentions(texts: list[str], typed: str) -> bool:
    asked = words(typed)
    if not asked:
        return all(any(sign in text for text in texts) for sign in typed)
    for text in texts:
        there = words(text)
        for start in range(len(there) - len(asked) + 1):
            run = there[start : start + len(asked)]
            pairs = zip(run[:-1], asked[:-1], strict=True)
            if all(one[0] == other[0] and other[1] <= one[1] for one, other in pairs) and _is_begun(
                run[-1], asked[-1], typed
            ):
                return True
    return False
