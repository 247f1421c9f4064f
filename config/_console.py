"""The staff console: how people sign in, and how long they stay so."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from config._types import DepartmentId, Id, Line, PublicUrl, SchoolId, Section
from router.secrets import EnvName, SecretFile, WithSecrets
from router.settings import PositiveDuration, is_loopback, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHARED = frozenset(
    {"accounts.google.com", "clever.com", "launchpad.classlink.com"}
)  # one issuer for all their customers
RoleName = Literal["viewer", "staff", "triage", "administrator"]


def _check_provider_url(url: str) -> str:
    if not url.startswith("https://") and not on_this_machine(url):
        raise ValueError("must begin with https://")
    return url


def on_this_machine(url: str) -> bool:
    """Return whether an address is of this very machine, where nobody listens in between."""
    return is_loopback(urlsplit(url).hostname or "")


class GroupSettings(Section):
    """What somebody in one of the provider's groups is here."""

    group: Line = Field(description="The group as the provider names it; `*` is everybody whom the provider lets in.")
    role: RoleName = Field(description="What they may do: `viewer`, `staff`, `triage` or `administrator`.")
    departments: tuple[DepartmentId, ...] | None = Field(
        None, description="Only these departments' messages; left out: all."
    )
    schools: tuple[SchoolId, ...] | None = Field(
        None, description="Only messages of these schools, and of none; left out: all."
    )


class ProviderSettings(WithSecrets, Section):
    """A provider at which staff have an account: OpenID Connect."""

    name: Line = Field(description="What stands on the button: Google, Microsoft, ClassLink …")
    issuer: Annotated[PublicUrl, AfterValidator(_check_provider_url)] = Field(
        description="The provider's issuer; its discovery document stands below it."
    )
    client_id: Line = Field(description="What the provider calls this application.")
    client_secret_env: EnvName = Field("", description="Environment variable that holds the client secret.")
    client_secret_file: SecretFile = Field(
        "", description="File that holds the client secret, instead of `client_secret_env`."
    )
    require: dict[Line, Annotated[tuple[Line, ...], Field(min_length=1)]] = Field(
        {},
        description="Claims that an ID token must hold with one of these values, such as `hd` (Google: the Workspace "
        "domain), `tid` (Microsoft: the tenant), `district` (Clever).",
    )
    scopes: tuple[Line, ...] = Field(
        ("openid", "email", "profile"), min_length=1, description="What is asked for; `openid` must be among it."
    )
    groups_claim: Line = Field("groups", description="The claim of the ID token that holds the groups.")
    groups: tuple[GroupSettings, ...] = Field(
        (),
        description="Who is let in without having been added, the first that fits. Others need "
        "`signpost users add EMAIL` first.",
    )
    timeout: PositiveDuration = Field(timedelta(seconds=10), description="How long the provider may take to answer.")

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A provider that the whole world has accounts at must not let the whole world in."""
        scopes = given["scopes"]
        if isinstance(scopes, list | tuple) and "openid" not in scopes:
            yield "scopes", "must name openid"
        host = urlsplit(str(given.get("issuer", ""))).hostname
        if host in _SHARED and not given["require"]:
            yield (
                "require",
                "is missing, which would let in people of other districts, too, for all of them share this issuer",
            )


class SessionSettings(Section):
    """How long somebody stays signed in."""

    idle: PositiveDuration = Field(timedelta(hours=4), description="Signed out after so long without a request.")
    longest: PositiveDuration = Field(timedelta(hours=16), description="Signed out after so long in any case.")

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The one is within the other."""
        try:
            idle, longest = parse_duration(given["idle"]), parse_duration(given["longest"])
        except ValueError:
            return  # said at the setting
        if idle > longest:
            yield "idle", "must not be longer than longest"


class AccessLogSettings(Section):
    """How long it is kept who saw and did what."""

    keep: PositiveDuration = Field(
        timedelta(days=1096), description="Rows go when they are older; three years by default."
    )


class ConsoleSettings(Section):
    """The staff console; without this section there is none."""

    local: bool = Field(
        False, description="Whether people may sign in with a password kept here (`signpost users password`)."
    )
    sign_in: dict[Id, ProviderSettings] = Field(
        {}, description="Providers at which staff sign in, by a name that is part of the address they answer to."
    )
    session: SessionSettings = Field(SessionSettings(), description="How long somebody stays signed in.")
    access_log: AccessLogSettings = Field(AccessLogSettings(), description="Who saw and did what.")

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Somebody must be able to sign in."""
        if not given["sign_in"] and given["local"] is False:
            yield "sign_in", "names no provider, and local isn't true: nobody could sign in"
