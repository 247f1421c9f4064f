"""Twilio's REST API, as much of it as sending takes: create one message, and look for one whose answer was lost.

Written on aiohttp: the library's own asynchronous client has no time-outs, and its retries send a text twice.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from channels._failures import post_failure, retry_after_seconds, twilio_failure
from channels._webhook_body import read_answer
from router.errors import Retryable
from router.failpoints import reach

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aiohttp import ClientResponse

    from router.interfaces import Clock
    from router.secrets import Secret

_VERSION = "2010-04-01"
_MOST_LOOKED_AT = 50
_MAX_ANSWER = 500_000  # bytes
_CLOCKS_DIFFER = timedelta(minutes=2)


class Rest:
    """The Messages of one account. Times in seconds; connections aren't kept, so that none is found dead."""

    def __init__(
        self, *, base: str, account_sid: str, token: Secret, connect_timeout_s: float, timeout_s: float, clock: Clock
    ) -> None:
        self._url = f"{base}/{_VERSION}/Accounts/{quote(account_sid, safe='')}/Messages.json"
        self._account_sid = account_sid
        self._token = token
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._session: ClientSession | None = None

    async def create(self, to: str, sender: str, text: str) -> str:
        """Send a text and return its sid; raise a `DeliveryError`. `sender` may be a Messaging Service's sid (MG…)."""
        who = "MessagingServiceSid" if sender.startswith("MG") else "From"
        try:
            answer = await self._ask("POST", data={"To": to, who: sender, "Body": text})
        except Exception as error:
            raise post_failure(error) from error
        if code := _code(answer.get("error_code")):
            raise twilio_failure(200, code)
        return str(answer.get("sid") or "")[:64]

    async def find(self, to: str, text: str, since: datetime) -> str:
        """Return the sid of a text to this number with these words that was created since, "" if there is none.

        Raises `Retryable` if Twilio can't be asked: nothing is sent then.
        """
        try:
            answer = await self._ask("GET", params={"To": to, "PageSize": str(_MOST_LOOKED_AT)})
        except Exception as error:
            raise Retryable(f"whether it arrived can't be asked: {post_failure(error)}") from error
        messages = answer.get("messages")
        for message in messages if isinstance(messages, list) else ():
            if isinstance(message, dict) and message.get("body") == text and _is_since(message, since):
                return str(message.get("sid") or "")[:64]
        return ""

    async def aclose(self) -> None:
        """Let go of the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        headers = {"Authorization": await self._authorization(), "Accept-Encoding": "identity"}
        # The connector's own limit ends first, so that a connection that never stood isn't taken for a lost answer.
        async with asyncio.timeout(self._connect_timeout_s + self._timeout_s):
            request = self._open().request(method, self._url, headers=headers, allow_redirects=False, **arguments)
            async with request as response:
                if method == "POST":
                    reach("text_posted")
                answer = await _json(response)
                if 200 <= response.status < 300:
                    return answer
                retry_after = retry_after_seconds(response.headers.get("Retry-After"), self._clock.now())
                raise twilio_failure(response.status, _code(answer.get("code")), retry_after)

    async def _authorization(self) -> str:
        token = await asyncio.to_thread(self._token.read)
        return f"Basic {base64.b64encode(f'{self._account_sid}:{token}'.encode()).decode()}"

    def _open(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(force_close=True, limit=0),
                timeout=ClientTimeout(total=None, connect=self._connect_timeout_s),
            )
        return self._session


async def _json(response: ClientResponse) -> Mapping[str, Any]:
    """Return the answer's JSON object, {} if it is none: the status alone says what became of the text."""
    try:
        value = json.loads(await read_answer(response, _MAX_ANSWER))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _code(value: object) -> int | None:
    return int(value) if isinstance(value, int | str) and re.fullmatch(r"[0-9]{3,6}", str(value)) else None


def _is_since(message: Mapping[str, Any], since: datetime) -> bool:
    try:
        return parsedate_to_datetime(str(message.get("date_created"))) >= since - _CLOCKS_DIFFER
    except (ValueError, TypeError):
        return False
