"""What a provider says of a delivery after it has taken it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What became of what a sink handed over in one attempt: the provider has it, or it wasn't delivered after all.

    `delivery_id`, `fence` and `to` are those of the delivery as the attempt was given it, `remote_id` what the provider
    calls it; without a `delivery_id` (0) it is the delivery that was confirmed by that name. `failure` is why it wasn't
    delivered, in one line without addresses, "" if it was or is under way; `lasting`, whether trying again is no use.
    """

    delivery_id: int = 0
    fence: int = 0
    to: str
    remote_id: str
    failure: str = ""
    lasting: bool = False


async def nobody_hears(_news: News) -> bool:
    """Take no note of it."""
    return False
