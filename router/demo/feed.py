"""Sample messages for the demo, sent as strangers would send them: by the web form, by SMTP and by the text line."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING

import aiosmtplib
import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, FormData

if TYPE_CHECKING:
    from random import Random

    from router.settings import Address

_SAMPLES = Path(__file__).parent / "samples.jsonl"
_TIMEOUT_S = 30.0
_RECIPIENT = "contact@maplevalley.example"
_FORM_FIELDS = ("name", "email", "phone", "school", "subject", "message", "language")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One invented message. `by` is form, mail or text; `message` is what is said on any of them."""

    by: str
    message: str
    name: str = ""
    email: str = ""
    phone: str = ""
    school: str = ""
    subject: str = ""
    language: str = ""


class NotTaken(Exception):
    """The other side didn't take a message in."""


def samples() -> list[Sample]:
    """Return the sample messages."""
    return [Sample(**json.loads(line)) for line in _SAMPLES.read_text(encoding="utf-8").splitlines()]


async def feed(
    base_url: str,
    smtp_address: Address,
    pause_s: float,
    rng: Random,
    *,
    form: str = "contact",
    text_line: str = "text-line",
    recipient: str = _RECIPIENT,
) -> int:
    """Send every sample once, in an order that `rng` shuffles, and return how many were taken in.

    About `pause_s` seconds lie between two messages. What isn't taken in is logged and left out: the demo goes on.
    """
    log = structlog.get_logger()
    order = samples()
    rng.shuffle(order)
    taken = 0
    async with ClientSession(timeout=ClientTimeout(_TIMEOUT_S)) as session:
        for sample in order:
            try:
                if sample.by == "form":
                    await _fill_in(session, f"{base_url}/forms/{form}", sample)
                elif sample.by == "text":
                    await _text(session, f"{base_url}/webhooks/{text_line}", sample)
                else:
                    await _mail(smtp_address, recipient, sample)
                taken += 1
            except (ClientError, aiosmtplib.SMTPException, OSError, NotTaken) as error:
                log.warning("sample_not_sent", by=sample.by, error=type(error).__name__)
            await asyncio.sleep(pause_s * rng.uniform(0.5, 1.5))
    return taken


async def _fill_in(session: ClientSession, url: str, sample: Sample) -> None:
    """Send a form the way a browser does: as multipart."""
    parts = FormData(default_to_multipart=True)
    for name in _FORM_FIELDS:
        if value := getattr(sample, name):
            parts.add_field(name, value)
    await _post(session, url, parts)


async def _text(session: ClientSession, url: str, sample: Sample) -> None:
    await _post(session, url, FormData({"phone": sample.phone, "text": sample.message}))


async def _post(session: ClientSession, url: str, form: FormData) -> None:
    async with session.post(url, data=form, allow_redirects=False) as answer:
        if answer.status != 303:
            raise NotTaken(f"the answer was {answer.status}")


async def _mail(address: Address, recipient: str, sample: Sample) -> None:
    mail = EmailMessage()
    mail["From"] = f'"{sample.name}" <{sample.email}>'
    mail["To"] = recipient
    mail["Subject"] = sample.subject
    mail.set_content(sample.message)
    await aiosmtplib.send(
        mail,
        hostname=address.host,
        port=address.port,
        local_hostname="localhost",
        sender=sample.email,
        recipients=[recipient],
        timeout=_TIMEOUT_S,
        start_tls=False,
    )
