"""Which files a configuration consists of."""

from __future__ import annotations

from pathlib import Path

import pytest

from channels.smtp import SmtpSettings
from channels.smtp_server import SmtpServerSettings
from config.files import files_of, named_in, store_url_of
from router.errors import ConfigError

TEXT = """
store: {url: "sqlite:///var/x.db", password_file: run/db}
channels:
  in: {type: imap, oauth: {client_secret_file: /run/o, key: not-a-file}, password_env: NOT_A_FILE}
  out: {type: smtp, password_file: "", tls_cert: cert.pem, tls_key: key.pem}
departments: [{deliver: [{ca_file: deep}]}]
"""


def test_every_file_that_is_named_counts(tmp_path):
    """Secrets and certificates anywhere in the file, and the file itself; in a file with problems, too."""
    path = tmp_path / "signpost.yaml"
    path.write_text(TEXT)
    named = {"run/db", "/run/o", "cert.pem", "key.pem", "deep"}
    assert set(files_of(path)) == {path, *map(Path, named)}


@pytest.mark.parametrize("text", [None, "", "a: [", "- list"])
def test_what_is_no_configuration_names_nothing(tmp_path, text):
    """A file that isn't there, or isn't YAML, is watched all the same."""
    path = tmp_path / "signpost.yaml"
    if text is not None:
        path.write_text(text)
    assert files_of(path) == [path]


def test_settings_name_files_as_the_text_does():
    """So that a channel whose certificate or password is exchanged counts as changed."""
    relay = SmtpSettings(
        **{"host": "localhost", "from": "a@d.example", "username": "a", "password_file": "pw", "ca_file": "ca.pem"}
    )
    assert named_in(relay) == [Path("ca.pem"), Path("pw")]
    assert named_in(SmtpServerSettings(tls_cert="c", tls_key="k")) == [Path("c"), Path("k")]
    assert named_in(SmtpServerSettings()) == []


def test_a_credential_is_looked_for_where_the_service_has_it(tmp_path, monkeypatch):
    """As when the secret is read."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "imap").write_text("secret")
    assert named_in({"password_file": "imap"}) == [tmp_path / "imap"]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (TEXT, "sqlite:///var/x.db"),
        ("store: {url: 7}\nrouting: 3", "sqlite:///var/signpost.db"),
        ("store: [x]", "sqlite:///var/signpost.db"),
        ("rules: []", "sqlite:///var/signpost.db"),
    ],
)
def test_the_store_is_found_despite_other_problems(tmp_path, text, url):
    """So that commands reach a daemon that runs with an earlier configuration."""
    path = tmp_path / "signpost.yaml"
    path.write_text(text)
    assert store_url_of(path) == url


def test_the_store_of_what_is_no_yaml_is_not_known(tmp_path):
    """Then the problem is told."""
    path = tmp_path / "signpost.yaml"
    path.write_text("store: [")
    with pytest.raises(ConfigError):
        store_url_of(path)
