"""The product suite: 120 prompts in 13 categories and 24 held out, filled with a catalog's own products. Pure.

Which categories, how many prompts in each, how they are tiered and why half of A to H are combinations that no photo
shows: research on comparing checkpoints, section 5. The templates stand in `product_suite.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from app.errors import Refused
from app.evaluation.prompt_texts import PromptText
from app.evaluation.tiers import known

SEEDS: Final = (11, 23, 37, 59)
"""For the life of the suite: other seeds are another version."""
COLOURS: Final = ("red", "blue", "green", "yellow", "black", "white", "orange", "purple", "pink", "brown", "grey")
MATERIALS: Final = (
    "brushed steel", "oak", "linen", "matte ceramic", "leather", "rattan", "brass", "wool", "marble", "cork",
)  # fmt: skip
_TEMPLATES: Final = Path(__file__).with_name("product_suite.toml")
# What there are two of in one, however it is called.
_PAIRS: Final = frozenset(
    {
        "boots", "clogs", "cufflinks", "earbuds", "earphones", "earrings", "flip-flops", "glasses", "gloves", "goggles",
        "headphones", "heels", "jeans", "leggings", "loafers", "mittens", "pajamas", "pants", "pumps", "pyjamas",
        "sandals", "scissors", "shoes", "shorts", "skis", "slippers", "sneakers", "socks", "sunglasses", "tights",
        "trainers", "trousers",
    }
)  # fmt: skip
_NO_PLURAL: Final = frozenset({"atlas", "canvas", "christmas", "lens"})
_VOWEL: Final = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")


@dataclass(frozen=True, slots=True)
class Product:
    """What a suite is filled with: the noun of a product, and its colour and material where they are known."""

    noun: str
    colour: str | None = None
    material: str | None = None

    @property
    def phrase(self) -> str:
        """It in words: "red ceramic vase"."""
        return _phrase(self.noun, self.colour, self.material)


@dataclass(frozen=True, slots=True)
class FilledSuite:
    """The prompts for a catalog; `shortfalls` are sentences about what could not be filled as it is meant."""

    prompts: tuple[PromptText, ...]
    shortfalls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Template:
    category: str
    needs: str | None
    say: str
    tier: str
    atoms: dict[str, Any]


def fill(products: Sequence[Product]) -> FilledSuite:
    """The product suite of these products, the most important first. The same products make the same prompts.

    Raises Refused without a product.
    """
    if not products:
        raise Refused("No photo says what it shows: give some a category or a title, and the suite has products.")
    prompts, shortfalls = [], []
    for number, template in enumerate(_templates()):
        fitting = [each for each in products if template.needs is None or getattr(each, template.needs)]
        if not fitting:
            sentence = f"No product has a known {template.needs}; category {template.category} names none."
            shortfalls += [sentence] if sentence not in shortfalls else []
        # Two templates follow each other, the second with a new combination: both take the same product.
        product = (fitting or products)[number // 2 % len(fitting or products)]
        prompts.append(_filled(template, product, number, products))
    if len({product.noun for product in products}) < 3:
        shortfalls.append("Fewer than three kinds of product: what the suite says holds for them alone.")
    return FilledSuite(tuple(prompts), tuple(shortfalls))


def is_seen(atoms: dict[str, Any], products: Collection[Product]) -> bool | None:
    """Whether one of the products is what a prompt names: the noun, with colour and material where it names them.

    None for a prompt that names no product.
    """
    if "object" not in atoms:
        return None
    named = ("colour", atoms.get("colour")), ("material", atoms.get("material"))
    return any(
        product.noun == atoms["object"] and all(value in (None, getattr(product, name)) for name, value in named)
        for product in products
    )


def categories() -> list[str]:
    """The names of the 13 categories, in their order."""
    return list(dict.fromkeys(template.category for template in _templates()))


def _filled(template: _Template, product: Product, number: int, products: Sequence[Product]) -> PromptText:
    same = [each for each in products if each.noun == product.noun]
    colour = _other(COLOURS, {each.colour for each in same}, number)
    material = _other(MATERIALS, {each.material for each in same}, number)
    atoms = dict(template.atoms)
    slots = set(re.findall(r"\{(\w+)\}", template.say))
    own_colour = product.colour
    if slots & {"product", "products"}:
        atoms |= {"object": product.noun, "colour": product.colour, "material": product.material}
    elif slots & {"variant", "variants"}:
        atoms |= {"object": product.noun, "colour": colour}
        own_colour = colour
    elif "remade" in slots:
        atoms |= {"object": product.noun, "material": material}
    elif "object" in slots:
        atoms |= {"object": product.noun}
    second = _other(COLOURS, {own_colour}, number + 3)
    if "colour_2" in slots:
        atoms["part_colour"] = second
    variant, remade = _phrase(product.noun, colour, None), _phrase(product.noun, None, material)
    text = template.say.format(
        product=product.phrase, products=_many(product.phrase), variant=variant, variants=_many(variant),
        remade=remade, object=_phrase(product.noun, None, None), colour_2=second, text=atoms.get("text", ""),
    )  # fmt: skip
    atoms = {name: value for name, value in atoms.items() if value is not None}
    seen = is_seen(atoms, products)
    return PromptText(_VOWEL.sub(r"\1n ", text), template.category, atoms, known(template.tier), 1.0, seen)


def _other(words: Sequence[str], taken: Collection[str | None], number: int) -> str:
    """A word that is none of those taken; another for each number, as far as there are."""
    free = [word for word in words if word not in taken] or list(words)
    return free[number % len(free)]


def _phrase(noun: str, colour: str | None, material: str | None) -> str:
    words = noun.lower().split()
    front = [each for each in (colour, material) if each and not set(each.lower().split()) <= set(words)]
    return " ".join([*_measure(words[-1]), *front, noun])


def _measure(word: str) -> tuple[str, ...]:
    """What makes one thing of a word for several: "a pair of shoes", "a set of pencils"."""
    if word in _PAIRS:
        return ("pair of",)
    is_many = re.search(r"[^sui]s$", word) is not None and word not in _NO_PLURAL
    return ("set of",) if is_many else ()


def _many(phrase: str) -> str:
    """More than one of it, by the rules of English that have few exceptions."""
    if phrase.startswith(("pair of ", "set of ")):
        return phrase.replace(" of ", "s of ", 1)
    if re.search(r"(?:s|x|z|ch|sh)$", phrase):
        return f"{phrase}es"
    if re.search(r"[^aeiou]y$", phrase):
        return f"{phrase[:-1]}ies"
    return re.sub(r"(?<=li|ni|ei|ol|al|el|sh)f$|(?<=ni|li)fe$", "ve", phrase) + "s"


@cache
def _templates() -> tuple[_Template, ...]:
    document = tomllib.loads(_TEMPLATES.read_text(encoding="utf-8"))
    return tuple(
        _Template(
            category["name"], category.get("needs"), given["say"], given.get("tier", "full"),
            {name: value for name, value in given.items() if name not in ("say", "tier")},
        )
        for category in document["category"]
        for given in category["prompts"]
    )  # fmt: skip
