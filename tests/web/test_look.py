"""The colours: enough contrast in both themes, and no colour named outside of the values."""

from __future__ import annotations

import re

import pytest

from app.web.main import STATIC

TEXT, SIGN = 4.5, 3.0
VALUES = (STATIC / "css" / "values.css").read_text()
ROLES = (STATIC / "css" / "roles.css").read_text()


def value(name: str, theme: int) -> str:
    """The hex colour of a role or value in a theme (0 light, 1 dark)."""
    if role := re.search(rf"--{name}: var\(--([a-z0-9-]+)\)", ROLES):
        return value(role[1], theme)
    found = re.search(rf"--{name}: light-dark\((#\w{{6}}), (#\w{{6}})\)", VALUES)
    if found:
        return found[1 + theme]
    fixed = re.search(rf"--{name}: (#\w{{6}})", VALUES + ROLES)
    assert fixed, name
    return fixed[1]


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio, WCAG 2.2: 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


PAIRS = [
    *(("ink", under, TEXT) for under in ("surface", "ground", "sunken", "hover", "act-wash", "keep-wash", "work-wash")),
    *(("ink-2", under, TEXT) for under in ("surface", "ground", "sunken", "hover", "act-wash")),
    *(("ink-3", under, TEXT) for under in ("surface", "ground", "sunken", "hover")),
    *((kind, under, TEXT) for kind in ("act", "keep", "work", "drop") for under in ("surface", "ground")),
    *((kind, f"{kind}-wash", TEXT) for kind in ("act", "keep", "work", "drop")),
    ("surface", "ink", TEXT),
    ("surface", "fill", TEXT),
    ("on-stage", "stage-mid", TEXT),
    ("edge", "surface", SIGN),
    ("bar-on", "bar", SIGN),
    ("act", "surface", SIGN),
]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("over", "under", "least"), PAIRS)
def test_contrast(over: str, under: str, least: float, theme: int) -> None:
    ratio = contrast(value(over, theme), value(under, theme))
    assert ratio >= least, f"{over} on {under}: {ratio:.2f}"


def test_parts_use_roles_only() -> None:
    allowed = {"#fff", "#171717", "#ffffff", "#111111"}  # fixed on purpose: what lies on a photo or a stage
    for name in ("base", "shell", "parts", "pages", "cycle", "patterns"):
        text = re.sub(r"/\*.*?\*/", "", (STATIC / "css" / f"{name}.css").read_text(), flags=re.S)
        found = set(re.findall(r"#[0-9a-fA-F]{3,8}\b", text)) - allowed
        assert not found, f"{name}.css: {found}"
