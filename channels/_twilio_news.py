"""What became of a text after Twilio took it: the address where Twilio is to say so, and what it says there.

Source: twilio.com/docs/messaging/guides/track-outbound-message-status.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from channels._failures import twilio_fate
from router.news import News
from router.records import DeliveryKind
from router.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.interfaces import Context
    from router.records import Delivery

PLACE = "status"  # below the webhook's own address
AGAIN = "#rc=5&rp=all&ct=2000&rt=4000"  # connection overrides: Twilio tries again, and signs the address without them
_NUMBER = re.compile(r"[0-9]{1,18}")
_HAS_IT = frozenset({"accepted", "scheduled", "queued", "sending", "sent", "delivered", "read"})
_FAILED = frozenset({"failed", "undelivered"})


def address(context: Context) -> str:
    """Return where Twilio is to say what became of texts by this channel."""
    return f"{context.public_url}/webhooks/{context.name}/{PLACE}"


def address_for(delivery: Delivery, context: Context) -> str:
    """Return where it is to say so of one attempt; "" if nobody waits for it, or Twilio can't reach us.

    The address names the delivery and the attempt, for the news may come before the answer that holds the text's sid.
    """
    if delivery.kind is DeliveryKind.ANSWER or is_loopback(urlsplit(context.public_url).hostname or ""):
        return ""
    return f"{address(context)}?delivery={delivery.id}&attempt={delivery.fence}{AGAIN}"


def news_of(query: Mapping[str, str], parameters: Mapping[str, str]) -> News | None:
    """Return what a signed request says, None if that is nothing for us."""
    numbers = [query.get("delivery", ""), query.get("attempt", "")]
    status = parameters.get("MessageStatus", "")
    if not all(map(_NUMBER.fullmatch, numbers)) or status not in _HAS_IT | _FAILED:
        return None
    failure, lasting = _fate(parameters.get("ErrorCode", "")) if status in _FAILED else ("", False)
    return News(
        delivery_id=int(numbers[0]),
        fence=int(numbers[1]),
        to=parameters.get("To", ""),
        remote_id=parameters.get("MessageSid", "")[:64],
        failure=failure,
        lasting=lasting,
    )


def news_of_listed(text: Mapping[str, Any]) -> News | None:
    """Return what Twilio's list says of a text that wasn't delivered, None of any other."""
    sid = str(text.get("sid") or "")[:64]
    if text.get("status") not in _FAILED or not sid:
        return None
    failure, lasting = _fate(str(text.get("error_code") or ""))
    return News(to=str(text.get("to") or ""), remote_id=sid, failure=failure, lasting=lasting)


def _fate(code: str) -> tuple[str, bool]:
    return twilio_fate(int(code) if _NUMBER.fullmatch(code) else None)
