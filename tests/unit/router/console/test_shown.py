"""Settings as people may see them: every value, and no secret."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import Field

from router.console.shown import differences, group
from router.interfaces import Settings
from router.records import Department, Destination
from router.secrets import EnvName, SecretFile, is_secretive, without_secrets
from router.settings import PositiveDuration  # noqa: TC001 (pydantic evaluates annotations)


class Inner(Settings):
    """A block in a block."""

    wait: PositiveDuration = Field(timedelta(minutes=5), description="How long.")
    names: tuple[str, ...] = Field((), description="Which.")


class Own(Settings):
    """A channel of somebody's own, which keeps secrets as ours don't."""

    password_env: EnvName = Field("", description="Where the password is.")
    password_file: SecretFile = Field("", description="Or there.")
    api_key: str = Field("", description="The key itself.")
    credentials: dict[str, str] = Field({}, description="Both.")
    tokens: tuple[str, ...] = Field((), description="Some.")
    hook: str = Field("", description="Where to.")
    only: dict[str, str] = Field({}, description="Values.")
    inner: Inner = Field(Inner(), description="More.")
    items: tuple[Inner, ...] = Field((), description="A list.")
    on: bool = Field(False, description="Whether.")


def shown(**given):
    """Return what is shown of settings, by path."""
    return {each.path: each.value for each in group("own", "", Own(**given)).settings}


def test_each_setting_has_its_value_and_says_whether_somebody_chose_it():
    """What stands in the file comes first; what doesn't is shown as it counts."""
    found = group("own", "A channel.", Own(on=True, inner=Inner(names=("a", "b"))))
    assert {each.path: (each.value, each.what_for) for each in found.told} == {
        "on": ("true", "Whether."), "inner.names": ("a, b", "Which."),
    }  # fmt: skip
    assert {each.path: each.value for each in found.defaults}["inner.wait"] == "5m"


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
        ({"password_env": "MAIL_PASSWORD"}, "password_env", "MAIL_PASSWORD"),
        ({"password_env": "hunter2"}, "password_env", "…"),  # the secret itself, put in the wrong place
        ({"password_file": "/run/secrets/mail"}, "password_file", "/run/secrets/mail"),
        ({"api_key": "hunter2"}, "api_key", "…"),
        ({"credentials": {"user": "hunter2"}}, "credentials.user", "…"),
        ({"tokens": ("hunter2",)}, "tokens", "…"),
        ({"hook": "https://hooks.example/T0/hunter2"}, "hook", "https://hooks.example/…"),
        ({"only": {"/token": "hunter2"}}, "only./token", "…"),
        ({"only": {"/event": "received"}}, "only./event", "received"),
    ],
)
def test_no_secret_is_shown(given, path, value):
    """A name of where it is, or nothing."""
    assert shown(**given)[path] == value


def test_of_lists_of_blocks_only_what_was_given_is_shown():
    """Item by item."""
    found = shown(items=(Inner(wait="1m"), Inner(names=("x",))))
    assert {path: value for path, value in found.items() if path.startswith("items")} == {
        "items[0].wait": "1m", "items[1].names": "x",
    }  # fmt: skip


def test_a_record_is_described_by_the_settings_it_was_made_from():
    """Departments are records; where they deliver to is one line, without what an address may carry."""

    class About(Settings):
        name: str = Field(description="The name.")
        deliver: tuple[str, ...] = Field(description="Where to.")

    desk = Department(id="it", name="IT", deliver=(Destination(via="hook", to="https://x.example/hunter2?a=b"),))
    found = group("departments.it", "", desk, About)
    assert [(each.path, each.value, each.what_for) for each in found.settings] == [
        ("name", "IT", "The name."), ("deliver", "hook to https://x.example/…", "Where to."),
    ]  # fmt: skip


def test_differences_are_found_in_what_is_hidden_too():
    """By path; nothing of the value."""
    old, new = (group("own", "", Own(api_key=key, only={"/a": "b"})) for key in ("hunter1", "hunter2"))
    assert differences([old], [new]) == ["own.api_key"]
    assert differences([old], []) == sorted(f"own.{each.path}" for each in old.settings)
    assert differences([old], [old]) == []


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("postgresql://signpost@db.example/signpost?a=b", "postgresql://signpost@db.example/signpost?…"),
        ("postgresql://signpost:pw@db.example:5432/x", "postgresql://…@db.example:5432/x"),
        ("https://u:p/w?x@h.example/", "https://…@h.example/"),
        ("https://token@h.example", "https://…@h.example"),
        ("https://h.example/#secret", "https://h.example/#…"),
        ("see https://a.example/x?k=v and http://b.example/y.", "see https://a.example/… and http://b.example/…"),
        ("no address: a@b.example", "no address: a@b.example"),
    ],
)
def test_what_addresses_carry_is_left_out(text, without):
    """Passwords, paths, queries, fragments."""
    assert without_secrets(text) == without


def test_paths_can_be_kept():
    """Of addresses that are public, and of files."""
    assert without_secrets("sqlite:////var/lib/signpost.db", path=False) == "sqlite:////var/lib/signpost.db"
    assert without_secrets("https://x.example/contact?k=v", path=False) == "https://x.example/contact?…"


def test_which_names_are_secretive():
    """Those that would hold a secret, not those that are about one."""
    assert all(map(is_secretive, ("password", "api_key", "Tokens", "tokens[0]", "/token", "x-api-key", "pass")))
    assert not any(map(is_secretive, ("token_url", "tls_key", "auth", "client_secret_expires", "authentication")))
