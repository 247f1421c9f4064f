"""Which channel sends automatic answers for which, and what is said where none fits."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from config._acknowledge import sink_of
from config.load import load
from router.errors import ConfigError

TOKEN = {"TWILIO_AUTH_TOKEN": "t", "HOOK": "h"}
RELAY = {"type": "smtp", "host": "127.0.0.1", "tls": "none", "port": 25, "from": "contact@d.example"}
LINE = {
    "type": "twilio_sms",
    "account_sid": "AC1",
    "auth_token_env": "TWILIO_AUTH_TOKEN",
    "from_number": "+15555550100",
}
INBOX = {"type": "smtp_server", "listen": "127.0.0.1:2525", "acknowledge": True}
HOOK = {
    "type": "webhook",
    "fields": {"message": "/text", "phone": "/from"},
    "authentication": "bearer",
    "secret_env": "HOOK",
    "acknowledge": True,
}
SHELF = {"type": "maildir", "path": "shelf"}


@pytest.fixture
def loaded(tmp_path):
    """Return a function that loads a small district with these channels."""

    def from_channels(acknowledgements=None, **channels):
        via = next(name for name, each in channels.items() if each["type"] in ("smtp", "maildir"))
        to = "office@d.example" if channels[via]["type"] == "smtp" else "office"
        path = tmp_path / "signpost.yaml"
        sections = {
            "organization": {"name": "D", "public_url": "https://d.example", "timezone": "America/Chicago"},
            "routing": {"fallback": "office"},
            "channels": channels,
            "departments": {"office": {"name": "Office", "covers": [], "deliver": [{"via": via, "to": to}]}},
        }
        if acknowledgements is not None:
            sections["acknowledgements"] = acknowledgements
        with path.open("w") as file:
            YAML().dump(sections, file)
        return load(path, env=TOKEN)

    return from_channels


@pytest.mark.parametrize(
    ("channels", "via"),
    [
        ({"inbox": INBOX, "relay": RELAY, "line": LINE, "shelf": SHELF}, {"inbox": "relay"}),
        ({"line": LINE | {"acknowledge": True}, "other": LINE, "relay": RELAY}, {"line": "line"}),
        ({"hook": HOOK | {"medium": "sms"}, "line": LINE, "relay": RELAY}, {"hook": "line"}),
        ({"hook": HOOK, "line": LINE, "relay": RELAY}, {"hook": "relay"}),
        ({"inbox": INBOX | {"acknowledge_via": "b"}, "relay": RELAY, "b": RELAY}, {"inbox": "b"}),
        ({"inbox": INBOX | {"acknowledge": False}, "shelf": SHELF}, {}),
    ],
)
def test_who_answers_for_whom(loaded, channels, via):
    """The channel itself if it sends, else the only one that reaches such addresses, else the one that is named."""
    known = loaded(**channels).channels
    assert {name: sink for name in known if (sink := sink_of(known, name))} == via


@pytest.mark.parametrize(
    ("channels", "at", "what"),
    [
        ({"inbox": INBOX, "shelf": SHELF}, "acknowledge", "no channel can send these answers: none delivers to mail"),
        ({"hook": HOOK | {"medium": "sms"}, "relay": RELAY}, "acknowledge", "none delivers to telephone numbers"),
        ({"inbox": INBOX, "relay": RELAY, "b": RELAY}, "acknowledge", "several channels could send these answers"),
        (
            {"inbox": INBOX | {"acknowledge_via": "rely"}, "relay": RELAY},
            "acknowledge_via",
            "there is no channel 'rely' in this file; did you mean 'relay'?",
        ),
        (
            {"inbox": INBOX | {"acknowledge_via": "line"}, "relay": RELAY, "line": LINE},
            "acknowledge_via",
            "'line' sends nothing to mail addresses",
        ),
        (
            {"inbox": INBOX | {"acknowledge": False, "acknowledge_via": "relay"}, "relay": RELAY},
            "acknowledge_via",
            "is for acknowledge: true",
        ),
        ({"hook": HOOK | {"medium": "email"}, "relay": RELAY}, "acknowledge", "isn't for medium: email"),
    ],
)  # fmt: skip
def test_what_is_said_where_none_fits(loaded, channels, at, what):
    """One problem at its setting, in a sentence."""
    with pytest.raises(ConfigError) as caught:
        loaded(**channels)

    [problem] = caught.value.problems
    assert problem.path.endswith(f".{at}")
    assert what in str(problem)


@pytest.mark.parametrize(
    ("settings", "at"),
    [
        ({"texts": {"en": {"mail": "Dear {sender}"}}}, "texts.en.mail"),
        ({"texts": {"en": {"sms": "Odd { brace"}}}, "texts.en.sms"),
        ({"texts": {"en": {"subject": "two\nlines"}}}, "texts.en.subject"),
        ({"texts": {"english": {"mail": "x"}}}, "texts.english"),
        ({"most_per_hour": -1}, "most_per_hour"),
        ({"authserv_id": "two words"}, "authserv_id"),
    ],
)
def test_a_districts_own_words_are_checked(loaded, settings, at):
    """Nothing of the message can be put into an answer."""
    with pytest.raises(ConfigError) as caught:
        loaded(settings, inbox=INBOX, relay=RELAY)

    assert [problem.path.startswith(f"acknowledgements.{at}") for problem in caught.value.problems] == [True]
