"""Two small channel types and a classifier type, so that these tests depend on the loader alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import Field

import classifiers
from router.interfaces import Channel, ClassifierType, Settings
from router.plugins import Plugins, channel_types
from router.secrets import EnvName, SecretFile, WithPassword, WithSecrets
from router.settings import Address, Duration, ListenAddress, Port, Rate, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class LetterboxSettings(Settings):
    listen: ListenAddress = Field(Address("127.0.0.1", 2525), description="Where it listens.")
    start: Literal["new", "unseen", "all"] = Field("new", description="What is taken first.")
    every: Duration = Field(parse_duration("30s"), description="How often it looks.")
    address: str = Field("", description="The only address it takes mail for.")
    open: bool = Field(True, description="Whether it takes anything in.")


class Token(WithSecrets):
    client_secret_env: EnvName = Field("", description="Environment variable of the client's secret.")
    client_secret_file: SecretFile = Field("", description="File of the client's secret.")


class VanSettings(WithPassword):
    host: str = Field(description="The host.")
    port: Port = Field(587, description="The port.")
    tls: Literal["implicit", "starttls", "none"] = Field("starttls", description="How it is encrypted.")
    from_address: str = Field("", alias="from", description="The sender.")
    rate: Rate | None = Field(None, description="Pacing.")
    verify: bool = Field(True, description="Whether the certificate is checked.")
    oauth: Token | None = Field(None, description="Sign in by a token.")
    headers: dict[str, int | Literal["none"]] = Field({}, description="Extra headers.")

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if given["tls"] == "none" and given.get("host") != "localhost":
            yield "tls", "none is for localhost only"


class TreeSettings(Settings):
    depth: int = Field(3, ge=1, le=10, description="How deep it grows.")


def _never(*_args: Any) -> Any:
    raise AssertionError("loading a configuration builds nothing")


def _address(to: str) -> str:
    return "" if "@" in to else "must be a mail address"


LETTERBOX = Channel(
    summary="takes letters in",
    settings=LetterboxSettings,
    source=_never,
    reads=lambda settings, address: settings.address in ("", address),
    takes_in=lambda settings: settings.open,
)
VAN = Channel(summary="delivers letters", settings=VanSettings, sink=_never, check_address=_address)
TREE = ClassifierType(summary="a tree", settings=TreeSettings, train=_never, load=_never)


@pytest.fixture
def types() -> dict[str, Any]:
    """The arguments of `load` that bring in the types of this file."""
    classifier_types = Plugins(classifiers, "CLASSIFIER", ClassifierType, {"tree": TREE, "linear": TREE})
    return {"channel_types": channel_types({"letterbox": LETTERBOX, "van": VAN}), "classifier_types": classifier_types}
