"""Automatic answers to families: their settings, and which channel sends them for which."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from config._types import Language, Line, Section
from config._words import did_you_mean
from router.acknowledging import Acknowledging

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from config._document import Document, Place
    from config.schema import ConfiguredChannel
    from router.errors import Problem

_KNOWN = ("organization", "department", "reference")
_BRACED = re.compile(r"\{([^{}]*)\}")
_SAMPLES = {False: ("family@example.org", "mail addresses"), True: ("+15555550100", "telephone numbers")}


def _check_braces(text: str) -> str:
    unknown = [name for name in _BRACED.findall(text) if name not in _KNOWN]
    if unknown or re.search("[{}]", _BRACED.sub("", text)):
        raise ValueError("may hold {organization}, {department} and {reference}, and no other braces")
    return text


_Text = Annotated[str, Field(max_length=3000), AfterValidator(_check_braces)]
_Subject = Annotated[Line, AfterValidator(_check_braces)]
_OWN = " Left out: Signpost's own words, which it has in English and Spanish."


class AnswerTexts(Section):
    """What answers say in one language."""

    subject: _Subject | None = Field(None, description="The subject of a mail." + _OWN)
    mail: _Text | None = Field(
        None,
        description="What a mail says, with {organization}, {department} and {reference}; a line with something that "
        "isn't known is left out." + _OWN,
    )
    sms: _Text | None = Field(None, description="What a text says, likewise." + _OWN)
    emergency: Line | None = Field(None, description="What every answer says besides: whom to call." + _OWN)


class Acknowledgements(Section):
    """Automatic answers to those who write by a channel with `acknowledge: true`."""

    most_per_hour: int = Field(500, ge=0, description="At most so many answers in an hour, in all.")
    most_per_domain: int = Field(
        100,
        ge=0,
        description="Of these, at most so many to one mail domain, such as gmail.com, or to telephone numbers that "
        "differ in the last four digits only. So nobody can use the district to flood somebody else.",
    )
    authserv_id: str = Field(
        "",
        pattern=r"^[!-:<-~]*$",
        description="The name at the beginning of your own mail server's Authentication-Results (RFC 8601). With it, "
        "only mail that passed SPF or DMARC there is answered; without it, whatever no server says has failed.",
    )
    texts: dict[Language, AnswerTexts] = Field({}, description="The district's own words, by language.")


def sink_of(channels: Mapping[str, ConfiguredChannel], name: str) -> str:
    """Return the channel that sends answers for a channel, "" if it acknowledges nothing; raise `LookupError` if none.

    The error's text is a sentence for people.
    """
    settings = channels[name].settings
    if not isinstance(settings, Acknowledging) or not settings.acknowledge:
        return ""
    sample, what = _SAMPLES[settings.brings_texts]
    fit = [key for key, each in channels.items() if each.channel.sink and not each.channel.check_address(sample)]
    if (via := settings.acknowledge_via) and via in fit:
        return via
    if via:
        known = via in channels
        raise LookupError(f"'{via}' sends nothing to {what}" if known else f"there is no channel '{via}' in this file")
    if not fit:
        raise LookupError(f"no channel can send these answers: none delivers to {what}")
    if len(fit) > 1 and name not in fit:
        raise LookupError(f"several channels could send these answers ({', '.join(fit)}): name one in acknowledge_via")
    return name if name in fit else fit[0]


def faults(document: Document, channels: Mapping[str, ConfiguredChannel]) -> Iterator[Problem]:
    """Say which channels are to acknowledge and can't."""
    for name, each in channels.items():
        settings = each.settings
        if not isinstance(settings, Acknowledging):
            continue
        place: Place = ("channels", name, "acknowledge_via" if settings.acknowledge_via else "acknowledge")
        if settings.acknowledge_via and not settings.acknowledge:
            yield document.problem(place, "is for acknowledge: true, which isn't set")
        try:
            sink_of(channels, name)
        except LookupError as error:
            unknown = settings.acknowledge_via not in ("", *channels)
            hint = did_you_mean(settings.acknowledge_via, channels) if unknown else ""
            yield document.problem(place, str(error), hint)
