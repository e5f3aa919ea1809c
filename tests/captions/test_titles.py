"""What a title says of the thing: nothing that no camera sees gets into a caption."""

from __future__ import annotations

import pytest

from app.captions.titles import plain_title, seen_text


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("Salt &amp; pepper mill", "Salt & pepper mill"),
        ("<b>Red</b> mug", "Red mug"),
        ("&lt;p&gt;Blue&lt;/p&gt; cup", "Blue cup"),
        ("Caf&eacute; mug &#9749;", "Café mug"),
        ("Mug <br/>red<script>alert(1)</script>", "Mug red"),
        ("a < b mug", "a < b mug"),
        ("AT&T phone", "AT&T phone"),
        ("  Wide   space\u00a0mug  ", "Wide space mug"),
    ],
)
def test_markup_is_read_as_a_browser_does(title: str, plain: str) -> None:
    assert plain_title(title) == plain


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("ACME KT-2041/B Kettle 1.7 L EAN 4006381333931", "ACME Kettle 1.7 L"),
        ("Kettle 4006381333931", "Kettle"),
        ("Lamp (SKU: AB-123)", "Lamp"),
        ("Lamp, Art.-Nr. 12345", "Lamp"),
        ("Nike Air Max 90 (DH8010-002)", "Nike Air Max 90"),
        ("B08N5WRWNW Headphones", "Headphones"),
        ("Levi's 501 Jeans", "Levi's 501 Jeans"),
        ("Table 120x60cm", "Table 120x60cm"),
        ("Set of 6 glasses 300ml", "Set of 6 glasses 300ml"),
        ("PS5 Controller", "PS5 Controller"),
        ("Vase Ø 20 cm, 180°", "Vase Ø 20 cm, 180°"),
    ],
)
def test_article_numbers_go_and_measures_stay(title: str, plain: str) -> None:
    assert plain_title(title) == plain


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("Mug!!! \U0001f525\U0001f525 SALE", "Mug"),
        ("SALE: red mug", "red mug"),
        ("Red mug - Sale!", "Red mug"),
        ("[NEU] Tasse rot", "Tasse rot"),
        ("Sale - Red mug", "Red mug"),
        ("RED KETTLE SALE", "RED KETTLE"),
        ("Mug 50% OFF", "Mug"),
        ("-20% Tasse", "Tasse"),
        ("Tasse bis zu 30 % Rabatt", "Tasse"),
        ("Kettle € 19,99", "Kettle"),
        ("1.234,00 € Sofa", "Sofa"),
        ("Free shipping Red mug", "Red mug"),
        ("Black Friday Kettle", "Kettle"),
        ("Kettle www.example.com", "Kettle"),
        ("New Balance shoe", "New Balance shoe"),
        ("NEW BALANCE SHOE", "NEW BALANCE SHOE"),
        ("Macina sale e pepe", "Macina sale e pepe"),
        ("Mug 100% cotton", "Mug 100% cotton"),
        ("Red Top", "Red Top"),
        ("\u2605\u2605\u2605 Mug\u2122 \u2714\ufe0f 1\ufe0f\u20e3", "Mug"),
        ("Mug \U0001f469\U0001f3fd\u200d\U0001f680", "Mug"),
    ],
)
def test_advertising_and_emoji_go_and_names_stay(title: str, plain: str) -> None:
    assert plain_title(title) == plain


@pytest.mark.parametrize(
    "title", [None, "", " ", "SALE", "\U0001f525", "4006381333931", "IMG_1234.JPG", "- | -", "<br>"]
)
def test_a_title_that_names_no_thing_is_none(title: str | None) -> None:
    assert plain_title(title) is None


def test_a_description_is_read_without_its_tags() -> None:
    assert seen_text("<p>In a <b>steel</b> finish.</p><ul><li>front view</li></ul>") == "In a steel finish. front view"


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("<![CDATA[Red kettle]]>", "Red kettle"),
        ("Red kettle&nbsp", "Red kettle"),
        ("SALE % Red kettle %", "Red kettle"),
        ("%%SALE%% Red kettle", "Red kettle"),
        ("Kettle 0 36000 29145 2", "Kettle"),
        ("Kettle 4 006381 333931", "Kettle"),
        ("Bestellnummer: 12345-AB Kessel", "Kessel"),
        ("Kettle, Model: KT-20", "Kettle"),
        ("Kessel NEU & OVP", "Kessel"),
        ("Kettle, 50% OFF today only", "Kettle"),
        ("Kettle | Buy 1 get 1 free", "Kettle"),
        ("Kettle UVP 29,99", "Kettle"),
        ("RÄUMUNGSVERKAUF Kessel", "Kessel"),
        ("¡OFERTA! Hervidor", "Hervidor"),
        ("Kettle ⭐4.8 (1.234 reviews)", "Kettle"),
        ('"Kettle"', "Kettle"),
        ("{{ product.title }}", None),
        ("N/A", None),
        ("Sale", None),
        ("100 % Baumwolle T-Shirt", "100 % Baumwolle T-Shirt"),
        ("Shirt 95%/5% cotton", "Shirt 95%/5% cotton"),
        ("Ben&Jerry's cup", "Ben&Jerry's cup"),
        ('Monitor 24"', 'Monitor 24"'),
    ],
)
def test_what_exports_of_shops_leave_in_titles(title: str, plain: str | None) -> None:
    assert plain_title(title) == plain
