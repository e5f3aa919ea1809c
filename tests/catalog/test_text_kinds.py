"""What a line of text in a photo is, by its words alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.catalog.text_kinds import are_tiles, kinds_of, repeats_itself
from app.catalog.text_lines import TextLine


def row(text: str, top: float, score: float = 0.95, width: float = 0.8, height: float = 0.05) -> TextLine:
    return TextLine(text, score, (0.1, top, 0.1 + width, top + height), None)


@pytest.mark.parametrize("text", [
    "SALE 19.99", "€ 4,50", "4,50 €", "$50", "1 299 kr", "£3.49 each", "12,-", "29.90", "USD 12", "399 Kč", "¥1,200",
])  # fmt: skip
def test_a_price_is_a_number_with_a_currency_or_cents(text: str) -> None:
    assert kinds_of([row(text, 0.2)]) == ["price"]


@pytest.mark.parametrize("text", [
    "www.bestshop.com", "© Ana 2026", "kettleworld.de", "SAMPLE", "Shutterstock", "https://shop.example/a",
])  # fmt: skip
def test_a_watermark_names_an_address_or_a_right(text: str) -> None:
    assert kinds_of([row(text, 0.2)]) == ["watermark"]


@pytest.mark.parametrize("text", [
    "ORGANIC TEA", "500 ml", "1.75 l", "3.25 %", "Samples of tea", "0.5 kg", "2026", "100 % WOOL", "33 cl",
    "24 x 0.33 l", "1.5", "Est. 1892", "Vol. 4.25 %", "12.50 oz",
])  # fmt: skip
def test_other_text_stands_on_products(text: str) -> None:
    assert kinds_of([row(text, 0.2)]) == ["text"]


def test_what_stands_again_and_again_is_laid_over() -> None:
    assert kinds_of([row("Kettleworld", top, width=0.2) for top in (0.1, 0.3, 0.5, 0.7)]) == ["watermark"] * 4
    assert kinds_of([row(text, 0.1, width=0.2) for text in ("Kettleworld", "kettleworld", "TEA")]) == ["text"] * 3


def test_what_is_known_to_be_tiled_is_a_watermark_whatever_it_says() -> None:
    assert kinds_of([replace(row("ANA", 0.2, width=0.2), is_tiled=True), row("TEA", 0.1, width=0.2)]) == [
        "watermark",
        "text",
    ]


def test_a_shelf_of_one_product_is_not_laid_over() -> None:
    heights = (0.066, 0.086, 0.06, 0.19)  # of a real shelf of yoghurts
    assert kinds_of([row("Vanilj", 0.2, width=0.13, height=height) for height in heights]) == ["text"] * 4


@pytest.mark.parametrize(
    "text", ["SAMPLESAMPLESAMPLE", "SAMPLESAMPLESAMDLE", "PREVIEWPREVIEVPREVIEW", "ana.photo ana.photo ana.photo"]
)
def test_a_line_of_tiles_repeats_itself(text: str) -> None:
    assert repeats_itself(text)
    assert kinds_of([row(text, 0.2)]) == ["watermark"]


@pytest.mark.parametrize("text", [
    "Coca-Cola", "Bonbon bonbon", "Mississippi", "no no no no", "100 % 100 %", "ORGANIC ORGANIC", "",
])  # fmt: skip
def test_words_on_products_do_not(text: str) -> None:
    assert not repeats_itself(text)


def test_rows_that_are_garbled_alike_are_of_tiles() -> None:
    garbled = ["EVKERTIDEWORLLEWORLD", "EVKORTDEWERELEWORLD", "EVKORTDEKERLEWORLD"]
    tiled = [row(text, 0.2 + 0.3 * place, score=0.6 + 0.16 * place) for place, text in enumerate(garbled)]
    assert are_tiles([*tiled, row("alpro soya", 0.1)]) == [True, True, True, False]
    assert kinds_of([*tiled, row("smudged words", 0.1, score=0.7)]) == ["watermark"] * 3 + [None]
    assert not any(are_tiles(tiled[:2])), "twice is by chance"
    assert not any(are_tiles([row(line.text, line.box[1], width=0.2) for line in tiled])), "labels are narrow"
    assert not any(are_tiles([*tiled[:2], row(garbled[2], 0.8, height=0.2)])), "tiles are as high as each other"
    flat = [row(text, 0.2, height=0.0) for text in garbled]
    assert not any(are_tiles(flat))
