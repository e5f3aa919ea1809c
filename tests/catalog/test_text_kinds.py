"""What a line of text in a photo is, by its words alone."""

from __future__ import annotations

import pytest

from app.catalog.text_kinds import kinds


@pytest.mark.parametrize("text", [
    "SALE 19.99", "€ 4,50", "4,50 €", "$5", "1 299 kr", "£3.49 each", "12,-", "29.90", "USD 12", "399 Kč", "¥1,200",
])  # fmt: skip
def test_a_price_is_a_number_with_a_currency_or_cents(text: str) -> None:
    assert kinds([text]) == ["price"]


@pytest.mark.parametrize("text", [
    "www.bestshop.com", "© Ana 2026", "kettleworld.de", "SAMPLE", "Shutterstock", "https://shop.example/a",
])  # fmt: skip
def test_a_watermark_names_an_address_or_a_right(text: str) -> None:
    assert kinds([text]) == ["watermark"]


@pytest.mark.parametrize("text", [
    "ORGANIC TEA", "500 ml", "1.75 l", "3.25 %", "Samples of tea", "0.5 kg", "2026", "100 % WOOL", "33 cl",
    "24 x 0.33 l", "1.5", "Est. 1892", "Vol. 4.25 %", "12.50 oz",
])  # fmt: skip
def test_other_text_stands_on_products(text: str) -> None:
    assert kinds([text]) == ["text"]


def test_what_stands_again_and_again_is_laid_over() -> None:
    assert kinds(["Kettleworld"] * 4) == ["watermark"] * 4
    assert kinds(["Kettleworld", "kettleworld", "TEA"]) == ["text"] * 3
