"""Which photos belong together, and which groups are held out."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from app.datasets.splitting import GROUPS_TO_SPLIT, VALIDATION_AT_MOST, Group, group, split

photos = st.lists(
    st.tuples(st.sampled_from([None, "", "P1", "P2", "P3", " P4 "]), st.sampled_from(["aa", "bb", "cc", "dd", "ee"])),
    max_size=12,
)
groups = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.builds(Group, st.integers(1, 30), st.sampled_from(["", "Hats", "Shoes", "Vases"])),
    max_size=40,
)


def test_photos_of_a_product_and_equal_pictures_are_one_group() -> None:
    names = group([("Kettle", "aa"), ("Kettle", "bb"), (None, "bb"), (None, "cc"), ("  ", "cc"), ("Shoe", "dd")])
    assert names == ["kettle", "kettle", "kettle", "cc", "cc", "shoe"]


def test_a_shared_picture_joins_two_products_under_the_first_name() -> None:
    assert group([("Shoe", "aa"), ("Kettle", "aa"), ("Shoe", "bb")]) == ["kettle"] * 3


def test_copies_join_groups_and_name_none() -> None:
    rows = [("Shoe", "dd"), (None, "cc"), (None, "bb"), (None, "aa"), ("Kettle", "ee")]
    assert group(rows, [1, 1, 2, 2, None]) == ["shoe", "shoe", "aa", "aa", "kettle"]
    assert group(rows, [1, 1, 1, 1, 1]) == ["kettle"] * 5


@given(photos, st.randoms())
def test_grouping_depends_on_no_order_and_cuts_nothing(
    rows: list[tuple[str | None, str]], chance: random.Random
) -> None:
    names = group(rows)
    order = list(range(len(rows)))
    chance.shuffle(order)
    assert group([rows[i] for i in order]) == [names[i] for i in order]
    for (one, first), (other, second) in itertools.combinations(zip(rows, names, strict=True), 2):
        is_same_product = (one[0] or "").strip() and (one[0] or "").strip() == (other[0] or "").strip()
        if is_same_product or one[1] == other[1]:
            assert first == second


@given(groups)
@settings(max_examples=200)
def test_no_split_holds_out_too_much_or_nothing(given_groups: dict[str, Group]) -> None:
    splits = split(given_groups)
    total = sum(one.size for one in given_groups.values())
    held = sum(given_groups[name].size for name, kind in splits.items() if kind == "validation")
    assert splits.keys() == given_groups.keys()
    assert held <= VALIDATION_AT_MOST * total
    assert (held > 0) == (len(given_groups) >= GROUPS_TO_SPLIT)


def test_about_a_tenth_of_each_category_is_held_out() -> None:
    given_groups = {f"{kind} {number}": Group(3, kind) for kind in ("Hats", "Shoes", "Vases") for number in range(40)}
    splits = split(given_groups)
    for kind in ("Hats", "Shoes", "Vases"):
        assert sum(splits[name] == "validation" for name in splits if name.startswith(kind)) == 4


def test_many_small_categories_still_hold_out_a_tenth() -> None:
    given_groups = {f"{kind}-{number}": Group(1, str(kind)) for kind in range(20) for number in range(3)}
    assert 5 <= list(split(given_groups).values()).count("validation") <= 7


def test_the_split_is_the_same_every_time_and_moves_little_when_a_product_comes() -> None:
    given_groups = {f"product {number}": Group(2, "Kettles") for number in range(100)}
    before = split(given_groups)
    assert split(dict(reversed(given_groups.items()))) == before
    after = split({**given_groups, "newcomer": Group(2, "Kettles")})
    assert sum(before[name] != after[name] for name in before) <= 1


def test_a_photo_that_comes_moves_none_of_another_category() -> None:
    given_groups = {f"{kind} {number}": Group(1, f"Kind {kind}") for kind in range(30) for number in range(23)}
    before = split(given_groups)
    for number in range(40):
        after = split({**given_groups, f"newcomer {number}": Group(1, "Kind 0")})
        moved = [name for name in before if before[name] != after[name]]
        assert len(moved) <= 2 and all(given_groups[name].category == "Kind 0" for name in moved)


def test_the_seed_draws_another_split_and_the_same_seed_the_same() -> None:
    given_groups = {f"product {number}": Group(2, "Kettles") for number in range(100)}
    assert split(given_groups, 7) == split(given_groups, 7) != split(given_groups, 8)
    assert list(split(given_groups, 7).values()).count("validation") == 10


def test_no_group_larger_than_the_limit_is_held_out() -> None:
    splits = split({"large": Group(900, ""), **{f"small {number}": Group(1, "") for number in range(20)}})
    assert splits["large"] == "train"


def test_letter_case_does_not_cut_a_product_in_two() -> None:
    first, second, other = group([("SKU-1", "a"), ("sku-1 ", "b"), ("sku-2", "c")])
    assert first == second != other
