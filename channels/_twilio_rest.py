"""Twilio's REST API, as much of it as the channel needs: send a text, list texts, and fetch what came with them.

Written on aiohttp: the library's own asynchronous client has no time-outs, and its retries send a text twice.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from channels._failures import post_failure, retry_after_seconds, twilio_failure
from channels._webhook_body import read_answer
from router.errors import Retryable, SignpostError
from router.failpoints import reach

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from aiohttp import ClientResponse

    from channels.twilio_sms import TwilioSettings
    from router.interfaces import Clock
    from router.secrets import Secret

_VERSION = "2010-04-01"
_PAGE = 200  # texts
_MAX_ANSWER = 8_000_000  # bytes; such a page has about 2,000,000 at most
_CLOCKS_DIFFER = timedelta(minutes=2)
_FAILED = ("failed", "undelivered", "canceled")
_SID = re.compile(r"[A-Za-z0-9]{2,64}")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3
# Where the address of a file leads: help.twilio.com, "Protect Media Access with HTTP Basic Authentication"
_MEDIA_HOST = re.compile(r"(?:[a-z0-9-]+\.)*(?:twilio\.com|twiliocdn\.com)")
_MEDIA_BUCKET = ("s3-external-1.amazonaws.com", "/media.twiliocdn.com/")


class Answered(SignpostError):
    """Twilio answered something else than what was asked for: HTTP status and, if it gives one, error code."""

    def __init__(self, status: int, code: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(f"Twilio answered {status}" + (f" with code {code}" if code else ""))
        self.status = status
        self.code = code
        self.retry_after = retry_after


class BadList(SignpostError):
    """A list of Twilio's can't be followed to its end: what it should hold may be missing."""

    def __init__(self) -> None:
        super().__init__("a list of Twilio's can't be read")


class Unfetchable(SignpostError):
    """A file can't be had, now or later."""


@dataclass(frozen=True, slots=True)
class Page:
    """Texts as Twilio lists them, newest first; `at` is the time by its clock, None if it doesn't say."""

    texts: tuple[Mapping[str, Any], ...]
    at: datetime | None


class Rest:
    """The API of one account. Times in seconds; connections aren't kept, so that none is found dead."""

    def __init__(
        self, *, base: str, account_sid: str, token: Secret, connect_timeout_s: float, timeout_s: float, clock: Clock
    ) -> None:
        self._base = base
        self._messaging = base.replace("//api.", "//messaging.")
        self._texts = f"{base}/{_VERSION}/Accounts/{quote(account_sid, safe='')}/Messages"
        self._account_sid = account_sid
        self._token = token
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._session: ClientSession | None = None

    @classmethod
    def of(cls, settings: TwilioSettings, clock: Clock) -> Rest:
        """Return the API of a channel's account."""
        token = settings.secret("auth_token")
        if token is None:
            raise ValueError("the settings name no auth token")
        return cls(
            base=settings.api_base,
            account_sid=settings.account_sid,
            token=token,
            connect_timeout_s=settings.connect_timeout.total_seconds(),
            timeout_s=settings.timeout.total_seconds(),
            clock=clock,
        )

    # --- texts that go out --------------------------------------------------------------------------------------------

    async def create(self, to: str, sender: str, text: str, news_to: str = "") -> str:
        """Send a text and return its sid; raise a `DeliveryError`. `sender` may be a Messaging Service's sid (MG…).

        `news_to` is the address at which we want to hear what becomes of it, "" if we don't.
        """
        who = "MessagingServiceSid" if sender.startswith("MG") else "From"
        form = {"To": to, who: sender, "Body": text} | ({"StatusCallback": news_to} if news_to else {})
        try:
            answer, _at = await self._ask("POST", f"{self._texts}.json", data=form)
        except Answered as error:
            raise twilio_failure(error.status, error.code, error.retry_after) from error
        except Exception as error:
            raise post_failure(error) from error
        if code := _code(answer.get("error_code")):
            raise twilio_failure(200, code)
        return str(answer.get("sid") or "")[:64]

    async def find(self, to: str, wordings: Collection[str], since: datetime) -> str:
        """Return the sid of a text to this number with one of these wordings that was created since, "" if none was.

        One of which Twilio says that it wasn't delivered doesn't count. Raises `Retryable` if Twilio can't be asked:
        nothing is sent then.
        """
        since -= _CLOCKS_DIFFER
        try:
            async for page in self.pages(since, To=to):
                for found in page.texts:
                    same = found.get("body") in wordings and found.get("status") not in _FAILED
                    if same and (at := made_at(found)) and at >= since:
                        return str(found.get("sid") or "")[:64]
        except Exception as error:
            raise Retryable(f"whether it arrived can't be asked: {post_failure(error)}") from error
        return ""

    # --- lists --------------------------------------------------------------------------------------------------------

    async def pages(self, since: datetime, **query: str) -> AsyncIterator[Page]:
        """Yield the account's texts page by page, newest first, until all of one page are older than `since`.

        Source: twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources. Raises `Answered`,
        `BadList`, or what a connection raises.
        """
        url, params = f"{self._texts}.json", {"PageSize": str(_PAGE), **query}
        asked: set[str] = set()
        while True:
            asked.add(url)
            answer, at = await self._ask("GET", url, params=params)
            texts = _objects(answer, "messages")
            yield Page(texts, at)
            following = str(answer.get("next_page_uri") or "")
            if not following.startswith("/") or all((made_at(text) or since) < since for text in texts):
                return
            url, params = _joined(self._base, following), {}
            if url in asked or not self._is_ours(url):
                raise BadList

    async def numbers(self, service: str) -> set[str]:
        """Return the numbers and short codes of a Messaging Service (MG…); raises what `pages` does.

        Source: twilio.com/docs/messaging/api/phonenumber-resource.
        """
        found = set()
        below = f"{self._messaging}/v1/Services/{quote(service, safe='')}"
        for path, key in (("PhoneNumbers", "phone_number"), ("ShortCodes", "short_code")):
            answer, _at = await self._ask("GET", f"{below}/{path}", params={"PageSize": "1000"})
            found |= {str(each.get(key)) for each in _objects(answer, f"{key}s")}
        return found

    # --- files --------------------------------------------------------------------------------------------------------

    async def files(self, text_sid: str) -> list[str]:
        """Return the sids of the files that came with a text, first to last; raises what `pages` does.

        Source: twilio.com/docs/messaging/api/media-resource.
        """
        answer, _at = await self._ask("GET", f"{self._texts}/{quote(text_sid, safe='')}/Media.json", params={})
        sids = [str(each.get("sid")) for each in _objects(answer, "media_list")]
        return [sid for sid in sids[::-1] if _SID.fullmatch(sid)]

    async def file(self, text_sid: str, file_sid: str, most_bytes: int) -> tuple[str, bytes]:
        """Return a file's type and bytes; raise `Unfetchable`, or what `pages` does.

        Credentials go to the API alone, and redirections are followed to hosts of Twilio's alone.
        """
        url = f"{self._texts}/{quote(text_sid, safe='')}/Media/{quote(file_sid, safe='')}"
        async with asyncio.timeout(self._connect_timeout_s + self._timeout_s):
            for _ in range(_MOST_REDIRECTS):
                headers = await self.headers(url)
                async with self._open().get(url, headers=headers, allow_redirects=False) as response:
                    if response.status not in _REDIRECTS:
                        return await _file(response, most_bytes)
                    url = _joined(url, response.headers.get("Location", ""))
                    if not (self._is_ours(url) or is_a_media_host(url)):
                        raise Unfetchable("its address leads to a host that isn't Twilio's")
        raise Unfetchable("its address leads round in circles")

    # --- requests -----------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Let go of the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, url: str, **arguments: Any) -> tuple[Mapping[str, Any], datetime | None]:
        """Return the JSON object of an answer and the time by Twilio's clock; raise `Answered`."""
        headers = await self.headers(url)
        # The connector's own limit ends first, so that a connection that never stood isn't taken for a lost answer.
        async with asyncio.timeout(self._connect_timeout_s + self._timeout_s):
            request = self._open().request(method, url, headers=headers, allow_redirects=False, **arguments)
            async with request as response:
                if method == "POST":
                    reach("text_posted")
                answer = await _json(response)
                if 200 <= response.status < 300:
                    return answer, _date(response.headers.get("Date"))
                retry_after = retry_after_seconds(response.headers.get("Retry-After"), self._clock.now())
                raise Answered(response.status, _code(answer.get("code")), retry_after)

    async def headers(self, url: str) -> dict[str, str]:
        """Return what a request for an address begins with: credentials, if it is the API's; raise `SecretMissing`."""
        plain = {"Accept-Encoding": "identity"}
        if not self._is_ours(url):
            return plain
        token = await asyncio.to_thread(self._token.read)
        credentials = base64.b64encode(f"{self._account_sid}:{token}".encode()).decode()
        return {"Authorization": f"Basic {credentials}", **plain}

    def _is_ours(self, url: str) -> bool:
        """Tell whether an address is the API's."""
        asked = urlsplit(url)
        bases = map(urlsplit, (self._base, self._messaging))
        return any((asked.scheme, asked.netloc) == (base.scheme, base.netloc) for base in bases)

    def _open(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(force_close=True, limit=0),
                timeout=ClientTimeout(total=None, connect=self._connect_timeout_s),
            )
        return self._session


def is_a_media_host(url: str) -> bool:
    """Tell whether Twilio keeps files at an address."""
    parts = urlsplit(url)
    bucket, below = _MEDIA_BUCKET
    in_bucket = parts.hostname == bucket and parts.path.startswith(below)
    return parts.scheme == "https" and (in_bucket or _MEDIA_HOST.fullmatch(parts.hostname or "") is not None)


def _joined(base: str, following: str) -> str:
    """Return where a link leads, "" if that is no address."""
    try:
        return urljoin(base, following)
    except ValueError:
        return ""


def made_at(text: Mapping[str, Any]) -> datetime | None:
    """Return when a listed text was sent or received, else when it was made; None if Twilio doesn't say."""
    return _date(text.get("date_sent")) or _date(text.get("date_created"))


async def _file(response: ClientResponse, most_bytes: int) -> tuple[str, bytes]:
    if response.status in (404, 410):
        raise Unfetchable("Twilio doesn't have it any more")
    if response.status != 200:
        raise Answered(response.status)
    data = b"" if (response.content_length or 0) > most_bytes else await read_answer(response, most_bytes + 1)
    if len(data) > most_bytes or (not data and response.content_length):
        response.close()
        raise Unfetchable("it is too large")
    return response.content_type.lower(), data


async def _json(response: ClientResponse) -> Mapping[str, Any]:
    """Return the answer's JSON object, {} if it is none: the status alone says what became of a text."""
    try:
        value = json.loads(await read_answer(response, _MAX_ANSWER))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _objects(answer: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], ...]:
    found = answer.get(key)
    if not isinstance(found, list):  # nothing and nonsense aren't the same: what is listed here must not be missed
        raise BadList
    return tuple(each for each in found if isinstance(each, dict))


def _code(value: object) -> int | None:
    return int(value) if isinstance(value, int | str) and re.fullmatch(r"[0-9]{3,6}", str(value)) else None


def _date(value: object) -> datetime | None:
    try:
        found = parsedate_to_datetime(str(value))
    except (ValueError, TypeError, IndexError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
