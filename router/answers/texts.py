"""What automatic answers say, in English and Spanish. They promise nothing, and quote nothing of the message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from router.records import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Texts = dict[str, str]
"""By name: subject, mail, sms, emergency (see `config._acknowledge.AnswerTexts`), and those for staff."""

_BRACED = re.compile(r"\{(\w+)\}")
_ENGLISH = "en"

TEXTS: Mapping[str, Texts] = {
    _ENGLISH: {
        "subject": "We have received your message ({reference})",
        "mail": """\
{organization} has received your message.

It was passed to: {department}
Your reference: {reference}

This answer was sent automatically; nobody has read your message yet. To add something, reply to this mail.
""",
        "sms": """\
{organization} has received your message.
It was passed to: {department}
Your reference: {reference}
This is an automatic answer. Text STOP to get no more texts.
""",
        "emergency": "If this is an emergency, call 911.",
        "unheard_subject": "Your reply did not reach the family",
        "unheard": """\
You replied to a message that {organization} had passed on to you (reference {reference}).
Your reply did not reach the family: it lies with those who look after the district's messages ({held}).

To write to the family directly: {address}
{instead}
""",
        "unheard_look": "To write to the family directly, take the address in the message that was passed on to you.",
        "unheard_call": "No mail address of theirs is known. The message that was passed on to you has their number.",
        "unheard_none": "No address of theirs is known.",
    },
    "es": {
        "subject": "Hemos recibido su mensaje ({reference})",
        "mail": """\
{organization} ha recibido su mensaje.

Se ha enviado a: {department}
Su referencia: {reference}

Esta respuesta es automática; nadie ha leído todavía su mensaje. Si quiere añadir algo, responda a este correo.
""",
        "sms": """\
{organization} ha recibido su mensaje.
Se ha enviado a: {department}
Su referencia: {reference}
Esta respuesta es automática. Envíe ALTO para no recibir más mensajes.
""",
        "emergency": "Si es una emergencia, llame al 911.",
        "unheard_subject": "Su respuesta no llegó a la familia",
        "unheard": """\
Usted respondió a un mensaje que {organization} le había enviado (referencia {reference}).
Su respuesta no llegó a la familia: la tienen quienes cuidan los mensajes del distrito ({held}).

Para escribir directamente a la familia: {address}
{instead}
""",
        "unheard_look": "Para escribir directamente a la familia, use la dirección del mensaje que usted recibió.",
        "unheard_call": "No se conoce su correo electrónico. El mensaje que usted recibió contiene su teléfono.",
        "unheard_none": "No se conoce ninguna dirección de la familia.",
    },
}


class Wording:
    """The words of a district: ours, and over them its own; `languages` are its own, the first by default."""

    def __init__(self, organization: str, languages: Sequence[str], own: Mapping[str, Texts]) -> None:
        self._organization = organization
        self._texts: dict[str, Texts] = {
            language: TEXTS.get(language, TEXTS[_ENGLISH]) | own.get(language, {}) for language in {*TEXTS, *own}
        }
        self._default = next((each for each in languages if each in self._texts), _ENGLISH)

    def acknowledgement(self, language: str, reference: str, department: str, *, urgent: bool, sms: bool) -> Notice:
        """Return what a family is told; `department` is "" where none is to be named."""
        texts = self._texts.get(language) or self._texts[self._default]
        facts = {"organization": self._organization, "reference": reference, "department": department}
        said, emergency = _filled(texts["sms" if sms else "mail"], facts), texts["emergency"]
        gap = "\n" if sms else "\n\n"
        text = f"{emergency}{gap}{said}" if urgent else f"{said}{gap}{emergency}"
        return Notice(subject=_filled(texts["subject"], facts), text=text)

    def unheard(self, reference: str, held: str, address: str, instead: str) -> Notice:
        """Return what somebody is told whose reply (`held`) has not reached the family.

        `address` is the family's; where it is "", `instead` says what there is: look, call or none.
        """
        texts = self._texts[self._default]
        facts = {
            "organization": self._organization,
            "reference": reference,
            "held": held,
            "address": address,
            "instead": "" if address else texts[f"unheard_{instead}"],
        }
        return Notice(subject=texts["unheard_subject"], text=_filled(texts["unheard"], facts))


def _filled(template: str, facts: Mapping[str, str]) -> str:
    """Return a template with its braces filled; a line with something that isn't known is left out."""
    lines = [
        _BRACED.sub(lambda match: facts[match[1]], line)
        for line in template.strip().split("\n")
        if all(facts.get(name) for name in _BRACED.findall(line))
    ]
    return "\n".join(lines)
