"""Make `/brand.css` from the service's brand colour, adjusted until it is readable.

For any brand colour, text in it and text on it meet WCAG 2.2 AA (a contrast of 4.5 to 1) on every
surface of our pages, in the light theme and in the dark one. The surfaces are those of `static/app.css`.
"""

import colorsys
import re
from collections.abc import Iterable
from typing import NamedTuple

LIGHT_SURFACES = ("#ffffff", "#f3f5f8", "#eaeef3")
"""Sheet, page and sunken panel of the light theme: `--sheet`, `--page`, `--sunk`."""

DARK_SURFACES = ("#18202b", "#0f151d", "#212b38")
"""The same of the dark theme."""

MIN_CONTRAST = 4.5
"""For text at level AA (WCAG 2.2, 1.4.3); controls and focus rings need less (1.4.11)."""

LIGHTNESS_STEPS = 100
"""How many steps are tried between the colour and black or white."""

_BLACK, _WHITE, _NIGHT = "#000000", "#ffffff", "#0f151d"


class Palette(NamedTuple):
    """The colours of the brand in one theme."""

    brand: str
    """Fills, links and focus."""
    on_brand: str
    """Text on a fill."""
    hover: str
    """A fill or a link under the pointer."""
    soft: str
    """A tint, for backgrounds."""
    band: str
    """The header of every page, with white text."""


def stylesheet(colour: str) -> str:
    """The brand's custom properties for both themes, as CSS; print always uses the light one.

    Raises `ValueError` unless `colour` is written `#rrggbb`.
    """
    return (
        f":root{{{_properties(light(colour))}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_properties(dark(colour))}}}}}\n"
    )


def light(colour: str) -> Palette:
    """The palette of the light theme: `colour`, darkened as far as readability requires."""
    brand, soft = _readable(colour, 0, LIGHT_SURFACES)
    return Palette(brand, _WHITE, _mix(brand, _BLACK, 0.25), soft, band=brand)


def dark(colour: str) -> Palette:
    """The palette of the dark theme: `colour`, lightened as far as readability requires."""
    brand, soft = _readable(colour, 1, DARK_SURFACES)
    return Palette(brand, _NIGHT, _mix(brand, _WHITE, 0.3), soft, band=_mix(light(colour).band, _NIGHT, 0.4))


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def _readable(colour: str, target: int, surfaces: tuple[str, ...]) -> tuple[str, str]:
    """The colour nearest to `colour` that is readable on all `surfaces` and on its own tint; and that tint.

    The hue is kept; the lightness is moved towards black (`target` 0) or white (1).
    """
    hue, lightness, saturation = colorsys.rgb_to_hls(*(channel / 255 for channel in _channels(colour)))
    for step in range(LIGHTNESS_STEPS + 1):
        brand = _hex(colorsys.hls_to_rgb(hue, lightness + (target - lightness) * step / LIGHTNESS_STEPS, saturation))
        soft = _mix(surfaces[0], brand, 0.12)
        if all(contrast(brand, surface) >= MIN_CONTRAST for surface in (*surfaces, soft)):
            return brand, soft
    raise AssertionError(f"neither black nor white can be read on {surfaces}")


def _mix(colour: str, other: str, share: float) -> str:
    """`colour` with `share` (0 to 1) of it replaced by `other`."""
    return _hex((a + (b - a) * share) / 255 for a, b in zip(_channels(colour), _channels(other), strict=True))


def _hex(channels: Iterable[float]) -> str:
    """`#rrggbb` of red, green and blue, 0 to 1."""
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in channels)


def _luminance(colour: str) -> float:
    """The relative luminance, from 0 to 1 (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise ValueError(f"a colour is written #rrggbb, not {colour!r}")
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _properties(palette: Palette) -> str:
    names = ("--brand", "--on-brand", "--brand-hover", "--brand-soft", "--band")
    return ";".join(f"{name}:{value}" for name, value in zip(names, palette, strict=True))
