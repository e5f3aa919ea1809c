from __future__ import annotations

from app.selection import map_words
from app.selection.map_words import WordShare


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


def test_no_two_clusters_have_one_name_while_there_are_words() -> None:
    words = [WordShare("dress", 0.9), WordShare("blue", 0.5), WordShare("long", 0.3), WordShare("rare", 0.1)]
    assert map_words.named(words, ["dress, blue"]) == "dress, blue, long"
    assert map_words.named(words, ["dress, blue", "dress, blue, long"]) == "dress, blue, rare"
    assert map_words.named(words[:2], ["dress, blue"]) == "dress, blue"
    assert map_words.named(words[:1], []) == "dress"


def test_words_of_how_a_photo_is_framed_name_nothing() -> None:
    framed = "Red dress, cropped at the edge on a busy background. Left of centre, small in the frame."
    assert map_words.words_of([framed]) == {"red", "dress"}


def test_a_word_and_its_plural_are_one_name() -> None:
    words = [WordShare(word, 0.9) for word in ("watch", "watches", "kettles", "kettle", "red")]
    assert map_words.named(words) == "watch, kettles"
    assert map_words.named(words, ["watch, kettles"]) == "watch, kettles, red"
