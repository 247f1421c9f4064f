"""Colours of the district: whether text on one can be read (WCAG 2.2, contrast ratio), and its like on dark paper."""

from __future__ import annotations

import re

_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_ENOUGH = 4.5  # WCAG 2.2, success criterion 1.4.3
DEFAULT = "#1d5fa8"  # what site.css has, too
WHITE, DARK_PAPER, DARK_INK = "#ffffff", "#1b222b", "#0d1a28"


def is_colour(text: str) -> bool:
    """Return whether this is a colour such as #1d5fa8."""
    return bool(_HEX.fullmatch(text))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def is_readable(colour: str) -> bool:
    """Return whether white text on it, and it as text on white, can be read."""
    return contrast(colour, WHITE) >= _ENOUGH


def lightened(colour: str) -> str:
    """Return the nearest lighter colour that can be read on dark paper."""
    for step in range(21):
        mixed = _mixed(colour, WHITE, step / 20)
        if contrast(mixed, DARK_PAPER) >= _ENOUGH + 1:  # beside plain paper there are shades of it
            return mixed
    return WHITE


def tint(colour: str, paper: str, share: float) -> str:
    """Return paper with a share of a colour in it."""
    return _mixed(paper, colour, share)


def sheet(colour: str) -> str:
    """Return the style sheet of a colour that white text can be read on; in the dark its lighter like.

    It is a file of its own: pages hold no styles, and nobody may put any in.
    """
    light = lightened(colour)
    return (
        f":root {{ --brand: {colour}; --brand-ink: {WHITE}; --brand-soft: {tint(colour, WHITE, 0.1)}; }}\n"
        "@media (prefers-color-scheme: dark) {\n"
        f"  :root {{ --brand: {light}; --brand-ink: {DARK_INK}; --brand-soft: {tint(light, DARK_PAPER, 0.14)}; }}\n"
        "}\n"
    )


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def _mixed(one: str, other: str, share: float) -> str:
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2, "relative luminance")."""
    linear = [
        c / 12.92 if (c := value / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for value in _channels(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
