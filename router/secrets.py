"""Secrets in settings: never the value itself, but the environment variable or the file that holds it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationInfo,
    model_validator,
)

from router.errors import SignpostError
from router.interfaces import Settings, tell_together
from router.settings import typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPEAKING_ENV = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")  # looks like a name, not like a secret pasted in its place
_SECRET_FILE_LIMIT = 65_536
_CREDENTIALS = "CREDENTIALS_DIRECTORY"  # where systemd puts a service's secrets (systemd.exec(5), LoadCredential=)

ENV_WORDS = "the name of an environment variable (letters, digits and _)"


class SecretMissing(SignpostError):
    """A secret isn't where the settings say; the text names the place, never the value."""


def secret_path(given: str, env: Mapping[str, str] | None = None) -> Path:
    """Return where a secret's file is: a bare name is looked for among the service's credentials first.

    If there is no such credential it is a name in the working directory, as any relative path.
    """
    folder = (os.environ if env is None else env).get(_CREDENTIALS, "")
    name = given.removeprefix(f"${{{_CREDENTIALS}}}/")
    if folder and name == Path(name).name and (path := Path(folder, name)).exists():
        return path
    return Path(given)


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is kept: an environment variable or a file. It holds no value, so it may be printed."""

    env: str = ""
    file: str = ""

    def read(self, env: Mapping[str, str] | None = None) -> str:
        """Return the secret, read afresh; raise `SecretMissing`. One newline at the end of a file is left out."""
        env = os.environ if env is None else env
        return self._from_env(env) if self.env else self._from_file(env)

    def _from_env(self, env: Mapping[str, str]) -> str:
        shown = f"the environment variable {self.env if _SPEAKING_ENV.fullmatch(self.env) else 'named here'}"
        if self.env not in env:
            raise SecretMissing(f"{shown} isn't set")
        if not env[self.env]:
            raise SecretMissing(f"{shown} is empty")
        return env[self.env]

    def _from_file(self, env: Mapping[str, str]) -> str:
        try:
            with secret_path(self.file, env).open("rb") as stream:
                raw = stream.read(_SECRET_FILE_LIMIT + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "that is no path"
            raise SecretMissing(f"the secret's file can't be read ({reason})") from error
        return _decode_secret(raw)


def _decode_secret(raw: bytes) -> str:
    if len(raw) > _SECRET_FILE_LIMIT:
        raise SecretMissing("the secret's file is too large to hold a secret")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise SecretMissing("the secret's file isn't UTF-8 text") from None  # the cause would show a byte of the secret
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not text:
        raise SecretMissing("the secret's file is empty")
    return text


def _check_env(value: str) -> str:
    if value and not _ENV.fullmatch(value):
        raise ValueError(f"must be {ENV_WORDS}, not the secret itself")
    return value


EnvName = Annotated[str, AfterValidator(_check_env), typed(ENV_WORDS)]
SecretFile = Annotated[str, typed("the path of a file")]


def secret_names(model: type[BaseModel]) -> list[str]:
    """Return each NAME that a block of settings keeps elsewhere: it has the fields NAME_env and NAME_file."""
    keys = model.model_fields
    return [key.removesuffix("_env") for key in keys if key.endswith("_env") and key[:-3] + "file" in keys]


def _missing(secret: Secret, env: Mapping[str, str]) -> str:
    try:
        secret.read(env)
    except SecretMissing as error:
        return str(error)
    return ""


class WithSecrets(Settings):
    """Base of settings with secrets: for each, the fields `NAME_env: EnvName = ""` and `NAME_file: SecretFile = ""`."""

    model_config = ConfigDict(hide_input_in_errors=True)  # a secret put in the wrong place isn't repeated

    @model_validator(mode="wrap")
    @classmethod
    def _tell_secrets(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Report secrets in two places, and, if the context has an `env` to look in, those that aren't there."""
        env = getattr(info.context, "env", None)
        return tell_together(data, handler, cls._secret_faults(data, env) if isinstance(data, dict) else ())

    @classmethod
    def _secret_faults(cls, given: Mapping[str, Any], env: Mapping[str, str] | None) -> Iterator[tuple[str, str]]:
        for name in secret_names(cls):
            places = [f"{name}_env", f"{name}_file"]
            set_ = [key for key in places if isinstance(given.get(key), str) and given[key]]
            if len(set_) == 2:
                yield set_[1], f"{set_[0]} and {set_[1]} are both set: keep one"
            elif (
                set_ and env is not None and (missing := _missing(Secret(*(given.get(key, "") for key in places)), env))
            ):
                yield set_[0], missing

    def secret(self, name: str) -> Secret | None:
        """Return where a secret is kept, None if the settings don't name a place."""
        found = Secret(getattr(self, f"{name}_env"), getattr(self, f"{name}_file"))
        return found if found.env or found.file else None


class WithPassword(WithSecrets):
    """Base of settings with a password: `settings.secret("password")` is where it is, or None."""

    password_env: EnvName = Field("", description="Environment variable that holds the password.")
    password_file: SecretFile = Field(
        "",
        description="File that holds the password; a newline at its end is left out. Instead of `password_env`. "
        "A bare name is looked for in systemd's `CREDENTIALS_DIRECTORY` first.",
    )


# --- what is shown ----------------------------------------------------------------------------------------------------

HIDDEN = "…"
_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://(\S+)")
_SECRETIVE = frozenset(
    {"pass", "password", "passwd", "pwd", "passphrase", "secret", "token", "key", "apikey", "credential"}
)


def without_secrets(text: str, *, path: bool = True) -> str:
    """Return a text with whatever a URL in it may carry as a secret left out: password, query, fragment, and path.

    `path=False` keeps paths. Of a database its name is kept, and a user without a password.
    """
    return _URL.sub(lambda found: f"{found[1]}://{_without_secrets(found[1].lower(), found[2], path)}", text)


def _without_secrets(scheme: str, rest: str, hide_path: bool) -> str:
    before, at, rest = rest.rpartition("@")  # a password may hold anything, slashes too
    database = scheme.startswith(("postgresql", "sqlite"))
    user = f"{before if database and re.fullmatch(r'[A-Za-z0-9_.-]+', before) else HIDDEN}@" if at else ""
    place, mark, _ = re.split(r"([?#]|$)", rest, maxsplit=1)
    host, slash, folder = place.partition("/")
    if hide_path and folder and not database:
        return f"{user}{host}/{HIDDEN}"
    return f"{user}{host}{slash}{folder}{mark}{mark and HIDDEN}"


def is_secretive(key: str) -> bool:
    """Return whether a setting of this name would hold a secret itself, as one of somebody's own channel may."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"(\[\d+\])+$", "", key.lower()))
    return key != "tls_key" and not _SECRETIVE.isdisjoint({words[-1], words[-1].removesuffix("s")})


def shown_name(env: str) -> str:
    """Return the name of an environment variable, hidden where it could be a secret put in its place."""
    return env if not env or _SPEAKING_ENV.fullmatch(env) else HIDDEN
