"""Settings of a channel whose writers can be told that their message has come in: a base class for its own settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema

from router.settings import TakesIn

_SinkName = Annotated[str, WithJsonSchema({"type": "string", "x-type": "the name of a channel that delivers"})]


class Acknowledging(TakesIn):
    """Base of the settings of a channel that takes messages in."""

    acknowledge: bool = Field(
        False,
        description="Answer whoever writes by this channel once a day at most, with a reference and the department's "
        "name; automatic mail and whatever looks like spam is never answered.",
    )
    acknowledge_via: _SinkName = Field(
        "",
        description="The channel that sends these answers; left out, this one if it sends, else the only one that "
        "reaches such addresses.",
    )

    @property
    def brings_texts(self) -> bool:
        """Whether people write by telephone here, so that a text is what answers them."""
        return False
