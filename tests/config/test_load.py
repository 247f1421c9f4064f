"""What a valid file gives: departments, schools, channels, rules, and warnings."""

from __future__ import annotations

import traceback
from datetime import time, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from config.load import Configuration, Coverage, load, uncovered
from router.errors import ConfigError, NotFound
from router.records import Department, Destination
from router.secrets import Secret
from router.settings import Address, Pace

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
organization: {name: Test District, public_url: "https://contact.test.example", timezone: America/Chicago}
operations: {alerts: [{via: relay, to: it@test.example}]}
channels:
  inbox: {type: letterbox}
  relay: {type: van, host: mail.test.example, from: contact@test.example, rate: 30/min}
"""
FIVE = (
    HEAD
    + """\
routing:
  fallback: office
  urgent: {notify: [{via: relay, to: safety@test.example}]}
departments:
  office: {name: Office, deliver: [{via: relay, to: office@test.example}]}
  buses: {name: Buses, covers: [transportation], deliver: [{via: relay, to: buses@test.example}], min_confidence: 0.8}
  business: {name: Business Office, covers: [finance, jobs], deliver: [{via: relay, to: money@test.example}]}
  teaching: {name: Teaching, covers: [], deliver: [{via: relay, to: teaching@test.example}]}
  safety: {name: Safety, deliver: [{via: relay, to: a@test.example}, {via: relay, to: b@test.example}]}
schools:
  lincoln:
    name: Lincoln Elementary
    aliases: [LES]
    deliver: {buses: [{via: relay, to: buses.lincoln@test.example}]}
rules:
  - {name: money, when: {channel: inbox, text: 'w-?2', language: en}, to: business}
  - {name: lost, when: {school: lincoln, medium: sms}, to: buses}
"""
)


def write(folder: Path, text: str) -> Path:
    path = folder / "signpost.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def five(tmp_path: Path, types: dict[str, Any]) -> Configuration:
    """A district of five departments with `covers`."""
    return load(write(tmp_path, FIVE), **types, env={})


def test_a_department_covers_what_it_says_or_its_own_id(five: Configuration) -> None:
    """`covers` may name several labels, none, or be left out for the department's own id; the fallback covers none."""
    assert {department.id: department.covers for department in five.departments} == {
        "office": (),
        "buses": ("transportation",),
        "business": ("finance", "jobs"),
        "teaching": (),
        "safety": ("safety",),
    }


def test_a_department_is_the_record_the_program_knows(five: Configuration) -> None:
    """Departments come as records, with every destination in the order of the file."""
    assert five.department("buses") == Department(
        id="buses",
        name="Buses",
        covers=("transportation",),
        deliver=(Destination(via="relay", to="buses@test.example"),),
        min_confidence=0.8,
    )
    assert [destination.to for destination in five.department("safety").deliver] == ["a@test.example", "b@test.example"]
    assert five.fallback.id == "office"
    with pytest.raises(NotFound):
        five.department("trams")


def test_schools_rules_and_channels_are_at_hand(five: Configuration) -> None:
    """Schools, rules in their order, and channels with their type and parsed settings come with the configuration."""
    (school,) = five.schools
    assert school.aliases == ("LES",)
    assert school.deliver["buses"] == (Destination(via="relay", to="buses.lincoln@test.example"),)
    assert [(rule.name, rule.to) for rule in five.rules] == [("money", "business"), ("lost", "buses")]
    relay = five.channels["relay"]
    assert relay.type == "van"
    assert relay.settings.model_dump(include={"from_address", "rate", "port"}) == {
        "from_address": "contact@test.example",
        "rate": "30/min",
        "port": 587,
    }
    assert getattr(relay.settings, "rate", None) == Pace(30, 60)


def test_what_is_left_out_has_its_default(five: Configuration) -> None:
    """Sections that aren't in the file, and settings that aren't in a section, have the documented defaults."""
    assert five.store.url == "sqlite:///var/signpost.db"
    assert five.http.listen == Address("127.0.0.1", 8080)
    assert five.organization.languages == ("en",)
    assert five.operations.daily_digest == time(7, 0)
    assert five.routing.mode == "live"
    assert five.routing.target_error == 0.05
    assert five.routing.urgent.escalate_after == timedelta(minutes=5)
    assert five.learning.retrain_after == 50
    assert five.classifier.type == "linear"


def test_a_section_may_be_commented_out_below_its_name(tmp_path: Path, types: dict[str, Any]) -> None:
    """`rules:` with nothing below it counts as left out, and so does any such key of the file's own sections."""
    text = FIVE.split("rules:")[0] + "rules:\nlearning:\nhttp:\n  listen:\n"
    assert load(write(tmp_path, text), **types, env={}).rules == ()


def test_thirty_departments_load(tmp_path: Path, types: dict[str, Any]) -> None:
    """A district of thirty departments, each with a label of its own, is as good as any."""
    desks = "".join(
        f"  desk-{n}: {{name: D{n}, deliver: [{{via: relay, to: d{n}@test.example}}]}}\n" for n in range(30)
    )
    loaded = load(write(tmp_path, HEAD + "routing: {fallback: desk-0}\ndepartments:\n" + desks), **types, env={})
    assert len(loaded.departments) == 30
    assert [d.covers for d in loaded.departments] == [(), *((f"desk-{n}",) for n in range(1, 30))]


def test_labels_and_covers_that_do_not_meet_are_told(five: Configuration) -> None:
    """`uncovered` names the labels that nobody answers for, and the covers that the model doesn't know."""
    labels = ["transportation", "finance", "athletics", "safety"]
    assert uncovered(labels, five) == Coverage(unclaimed=("athletics",), unknown=(("business", "jobs"),))
    assert uncovered(["transportation", "finance", "jobs", "safety"], five) == Coverage((), ())


def test_a_good_file_has_no_warnings(five: Configuration) -> None:
    """A file in which somebody is told, and somebody reads `from`, gives no warning."""
    assert five.warnings == ()


def test_a_sender_that_nobody_reads_is_a_warning(tmp_path: Path, types: dict[str, Any]) -> None:
    """The file loads, and a warning stands at the line of `from`."""
    text = FIVE.replace("{type: letterbox}", "{type: letterbox, address: other@test.example}")
    (warning,) = load(write(tmp_path, text), **types, env={}).warnings
    assert (warning.line, warning.path) == (5, "channels.relay.from")
    assert "no channel reads this mailbox" in warning.what


def test_a_mail_server_that_takes_other_recipients_reads_no_replies(tmp_path: Path, types: dict[str, Any]) -> None:
    """An `smtp_server` reads a sink's `from` only if that is among its recipients, by name or by domain."""
    for recipients, told in (
        ("[]", False),
        ("[contact@test.example]", False),
        ("['@TEST.example']", False),
        ("[other@test.example, elsewhere.example]", True),
    ):
        source = f"{{type: smtp_server, recipients: {recipients}}}"
        warnings = load(write(tmp_path, FIVE.replace("{type: letterbox}", source)), **types, env={}).warnings
        assert [warning.path for warning in warnings] == ["channels.relay.from"] * told


def test_a_source_that_is_switched_off_counts_for_nothing(tmp_path: Path, types: dict[str, Any]) -> None:
    """A type that could take messages in, set up not to, leaves a district without any source: a problem."""
    text = FIVE.replace("{type: letterbox}", "{type: letterbox, open: false}")
    with pytest.raises(ConfigError, match="3: channels: no channel takes messages in"):
        load(write(tmp_path, text), **types, env={})


def test_nobody_told_is_a_warning(tmp_path: Path, types: dict[str, Any]) -> None:
    """Without alerts, or without anybody to tell of urgent messages, the file loads with a warning each."""
    text = FIVE.replace("notify: [{via: relay, to: safety@test.example}]", "").replace("operations: {alerts", "#")
    warnings = load(write(tmp_path, text), **types, env={}).warnings
    assert [warning.path for warning in warnings] == ["operations.alerts", "routing.urgent.notify"]


def test_two_departments_of_one_name_are_a_warning(tmp_path: Path, types: dict[str, Any]) -> None:
    """The file loads, and a warning stands at the second name."""
    text = FIVE.replace("{name: Teaching,", "{name: buses,")
    (warning,) = load(write(tmp_path, text), **types, env={}).warnings
    assert warning.path == "departments.teaching.name"
    assert "'buses' has this name too" in warning.what


def test_a_language_without_texts_is_a_warning(tmp_path: Path, types: dict[str, Any]) -> None:
    """A form has no texts in French: the warning stands at the language, and none at those it has."""
    text = FIVE.replace("timezone:", "languages: [en, es, fr], timezone:").replace(
        "channels:\n", "channels:\n  contact: {type: web_form}\n  more: {type: web_form}\n", 1
    )
    (warning,) = load(write(tmp_path, text), **types, env={}).warnings
    assert warning.path == "organization.languages[2]"
    assert "web_form has no texts in 'fr'" in warning.what


def test_secrets_are_named_not_held(tmp_path: Path, types: dict[str, Any]) -> None:
    """A loaded configuration shows where a secret is, and neither it nor the secret's place shows the value."""
    text = FIVE.replace("rate: 30/min", "password_env: RELAY_PASSWORD")
    text += "store: {url: 'postgresql://signpost@db/signpost', password_env: DB_PASSWORD}\n"
    env = {"RELAY_PASSWORD": "hunter2", "DB_PASSWORD": "p@ss/word"}
    loaded = load(write(tmp_path, text), **types, env=env)
    settings: Any = loaded.channels["relay"].settings
    secret = settings.secret("password")
    assert secret == Secret(env="RELAY_PASSWORD")
    assert secret.read(env) == "hunter2"
    assert "hunter2" not in f"{loaded} {loaded!r} {settings!r} {secret!r} {settings.model_dump()}"
    assert loaded.store.url_with_password(env) == "postgresql://signpost:p%40ss%2Fword@db/signpost"
    assert "word@" not in repr(loaded)


def test_secrets_need_not_be_there_for_commands_that_connect_to_nothing(tmp_path: Path, types: dict[str, Any]) -> None:
    """With `secrets=False` an unset variable is no problem; without, it is one."""
    path = write(tmp_path, FIVE.replace("rate: 30/min", "password_env: RELAY_PASSWORD"))
    assert load(path, **types, env={}, secrets=False).channels["relay"].type == "van"
    with pytest.raises(ConfigError, match="RELAY_PASSWORD isn't set"):
        load(path, **types, env={})


def test_a_secret_file_is_read_when_the_file_is_checked(tmp_path: Path, types: dict[str, Any]) -> None:
    """An empty secret file is a problem at its line; nothing of a secret is in the traceback of any problem."""
    secret = tmp_path / "secret"
    path = write(tmp_path, FIVE.replace("rate: 30/min", f"password_file: {secret}"))
    secret.write_bytes(b"hunter2\xff\n")
    with pytest.raises(ConfigError, match="isn't UTF-8") as caught:
        load(path, **types, env={})
    assert "xff" not in "".join(traceback.format_exception(caught.value))
    secret.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        load(path, **types, env={})
    secret.write_text("hunter2\n")
    settings: Any = load(path, **types, env={}).channels["relay"].settings
    assert settings.secret("password").read() == "hunter2"
