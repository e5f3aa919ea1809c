"""Contradictions between a caption and what was measured; and the silence where nothing can be told."""

from __future__ import annotations

import pytest

from app.captions.facts import CatalogueFacts, MeasuredFacts, sentence
from app.captions.rules import claims, compared, contradictions

RED_ON_WHITE = MeasuredFacts("red", "pure white", "centred")


@pytest.mark.parametrize(
    ("caption", "measured", "said"),
    [
        ("Blue kettle, centred.", RED_ON_WHITE, "The caption says blue, the picture looks red."),
        ("A navy t-shirt on a rug.", MeasuredFacts("orange"), "The caption says navy, the picture looks orange."),
        (
            "Red kettle on a pure white background.",
            MeasuredFacts("red", "dark grey"),
            "The caption says the background is pure white, it looks dark grey.",
        ),
        (
            "Red kettle against a plain blue backdrop.",
            MeasuredFacts("red", "busy", from_white=5.0),
            "The caption says the background is plain blue, it looks busy, not blue.",
        ),
        (
            "Red kettle on a busy background.",
            RED_ON_WHITE,
            "The caption says the background is busy, it looks pure white.",
        ),
        (
            "Red kettle, left of center on white.",
            MeasuredFacts("red", "white", "right of centre"),
            "The caption says left of centre, the picture looks right of centre.",
        ),
        (
            "Red kettle, close-up.",
            MeasuredFacts("red", "white", "small in the frame"),
            "The caption says close up, the picture looks small in the frame.",
        ),
        (
            "Red kettle, cropped at the edge.",
            RED_ON_WHITE,
            "The caption says cropped at the edge, the picture looks centred.",
        ),
    ],
)
def test_a_clear_contradiction_is_said_in_a_sentence(caption: str, measured: MeasuredFacts, said: str) -> None:
    assert [finding.sentence for finding in contradictions(caption, measured)] == [said]


@pytest.mark.parametrize(
    ("caption", "measured"),
    [
        ("Grey kettle.", MeasuredFacts("light grey")),
        ("Gray kettle.", MeasuredFacts("dark grey")),
        ("Blue kettle.", MeasuredFacts("navy")),
        ("Red and white striped shirt.", MeasuredFacts("blue")),
        ("Red kettle, black handle.", MeasuredFacts("black")),
        ("Kettle with a black handle.", MeasuredFacts("red")),
        ("Bottle of red wine.", MeasuredFacts("green")),
        ("Green tea in a box.", MeasuredFacts("yellow")),
        ("Kettle on a white background.", MeasuredFacts("red", "light grey")),
        ("Kettle on a white background.", MeasuredFacts("red", "pure white")),
        ("Kettle on a grey background.", MeasuredFacts("red", "light grey")),
        ("Kettle on a marble background.", MeasuredFacts("red", "grey")),
        ("Kettle, centred.", MeasuredFacts("red", "white", "close up")),
        ("Red kettle.", MeasuredFacts()),
        ("Blue kettle on a green background, low in the frame.", MeasuredFacts()),
        ("", RED_ON_WHITE),
        ("赤いやかん", RED_ON_WHITE),
    ],
)
def test_what_cannot_be_told_is_no_contradiction(caption: str, measured: MeasuredFacts) -> None:
    assert contradictions(caption, measured) == []


@pytest.mark.parametrize("background", ["pure white", "light grey", "beige", "pale blue", "dark grey", "busy"])
@pytest.mark.parametrize("framing", ["centred", "left of centre", "high", "low", "close up", "cropped at the edge"])
@pytest.mark.parametrize("colour", ["red", "orange", "dark grey", "navy"])
def test_a_facts_caption_never_contradicts_its_own_facts(colour: str, background: str, framing: str) -> None:
    measured = MeasuredFacts(colour, background, framing)
    assert contradictions(sentence(CatalogueFacts(noun="kettle", material="steel"), measured), measured) == []


def test_each_kind_is_found_once_in_one_caption() -> None:
    found = contradictions("Blue kettle, left of centre on a dark green background.", RED_ON_WHITE)
    assert [finding.kind for finding in found] == ["colour", "background", "framing"]


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ("Blauer Wasserkocher", "blauer (blue)"),
        ("Wasserkocher dunkelblau", "dunkelblau (blue)"),
        ("Weiße Tasse", "weiße (white)"),
        ("Bouilloire bleue", "bleue (blue)"),
        ("Hervidor azul", "azul (blue)"),
        ("Bollitore verde", "verde (green)"),
        ("Waterkoker zwart", "zwart (black)"),
        ("Chaleira preta", "preta (black)"),
        ("Czajnik niebieski", "niebieski (blue)"),
        ("Blå kanna", "blå (blue)"),
        ("Modrá konvice", "modrá (blue)"),
        ("Kék kancsó", "kék (blue)"),
        ("Μπλε κανάτα", "μπλε (blue)"),
        ("Синя чаша", "синя (blue)"),
        ("Mavi çaydanlık", "mavi (blue)"),
        ("Tetera blava", "blava (blue)"),
        ("Moder čajnik", "moder (blue)"),
        ("Sinine veekeetja", "sinine (blue)"),
        ("Mėlynas virdulys", "mėlynas (blue)"),
        ("Zila tējkanna", "zila (blue)"),
        ("Синий чайник", "синий (blue)"),
        ("Синій чайник", "синій (blue)"),
        ("Stahlblauer Kessel", "stahlblauer (blue)"),
        ("Hervidor azul-oscuro", "azul-oscuro (blue)"),
        ("Kessel, Farbe: Blau", "blau (blue)"),
        ("Kettle; colour: blue", "blue"),
    ],
)
def test_colours_of_other_languages_are_understood_where_they_contradict(caption: str, said: str) -> None:
    (finding,) = contradictions(caption, RED_ON_WHITE)
    assert (finding.says, finding.measured) == (said, "red")


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ("Roter Kessel auf schwarzem Hintergrund", "schwarzem (black)"),
        ("Bouilloire rouge sur fond noir", "noir (black)"),
        ("Hervidor rojo sobre un fondo negro", "negro (black)"),
        ("Rode waterkoker op een zwarte achtergrond", "zwarte (black)"),
    ],
)
def test_backgrounds_of_other_languages_are_understood(caption: str, said: str) -> None:
    (finding,) = contradictions(caption, RED_ON_WHITE)
    assert (finding.kind, finding.says) == ("background", said)


@pytest.mark.parametrize(
    "caption",
    [
        "Roter Kessel", "Kessel mit blauem Griff", "Vin blanc", "Té verde", "Grüner Tee", "A jar of pesto verde",
        "Salsa verde", "Black and gold kettle", "Rose vase, blue", "Kettle", "כוס כחולה", "Rot-proof post",
        "Carrot", "Blau-weißer Krug",
    ],
)  # fmt: skip
def test_names_kinds_and_unknown_languages_are_no_contradiction(caption: str) -> None:
    assert contradictions(caption, RED_ON_WHITE) == []


def test_what_could_not_be_compared_is_not_agreement() -> None:
    assert compared("Red kettle, centred on a white background.", RED_ON_WHITE) == ("colour", "background", "framing")
    assert compared("Blue kettle.", RED_ON_WHITE) == ("colour",)
    assert compared("כוס כחולה", RED_ON_WHITE) == ()
    assert compared("Gold kettle, centred.", RED_ON_WHITE) == ("framing",)
    assert compared("Red kettle, centred.", MeasuredFacts()) == ()


def facts(**known: object) -> MeasuredFacts:
    return MeasuredFacts("red", "pure white", "centred", **known)  # type: ignore[arg-type]


def of_kind(kind: str, caption: str, measured: MeasuredFacts) -> str | None:
    """The finding of this kind, "agrees", or None where nobody can tell."""
    for claim in claims(caption, measured):
        if claim.kind == kind:
            return claim.sentence if claim.is_contradicted else "agrees"
    return None


@pytest.mark.parametrize(
    ("caption", "parts", "said"),
    [
        ("Two red mugs on a white background.", 3, "The caption says two, the picture shows 3 separate pieces."),
        ("Two red mugs.", 1, None),  # they may touch, as three limes do
        ("Three limes.", 1, None),
        ("2 red mugs.", 2, "agrees"),
        ("A single kettle.", 2, "The caption says single, the picture shows 2 separate pieces."),
        ("A photo of one kettle.", 1, "agrees"),
        ("A pair of mugs, centred.", 1, None),
        ("A pair of mugs, centred.", 3, "The caption says pair, the picture shows 3 separate pieces."),
        ("A pair of red boots.", 3, "The caption says pair, the picture shows 3 separate pieces."),
        ("A pair of red boots.", 2, "agrees"),
        ("A pair of red boots.", 1, None),  # they touch
        ("A pair of jeans.", 1, None),
        ("A pair of sunglasses.", 2, None),
        ("Five pencils.", 3, None),  # some touch
        ("A kettle with two handles.", 1, None),
        ("A two-tone kettle.", 1, None),
        ("Two tone kettle.", 1, None),
        ("A kettle.", 2, None),
        ("2 l kettle.", 1, None),
        ("Two mugs.", None, None),
    ],
)
def test_a_count_is_held_against_the_parts(caption: str, parts: int | None, said: str | None) -> None:
    assert of_kind("count", caption, facts(parts=parts)) == said


@pytest.mark.parametrize(
    ("said_ground", "from_white", "said"),
    [
        ("red", 94.7, None),  # creased red cloth
        ("grey wooden", 27.5, None),
        ("white", 29.7, None),  # a white sheet in folds
        ("plain", 33.9, None),
        ("white", 76.3, "The caption says the background is white, it looks busy, not white."),
        ("pure white", 27.0, "The caption says the background is pure white, it looks busy, not white."),
        ("red", 27.5, "The caption says the background is red, it looks busy, not red."),
        ("black", 44.9, "The caption says the background is black, it looks busy, not black."),
        # No product was told from its ground, as on a shelf.
        ("plain white", None, "The caption says the background is plain white, it looks busy, not white."),
        ("plain", None, "The caption says the background is plain, it looks busy, not plain."),
        ("red", None, None),
        ("busy", 94.7, "agrees"),
    ],
)
def test_a_ground_of_many_colours_may_be_called_by_one(said_ground: str, from_white: float, said: str | None) -> None:
    measured = MeasuredFacts("red", "busy", from_white=from_white)
    assert of_kind("background", f"A dress on a {said_ground} background.", measured) == said


@pytest.mark.parametrize(
    ("caption", "ground", "said"),
    [
        ("A coat on a grey background.", "beige", "agrees"),  # a wall under lamps
        ("A coat on a black background.", "dark grey", "agrees"),
        (
            "A coat on a black background.",
            "light grey",
            "The caption says the background is black, it looks light grey.",
        ),
    ],
)
def test_grounds_are_near_in_their_own_way(caption: str, ground: str, said: str) -> None:
    assert of_kind("background", caption, MeasuredFacts("red", ground)) == said


@pytest.mark.parametrize(
    ("caption", "lines", "brand", "said"),
    [
        ("Jar labelled “Acme”.", ("BOLT",), None, "The caption says “Acme” is written there, “BOLT” was read."),
        ('A jar that reads "Fresh Mint".', ("FRESH", "MINT"), None, "agrees"),
        ("A jar labelled Acme.", ("ACNE",), None, "agrees"),  # one letter misread
        ("A shoe with a Nike logo.", ("adidas",), None, "The caption says “Nike” is written there, “adidas” was read."),
        ("An Acme kettle.", ("BOLT",), "Acme", "The caption says “Acme” is written there, “BOLT” was read."),
        ("An ACME kettle.", ("Acmé",), "Acme", "agrees"),
        ("An Acme kettle.", ("BOLT",), None, None),  # nobody knows that it is a brand
        ("A kettle.", ("BOLT",), "Acme", None),  # no claim
        ("Jar labelled “Acme”.", (), None, None),  # small letters are missed
        ("Jar labelled “Acme”.", None, None, None),
        ("A carton that reads “God Morgon”.", ("GOD", "drink"), None, None),  # a part of it was read
        ("A jacket that reads “US”.", ("UNCLESAA",), None, None),  # two letters are lost by chance
        ("A Bravo carton.", ("ÄPPLE", "JUICE"), "Bravo", None),  # its logo is drawn
        ("A Valio vanilla yoghurt.", ("VANILJ", "Vanilj"), "Valio", None),  # the caption says so too
        ("A God Morgon apple juice.", ("apple", "21"), "God Morgon", None),
        (
            "A Heinz juice.",
            ("Tropicana", "15.90"),
            "Heinz",
            "The caption says “Heinz” is written there, “Tropicana”, “15.90” was read.",
        ),
        ("Jar labelled “Acme”.", ("oats", "honey", "nuts", "salt"), None, None),  # a drawn logo among many lines
        (
            "A plain jar without text.",
            ("BOLT",),
            None,
            "The caption says that nothing is written there, “BOLT” was read.",
        ),
        ("A plain jar without text.", (), None, "agrees"),
        ("A man’s shirt, a woman’s hat.", ("BOLT",), None, None),
    ],
)
def test_words_are_held_against_what_was_read(
    caption: str, lines: tuple[str, ...] | None, brand: str | None, said: str | None
) -> None:
    assert of_kind("text", caption, facts(printed=lines, brand=brand, is_printed_on=True)) == said


SMALL_LEFT = MeasuredFacts("red", "white", "small in the frame", box=(0.1, 0.4, 0.4, 0.6), is_cropped=False)
LARGE_CUT = MeasuredFacts("red", "white", "cropped at the edge", box=(0.0, 0.1, 0.95, 0.9), is_cropped=True)


@pytest.mark.parametrize(
    ("caption", "measured", "said"),
    [
        ("Mug, centred.", SMALL_LEFT, "The caption says centred, the picture looks left of centre."),
        (
            "Mug, close-up, left of centre.",
            SMALL_LEFT,
            "The caption says close up, the picture looks small in the frame.",
        ),
        ("Mug, small in the frame, left of centre.", SMALL_LEFT, "agrees"),
        ("Mug, small in the frame.", LARGE_CUT, "The caption says small in the frame, the picture looks close up."),
        ("Mug, fully visible.", LARGE_CUT, "The caption says fully visible, the picture looks cropped at the edge."),
        ("Mug, cut off by the frame.", SMALL_LEFT, "The caption says cut off by, the picture looks whole."),
        ("Mug, cropped at the edge.", LARGE_CUT, "agrees"),
        ("Mug, close-up.", MeasuredFacts(framing="centred", box=(0.2, 0.2, 0.8, 0.8), is_cropped=False), None),
        ("Mug, centred.", LARGE_CUT, None),  # where the middle of what is cut off lies, nobody knows
        ("Cropped trousers.", SMALL_LEFT, None),
    ],
)
def test_each_framing_is_held_against_its_own_measure(caption: str, measured: MeasuredFacts, said: str | None) -> None:
    assert of_kind("framing", caption, measured) == said
