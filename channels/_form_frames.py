"""Who may show a form: the policy for frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def policy(embed_on: Sequence[str], *, embedded: bool) -> str:
    """Return the content security policy of a page that other sites may show; one script tells a frame its height."""
    return (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        f"frame-ancestors 'self' {' '.join(embed_on)}" + ("; script-src 'self'" if embedded else "")
    )
