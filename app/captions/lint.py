"""What a caption is better without: banned phrases, slips of spelling, and words that the photo's own text contradicts.
Pure: text and words in, findings out.

Conservative on purpose, as the rules that hold a caption against what was measured: a name, a word in quotes, a word of
the catalogue's or one that no English word is near is told of by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

LintKind = Literal["banned", "spelling", "printed"]

_QUOTED: Final = re.compile(r"“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|\"([^\"]+)\"")
_PLAIN: Final = re.compile(r"(?<![\w’'-])[a-z]{5,}(?![\w’'-])")
# Of letters that two texts share, as SequenceMatcher.ratio counts them: "KENZO" and "KENSO" 0.8, "KENZO" and "NIKE"
# 0.4. A text that is not near any line may stand where nothing was read.
NEAR: Final = 0.6
SHORTEST: Final = 3


@dataclass(frozen=True, slots=True)
class Lint:
    """One thing that a caption is better without: what it says, and what is meant or stands there (empty: nothing)."""

    kind: LintKind
    says: str
    instead: str = ""

    @property
    def sentence(self) -> str:
        """For the person at the screen."""
        if self.kind == "banned":
            return f"“{self.says}” is a phrase that this catalog’s captions do without."
        if self.kind == "spelling":
            return f"“{self.says}” may be meant to be “{self.instead}”."
        return f"The caption says “{self.says}”, on the photo stands “{self.instead}”."


def lint(
    text: str,
    banned: Sequence[str] = (),
    accepted: Collection[str] = (),
    printed: Sequence[str] = (),
    meant: Callable[[str], str | None] | None = None,
) -> list[Lint]:
    """What is found in a text, each once, in the order of the kinds.

    `accepted` are words that are right as they are, in lower case; `printed` the lines that stand in the photo; `meant`
    says of a word in lower case which word it may be meant to be, None where it is right or nobody can tell.
    """
    bare = _QUOTED.sub(" ", text)
    findings = [Lint("banned", phrase) for phrase in banned if _holds(bare, phrase)]
    if meant is not None:
        words = dict.fromkeys(word for word in _PLAIN.findall(bare) if word not in accepted)
        findings += [Lint("spelling", word, instead) for word in words if (instead := meant(word))]
    said = ("".join(filter(None, groups)) for groups in _QUOTED.findall(text))
    findings += [Lint("printed", words, line) for words in dict.fromkeys(said) if (line := _other(words, printed))]
    return findings


def _holds(text: str, phrase: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE) is not None


def _other(words: str, printed: Sequence[str]) -> str:
    """The line that stands there instead of these words; empty where they stand there, or nobody can tell."""
    said = _letters(words)
    lines = {_letters(line): line for text in printed for line in (text, *text.split())}
    if len(said) < SHORTEST or said in "".join(_letters(line) for line in printed):
        return ""
    nearest = max(lines, key=lambda line: SequenceMatcher(None, said, line).ratio(), default="")
    return lines[nearest] if nearest and SequenceMatcher(None, said, nearest).ratio() >= NEAR else ""


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
