"""Caption templates: empty fields take their phrase with them, and what is no template is refused with a reason."""

from __future__ import annotations

import pytest

from app.captions.filling import checked, filled
from app.errors import Refused

KNOWN = {"colour": "red", "category": "kettle", "brand": "Brandt", "text": "TEA"}


@pytest.mark.parametrize(
    ("template", "missing", "expected"),
    [
        ("{colour} {category}[ by {brand}], lettered “{text}”.", "", "Red kettle by Brandt, lettered “TEA”."),
        ("{colour} {category}[ by {brand}], lettered “{text}”.", "brand text", "Red kettle."),
        ("[{colour} ]{category}, on white", "colour", "Kettle, on white"),
        ("{colour} {category}, on white", "colour", "On white"),
        ("{brand}, {text}", "brand text", ""),
        ("a {category}", "", "A kettle"),
    ],
)
def test_empty_fields_leave_their_phrase_out(template: str, missing: str, expected: str) -> None:
    values = {name: value for name, value in KNOWN.items() if name not in missing.split()}
    assert filled(checked(template), values) == expected


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("A kettle.", "a field at least"), ("{size}", "“{size}” is no field"), ("{title} [x", "“[” stands alone"),
        ("[[{title}]]", "stands alone"), ("{title}" * 200, "at most"),
    ],
)  # fmt: skip
def test_what_is_no_template_is_refused(template: str, sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        checked(template)
    assert sentence in str(refusal.value)
