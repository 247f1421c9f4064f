"""`kill -9` at the places that only some messages pass: mailboxes, texts, misroutes, a change of models."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest

from router.failpoints import VARIABLE
from tests.acceptance.daemon import free_port, until
from tests.acceptance.district import ADDRESSES, district, steer
from tests.acceptance.senders import NotTaken, by_form, form_message, insist, mail_message
from tests.acceptance.test_faults import all_arrived
from tests.acceptance.test_models import command, registered, serves, versions  # noqa: F401  a fixture is among them
from tests.integration.dovecot import PASSWORD, USER
from tests.integration.fake_twilio import ACCOUNT, NUMBER, TOKEN, fake_twilio, sign
from tests.torture.books import Books, die_at, died
from tests.torture.test_places import sound

BUSES, TECHNOLOGY = ADDRESSES["transportation"], ADDRESSES["technology"]
PHONE = "+15555550123"


def with_mailbox(configuration, port):
    """Let a district read a mailbox on Dovecot, all of it; return the variable that its password is in."""
    channel = {"type": "imap", "host": "127.0.0.1", "port": port, "tls": "none", "username": USER, "start": "all"}
    configuration["channels"]["mailbox"] = channel | {"password_env": "MAILBOX_PASSWORD"}
    return {"MAILBOX_PASSWORD": PASSWORD}


def with_texts(configuration, api_base=""):
    """Let a district have a text line, by default one whose list nobody can read; return its token's variable."""
    channel = {"type": "twilio_sms", "account_sid": ACCOUNT, "auth_token_env": "TWILIO", "from_number": NUMBER}
    channel["api_base"] = api_base or f"http://127.0.0.1:{free_port()}"
    configuration["channels"]["text-line"] = channel
    return {"TWILIO": TOKEN}


@asynccontextmanager
async def by_text(daemons, folder, relay):
    """Run a double of Twilio; yield it, a daemon that sends what is for technology by text, and its books."""
    async with fake_twilio() as twilio:
        twilio.now = datetime.now(UTC)
        configuration = district(folder, relay.port)
        texts = with_texts(configuration, twilio.base)
        configuration["departments"]["technology"]["deliver"] = [{"via": "text-line", "to": PHONE}]
        daemon = daemons(folder, configuration, **texts)
        yield twilio, daemon, Books(daemon, relay)


@pytest.mark.case("D02")
async def test_killed_when_the_mails_are_flagged(daemons, tmp_path, relay, collector, ledger, dovecot, rounds, tally):
    """The mails are marked as read and the position isn't stored: none is lost, none is taken twice."""
    configuration = district(tmp_path, relay.port)
    daemon = daemons(tmp_path, configuration, **with_mailbox(configuration, dovecot.port))
    books, doubted, kills = Books(daemon, relay), 0, rounds(quick=1, long=20)
    for _ in range(kills):
        for _ in range(3):
            token, data = mail_message(ledger, BUSES, steer("transportation"))
            dovecot.deliver(data)
            ledger.acked.add(token)
        daemon.set_env(**{VARIABLE: "flagged=kill"})
        await daemon.start(ready=False)  # the mails wait there: it may die before it is ready
        await died(daemon)
        doubted += await books.note_doubts()
        await daemon.start()
        await all_arrived(collector, ledger, 90)
        await books.settled()
        await daemon.kill()
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=2 * kills, ambiguous=doubted, copies=audit.copies, **sound(audit))
    assert audit.copies == doubted
    assert books.number("SELECT count(*) FROM messages") == len(ledger.acked)


@pytest.mark.case("D02")
async def test_killed_when_a_text_is_posted(daemons, tmp_path, relay, ledger, rounds, tally):
    """Twilio has the text and its answer was never read: it is found there, and not sent again."""
    kills = rounds(quick=1, long=20)
    async with by_text(daemons, tmp_path, relay) as (twilio, daemon, books):
        for _ in range(kills):
            token, fields = form_message(ledger, PHONE, steer("technology"))
            await die_at(daemon, "text_posted")
            await insist(lambda: by_form(daemon.url, fields, key=token))  # noqa: B023  awaited at once
            await died(daemon)
            await daemon.start()
            await books.settled()
            await daemon.kill()
        arrived = {message["body"] for message in twilio.messages}
    copies = len(twilio.messages) - len(arrived)
    tally(messages=kills, faults=2 * kills, ambiguous=kills, lost=kills - len(arrived), copies=copies)
    assert len(arrived) == kills
    assert copies == 0


@pytest.mark.case("D02")
async def test_killed_when_news_of_a_text_is_stored(daemons, tmp_path, relay, ledger, rounds, tally):
    """Twilio got no answer and says it again: the text that wasn't delivered counts as that once."""
    kills = rounds(quick=1, long=20)
    async with by_text(daemons, tmp_path, relay) as (twilio, daemon, books):
        for n in range(kills):
            token, fields = form_message(ledger, PHONE, steer("technology"))
            await die_at(daemon, "callback_stored")
            await by_form(daemon.url, fields, key=token)
            await until(lambda: len(twilio.messages) > n, 60, "it is sent")  # noqa: B023  awaited at once
            await books.settled()
            last = "FROM deliveries WHERE via = 'text-line' ORDER BY id DESC LIMIT 1"
            delivery, attempt = books.number(f"SELECT id {last}"), books.number(f"SELECT fence {last}")
            news = f"{daemon.url}/webhooks/text-line/status?delivery={delivery}&attempt={attempt}"
            with pytest.raises(aiohttp.ClientError):
                await _report(news, twilio.messages[-1]["sid"])
            await died(daemon)
            await daemon.start()
            known = books.number("SELECT count(*) FROM deliveries")
            assert books.number(f"SELECT count(*) FROM deliveries WHERE id = {delivery} AND state = 'delivered'") == 0
            assert await _report(news, twilio.messages[-1]["sid"]) == 204
            assert books.number("SELECT count(*) FROM deliveries") == known
            await daemon.kill()
    tally(messages=kills, faults=kills, lost=kills - len(twilio.messages), copies=0)


async def _report(url, sid):
    """Say as Twilio does that a text wasn't delivered, for good; return the status."""
    said = {"MessageSid": sid, "MessageStatus": "undelivered", "ErrorCode": "30005", "To": PHONE}
    headers = {"X-Twilio-Signature": sign(url, list(said.items()))}
    async with aiohttp.ClientSession() as client, client.post(url, data=said, headers=headers) as answer:
        return answer.status


@pytest.mark.case("D02")
async def test_killed_when_a_misroute_is_stored(daemons, tmp_path, relay, collector, ledger, rounds, tally):
    """Whoever pressed the button got no answer and presses it again: the message has moved, once."""
    daemon = daemons(tmp_path, district(tmp_path, relay.port))
    books, kills = Books(daemon, relay), rounds(quick=1, long=20)
    for n in range(kills):
        token, fields = form_message(ledger, BUSES, steer("transportation"))
        await die_at(daemon, "corrected")
        await by_form(daemon.url, fields, key=token)
        [arrival] = await until(lambda: collector.at(BUSES, token), 60, "it arrives")  # noqa: B023
        link = arrival["X-Signpost-Misroute"]
        with pytest.raises(NotTaken):
            await _flag(link)
        await died(daemon)
        doubted = await books.note_doubts()
        await daemon.start()
        assert await _flag(link) == 200
        await books.settled()
        await daemon.kill()
        moved = collector.at(TECHNOLOGY)
        assert len(moved) == n + 1 + doubted
        assert books.number("SELECT count(*) FROM corrections") == n + 1
    tally(messages=kills, faults=2 * kills, lost=kills - len(collector.at(TECHNOLOGY)), copies=0)


async def _flag(link):
    try:
        async with aiohttp.ClientSession() as client, client.post(link, data={"department": "technology"}) as answer:
            return answer.status
    except aiohttp.ClientError as error:
        raise NotTaken(str(error)) from error


@pytest.mark.case("D02")
async def test_killed_when_another_model_is_the_champion(
    daemons,
    tmp_path,
    relay,
    collector,
    ledger,
    versions,  # noqa: F811  the fixture
    rounds,
    tally,
):
    """Promoted and not yet serving when it dies: after the start the new one serves, and messages are routed."""
    configuration = district(tmp_path, relay.port)
    first, second = await registered(configuration["store"]["url"], versions, "one", "two")
    daemon = daemons(tmp_path, configuration)
    books, kills = Books(daemon, relay), rounds(quick=1, long=20)
    for _ in range(kills):
        await die_at(daemon, "promoted")
        token, fields = form_message(ledger, BUSES, steer("transportation"))
        await by_form(daemon.url, fields, key=token)
        ledger.acked.add(token)
        with pytest.raises(Exception):  # noqa: B017, PT011  whatever becomes of a question to a daemon that dies
            await command(daemon, "models_promote", version=second)
        await died(daemon)
        await books.note_doubts()
        await daemon.start()
        await until(lambda: serves(daemon) == second, 60, "the second serves")
        await books.settled()
        await command(daemon, "models_rollback")
        await until(lambda: serves(daemon) == first, 60, "the first serves again")
        await daemon.kill()
    audit = await all_arrived(collector, ledger, 10)
    copies, doubted = audit.copies, len(books.doubted)
    tally(messages=kills, faults=2 * kills, ambiguous=doubted, copies=copies, **sound(audit))
    assert copies <= doubted


@pytest.mark.case("D02")
async def test_killed_when_a_model_is_stored_and_not_registered(
    daemons,
    tmp_path,
    relay,
    collector,
    ledger,
    versions,  # noqa: F811  the fixture
    rounds,
    tally,
):
    """Nobody sees half a model: the one before serves on, and the next that is registered leaves nothing behind."""
    configuration = district(tmp_path, relay.port)
    [first] = await registered(configuration["store"]["url"], versions, "one")
    daemon = daemons(tmp_path, configuration)
    books, kills = Books(daemon, relay), rounds(quick=1, long=20)
    for n in range(kills):
        lost, kept = versions(f"lost {n}", first), versions(f"kept {n}", first)
        await die_at(daemon, "model_stored")
        token, fields = form_message(ledger, BUSES, steer("transportation"))
        await by_form(daemon.url, fields, key=token)
        ledger.acked.add(token)
        with pytest.raises(Exception):  # noqa: B017, PT011  whatever becomes of a question to a daemon that dies
            await register(daemon, tmp_path, lost, first)
        await died(daemon)
        await books.note_doubts()
        await daemon.start()
        assert serves(daemon) == first
        assert books.number("SELECT count(*) FROM models WHERE version = ?", lost.version) == 0
        await register(daemon, tmp_path, kept, first)
        await books.settled()
        await daemon.kill()
        unknown = "SELECT count(*) FROM model_artifacts WHERE version NOT IN (SELECT version FROM models)"
        assert books.number(unknown) == 0
    audit = await all_arrived(collector, ledger, 10)
    doubted = len(books.doubted)
    tally(messages=kills, faults=2 * kills, ambiguous=doubted, copies=audit.copies, **sound(audit))
    assert audit.copies <= doubted


async def register(daemon, folder, model, parent):
    """Hand a model over as `signpost train` does, but not to serve."""
    path = folder / "trained.model"
    path.write_bytes(model.artifact)
    told = {"path": str(path), "sha256": model.sha256, "verdict": model.verdict.to_json(), "parent": parent}
    await command(daemon, "models_register", **told, promote=False)
