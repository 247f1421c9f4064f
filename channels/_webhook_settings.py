"""Settings of a webhook: where a provider's request holds what, how it proves itself, and how ours are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from channels._webhook_pointer import Pointer  # noqa: TC001 -- pydantic reads it at run time
from router.acknowledging import Acknowledging
from router.interfaces import Settings
from router.records import Medium
from router.secrets import EnvName, SecretFile, WithSecrets
from router.settings import PositiveDuration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_POINTER = "JSON pointer to the {}."


class FieldSettings(Settings):
    """Where each field is in a request: JSON pointers (RFC 6901)."""

    message: Pointer = Field(description="JSON pointer to what the person wrote, such as /data/text.")
    name: Pointer | None = Field(None, description=_POINTER.format("person's name"))
    email: Pointer | None = Field(None, description=_POINTER.format("person's mail address"))
    phone: Pointer | None = Field(None, description=_POINTER.format("person's telephone number"))
    recipient: Pointer | None = Field(None, description=_POINTER.format("number or address that was written to"))
    subject: Pointer | None = Field(None, description=_POINTER.format("subject"))
    topic: Pointer | None = Field(None, description=_POINTER.format("topic: a department's id or name"))
    school: Pointer | None = Field(None, description=_POINTER.format("school: its id, name or alias"))
    language: Pointer | None = Field(None, description=_POINTER.format("language code, such as es"))
    id: Pointer | None = Field(
        None,
        description="JSON pointer to the provider's id of this message, so that a repeated request is recognised; left "
        "out, the same request within a day counts as repeated.",
    )


class HmacSettings(Settings):
    """How a provider signs: HMAC of the body with the shared secret."""

    header: str = Field(pattern=r"^[A-Za-z0-9-]+$", description="Header that holds the signature.")
    algorithm: Literal["sha256", "sha1", "sha512"] = Field("sha256", description="Hash function of the HMAC.")
    encoding: Literal["hex", "base64"] = Field("hex", description="How the signature is written.")
    prefix: str = Field("", description="What stands before the signature in the header, such as sha256= or v1=.")
    signed: str = Field(
        "{body}", description="What is signed: {body}, or {timestamp}.{body} and the like where a time is signed, too."
    )
    timestamp_header: str = Field(
        "", pattern=r"^[A-Za-z0-9-]*$", description="Header that holds the time in seconds; it may be the same header."
    )
    timestamp_prefix: str = Field("", description="What stands before the time in that header, such as t=.")
    tolerance: PositiveDuration = Field(
        parse_duration("5m"), description="A request whose time is further off than this is refused."
    )

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The body is always signed; a time is either signed and sent, or neither."""
        signed = str(given["signed"])
        if signed.count("{body}") != 1:
            yield "signed", "must hold {body} once"
        if ("{timestamp}" in signed) != bool(given["timestamp_header"]):
            yield "timestamp_header", "goes together with {timestamp} in signed"


class WebhookSettings(Acknowledging, WithSecrets):
    """Requests from a form tool or messaging provider, and signed requests to other programs."""

    fields: FieldSettings | None = Field(
        None, description="Where a request holds what. Left out, nothing comes in by this channel."
    )
    each: Pointer | None = Field(
        None, description="JSON pointer to a list of messages in one request; `fields` and `only` then count from each."
    )
    only: dict[Pointer, str] = Field(
        {}, description="Take in only messages with these values, such as /event: received; others are acknowledged."
    )
    medium: Medium = Field(Medium.WEB_FORM, description="How people write, whatever carries it.")
    region: str = Field("US", pattern="^[A-Z]{2}$", description="Country of phone numbers that are written without +.")
    authentication: Literal["hmac", "bearer", "basic", "path"] | None = Field(
        None,
        description="How a request proves itself: `hmac` (a signature, see below), `bearer` or `basic` (the "
        "Authorization header), `path` (the secret follows the address: /webhooks/NAME/SECRET).",
    )
    secret_env: EnvName = Field("", description="Environment variable of the shared key, token, password or path.")
    secret_file: SecretFile = Field(
        "", description="File that holds it; a newline at its end is left out. Instead of `secret_env`."
    )
    username: str = Field("", description="User name, for `basic`.")
    hmac: HmacSettings | None = Field(None, description="How the provider signs, for `hmac`.")
    signing_secret_env: EnvName = Field(
        "", description="Environment variable of the key that our requests are signed with."
    )
    signing_secret_file: SecretFile = Field(
        "", description="File that holds it; a newline at its end is left out. Instead of `signing_secret_env`."
    )
    allow_private: bool = Field(
        False, description="Let our requests reach addresses of this machine and of private networks, by http, too."
    )
    include_original: bool = Field(False, description="Send the original along, as base64.")
    connections: int = Field(4, ge=1, le=50, description="How many requests may be under way at once.")
    connect_timeout: PositiveDuration = Field(parse_duration("10s"), description="How long connecting may take.")
    timeout: PositiveDuration = Field(parse_duration("30s"), description="How long the answer may take.")

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What comes in has to prove itself; without fields nothing comes in."""
        kind = given["authentication"]
        if given["fields"] is None:
            names = ("each", "only", "authentication", "hmac", "acknowledge")
            unused = [key for key in names if given[key] not in (None, "", {}, False)]
            yield from ((key, "is for what comes in, and fields is missing") for key in unused)
            return
        if not kind:
            yield "authentication", "is missing: whoever knows the address could write to the district"
        elif not (given["secret_env"] or given["secret_file"]):
            yield "secret_env", "is missing: name the environment variable (or secret_file) with the secret"
        if kind == "basic" and not given["username"]:
            yield "username", "is missing (authentication: basic)"
        if kind == "hmac" and given["hmac"] is None:
            yield "hmac", "is missing (authentication: hmac): how the provider signs, such as header and encoding"
        elif kind != "hmac" and given["hmac"] is not None:
            yield "hmac", "goes together with authentication: hmac"
        if given["acknowledge"] is True and given["medium"] == Medium.EMAIL:
            yield "acknowledge", "isn't for medium: email: what a provider posts hides whether a person wrote it"

    @property
    def brings_texts(self) -> bool:
        """Whether people write by telephone here."""
        return self.medium is Medium.SMS
