"""Settings of a webhook: where a provider's request holds what, how it proves itself, and how ours are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from channels._webhook_pointer import Pointer  # noqa: TC001 -- pydantic reads it at run time
from router.interfaces import Settings
from router.records import Medium
from router.settings import Duration, EnvName, SecretFile, WithSecrets, parse_duration

if TYPE_CHECKING:
    from typing import Self

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
    tolerance: Duration = Field(
        parse_duration("5m"), description="A request whose time is further off than this is refused."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.signed.count("{body}") != 1:
            raise ValueError("signed must hold {body} once")
        if ("{timestamp}" in self.signed) != bool(self.timestamp_header):
            raise ValueError("{timestamp} in signed and timestamp_header belong together")
        return self


class WebhookSettings(WithSecrets):
    """Requests from a form tool or messaging provider, and signed requests to other programs."""

    fields: FieldSettings | None = Field(
        None, description="Where a request holds what. Left out, nothing comes in by this channel."
    )
    each: Pointer | None = Field(
        None, description="JSON pointer to a list of messages in one request; `fields` then count from each of them."
    )
    only: dict[Pointer, str] = Field(
        {}, description="Take in only requests with these values, such as /event: received; others are acknowledged."
    )
    medium: Medium = Field(Medium.WEB_FORM, description="How people write, whatever carries it.")
    region: str = Field("US", pattern="^[A-Z]{2}$", description="Country of phone numbers that are written without +.")
    authentication: Literal["", "hmac", "bearer", "basic", "path"] = Field(
        "",
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
    connect_timeout: Duration = Field(parse_duration("10s"), description="How long connecting may take.")
    timeout: Duration = Field(parse_duration("30s"), description="How long the answer may take.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problem = self._outgoing_only() if self.fields is None else self._incoming()
        if problem:
            raise ValueError(problem)
        return self

    def _outgoing_only(self) -> str:
        unused = [
            name for name in ("each", "only", "authentication", "hmac") if getattr(self, name) not in (None, "", {})
        ]
        return f"{unused[0]} is for what comes in: fields is missing" if unused else ""

    def _incoming(self) -> str:
        if not self.authentication:
            return "authentication is missing: whoever knows the address could write to the district"
        if self.secret("secret") is None:
            return "secret_env (or secret_file) is missing"
        if self.authentication == "basic" and not self.username:
            return "username is missing (authentication: basic)"
        if (self.authentication == "hmac") != (self.hmac is not None):
            return "authentication: hmac and the block hmac belong together"
        return ""
