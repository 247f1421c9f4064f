"""Build the automatic answers from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config._acknowledge import sink_of
from router.answers.decide import Answers, Caps
from router.answers.texts import Wording
from router.interfaces import mail_domain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from config.load import Configuration
    from router.destinations import Desks
    from router.interfaces import Settings
    from router.signing import KeyRing


def answers_of(configuration: Configuration, desks: Desks, keys: KeyRing, desk_addresses: Collection[str]) -> Answers:
    """Return what decides who is answered; `desk_addresses` are all those that we deliver to."""
    organization, settings = configuration.organization, configuration.acknowledgements
    channels = configuration.channels

    def reaches(via: str, address: str) -> bool:
        channel = channels[via].channel if via in channels else None
        return channel is not None and channel.sink is not None and not channel.check_address(address)

    return Answers(
        Wording(
            organization.name,
            organization.languages,
            {language: texts.model_dump(exclude_none=True) for language, texts in settings.texts.items()},
        ),
        via={name: via for name in channels if (via := sink_of(channels, name))},
        reaches=reaches,
        ours=[address for each in channels.values() for address in _addresses(each.settings)],
        desk_addresses=desk_addresses,
        desks=desks,
        keys=keys,
        domain=mail_domain(organization.public_url),
        caps=Caps(per_hour=settings.most_per_hour, per_domain=settings.most_per_domain),
        authserv_id=settings.authserv_id,
    )


def _addresses(settings: Settings) -> Iterator[str]:
    """Yield every address and number in a channel's settings: whatever it is for, it is ours."""
    for value in settings.model_dump().values():
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and ("@" in text.strip("@") or text.startswith("+")):
                yield text
