"""The filter language: round trips, refusals, what it finds, and what it says."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image, Signals
from app.errors import Refused
from app.review import rules
from app.review.tables import Decision
from app.selection import browse
from app.selection.keys import KEYS
from app.selection.kinds import NotUnderstood
from app.selection.query import Selection, parse
from app.selection.wording import examples, sentence
from tests import cast
from tests.selection.drawing import selections


@given(selections())
@settings(max_examples=300, deadline=None)
def test_a_selection_survives_being_written_and_read(chosen: Selection) -> None:
    assert parse(chosen.query, 7) == chosen


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        once = parse(text, 7)
    except NotUnderstood as refusal:
        assert 0 <= refusal.position <= len(text)
    else:
        assert parse(once.query, 7) == once


@given(selections(), st.integers(0, 100_000))
@settings(max_examples=100, deadline=None)
def test_every_selection_has_a_sentence(chosen: Selection, count: int) -> None:
    words = sentence(chosen, count)
    assert words.endswith(".")
    assert chosen.is_everything or words.startswith(f"{count:,} ")


@pytest.mark.parametrize(
    ("text", "position", "allowed"),
    [
        ("kettle shiny:yes", 7, "sharpness"),
        ("decision:maybe", 9, "needs_work"),
        ("background:white,", 17, "plain"),
        ('category:"T-shirts', 9, '"'),
    ],
)
def test_a_refusal_says_where_and_what_would_do(text: str, position: int, allowed: str) -> None:
    with pytest.raises(NotUnderstood) as refusal:
        parse(text, 1)
    assert refusal.value.position == position
    assert allowed in refusal.value.allowed


@pytest.mark.parametrize(
    "text",
    [
        "sharpness:high", "fill:9..1", "fill:1..2,3..4", "fill:<1 fill:>2", "id:twelve", "sharpness:1e5",
        "kettle \0", 'file:""',
    ],
)  # fmt: skip
def test_malformed_values_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse(text, 1)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        (" ".join(f"w{number}" for number in range(51)), "A filter takes at most 50 words."),
        ("file:" + ",".join(f"f{number}" for number in range(201)), "“file” takes at most 200 values."),
        (" ".join(f"product:p{number}" for number in range(201)), "“product” takes at most 200 values."),
        ("id:" + ",".join(map(str, range(10_001))), "“id” takes at most 10,000 values."),
        ('"' + "kettle " * 600 + '"', "A filter has at most 4,000 characters."),
    ],
)
def test_a_filter_that_asks_for_too_much_is_refused(text: str, most: str) -> None:
    with pytest.raises(NotUnderstood) as refusal:
        parse(text, 1)
    assert refusal.value.sentence == most
    assert 0 <= refusal.value.position <= len(text)


def test_a_filter_within_the_limits_is_read_again_as_it_is_kept() -> None:
    chosen = parse(f"id:{','.join(map(str, range(100_000, 110_000)))} file:a,b", 1)
    assert len(chosen.values("id")) == 10_000
    assert parse(chosen.query, 1) == chosen
    words = " ".join(f"{number}:{'x' * 76}" for number in range(10, 60))
    assert len(words) < 4_000
    with pytest.raises(NotUnderstood, match="4,000 characters"):
        parse(words, 1)  # in quotes, as it would be kept, it is longer


def test_the_same_filter_written_otherwise_is_the_same() -> None:
    one = parse("background:plain,white decision:kept", 1)
    other = parse("  decision:KEPT background:white  background:plain ", 1)
    assert one == other
    assert one.query == "decision:kept background:white,plain"


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("", 3084, "All 3,084 photos."),
        ("", 0, "No photos yet."),
        (
            "background:white,plain sharpness:>0.42 fill:75..96", 1372,
            "1,372 photos on a white or plain background, sharper than 0.42, longest side filling 75 to 96 %.",
        ),
        ("decision:kept", 1, "1 kept photo."),
        ("decision:needs_work", 1, "1 photo that needs work."),
        ("by:rule", 55, "55 photos with only a rule’s suggestion."),
        ("by:person,none", 2, "2 photos decided by a person or without a decision or a suggestion."),
        ("decision:kept by:rule", 2, "2 photos that a rule suggests to keep."),
        ("decision:kept,rejected by:person", 2, "2 photos that are kept or are rejected, decided by a person."),
        ("decision:kept by:person,rule", 2, "2 photos that are kept, or that a rule suggests to keep."),
        (
            "decision:unseen by:rule,none", 2,
            "2 photos with only a rule’s suggestion, or without a decision or a suggestion.",
        ),
        ("decision:kept -by:rule", 2, "2 kept photos not with only a rule’s suggestion."),
        (
            "decision:needs_work,unseen colour:red,none", 20,
            "20 photos that need work or are unseen, with a red or unknown subject.",
        ),
        ('caption:none category:"T-shirts" wool', 2, "2 photos in T-shirts, without a caption, mentioning “wool”."),
        ("rule:blurred", 4, "4 photos found blurred by a rule."),
        ("note:none,largest-page", 4, "4 photos without a note or noted as “largest page”."),
        ("-category:none,lamps -sharpness:>0.5", 2, "2 photos not sharper than 0.5, not in lamps or no category."),
        ("-decision:kept red -blue -green", 2,
         "2 photos that are not kept, mentioning “red”, not mentioning “blue” or “green”."),
        ("-decision:needs_work,kept", 1, "1 photo that is not kept or needing work."),
        ("decision:kept -decision:unseen", 3, "3 kept photos that are not unseen."),
        ('background:white,"cannot tell"', 5, "5 photos on a white background or a background that cannot be told."),
    ],
)  # fmt: skip
def test_the_sentence(text: str, count: int, expected: str) -> None:
    assert sentence(parse(text, 1), count) == expected


def test_the_page_s_help_explains_every_key_by_what_it_does() -> None:
    told = dict(examples())
    assert told["-category:lamps"] == "photos not in lamps"
    assert told["decision:kept,unseen"] == "photos that are kept or are unseen"
    assert {typed.split(":")[0] for typed in told} >= KEYS.keys()


@pytest.fixture
def pile(session: Session) -> Catalog:
    """Three photos: a kept red kettle, a rejected blurred shoe, and an unseen photo about which little is known."""
    pile = cast.catalog(session)
    ana = cast.person(session)
    kettle = cast.red_kettle(session, pile)
    kettle.product = "K-1"
    session.add(Decision(image_id=kettle.id, verdict="kept", person_id=ana.id))
    shoe = cast.blurred_shoe(session, pile)
    shoe.notes = ["cmyk-without-profile", "broken-profile"]
    session.add(Decision(image_id=shoe.id, verdict="rejected", rule="blurred", reason="Blurred."))
    bare = cast.image(session, pile, title="100%_wool hat", category=None, sharpness=None, background="scene")
    session.get_one(Signals, bare.id).subject_colour = None
    cast.red_kettle(session, cast.catalog(session))  # in another catalog: never found
    session.flush()
    return pile


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("", {"Red kettle", "Brown shoe", "100%_wool hat"}),
        ("decision:kept", {"Red kettle"}),
        ("decision:unseen", {"100%_wool hat", "Brown shoe"}),
        ("decision:rejected", set()),
        ("decision:rejected by:rule", {"Brown shoe"}),
        ("decision:rejected by:person", set()),
        ("decision:kept,rejected by:person,rule", {"Red kettle", "Brown shoe"}),
        ("decision:unseen by:none", {"100%_wool hat"}),
        ("by:rule", {"Brown shoe"}),
        ("by:person,none", {"Red kettle", "100%_wool hat"}),
        ("-by:rule", {"Red kettle", "100%_wool hat"}),
        ("-decision:rejected by:rule", set()),
        ("background:white", {"Red kettle", "Brown shoe"}),
        ("sharpness:>0.5", {"Red kettle"}),
        ("sharpness:<0.5", {"Brown shoe"}),
        ("sharpness:0.02..0.8", {"Red kettle", "Brown shoe"}),
        ("sharpness:>0.8", set()),
        ("fill:90..100 decision:kept", {"Red kettle"}),
        ("category:none", {"100%_wool hat"}),
        ("category:none,Shoes", {"100%_wool hat", "Brown shoe"}),
        ("colour:none", {"100%_wool hat"}),
        ("colour:red", {"Red kettle", "Brown shoe"}),
        ("caption:none", {"100%_wool hat"}),
        ("caption:captioner,person", {"Red kettle", "Brown shoe"}),
        ("rule:blurred", {"Brown shoe"}),
        ("note:broken-profile", {"Brown shoe"}),
        ("note:laid-on-white,cmyk-without-profile decision:rejected by:rule", {"Brown shoe"}),
        ("note:cmyk-without-profile decision:kept", set()),
        ("note:none", {"Red kettle", "100%_wool hat"}),
        ("-note:none", {"Brown shoe"}),
        ("note:none,broken-profile", {"Red kettle", "Brown shoe", "100%_wool hat"}),
        ("product:K-1", {"Red kettle"}),
        ("product:none kettle", set()),
        ("file:.JPG", {"Red kettle", "Brown shoe", "100%_wool hat"}),
        ("centred PURE", {"Red kettle"}),
        ("cent PURE", {"Red kettle"}),
        ("ettle", set()),
        ("100%_wo", {"100%_wool hat"}),
        ('"wool ha"', {"100%_wool hat"}),
        ('"hat wool"', set()),
        ("%%", {"100%_wool hat"}),
        ("' \\ & ! <->", set()),
        ("-decision:kept,rejected", {"100%_wool hat", "Brown shoe"}),
        ("-kettle -shoe", {"100%_wool hat"}),
        ('-"red kettle"', {"Brown shoe", "100%_wool hat"}),
        ("-category:SHOES", {"Red kettle", "100%_wool hat"}),
        ("-category:none", {"Red kettle", "Brown shoe"}),
        ("-sharpness:>0.5", {"Brown shoe", "100%_wool hat"}),  # not measured is not sharper
        ("-product:k-1 -file:.png", {"Brown shoe", "100%_wool hat"}),
        ("category:kettles", {"Red kettle"}),
        ("Colour:RED", {"Red kettle", "Brown shoe"}),
        ("product:k-1", {"Red kettle"}),
        ("category：Shoes", {"Brown shoe"}),
        ("„wool hat“ “hat”", {"100%_wool hat"}),
        ('"or"', set()),
    ],
)
def test_what_a_filter_finds(session: Session, pile: Catalog, text: str, titles: set[str]) -> None:
    found = session.scalars(parse(text, pile.id).select(Image.title)).all()
    assert set(found) == titles
    assert len(found) == len(titles)


@pytest.mark.parametrize(
    ("title", "asked"),
    [
        ("Kettle & AB", "Kettle & AB"),
        ("Kettle & AB", "kettle&ab"),
        ("100 % wool", "100 %"),
        ("100 % wool", "100%"),
        ("Crème brûlée", "creme"),
        ("Crème brûlée", "CRE\u0300ME"),
        ("Cre\u0300me brûlée", "crème"),
        ("Łódź Ørsted Straße", "lodz orsted STRASSE"),
        ("新款红色水壶", "红色"),
        ("新款红色水壶", "水壶 新款"),
        ("限定ケーキ皿", "ケーキ"),
        ("신형빨간주전자", "빨간"),
        ("กาต้มน้ำสีแดง", "สีแดง"),
        ("ＡＢＣ１２３", "abc123"),
        ("Tea\u00adpot", "teapot"),
        ("Tea\u200epot \u202a12\u202c", "teapot 12"),
        ("كِتَاب", "كتاب"),
        ("שָׁלוֹם", "שלום"),
        ("Kettle™ Pro", '"kettle pro"'),
        ("100 % wool", '"100% wool"'),
        ("C++ mug", "c++"),
        ("model #12", "#1"),
        ("€50 voucher", "€50"),
        ("T shirt", "t-shirt"),
        ("T-shirt", "t shirt"),
        ("women’s coat", "women's"),
        ("Teapot 🔥", "🔥"),
        ("it's \\ here", "' \\"),
        ("i" * 3000, "i" * 300),
    ],
)
def test_words_are_found_however_they_are_written(session: Session, title: str, asked: str) -> None:
    pile = cast.catalog(session)
    photo = cast.image(session, pile, title=title)
    # Its file's name, a running number, may be the very word that is asked for.
    cast.image(session, pile, title="Something else").file_name = "else.jpg"
    session.flush()
    assert session.scalars(parse(asked, pile.id).select(Image.id)).all() == [photo.id]


@pytest.mark.parametrize(
    ("title", "asked"),
    [
        ("Kettle AB", "Kettle & AB"), ("100 wool", "100 %"), ("红水色壶", "红色"), ("Teapot", "🔥"), ("か皿", "が"),
        ("100 wool", '"100%"'), ("100 wool, 5 % silk", "100%"), ("Kettle AB", "kettle&ab"), ("Cat + dog", "C++"),
        ("1000%", "100%"), ("50 £", "50€"), ("Kettle red", '"kettles red"'), ("Red", '"red kettles"'),
    ],
)  # fmt: skip
def test_words_and_signs_that_are_not_there_are_not_found(session: Session, title: str, asked: str) -> None:
    pile = cast.catalog(session)
    cast.image(session, pile, title=title)
    assert session.scalars(parse(asked, pile.id).select(Image.id)).all() == []


@pytest.mark.parametrize(
    ("text", "position", "instead"),
    [
        ("lamps category=red", 6, "category:red"),
        ("sharpness>0.5", 0, "sharpness:>0.5"),
        ("category:=red", 9, "write category:red"),
        ("category:lamp*", 9, "stands for no letters"),
        ("category :lamps", 9, "Write lamps to find it"),
        ("!kettle", 0, "-kettle"),
        ("red --kettle", 4, "-kettle"),
        ("*ettle", 0, "Write ettle"),
        ("ket*le", 0, "beginnings"),
        ("red|blue", 0, "put it in quotes"),
        ("kettle –red", 7, "-red to leave it out"),
        ("−red", 0, "-red to leave it out"),
        ('kettle –"red dress"', 7, "A minus leaves it out"),
        ("+red", 0, "Write red to find it"),
        ("‘red dress’", 0, 'in double quotes: "red dress"'),
        ("'red dress' lamp", 0, 'in double quotes: "red dress"'),
        ("category:'lamps'", 9, "double quotes"),
        ("red(category:lamps)", 0, "beginning of a word"),
        ("red,decision:kept", 0, "beginning of a word"),
        ("category:lamps,decision:kept", 15, "begins another filter"),
        ("decision:kept ,unseen", 14, "without spaces"),
        ('category:"lamps"mugs', 16, "a space, or a comma"),
        ("category:lamps;mugs", 9, "parted by commas"),
        ("category:lamps|mugs", 9, "parted by commas"),
        ("category::lamps", 9, "leave out"),
        ("category:(lamps,mugs)", 9, "leave out"),
        ("category!=lamps", 0, "-category:lamps"),
        ("sharpness>=0.5", 0, "sharpness:0.4..0.9"),
        ("ke?tle", 0, "beginnings"),
        ("kettle~2", 0, "in quotes"),
        ("sharpness:40..90", 10, "from 0 to 1"),
        ("fill:>101", 5, "from 0 to 100"),
        ("category:lamps,-mugs", 15, "-category:mugs"),
        ("größe:5", 0, "is not a filter"),
        ("red \u200b", 4, "no letter, digit or sign"),
        ("file:\u0301", 5, "no letter, digit or sign"),
        ("wool hat”", 8, "never opened"),
        ("„wool hat", 0, "never closed"),
        ("sharpness:>0.5 -fill:9 -fill:1..2", 21, "is not a range"),
    ],
)
def test_what_reads_like_another_language_is_refused_with_what_to_type(text: str, position: int, instead: str) -> None:
    with pytest.raises(NotUnderstood) as refusal:
        parse(text, 1)
    assert refusal.value.position == position
    assert instead in refusal.value.sentence


@pytest.mark.parametrize(
    "text",
    [
        '"salt and pepper"', '"do not bend"', '"or"', "and-or", "nothing",
        "Kettle(red)", "kettle*", "-12", "a - b", "12:30", "#1", "Kettle (red, small)",
        "Kettle – red", "women’s 'n' men's", "the ’80s", "file:(1)", "C++ 100% & #1 a@b", "why?", "1/2",
    ],
)  # fmt: skip
def test_plain_words_stay_plain(text: str) -> None:
    assert parse(text, 1).terms


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("«red dress»", '"red dress"'), ("»red dress«", '"red dress"'), ("-「red dress」", '-"red dress"'),
        ("category:lamps，mugs、hats", "category:lamps,mugs,hats"),
    ],
)  # fmt: skip
def test_other_keyboards_quotes_and_commas_are_read(typed: str, same: str) -> None:
    assert parse(typed, 1) == parse(same, 1)


def test_a_long_text_of_another_language_is_read_soon() -> None:
    for text in ("'a" + " " * 100_000, "a" + "*" * 100_000, "-" * 100_000 + "a", "a~" * 50_000, "'a b " * 9):
        with contextlib.suppress(NotUnderstood):
            parse(text, 1)


def test_toggling_a_value_twice_changes_nothing() -> None:
    start = parse("decision:kept kettle", 1)
    there = start.toggled("decision", "unseen").toggled("category", None)
    assert there.query == "decision:kept,unseen category:none kettle"
    assert there.toggled("category", None).toggled("decision", "unseen") == start
    assert parse("category:LAMPS", 1).toggled("category", "Lamps").is_everything
    assert parse("-category:LAMPS,mugs", 1).toggled("category", "Lamps").query == "category:Lamps -category:mugs"


def test_rule_names_are_words_of_the_language() -> None:
    assert KEYS["rule"].allowed == rules.NAMES
    assert parse("rule:contradicted", 1).values("rule") == ("contradicted",)


def test_what_cannot_be_told_of_a_measure_is_a_value(session: Session) -> None:
    pile = cast.catalog(session)
    told, untold, unmeasured = (cast.image(session, pile) for _ in range(3))
    session.get_one(Signals, told.id).shadow = 6.0
    session.delete(session.get_one(Signals, unmeasured.id))
    session.flush()

    def shown(query: str) -> list[int]:
        return [tile.id for tile in browse.page(session, parse(query, pile.id), "oldest")]

    assert shown("shadow:none") == shown('shadow:"cannot tell"') == [untold.id, unmeasured.id]
    assert shown("-shadow:none") == [told.id]
    chosen = parse("shadow:none", pile.id)
    assert (chosen.query, chosen.values("shadow")) == ("shadow:none", (None,))
    assert "whose contact shadow cannot be told" in sentence(chosen, 2)


@pytest.mark.parametrize(
    "text", ["offsetx:-5..5", "offsetx:<-5", "-offsety:>-12.5", "offsetx:-50..-20", "offsety:none"]
)
def test_a_range_may_lie_below_zero_where_its_measure_does(text: str) -> None:
    assert parse(text, 1).query == text
    assert parse("offsetx:-0..5", 1).query == "offsetx:0..5", "no zero is negative"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sharpness:>-1", "to leave it out|not a range"),
        ("offsetx:-60..0", "runs from -50 to 50"),
        ("offsetx:5..-5", "above"),
    ],
)
def test_a_range_below_its_measure_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(NotUnderstood, match=said):
        parse(text, 1)
