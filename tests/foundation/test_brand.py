"""Text is legible with any colour of the brand."""

import re

import pytest
from hypothesis import given, strategies as st

from idp.foundation.setting_types import ROOT
from idp.foundation.web import brand

CSS = (ROOT / "idp/static/app.css").read_text(encoding="utf-8")


def _tokens():
    """The colours of the light theme and of the dark one, by name."""
    blocks = re.findall(r"^ *:root \{(.*?)\}", CSS, flags=re.DOTALL | re.MULTILINE)
    light, dark = (dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", block)) for block in blocks)
    return light, light | dark


LIGHT, DARK = _tokens()

colours = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@given(colours)
def test_any_colour_is_made_readable_on_every_light_surface(colour):
    _assert_readable(brand.light(colour), brand.LIGHT_SURFACES, LIGHT)


@given(colours)
def test_any_colour_is_made_readable_on_every_dark_surface(colour):
    _assert_readable(brand.dark(colour), brand.DARK_SURFACES, DARK)


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#ffff00", "#00ffff", "#777777"])
def test_black_white_and_bright_colours_are_made_readable(colour):
    _assert_readable(brand.light(colour), brand.LIGHT_SURFACES, LIGHT)
    _assert_readable(brand.dark(colour), brand.DARK_SURFACES, DARK)


def test_a_readable_colour_is_not_changed():
    assert brand.light("#1d4f91").brand == "#1d4f91"


def test_a_yellow_keeps_its_hue_when_it_is_darkened():
    red, green, blue = bytes.fromhex(brand.light("#ffd400").brand[1:])

    assert red > green > blue


@pytest.mark.parametrize("text", ["", "blue", "#12", "#12345g", "#1d4f91;}body{display:none", "1d4f910"])
def test_a_text_that_is_not_a_colour_is_refused(text):
    with pytest.raises(ValueError, match="#rrggbb"):
        brand.stylesheet(text)


def test_the_stylesheet_gives_both_themes_every_property():
    light, dark = brand.stylesheet("#1d4f91").split("@media")

    for name in ("--brand", "--on-brand", "--brand-hover", "--brand-soft", "--band"):
        assert re.search(rf"[{{;]{name}:#[0-9a-f]{{6}}[;}}]", light)
        assert re.search(rf"[{{;]{name}:#[0-9a-f]{{6}}[;}}]", dark)


def test_contrast_is_calculated_as_wcag_defines_it():
    assert brand.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert brand.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_the_surfaces_are_those_of_our_pages():
    assert tuple(LIGHT[name] for name in ("--sheet", "--page", "--sunk")) == brand.LIGHT_SURFACES
    assert tuple(DARK[name] for name in ("--sheet", "--page", "--sunk")) == brand.DARK_SURFACES


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "surface"),
    [
        *((ink, on) for ink in ("--ink", "--ink-soft") for on in ("--sheet", "--page", "--sunk")),
        *((f"--{kind}", f"--{kind}-soft") for kind in ("good", "warn", "bad")),
        *(("--ink", f"--{kind}-soft") for kind in ("good", "warn", "bad")),
        ("--bad", "--sheet"),
        ("--on-bad", "--bad"),
        ("--on-bad", "--bad-hover"),
    ],
)
def test_text_in_our_own_colours_has_enough_contrast(tokens, text, surface):
    assert brand.contrast(tokens[text], tokens[surface]) >= brand.MIN_CONTRAST


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("surface", ["--sheet", "--sunk"])
def test_the_borders_of_controls_have_enough_contrast(tokens, surface):
    assert brand.contrast(tokens["--line-strong"], tokens[surface]) >= 3


def _assert_readable(palette, surfaces, tokens):
    """Assert that text in and on the colours of the palette has enough contrast."""
    for surface in (*surfaces, palette.soft):
        assert brand.contrast(palette.brand, surface) >= brand.MIN_CONTRAST
    for fill in (palette.brand, palette.hover):
        assert brand.contrast(palette.on_brand, fill) >= brand.MIN_CONTRAST
    for ink in ("--ink", "--ink-soft"):
        assert brand.contrast(tokens[ink], palette.soft) >= brand.MIN_CONTRAST
    assert brand.contrast(tokens["--on-band"], palette.band) >= brand.MIN_CONTRAST
