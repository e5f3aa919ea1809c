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

LintKind = Literal["banned", "hedging", "spelling", "printed"]
# Counts up where the same text and words give other findings.
LINT_VERSION: Final = 1
# Of the phrases that a catalog bans those that say less than they could, as captioners do where they are not sure.
HEDGES: Final = (
    "appears to be", "seems to be", "possibly", "probably", "likely", "what looks like", "might be", "could be",
)  # fmt: skip

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
        if self.kind == "hedging":
            return f"“{self.says}” hedges: say what is there, or leave it out."
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
    findings = [Lint(_kind_of(phrase), phrase) for phrase in _held(bare, banned)]
    if meant is not None:
        words = dict.fromkeys(word for word in _PLAIN.findall(bare) if word not in accepted)
        findings += [Lint("spelling", word, instead) for word in words if (instead := meant(word))]
    said = ("".join(filter(None, groups)) for groups in _QUOTED.findall(text))
    findings += [Lint("printed", words, line) for words in dict.fromkeys(said) if (line := _other(words, printed))]
    return findings


def _held(text: str, phrases: Sequence[str]) -> list[str]:
    lowered = text.lower()  # two thousand phrases are looked for in each of very many texts
    there = (phrase for phrase in phrases if phrase.lower() in lowered)
    return [phrase for phrase in there if re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE)]


def _kind_of(phrase: str) -> LintKind:
    return "hedging" if phrase.casefold() in HEDGES else "banned"


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
