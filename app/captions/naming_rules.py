"""What file names say of photos, by a rule that a person saw on examples: "Pineapple_Iconic.jpg" -> pineapple. Pure.

File names are anybody's: an article's number, a camera's counter, a split of a data set. So no name is taken from one
by itself; the rules here only offer, with real photos beside, and a person decides.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from app.captions import nouns
from app.captions.colour_words import listed
from app.catalog.naming import FOLDER_WORDS

EXAMPLES: Final = 5
"""How many photos a person sees a rule on."""
# A rule is worth a look that names at least so large a share of the photos.
_LEAST_SHARE: Final = 0.2
_MOST_OFFERS: Final = 4
_MOST_NAMES: Final = 6
_MOST_WORDS: Final = 5
_MOST_CHARACTERS: Final = 60

# Which shot of a product it is, and what was done to the file; said before or behind the name of the thing.
_SHOT_WORDS: Final = listed("""
    alt angle back bare closeup copy cropped cutout detail details edit edited final flatlay front full ghost
    hero highres hires iconic image images img jpeg jpg left lores lowres main new original packshot photo
    photos pic picture png rear resized retouched right scan shot side small still studio thumb thumbnail view
    web webp
""")
# What cameras, phones and programs call any picture.
_ANYTHING: Final = listed("""
    bild capture dcim download dsc dscf dscn foto gopr image img imgp item mvimg photo pic picture product pxl
    sample scan screenshot signal sku snapchat unnamed untitled vid whatsapp
""")
_VOWEL: Final = re.compile(r"[aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýœ]|[^\x00-\u024f]")


@dataclass(frozen=True, slots=True)
class NameRule:
    """One way to take a name from a photo's path: its key, and in words what it does."""

    key: str
    words: str
    piece: Callable[[PurePosixPath], str]

    def name_of(self, file_name: str) -> str | None:
        """The name of the thing in the singular and in lower case, or None where the file name says none."""
        return _as_name(self.piece(PurePosixPath(file_name)))


def _folder(path: PurePosixPath, above: int) -> str:
    folders = path.parts[:-1]
    return folders[-1 - above] if len(folders) > above else ""


RULES: Final[Mapping[str, NameRule]] = {
    rule.key: rule
    for rule in (
        NameRule("until-underscore", "The file’s name up to the first _", lambda path: _until(path.stem, "_")),
        NameRule("until-hyphen", "The file’s name up to the first -", lambda path: _until(path.stem, "-")),
        NameRule(
            "whole", "The file’s whole name without numbers and words like “front” at its ends", lambda path: path.stem
        ),
        NameRule("after-underscore", "The file’s name behind the last _", lambda path: path.stem.rpartition("_")[2]),
        NameRule("folder", "The folder that the file is in", lambda path: _folder(path, 0)),
        NameRule("folder-above", "The folder above the one that the file is in", lambda path: _folder(path, 1)),
    )
}


def _until(stem: str, separator: str) -> str:
    """The part before the first separator; nothing where there is none, for then it is another kind of name."""
    before, sign, _ = stem.strip(separator + " ").partition(separator)
    return before if sign else ""


def _as_name(piece: str) -> str | None:
    """A piece of a path as a name: "RedShoes2" -> "red shoe". None for numbers, codes and words that say nothing."""
    text = unicodedata.normalize("NFC", piece)
    parted = re.sub(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])|(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])", " ", text)
    is_code = bool(re.fullmatch(r"(?=.*\d)[0-9a-fA-F-]{8,}", text.strip()))
    parted = re.sub(r"\bt[\s_-]?shirt", "t-shirt", parted.lower().replace("_", " "))
    words = [word for word in re.split(r"(?<!\bt)-|[^\w'’-]+", parted) if word]
    while words and _says_nothing(words[-1]):
        words.pop()
    while words and _says_nothing(words[0]):
        words.pop(0)
    name = " ".join(words)
    if is_code or not words or len(words) > _MOST_WORDS or len(name) > _MOST_CHARACTERS:
        return None
    if set(words) <= FOLDER_WORDS | _ANYTHING or words[0] in _ANYTHING or not any(map(_is_word, words)):
        return None
    return nouns.singular(name)


def _says_nothing(word: str) -> bool:
    return word.isdigit() or word in _SHOT_WORDS or (len(word) == 1 and word.isascii())


def _is_word(word: str) -> bool:
    """Whether it may be a word of a language: three letters with a vowel, or a script without them."""
    is_latin = all(ord(letter) < 0x250 for letter in word)
    return word.replace("-", "").isalpha() and bool(_VOWEL.search(word)) and (len(word) >= 3 or not is_latin)


@dataclass(frozen=True, slots=True)
class NamedPhoto:
    """A photo whose name is open: its id and its path."""

    image_id: int
    file_name: str


@dataclass(frozen=True, slots=True)
class NameOffer:
    """A rule on real photos: how many of those looked at it names, the commonest names, and examples.

    `names` are pairs of a name and how many photos have it, the commonest first; there are `distinct` in all. Examples
    are pairs of a photo and its name, at most five, spread over the photos, different names first.
    """

    rule: NameRule
    named: int
    looked_at: int
    names: Sequence[tuple[str, int]]
    distinct: int
    examples: Sequence[tuple[NamedPhoto, str | None]]


def offers(photos: Sequence[NamedPhoto]) -> list[NameOffer]:
    """The rules that are worth a look, the likeliest first: those whose names are known products, then by how many.

    Of rules that give the same names the first counts.
    """
    seen: set[tuple[str | None, ...]] = set()
    made = []
    for rule in RULES.values():
        names = tuple(rule.name_of(photo.file_name) for photo in photos)
        named = sum(name is not None for name in names)
        if named < max(1, _LEAST_SHARE * len(photos)) or names in seen:
            continue
        seen.add(names)
        made.append((_likelihood(names), _offer(rule, photos, names)))
    made.sort(key=lambda pair: -pair[0])
    return [offer for _, offer in made[:_MOST_OFFERS]]


def look(rule: NameRule, photos: Sequence[NamedPhoto]) -> NameOffer:
    """One rule on these photos, worth a look or not."""
    return _offer(rule, photos, [rule.name_of(photo.file_name) for photo in photos])


def _likelihood(names: Iterable[str | None]) -> float:
    """Named photos, those with a known product three times over: a guess that orders offers and decides nothing."""
    counts = Counter(name for name in names if name is not None)
    known = sum(count for name, count in counts.items() if nouns.of_folder(name) is not None)
    # Names that hardly ever come again are titles or codes rather than kinds of things; a single one may be the shop's.
    is_odd = len(counts) == 1 or len(counts) > 0.8 * sum(counts.values())
    return (sum(counts.values()) + 2 * known) * (0.5 if is_odd else 1.0)


def _offer(rule: NameRule, photos: Sequence[NamedPhoto], names: Sequence[str | None]) -> NameOffer:
    counts = Counter(name for name in names if name is not None)
    return NameOffer(
        rule=rule,
        named=sum(counts.values()),
        looked_at=len(photos),
        names=sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_NAMES],
        distinct=len(counts),
        examples=_examples(photos, names),
    )


def _examples(photos: Sequence[NamedPhoto], names: Sequence[str | None]) -> list[tuple[NamedPhoto, str | None]]:
    """Five photos from end to end, each of another name as long as there are some; what is not named is among them.

    No flattering choice: where a fifth of the photos or more gets no name, one of the five is such a photo.
    """
    by_name: dict[str | None, int] = {}
    for place, name in enumerate(names):
        by_name.setdefault(name, place)
    unnamed = by_name.pop(None, None)
    firsts = list(by_name.values())
    wanted = EXAMPLES
    chosen: list[int] = []
    if unnamed is not None and names.count(None) >= len(names) / EXAMPLES:
        chosen.append(unnamed)
        wanted -= 1
    chosen += [firsts[round(step * (len(firsts) - 1) / max(1, wanted - 1))] for step in range(min(wanted, len(firsts)))]
    shown = set(chosen)
    named_first = sorted(range(len(photos)), key=lambda place: names[place] is None)
    shown.update(
        place for place in named_first[: EXAMPLES + len(shown)] if place not in shown and len(shown) < EXAMPLES
    )
    return [(photos[place], names[place]) for place in sorted(shown)]
