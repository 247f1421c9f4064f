"""A district for acceptance tests: three ways in, a mail server and Maildirs as ways out, and rules to steer by."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.daemon import free_port
from tests.acceptance.ledger import Arrival

FALLBACK = "office@maple.example"
ADDRESSES = {
    "front-office": FALLBACK,
    "transportation": "buses@maple.example",
    "food-services": "meals@maple.example",
    "technology": "technology@maple.example",
    "enrollment": "enrollment",  # the name of a Maildir
}
ALERTS = "it"  # a Maildir too: people are told even while the mail server is down


def steer(department):
    """Return the words that make a rule send a message to a department."""
    return f"for the {department} desk"


def district(folder, relay_port, **sections):
    """Return a configuration whose files are all under `folder`; `sections` replace or add whole sections."""
    web = free_port()
    return {
        "organization": {
            "name": "Maple Valley School District",
            "public_url": f"http://127.0.0.1:{web}",
            "timezone": "America/Chicago",
            "languages": ["en", "es"],
        },
        "store": {"url": f"sqlite:///{folder}/signpost.db"},
        "http": {"listen": f"127.0.0.1:{web}"},
        "operations": {"alerts": [{"via": "shelf", "to": ALERTS}]},
        "routing": {
            "fallback": "front-office",
            "loops": {"per_sender": "100000/h"},  # tests send thousands of mails in one name
            "urgent": {"notify": [{"via": "relay", "to": "safety@maple.example"}]},
        },
        "channels": {
            "contact": {"type": "web_form"},
            "mail-in": {"type": "smtp_server", "listen": f"127.0.0.1:{free_port()}"},
            "old-mail": {"type": "maildir", "path": f"{folder}/old-mail", "mailbox": "INBOX", "poll": "200ms"},
            "shelf": {"type": "maildir", "path": f"{folder}/shelf"},
            "relay": relay(relay_port),
        },
        "departments": {name: _department(name, to) for name, to in ADDRESSES.items()},
        "rules": [{"name": f"to-{name}", "when": {"text": steer(name)}, "to": name} for name in ADDRESSES],
    } | sections


def relay(port, **settings):
    """Return the settings of a mail server on this machine that takes our mail."""
    common = {"type": "smtp", "host": "127.0.0.1", "port": port, "tls": "none", "from": "contact@maple.example"}
    return common | settings


def _department(name, to):
    via = "relay" if "@" in to else "shelf"
    covers = {"covers": []} if name == "front-office" else {}
    return {"name": name.replace("-", " ").title(), "deliver": [{"via": via, "to": to}]} | covers


def smtp_port(configuration):
    """Return the port on which mail comes in."""
    return int(configuration["channels"]["mail-in"]["listen"].rpartition(":")[2])


class Collector:
    """Everything that came out: mail servers (as they are started) and the Maildirs."""

    def __init__(self, folder):
        self._shelf = Path(folder) / "shelf"
        self._servers = []  # with what was collected from each
        self._on_shelf = {}

    def add(self, server):
        """Collect from another mail server, too."""
        self._servers.append((server, []))
        return server

    @property
    def arrivals(self):
        """Return what has arrived so far."""
        for server, collected in self._servers:
            collected += [Arrival(mail.recipient, mail.data) for mail in server.mails[len(collected) :]]
        by_mail = [arrival for _server, collected in self._servers for arrival in collected]
        boxes = self._shelf.iterdir() if self._shelf.exists() else ()
        return by_mail + [arrival for box in sorted(boxes) for arrival in self.on_shelf(box.name)]

    def on_shelf(self, name):
        """Return what lies in one Maildir."""
        files = sorted((self._shelf / name).glob("new/*"))
        for file in files:
            if file not in self._on_shelf:
                self._on_shelf[file] = Arrival(name, file.read_bytes())
        return [self._on_shelf[file] for file in files]

    def at(self, recipient, token=""):
        """Return what arrived at one recipient, oldest first."""
        return [each for each in self.arrivals if each.recipient == recipient and token in each.token]
