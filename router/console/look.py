"""The district's colour as a style sheet of its own: pages hold no styles, and nobody may put any in."""

from __future__ import annotations

from router.colours import DARK_INK, DARK_PAPER, WHITE, lightened, tint


def sheet(colour: str) -> str:
    """Return the style sheet of a colour that white text can be read on; in the dark its lighter like."""
    light = lightened(colour)
    return (
        f":root {{ --brand: {colour}; --brand-ink: {WHITE}; --brand-soft: {tint(colour, WHITE, 0.1)}; }}\n"
        "@media (prefers-color-scheme: dark) {\n"
        f"  :root {{ --brand: {light}; --brand-ink: {DARK_INK}; --brand-soft: {tint(light, DARK_PAPER, 0.14)}; }}\n"
        "}\n"
    )
