"""What a caption is better without; and what nobody is told of, since it may be right."""

from __future__ import annotations

import pytest

from app.captions import dictionary
from app.captions.lint import lint
from app.captions.word_lists import USUAL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The image shows a red kettle.", [("banned", "the image shows")]),
        (
            "A kettle that appears to be red, possibly enamelled.",
            [("hedging", "appears to be"), ("hedging", "possibly")],
        ),
        ("A likeable kettle.", []),
        ("Bag with “the image shows” printed on it.", []),
        ("Red ketle with a leathr strap.", [("spelling", "ketle"), ("spelling", "leathr")]),
        ("Grey hoodie, colourful aluminium zip, centred, organised, enamelled, catalogue.", []),
        ("Onesie in elastane, crewneck, houndstooth gilet.", []),
        ("Kettle by Brandt Ketle.", []),
        ("Cap lettered “KENSO”.", [("printed", "KENSO")]),
        ("Cap lettered “KENZO Paris”.", []),
        ("Cap lettered “NIKE”.", []),  # not near: it may stand where nothing was read
        ('A 12" pan and a 10" pan.', []),
    ],
)
def test_what_is_told_of(text: str, expected: list[tuple[str, str]]) -> None:
    findings = lint(text, USUAL["banned"], {"kenzo"}, ["KENZO", "PARIS"], dictionary.meant)
    assert [(finding.kind, finding.says) for finding in findings] == expected


def test_words_of_the_catalogue_are_right_and_what_is_meant_is_told() -> None:
    assert lint("Red ketle.", accepted={"ketle"}, meant=dictionary.meant) == []
    (finding,) = lint("Red ketle.", meant=dictionary.meant)
    assert finding.sentence == "“ketle” may be meant to be “kettle”."
    (finding,) = lint("Cap “KENSO”.", printed=["KENZO"])
    assert finding.sentence == "The caption says “KENSO”, on the photo stands “KENZO”."
