"""What became of texts that went out, from Twilio's own list: for the news that came while nobody was there to hear it.

Twilio says it to our web server at most a few times within a minute, and then no more (`_twilio_news`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from channels._twilio_news import news_of_listed
from channels._twilio_rest import made_at
from router.errors import StoreBusy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from channels._twilio_rest import Rest
    from channels.twilio_sms import TwilioSettings
    from router.interfaces import Context

_EVERY = 8  # looks at what came in: each of these reads a whole day
_FATE_KNOWN_AFTER = timedelta(days=1)  # carriers may take hours to say that a telephone is out of reach
_FARTHEST = timedelta(days=7)
_MOST_PAGES = 25  # of 200 texts, the newest first
_UNDER_WAY = timedelta(minutes=15)  # a text so young may not be noted as sent yet, and then nobody knows it


class SentTexts:
    """Tells of texts that Twilio lists as failed. Whoever hears knows which of them are ours, and new."""

    def __init__(self, rest: Rest, settings: TwilioSettings, context: Context) -> None:
        self._rest = rest
        self._sender = settings.from_number
        self._wanted = settings.status_callbacks
        self._context = context
        self._looks = 0
        self._told: set[str] = set()

    async def look(self, looked_at: datetime, now: datetime) -> None:
        """Look now and then; `looked_at` is when the list was read before, by Twilio's clock as `now` is.

        Raises what `Rest.pages` does.
        """
        self._looks += 1
        if not self._wanted or self._looks % _EVERY != 1:
            return
        since = max(min(now, looked_at) - _FATE_KNOWN_AFTER, now - _FARTHEST)
        pages, failed = 0, set[str]()
        query = {} if self._sender.startswith("MG") else {"From": self._sender}
        async for page in self._rest.pages(since, **query):
            for text in page.texts:
                if self._is_ours(text) and (made_at(text) or since) >= since and await self._tell(text, now):
                    failed.add(str(text.get("sid")))
            pages += 1
            if pages >= _MOST_PAGES:
                break
        self._told = failed

    def _is_ours(self, text: Mapping[str, Any]) -> bool:
        is_from_us = self._sender in (text.get("messaging_service_sid"), _number(text.get("from")))
        return is_from_us and str(text.get("direction")).startswith("outbound")

    async def _tell(self, text: Mapping[str, Any], now: datetime) -> bool:
        """Return whether it has failed, and that needn't be said again."""
        news = news_of_listed(text)
        if news is None:
            return False
        if news.remote_id not in self._told:
            try:
                await self._context.hear(news)
            except StoreBusy:
                return False
        return now - (made_at(text) or now) > _UNDER_WAY


def _number(sender: object) -> str:
    return str(sender or "").removeprefix("whatsapp:")
