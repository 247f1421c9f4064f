"""The field types that every block of settings may use."""

from __future__ import annotations

from datetime import time, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from router.interfaces import Settings
from router.secrets import EnvName, Secret, SecretFile, SecretMissing, WithSecrets, secret_names
from router.settings import (
    Address,
    Pace,
    check_host,
    compile_pattern,
    format_duration,
    is_loopback,
    parse_duration,
    parse_listen,
    parse_rate,
    parse_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


class Inner(WithSecrets):
    token_env: EnvName = Field("", description="t")
    token_file: SecretFile = Field("", description="t")
    cert_file: str = Field("", description="no secret: it has no cert_env beside it")


class Outer(WithSecrets):
    password_env: EnvName = Field("", description="p")
    password_file: SecretFile = Field("", description="p")
    many: tuple[Inner, ...] = Field((), description="m")
    named: dict[str, Inner] = Field({}, description="n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("0s", 0),
        ("1d1ms", 86400.001),
    ],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    """Durations are read with their units, alone or from the largest down, and written back the same."""
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert format_duration(parse_duration(text)) == text


@given(st.integers(0, 10**11))
def test_every_duration_survives_being_written(milliseconds: int) -> None:
    """What is written is what is read."""
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


def test_a_rate_is_messages_per_second() -> None:
    """A rate counts messages in a unit of time, however the unit is written."""
    assert parse_rate("30/min") == parse_rate("30 / minute") == Pace(30, 60)
    assert parse_rate("30/min").per_second == 0.5
    assert [str(parse_rate(text)) for text in ("5/s", "30/minute", "9/hour", "1000/day")] == [
        "5/s",
        "30/min",
        "9/h",
        "1000/day",
    ]


def test_addresses_and_times_are_read() -> None:
    """Hosts with ports are read, IPv6 in brackets; a listener may leave the port to the system (0)."""
    assert parse_listen("127.0.0.1:0") == Address("127.0.0.1", 0)
    assert parse_listen("[::1]:8080") == Address("::1", 8080)
    assert str(Address("::1", 8080)) == "[::1]:8080"
    assert parse_time("7:05") == time(7, 5)


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        *(
            (parse_duration, value)
            for value in ("", "30", 30, None, "5 m", "m", "-5m", "1.5h", "5m1h", "5M", "9999999d")
        ),
        *((parse_rate, value) for value in ("", "30", 30, "0/s", "/min", "3/week", "-1/s", "1/s/s")),
        *(
            (parse_listen, value)
            for value in ("", ":8080", "8080", 8080, "a:b", "::1:80", "a:70000", "a b:1", "[a]:80")
        ),
        *((parse_listen, value) for value in ("a", None, "-a:25", "a..b:25")),
        *((parse_time, value) for value in ("24:00", "7", 7, "7:5", "07:60", "", None)),
        *((check_host, value) for value in ("", "a_b c", "a/b", "x" * 300, "-a")),
        *((compile_pattern, value) for value in ("(", "a(?=b)", r"(a)\1", "[z-a]", "a{9999}")),
    ],
)
def test_what_does_not_fit_is_refused_with_a_plain_sentence(parse: Callable[[object], object], value: object) -> None:
    """Anything else raises ValueError with a sentence for people."""
    with pytest.raises(ValueError, match=r"^(must be|isn't) "):
        parse(value)


def test_only_this_machine_is_loopback() -> None:
    """Loopback is decided by the address, never by looking a name up."""
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST.")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "localhost.example.org", "example.org", "")))


def test_a_pattern_ignores_case_and_is_found_anywhere() -> None:
    """Patterns are RE2: linear time, case ignored, searched for."""
    assert compile_pattern(r"\bw-?2\b").search("where is my W2 form")
    assert not compile_pattern("(a+)+$").search("a" * 50_000 + "b")


def test_a_secret_comes_from_its_variable_or_its_file(tmp_path: Path) -> None:
    """One newline at the end of a file is left out, and nothing else."""
    assert Secret(env="A_B").read({"A_B": " x \n"}) == " x \n"
    path = tmp_path / "secret"
    for content, secret in ((b"x", "x"), (b"x\n", "x"), (b"x\r\n", "x"), (b"x\n\n", "x\n"), (b" x ", " x ")):
        path.write_bytes(content)
        assert Secret(file=str(path)).read() == secret


@pytest.mark.parametrize(
    ("secret", "env", "said"),
    [
        (Secret(env="SMTP_PASSWORD"), {}, "the environment variable SMTP_PASSWORD isn't set"),
        (Secret(env="SMTP_PASSWORD"), {"SMTP_PASSWORD": ""}, "the environment variable SMTP_PASSWORD is empty"),
        (Secret(env="hunter2"), {}, "the environment variable named here isn't set"),
        (Secret(file="no/such/file"), {}, "the secret's file can't be read (No such file or directory)"),
        (Secret(file="a\0b"), {}, "the secret's file can't be read (that is no path)"),
    ],
)
def test_a_missing_secret_is_said_without_repeating_what_may_be_it(
    secret: Secret, env: dict[str, str], said: str
) -> None:
    """The sentence names the variable only if it looks like a name, as a password may stand in its place."""
    with pytest.raises(SecretMissing) as caught:
        secret.read(env)
    assert str(caught.value) == said


def test_a_bare_name_is_a_credential_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With systemd's LoadCredential a bare name is enough; a path, or a name that is no credential, is what it says."""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "imap").write_text("from systemd\n")
    monkeypatch.chdir(tmp_path)
    for name in ("imap", "relay"):
        (tmp_path / name).write_text("from here\n")
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    for name, secret in (
        ("imap", "from systemd"),
        ("${CREDENTIALS_DIRECTORY}/imap", "from systemd"),
        ("./imap", "from here"),
        ("relay", "from here"),
        (str(tmp_path / "imap"), "from here"),
    ):
        assert Secret(file=name).read(env) == secret
    assert Secret(file="imap").read({}) == "from here"


def test_a_secret_file_is_small_text(tmp_path: Path) -> None:
    """A file that can't be a secret is refused before it fills the memory."""
    path = tmp_path / "secret"
    for content, said in ((b"x" * 70_000, "too large"), (b"\xff", "isn't UTF-8"), (b"\n", "is empty")):
        path.write_bytes(content)
        with pytest.raises(SecretMissing, match=said):
            Secret(file=str(path)).read()


class Wanted(NamedTuple):
    """A validation context that says where secrets are looked for."""

    env: dict[str, str]


def test_secrets_that_are_not_there_are_told_at_any_depth() -> None:
    """Every pair NAME_env, NAME_file is a secret, in nested blocks too; a file without such a pair isn't."""
    values = {
        "password_env": "A_B",
        "many": [{}, {"token_file": "no/such/file"}],
        "named": {"x": {"token_env": "C_D", "cert_file": "c"}},
    }
    settings = Outer.model_validate(values)  # nobody asks without a place to look in
    assert secret_names(Inner) == ["token"]
    assert settings.secret("password") == Secret(env="A_B")
    assert settings.many[0].secret("token") is None
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values, context=Wanted({"C_D": "x"}))
    assert [error["loc"] for error in caught.value.errors()] == [("many", 1, "token_file"), ("password_env",)]


class Paired(Settings):
    left: int = Field(0, ge=0, description="l")
    right: int = Field(alias="to-the-right", description="r")

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if given["left"] != given.get("to-the-right"):
            yield "left", f"doesn't fit {given.get('to-the-right')}"


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ({"to-the-right": 0}, []),
        ({"to-the-right": 1}, ["left"]),
        ({"left": 2, "to-the-right": "x", "neither": 1}, ["to-the-right", "neither", "left"]),
        ({"left": -1}, ["left", "to-the-right", "left"]),
        ("no block", []),
    ],
)
def test_what_does_not_fit_together_was_told_only_when_all_else_was_right(values: Any, places: list[str]) -> None:
    """A block's own check speaks up beside every other error, with defaults filled in and by the names of the file."""
    try:
        Paired.model_validate(values)
        told = []
    except ValidationError as error:
        told = [each["loc"][0] for each in error.errors() if each["loc"]]
    assert told == places


@pytest.mark.parametrize(
    "values",
    [{"password": "hunter2!"}, {"password_env": "hunter2!"}, {"password_env": "A", "password_file": "hunter2!"}],
)
def test_validation_never_repeats_a_secret(values: dict[str, str]) -> None:
    """The text of a validation error of settings with secrets hides the values."""
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values)
    assert "hunter2" not in str(caught.value)
