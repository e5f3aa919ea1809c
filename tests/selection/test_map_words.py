from __future__ import annotations

from app.selection import map_words


def test_a_cluster_is_named_by_words_that_set_it_apart() -> None:
    jackets = [map_words.words_of(("Zip jacket", "Red jacket with a zip on a white background."))] * 8
    others = [map_words.words_of(("Red dress", "Red dress on a white background."))] * 40
    everywhere = map_words.counted([*jackets, *others])
    telling = map_words.telling(map_words.counted(jackets), 8, everywhere, 48)
    assert map_words.named(telling) == "jacket, zip"
    assert telling[0].share == 1.0


def test_a_shade_stays_with_its_colour() -> None:
    assert map_words.words_of(("Dark grey hat on a light background.",)) == {"dark grey", "hat"}


def test_where_all_photos_are_one_cluster_its_commonest_words_name_it() -> None:
    photos = [{"kettle", "red"}, {"kettle"}, {"kettle", "steel"}]
    counts = map_words.counted(photos)
    assert map_words.named(map_words.telling(counts, 3, counts, 3)) == "kettle, red"


def test_without_words_there_is_no_name() -> None:
    assert map_words.named(map_words.telling({}, 3, {}, 9)) == ""
    assert map_words.words_of((None, "", "A photo of the white background, 12 x 40")) == set()
