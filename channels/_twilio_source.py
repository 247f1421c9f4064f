"""What the webhook missed: Twilio's own list of texts, looked through every few minutes.

Twilio gives up a webhook call after 15 seconds, and doesn't repeat one that was answered 5xx by itself
(twilio.com/docs/usage/webhooks/webhooks-connection-overrides), but it keeps every text that came in.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError
from multidict import MultiDict

from channels._failures import post_failure
from channels._twilio_files import Files
from channels._twilio_request import inbound_of
from channels._twilio_rest import Answered, Rest, made_at
from channels._twilio_sent import SentTexts
from router.errors import Refused, SignpostError, SourceRejected, SourceUnavailable, StoreBusy
from router.interfaces import mail_domain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from channels._twilio_rest import Page
    from channels.twilio_sms import TwilioSettings
    from router.interfaces import Accept, Context

_UNSEEN = "Twilio's list of texts can't be looked at ({}); texts come in by the webhook alone"
_OVERLAP = timedelta(minutes=15)  # looked at again each time: a text may be listed later than it came
_BUSY_S = 1.0  # until the next look when not all was taken; then twice as long each time
_COMES_FOR = timedelta(hours=1)  # a text that isn't whole by then is taken as it is
_SETTLE_S = 10.0  # between a text and its files, at most
_AT_ONCE = 50  # texts handed in together, so that they share a commit
_NAMES = {
    "MessageSid": "sid",
    "AccountSid": "account_sid",
    "MessagingServiceSid": "messaging_service_sid",
    "From": "from",
    "To": "to",
    "Body": "body",
    "NumMedia": "num_media",
    "NumSegments": "num_segments",
    "SmsStatus": "status",
}


class TwilioSource:
    """Hands in every text of the list since the last look; `accept` tells those that are here already.

    The first look of all takes nothing: texts that came before Signpost were somebody else's. Times are Twilio's, so
    that it doesn't matter how our clock goes.
    """

    def __init__(self, settings: TwilioSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._host = mail_domain(context.public_url)
        self._cursor = context.cursor("texts")
        self._rest = Rest.of(settings, context.clock)
        self._files = Files(self._rest, context, min(_SETTLE_S, settings.reconcile.total_seconds()))
        self._sent = SentTexts(self._rest, settings, context)
        self._seen: dict[str, datetime] = {}  # what has been handed in, by sid, as far back as we look

    async def run(self, accept: Accept) -> None:
        """Look until cancelled. Raises `SourceRejected` for wrong credentials, else `SourceUnavailable`."""
        fetching = asyncio.create_task(self._files.run(accept), name="fetch-files")
        try:
            every_s, left_over = self._settings.reconcile.total_seconds(), 0  # looks in a row
            while not fetching.done():
                left_over = 0 if await self._look(accept) else left_over + 1
                timeout_s = pause_s(left_over, every_s)
                if timeout_s >= every_s:  # the files of other texts don't wait for one that always fails
                    self._files.try_again()
                await asyncio.wait({fetching}, timeout=timeout_s)
            fetching.result()
        except SourceUnavailable:
            raise
        except Answered as error:
            kind = SourceRejected if error.status in (401, 403) else SourceUnavailable
            raise kind(_UNSEEN.format(error)) from error
        except (SignpostError, ClientError, OSError) as error:
            raise SourceUnavailable(_UNSEEN.format(_why(error))) from error
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
            await self._rest.aclose()

    async def _look(self, accept: Accept) -> bool:
        """Look through the list once; the position moves, and True is returned, if all of it has been taken."""
        position = await self._cursor.get() or {}
        begin = datetime.fromisoformat(position["from"]) if position else self._context.clock.now()
        since = max(begin, datetime.fromisoformat(position["since"]) - _OVERLAP) if position else begin
        numbers, at, complete = await self._numbers(), None, True
        coming: list[datetime] = []  # when texts came that aren't whole yet
        query = {"To": self._settings.from_number} if self._settings.from_number in numbers else {}
        async for page in self._rest.pages(since, **query, **{"DateSent>": f"{since:%Y-%m-%dT%H:%M:%SZ}"}):
            at = at or page.at or self._context.clock.now()
            if not position:
                break
            wanted = self._wanted(page, numbers, since)
            still = [text for text in wanted if _is_coming(text, at)]
            coming += [made_at(text) or since for text in still]
            complete &= await self._take([text for text in wanted if text not in still], accept)
        if not complete:
            return False
        now = at or self._context.clock.now()
        # What has a file under way is listed again after a crash, and what is still coming at the next look.
        reached = min(now, self._files.oldest or now, *coming)
        await self._cursor.set({"from": (begin if position else now).isoformat(), "since": reached.isoformat()})
        self._seen = {sid: made for sid, made in self._seen.items() if made > since - _OVERLAP}
        self._context.on_proof()
        if position:
            await self._look_at_sent(datetime.fromisoformat(position["since"]), now)
        return True

    async def _look_at_sent(self, looked_at: datetime, now: datetime) -> None:
        """See what became of sent texts; a key that may not list them, say, is no reason to take nothing in."""
        try:
            await self._sent.look(looked_at, now)
        except (SignpostError, ClientError, OSError) as error:
            self._context.on_trouble(f"what became of texts that were sent can't be read: {_why(error)}")

    async def _numbers(self) -> set[str]:
        """Return the numbers whose texts are ours."""
        sender = self._settings.from_number
        return await self._rest.numbers(sender) if sender.startswith("MG") else {sender}

    def _wanted(self, page: Page, numbers: set[str], since: datetime) -> list[Mapping[str, Any]]:
        """Return the texts of a page that came in to us and weren't handed in yet, oldest first."""
        return [
            text
            for text in reversed(page.texts)
            if text.get("direction") == "inbound"
            and (str(text.get("to")) in numbers or text.get("messaging_service_sid") == self._settings.from_number)
            and (made_at(text) or since) >= since
            and str(text.get("sid")) not in self._seen
        ]

    async def _take(self, texts: Sequence[Mapping[str, Any]], accept: Accept) -> bool:
        done = [True]
        for start in range(0, len(texts), _AT_ONCE):
            done += await asyncio.gather(*(self._hand_in(text, accept) for text in texts[start : start + _AT_ONCE]))
        return all(done)

    async def _hand_in(self, text: Mapping[str, Any], accept: Accept) -> bool:
        """Return False if it has to be handed in again: the others don't wait for it."""
        now = self._context.clock.now()
        made = min(made_at(text) or now, now)
        parameters = MultiDict((name, str(text[key])) for name, key in _NAMES.items() if text.get(key) is not None)
        try:
            inbound = inbound_of(parameters, channel=self._context.name, host=self._host, now=made)
            receipt = await accept(inbound)
        except Refused as error:  # it would be again
            self._context.on_trouble(f"a text that Twilio lists was refused: {error}")
        except (StoreBusy, SourceUnavailable):  # not now, or another daemon does it
            return False
        except Exception as error:
            self._context.on_trouble(f"a text that Twilio lists was not taken: unexpected {type(error).__name__}")
            return False
        else:
            if self._settings.media and str(text.get("num_media") or "0") != "0":
                self._files.wanted(inbound, receipt.message_id)
        self._seen[str(text.get("sid"))] = made_at(text) or now
        return True


def pause_s(left_over: int, every_s: float) -> float:
    """Return how long to wait after so many looks in a row that left something over, in seconds."""
    return min(every_s, _BUSY_S * 2 ** min(left_over - 1, 20)) if left_over else every_s


def _is_coming(text: Mapping[str, Any], now: datetime) -> bool:
    """Tell whether not all of a text is there yet, but may be soon."""
    return text.get("status") == "receiving" and now - (made_at(text) or now) < _COMES_FOR


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, SignpostError) else str(post_failure(error))
