"""What the tests of the command line share: a small district in a folder of its own, and a model learnt in a moment."""

from __future__ import annotations

import json
from random import Random

from router.cli import run
from router.store.engine import open_store
from tests.unit.router.district import District

DISTRICT = """\
organization: {{name: Three Desks, public_url: "http://127.0.0.1:{port}", timezone: America/Chicago}}
store: {{url: "sqlite:///var/signpost.db"}}
http: {{listen: "127.0.0.1:{port}"}}
operations: {{alerts: [{{via: out, to: it}}]}}
routing: {{fallback: office, target_error: 0.2, urgent: {{notify: [{{via: out, to: safety}}]}}}}
channels:
  contact: {{type: web_form}}
  out: {{type: maildir, path: var/out}}
departments:
  office: {{name: Office, covers: [], deliver: [{{via: out, to: office}}]}}
  buses: {{name: Buses, deliver: [{{via: out, to: buses}}]}}
  meals-and-rooms: {{name: Meals, covers: [meals, rooms], deliver: [{{via: out, to: meals}}]}}
schools:
  lincoln: {{name: Lincoln Elementary, aliases: [LES], deliver: {{}}}}
rules:
  - {{name: payroll, when: {{text: 'w-?2 form'}}, to: office}}
"""
WORDS = {
    "buses": "bus driver route stop late seat yellow street corner ride morning pickup transport wheel delay ticket",
    "meals": "lunch menu meal milk vegetarian cafeteria tray food pizza breakfast allergy snack kitchen fruit soup",
    "rooms": "heating classroom roof leak window door paint floor carpet light toilet pipe boiler lock wall ceiling",
}


def write_district(folder, port=18080):
    """Write a configuration and return its path."""
    path = folder / "district.yaml"
    path.write_text(DISTRICT.format(port=port))
    return path


async def make_store(folder):
    """Make the district's empty store, as the first start of the daemon does."""
    store = open_store(f"sqlite:///{folder}/var/signpost.db")
    await store.open()
    await store.close()


async def routed(log, rng, *texts, audit=None):
    """Make the district's store in the working directory with these messages, routed; return their ids.

    A text that begins with a department's name goes there. `audit` chooses messages for labelling.
    """
    store = open_store("sqlite:///var/signpost.db")
    await store.open()
    try:
        district = District(store, log, rng)
        district.stage._audit = audit or district.stage._audit
        return [await district.route(text) for text in texts]
    finally:
        await store.close()


def saying(label, rng):
    """Return a message about what a label stands for."""
    return "hello, about the " + " ".join(rng.choices(WORDS[label].split(), k=7))


def write_rows(path, count=40, seed=1, label_of=lambda label, _rng: label):
    """Write labelled messages, `count` about each subject, and return their path."""
    rng = Random(seed)
    rows = [
        {"id": f"{label}-{n}", "channel": "email", "subject": "", "body": saying(label, rng), "department": label}
        for n in range(count)
        for label in WORDS
    ]
    rows = [row | {"department": label_of(row["department"], rng)} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def train_outside(folder):
    """Train on those messages alone and return the model's folder."""
    data = write_rows(folder / "rows.jsonl")
    assert run(["train", "--no-corpus", "--data", str(data), "--out", str(folder / "model")]) == 0
    return folder / "model"
