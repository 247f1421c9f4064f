"""What may be learnt from, as operators see it: audits, votes, floods and disagreement in a running daemon."""

from __future__ import annotations

import aiohttp
import pytest

from router import control
from router.control import socket_path
from router.learning import turn
from router.store.engine import open_store
from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, district, steer
from tests.acceptance.senders import by_form, form_message
from tests.unit.router.commandline import write_rows

BUSES, TECHNOLOGY = ADDRESSES["transportation"], ADDRESSES["technology"]
LABELS = {"buses": "transportation", "meals": "food-services", "rooms": "technology"}
JO, KIM = "jo@maple.example", "kim@maple.example"


@pytest.fixture
async def daemon(daemons, tmp_path, relay):
    """A running daemon that audits every message and takes more than two flags an hour from one address for a flood.

    Rules decide where these messages go; so that no model of thousands of messages need be trained, it has a small one.
    """
    learning = {"audit_rate": 1.0, "caps": {"flags_per_hour": 2}}
    made = daemons(tmp_path, district(tmp_path, relay.port, learning=learning))
    store = open_store(made.configuration["store"]["url"])
    await store.open()
    await store.close()
    rows = write_rows(tmp_path / "rows.jsonl", label_of=lambda label, _rng: LABELS[label])
    trained = await made.command("train", "--no-corpus", "--data", rows)
    assert trained.status == 0, trained.err
    await made.start()
    return made


@pytest.fixture
def send(daemon, collector, ledger):
    """Send a message that goes to the buses, and return it as it arrived there."""

    async def sent():
        token, fields = form_message(ledger, BUSES, steer("transportation"))
        await by_form(daemon.url, fields)
        await until(lambda: collector.at(BUSES, token), 60, "a mail at the buses")
        return collector.at(BUSES, token)[-1]

    return sent


async def at(collector, recipient, count):
    """Wait until so many mails have arrived at one recipient, and return the last."""
    await until(lambda: len(collector.at(recipient)) >= count, 60, lambda: f"{count} mails at {recipient}")
    return collector.at(recipient)[-1]


async def post(url, **form):
    """Press a button, and return the status of the page that follows."""
    async with aiohttp.ClientSession() as client, client.post(url, data=form) as answer:
        return answer.status


async def metric(daemon, name):
    """Return the value of a metric."""
    async with aiohttp.ClientSession() as client, client.get(f"{daemon.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")))


async def test_audits_tell_how_often_messages_go_wrong(daemon, collector, send):
    """Two of three are labelled as right, one as wrong and nobody flagged it: rate, status and metrics agree."""
    ids = [(await send())["X-Signpost-Message"] for _ in range(3)]
    waiting = await daemon.ask("audit", "list")
    assert sorted(row["id"] for row in waiting) == sorted(ids)
    assert not any("department" in row for row in waiting)
    for message_id, department in zip(ids, ("technology", "transportation", "transportation"), strict=True):
        told = await daemon.ask("audit", "answer", message_id, department, "--by", JO)
        assert told["misrouted"] == (department == "technology")
    rate = await daemon.ask("audit", "rate")
    assert (rate["audited"]["n"], rate["audited"]["rate"], rate["flagged"]["flagged"]) == (3, 0.3333, 0)
    assert rate["audited"]["per_channel"]["contact"]["interval"] == rate["audited"]["interval"]
    status = await daemon.status()
    assert status["misroutes"]["audited"]["rate"] == 0.3333
    assert await metric(daemon, 'signpost_misroute_rate_audited{bound="estimate"}') == 0.3333
    assert await metric(daemon, 'signpost_misroute_rate_audited{bound="high"}') == rate["audited"]["interval"][1]
    assert await metric(daemon, 'signpost_audits{state="waiting"}') == 0
    assert len(collector.at(BUSES)) == 3
    assert collector.at(TECHNOLOGY) == []


async def test_two_votes_confirm_until_an_address_floods(daemon, collector, send):
    """The first pair of votes confirms; when more come from one address than people press, votes count no more."""
    states = []
    for number in range(1, 4):
        mail = await send()
        assert await post(mail["X-Signpost-Misroute"], department="technology") == 200
        second = await at(collector, TECHNOLOGY, number)
        assert await post(f"{second['X-Signpost-Misroute']}/ours") == 200
        [said] = [
            row for row in await daemon.ask("corrections", "list") if row["message_id"] == mail["X-Signpost-Message"]
        ]
        states.append((said["state"], said["confirmed_via"]))
    assert states == [("confirmed", "votes"), ("confirmed", "votes"), ("proposed", "")]
    alert = await at(collector, ALERTS, 1)
    assert "flags and votes from" in alert["Subject"]
    [flooding, *_more] = await until(lambda: daemon.events("flags_flooding"), 60, "a line in the log")
    assert flooding["flags"] == 3
    assert "@" not in str(flooding)


async def test_a_command_trains_only_when_nobody_else_does(daemon, tmp_path):
    """The running daemon gives the turn; while somebody has it the command says so, and afterwards it trains."""
    rows = write_rows(tmp_path / "more.jsonl", count=50, label_of=lambda label, _rng: LABELS[label])
    path = socket_path(daemon.configuration["store"]["url"])
    await control.ask(path, turn.COMMAND, {"step": turn.BEGIN})
    refused = await daemon.command("train", "--no-corpus", "--data", rows)
    assert refused.status == 1
    assert "another training is under way" in refused.err
    await control.ask(path, turn.COMMAND, {"step": turn.END})
    trained = await daemon.command("train", "--no-corpus", "--data", rows)
    assert "It is registered in the running daemon." in trained.out, trained.err


async def test_a_message_sent_back_is_for_a_person_to_look_at(daemon, collector, send):
    """Both flags are listed as contradicting each other, whichever is confirmed, until one is withdrawn."""
    mail = await send()
    await post(mail["X-Signpost-Misroute"], department="technology")
    second = await at(collector, TECHNOLOGY, 1)
    await post(second["X-Signpost-Misroute"], department="transportation")
    back, there = await daemon.ask("corrections", "list")
    await daemon.ask("corrections", "confirm", back["id"], "--by", JO)
    listed = await daemon.ask("corrections", "list", "--conflicts")
    assert [(row["id"], row["conflicts_with"]) for row in listed] == [
        (back["id"], [f"correction {there['id']}"]),
        (there["id"], [f"correction {back['id']}"]),
    ]
    [withdrawn] = await daemon.ask("corrections", "withdraw", there["id"], "--by", KIM)
    assert (withdrawn["withdrawn_by"], withdrawn["confirmed_by"]) == (KIM, "")
    assert await daemon.ask("corrections", "list", "--conflicts") == []
    assert len(collector.at(BUSES)) == 2
