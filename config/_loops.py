"""How much a program may say before its mails are held: the settings of the circuit breakers."""

from __future__ import annotations

from pydantic import Field

from config._types import Section
from router.settings import Pace, Rate


class Loops(Section):
    """How many mails are forwarded before the next ones are held for a person: programs that answer each other."""

    per_sender: Rate = Field(
        Pace(1000, 3600),
        description="Mails of one address, such as a form mailer's. What is urgent goes on, to the fallback.",
    )
    per_desk: Rate = Field(
        Pace(40, 3600),
        description="Mails of one address that messages are delivered to; staff who forward mail by hand need some.",
    )
    alike: Rate = Field(
        Pace(2, 3600),
        description="Answers that say the same, numbers aside, whatever address they come from. It also counts mail "
        "that is no answer from new addresses in a domain that messages are delivered to.",
    )
