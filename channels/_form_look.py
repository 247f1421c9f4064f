"""How a form looks and who may show it: the district's colour as a style sheet, and the policy for frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.colours import DARK_INK, DARK_PAPER, WHITE, lightened, tint

if TYPE_CHECKING:
    from collections.abc import Sequence


def sheet(colour: str) -> str:
    """Return the style sheet of a colour that white text can be read on; in the dark its lighter like."""
    light = lightened(colour)
    return (
        f":root {{ --brand: {colour}; --brand-ink: {WHITE}; --brand-soft: {tint(colour, WHITE, 0.1)}; }}\n"
        "@media (prefers-color-scheme: dark) {\n"
        f"  :root {{ --brand: {light}; --brand-ink: {DARK_INK}; --brand-soft: {tint(light, DARK_PAPER, 0.14)}; }}\n"
        "}\n"
    )


def policy(embed_on: Sequence[str], *, embedded: bool) -> str:
    """Return the content security policy of a page that other sites may show; one script tells a frame its height."""
    return (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        f"frame-ancestors 'self' {' '.join(embed_on)}" + ("; script-src 'self'" if embedded else "")
    )
