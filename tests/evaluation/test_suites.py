"""Suites: the product suite, versions by editing and by file, real photos beside prompts, and what is held out."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.datasets.tables import DatasetVersion, Member
from app.errors import Conflict, Refused
from app.evaluation import (
    catalog_products,
    hold_out,
    product_suite,
    prompt_photos,
    sheets,
    suite_changes,
    suite_editing,
    suite_files,
    suites,
)  # fmt: skip
from app.evaluation.columns import ColumnWish
from app.evaluation.product_suite import Product
from app.evaluation.promotion_tables import HoldOutUse
from app.evaluation.prompt_texts import PromptText, atoms_in_words, atoms_of
from app.evaluation.suite_files import SuiteDraft
from app.evaluation.tables import Prompt, PromptPhoto, Sheet, Suite
from app.people import Person
from app.review import decisions
from tests import cast

SAMPLING = {"steps": 4, "guidance": 3.5, "width_px": 64, "height_px": 64}
KETTLE, SHOE = Product("kettle", "red", "steel"), Product("shoe", "brown", "leather")
COUNTS = {
    "A": 16,
    "B": 14,
    "C": 12,
    "D": 10,
    "E": 10,
    "F": 10,
    "G": 10,
    "H": 8,
    "I": 6,
    "J": 10,
    "K": 6,
    "L": 4,
    "M": 4,
}


def small(session: Session, me: Person | None = None, name: str = "Small") -> Suite:
    """A suite of two prompts and one that is held out."""
    prompts = [
        PromptText("A red kettle.", "Kettles", {"object": "kettle", "colour": "red"}, "preview"),
        PromptText("A secret kettle.", "Kettles", {"object": "kettle"}, "hold_out"),
        PromptText("Two\nshoes.", "Shoes", {"object": "shoe", "count": 2}, "full", 2.5, False),
    ]
    return suites.keep(session, name, prompts, (11, 23), dict(SAMPLING), person=me)


def sheet_from(session: Session, suite: Suite) -> Sheet:
    return sheets.make(session, suite, [ColumnWish(None)], name="For the decision")


def stocked(session: Session, me: Person) -> tuple[Catalog, list[Image]]:
    """A catalog of red kettles and shoes, four photos each, all kept but the last."""
    pile = cast.catalog(session)
    photos = [cast.image(session, pile, category=("Kettles", "Shoes")[n % 2]) for n in range(8)]
    for photo in photos[:-1]:
        decisions.decide(session, photo, me, "kept")
    return pile, photos


def test_the_product_suite_has_120_prompts_in_13_categories_and_24_held_out() -> None:
    prompts = product_suite.fill([KETTLE, SHOE, Product("vase")]).prompts
    drawn = [prompt for prompt in prompts if prompt.tier != "hold_out"]
    assert Counter(prompt.category[0] for prompt in drawn) == COUNTS
    assert Counter(prompt.tier for prompt in prompts) == {"preview": 12, "quick": 12, "full": 96, "hold_out": 24}
    assert len({prompt.text for prompt in prompts}) == 144
    assert not any("{" in prompt.text for prompt in prompts)
    assert len(product_suite.SEEDS) == 4


def test_half_of_a_to_h_are_products_as_they_are_and_half_are_new_combinations() -> None:
    prompts = product_suite.fill([KETTLE, SHOE, Product("kettle", "blue", "steel")]).prompts
    drawn = [prompt for prompt in prompts if prompt.tier != "hold_out" and prompt.category[0] in "ABCDEFGH"]
    counts = Counter((prompt.category[0], prompt.is_seen) for prompt in drawn)
    assert all(counts[letter, True] == counts[letter, False] == COUNTS[letter] / 2 for letter in "ABCDEFGH")
    assert all(prompt.is_seen is None for prompt in prompts if prompt.category[0] == "M")


def test_atoms_say_what_the_text_asks_for() -> None:
    for prompt in product_suite.fill([KETTLE, SHOE]).prompts:
        for name in ("object", "colour", "material", "part_colour", "text"):
            assert str(prompt.atoms.get(name, "")) in prompt.text


def test_the_same_products_make_the_same_suite_and_none_make_none() -> None:
    assert product_suite.fill([KETTLE, SHOE]) == product_suite.fill([KETTLE, SHOE])
    with pytest.raises(Refused, match="No photo says what it shows"):
        product_suite.fill([])
    assert "No product has a known colour" in product_suite.fill([Product("kettle")]).shortfalls[0]


def test_what_comes_in_pairs_or_sets_is_named_so() -> None:
    texts = " ".join(
        prompt.text for prompt in product_suite.fill([Product("shoes", "red"), Product("pencils")]).prompts
    )
    assert "A pair of red shoes" in texts and "two pairs of red shoes" in texts
    assert "a set of pencils" in texts
    assert not any(f"{article} {word}" in texts for article in ("a", "A") for word in ("red shoes", "shoes", "pencils"))


def test_it_is_filled_from_the_kept_photos(session: Session) -> None:
    me = cast.person(session)
    pile, photos = stocked(session, me)
    photos[-1].category = "Lamps"
    session.flush()
    products = catalog_products.products_of(session, pile.id)
    assert {product.phrase for product in products.products} == {"red kettle", "pair of red shoes"}
    assert (products.photos, products.are_kept) == (7, True)
    suite = suite_editing.make_for(session, pile, "Products", SAMPLING, me)
    assert suite_editing.make_for(session, pile, "Products", SAMPLING, me).id == suite.id
    assert "a red kettle" in suites.prompts_of(session, suite)[0].text.lower()


def test_where_nothing_is_kept_every_photo_counts_that_is_not_rejected(session: Session) -> None:
    me, pile = cast.person(session), cast.catalog(session)
    cast.image(session, pile, category="Kettles")
    decisions.decide(session, cast.image(session, pile, category="Shoes"), me, "rejected", "blurred")
    products = catalog_products.products_of(session, pile.id)
    assert ([product.noun for product in products.products], products.are_kept) == (["kettle"], False)


def test_photos_beside_prompts_show_what_they_ask_for_and_are_never_trained_on(session: Session) -> None:
    me = cast.person(session)
    pile, photos = stocked(session, me)
    version = DatasetVersion(catalog_id=pile.id, number=1, selection="", sentence="")
    session.add(version)
    session.flush()
    kettles = [photo for photo in photos if photo.category == "Kettles"]
    for photo, split in zip(kettles, ("train", "train", "validation"), strict=False):
        caption = Caption(image_id=photo.id, text="A kettle.", written_by="captioner", captioner="facts", settings={})
        session.add(caption)
        session.flush()
        session.add(Member(version_id=version.id, image_id=photo.id, caption_id=caption.id, split=split, group="g"))
    session.flush()
    suite = suites.keep(
        session, "P",
        [
            PromptText("A red kettle on white.", "A", {"object": "kettle", "colour": "red", "background": "white"}),
            PromptText("A blue kettle.", "A", {"object": "kettle", "colour": "blue"}),
            PromptText("Two red kettles.", "D", {"object": "kettle", "colour": "red", "count": 2}),
            PromptText("A red kettle that reads “TEA”.", "G", {"object": "kettle", "colour": "red", "text": "TEA"}),
        ],
        (1, 2, 3, 4), SAMPLING, pile.id,
    )  # fmt: skip
    assert prompt_photos.choose(session, suite) == 2
    beside = session.execute(select(Prompt.text, PromptPhoto.image_id).join(PromptPhoto)).all()
    assert {text for text, _ in beside} == {"A red kettle on white."}
    assert {image_id for _, image_id in beside} == {kettles[2].id, kettles[3].id}


def test_an_edited_list_is_a_new_version_and_the_old_one_stays(session: Session) -> None:
    me = cast.person(session)
    suite = small(session)
    draft = suite_editing.draft_of(session, suite, hold_out.shown(session, suite, me))
    edited = replace(draft, prompts=(replace(draft.prompts[1], text="Three shoes."), draft.prompts[0]))
    saved = suite_editing.save(session, suite, edited, me, 1)
    assert (saved.version, saved.name, saved.created_by_id) == (2, "Small", me.id)
    assert [p.text for p in suites.prompts_of(session, saved)] == ["Three shoes.", "A secret kettle.", "A red kettle."]
    assert suites.prompts_of(session, suite)[0].text == "A red kettle."
    assert suite_editing.save(session, suite, draft, me, 2).id == suite.id


def test_who_saves_over_a_version_made_meanwhile_is_told(session: Session) -> None:
    me = cast.person(session)
    suite = small(session)
    draft = suite_editing.draft_of(session, suite, hold_out.shown(session, suite, me))
    suite_editing.save(session, suite, replace(draft, seeds=(5,)), me, 1)
    with pytest.raises(Conflict, match="Version 2 of this suite was made meanwhile"):
        suite_editing.save(session, suite, replace(draft, seeds=(6,)), me, 1)


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        (PromptText(" ", "A"), "Prompt 1: The text of the prompt is empty."),
        (PromptText("a\x00", "A"), "Prompt 1: It holds a character"),
        (PromptText("a", "A", {}, "full", 0.0), "Prompt 1: A weight is more than 0"),
        (PromptText("a", "A", {}, "full", float("nan")), "Prompt 1: A weight is more than 0"),
        (PromptText("a", "A", {"x": {"y": 1}}), "Prompt 1: The atom “x” is a text"),
        (PromptText("a", ""), "Prompt 1: A category has 1 to"),
    ],
)
def test_what_no_suite_can_hold_is_named(prompt: PromptText, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        suite_files.draft_of([prompt], (1,), SAMPLING)


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1,), (2**32,), tuple(range(17))])
def test_seeds_are_few_and_different(seeds: tuple[int, ...]) -> None:
    with pytest.raises(Refused):
        suite_files.draft_of([PromptText("a", "A")], seeds, SAMPLING)


@pytest.mark.parametrize(
    "atoms",
    [
        {}, {"object": "kettle", "count": 2}, {"absent": ["text", "logo"], "w": 0.5}, {"a": "1"}, {"a": "x; y: z"},
        {"a": True}, {"a": ["one"]}, {"a": " b"},
    ],
)  # fmt: skip
def test_atoms_survive_being_edited_as_words(atoms: dict[str, object]) -> None:
    assert atoms_of(atoms_in_words(atoms)) == atoms


def test_a_file_brings_back_exactly_what_was_written(session: Session) -> None:
    me = cast.person(session)
    suite = small(session)
    draft = suite_editing.draft_of(session, suite)
    assert suite_files.read(written(suite, draft)).draft == draft
    assert suite_editing.bring_in(session, suite_files.read(written(suite, draft)), me).id == suite.id
    # Without what is held out, it comes back with it all the same.
    shown = suite_editing.draft_of(session, suite, hold_out.shown(session, suite, me))
    without = written(suite, shown, 1)
    assert b"secret" not in without
    assert suite_editing.bring_in(session, suite_files.read(without), me).id == suite.id


def test_a_file_without_prompts_that_are_not_here_is_refused(session: Session) -> None:
    me = cast.person(session)
    suite = small(session)
    draft = suite_editing.draft_of(session, suite, hold_out.shown(session, suite, me))
    other = suite_files.read(written(suite, draft, 1).replace(b'"Small"', b'"Other"'))
    with pytest.raises(Refused, match="written without 1 held-out"):
        suite_editing.bring_in(session, other, me)


def written(suite: Suite, draft: SuiteDraft, held_back: int = 0) -> bytes:
    rows = suite_files.lines(suite.name, suite.version, suite.content_hash, draft, held_back)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


HEAD = json.dumps({"suite": "S", "seeds": [1], "sampling": SAMPLING})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b"\xff\xfe\x00", "not UTF-8"),
        (HEAD.encode(), "no prompt"),
        (b'{"suite": "S", "seeds": [1]}\n{"text": "a"}', "Line 1: “sampling” is an object"),
        (f'{HEAD}\n{{"text": "a", "tiers": 1}}'.encode(), "Line 2: A prompt has no “tiers”"),
        (
            f'{HEAD}\n\nnot json\n{{"text": 3}}'.encode(),
            "Line 3: It is not JSON. Line 4: It has no “text”. Nothing was",
        ),
        (f'{HEAD}\n{{"text": "a", "weight": NaN}}'.encode(), "Line 2: It is not JSON."),
        (f'{HEAD}\n{{"text": "a", "tier": "pulses"}}'.encode(), "Line 2: “pulses” is no tier"),
        (f'{HEAD}\n{{"text": "\\ud800"}}'.encode(), "Line 2: It holds a character"),
        ((HEAD + "\n[]" * 9).encode(), "And 4 more such lines."),
        (f"{HEAD}\n{'[' * 100_000}".encode(), "Line 2: It is not JSON."),
    ],
)
def test_bad_lines_are_named_and_nothing_is_taken(content: bytes, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        suite_files.read(content)


def test_what_changed_between_versions_is_told() -> None:
    before = SuiteDraft(
        tuple(PromptText(text, "A") for text in ("One red kettle.", "Two.", "Three.", "Gone.")), (1,), SAMPLING
    )
    after = SuiteDraft(
        (
            PromptText("Two.", "A", {}, "quick"), PromptText("One blue kettle.", "A"), PromptText("New one", "B"),
            PromptText("Three.", "A"),
        ),
        (1, 2), SAMPLING | {"steps": 5},
    )  # fmt: skip
    changes = suite_changes.compare(before, after)
    assert [(c.kind, c.before, c.after) for c in changes.prompts] == [
        ("changed", "Two.", "Two."), ("changed", "One red kettle.", "One blue kettle."), ("added", "", "New one"),
        ("removed", "Gone.", ""),
    ]  # fmt: skip
    assert changes.prompts[0].details == ("tier: full became quick",)
    assert changes.settings == ("Seeds 1 became 1, 2.", "Steps 4 became 5.")
    assert suite_changes.compare(before, before).is_empty
    swapped = replace(before, prompts=before.prompts[::-1])
    assert {change.kind for change in suite_changes.compare(before, swapped).prompts} == {"moved"}


def test_an_opening_counts_once_for_each_sheet_and_for_every_version_with_these_prompts(session: Session) -> None:
    me = cast.person(session, "Ana")
    suite = small(session)
    sheet = sheet_from(session, suite)
    assert [prompt.tier for prompt in hold_out.shown(session, suite, me)] == ["preview", "full"]
    first = hold_out.open_for(session, suite, sheet, me)
    assert hold_out.open_for(session, suite, sheet, cast.person(session, "Mei")).id == first.id
    hold_out.open_for(session, suite, sheet_from(session, suite), me)
    assert session.query(HoldOutUse).count() == 2
    draft = suite_editing.draft_of(session, suite)
    later = suite_editing.save(session, suite, replace(draft, seeds=(9,)), me, 1)
    for version in (suite, later):
        assert len(hold_out.openings(session, version)) == 2
        assert "A secret kettle." in [prompt.text for prompt in hold_out.shown(session, version, me)]
        viewer = cast.person(session, "Vi", role="annotator")
        assert len(hold_out.shown(session, version, viewer)) == 2


def test_only_a_sheet_of_the_suite_opens_it_and_only_where_prompts_are_held_out(session: Session) -> None:
    me = cast.person(session)
    suite = small(session)
    plain = suites.keep(session, "Plain", [PromptText("a", "A")], (1,), SAMPLING)
    with pytest.raises(Refused, match="another suite"):
        hold_out.open_for(session, suite, sheet_from(session, plain), me)
    with pytest.raises(Refused, match="holds no prompts out"):
        hold_out.open_for(session, plain, sheet_from(session, plain), me)
