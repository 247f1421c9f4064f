"""A daemon in this process, reloaded: what stays the same object, what goes, and that nothing is kept behind."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import socket
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial

import pytest
from ruamel.yaml import YAML

from channels.smtp import SmtpSink
from classifiers._artifact import pack
from classifiers.linear import CLASSIFIER, LinearSettings
from config.files import files_of
from config.load import load
from router.app import Daemon
from router.errors import SignpostError
from router.files import FileWatch
from router.interfaces import Example, ModelInput, SystemClock
from router.notify import Notify
from router.testing import until, within
from router.web.front import Behind
from tests.integration.dovecot import make_certificate

# What a configuration at work is made of: of each kind there are never more than of the present one and its successor.
MADE = ("Shift", "Parts", "Behind", "Application", "DecideStage", "SmtpSink", "MaildirSource", "SmtpServer", "Task")


@pytest.fixture(scope="module")
def model():
    """A model of two labels, learnt in a moment, as the registry takes one."""
    words = {"buses": "bus route stop driver late", "meals": "lunch menu tray milk pizza"}
    examples = [
        Example(input=ModelInput(subject="", body=f"{word} {other}"), department=label)
        for label, text in words.items()
        for word in text.split()
        for other in text.split()
    ]
    settings = LinearSettings(augment=False, folds=2)
    data = pack(CLASSIFIER.train(examples, [], settings, lambda _what, _share: None, seed=0))
    return data, hashlib.sha256(data).hexdigest()


class Site:
    """A daemon and its configuration."""

    def __init__(self, folder, store_url, port, model, rng, log):
        self.path = folder / "signpost.yaml"
        self.secret = folder / "secret"
        self.secret.write_text("first")
        self.configuration = {
            "organization": {
                "name": "Two Desks",
                "public_url": "https://d.example",
                "timezone": "America/Chicago",
                "languages": ["en"],
            },
            "store": {"url": store_url.replace("postgres:@", "postgres@")},  # there is no password
            "http": {"listen": f"127.0.0.1:{port}"},
            "routing": {"fallback": "office", "target_error": 0.05},
            "channels": {
                "contact": {"type": "web_form"},
                "mail-in": {"type": "smtp_server", "listen": "127.0.0.1:0"},
                "old-mail": {"type": "maildir", "path": f"{folder}/in", "mailbox": "INBOX", "poll": "1h"},
                "relay": {
                    "type": "smtp",
                    "host": "127.0.0.1",
                    "tls": "none",
                    "from": "contact@d.example",
                    "username": "u",
                    "password_file": str(self.secret),
                },
                "shelf": {"type": "maildir", "path": f"{folder}/out"},
            },
            "departments": {
                "office": {"name": "Office", "covers": [], "deliver": [{"via": "shelf", "to": "office"}]},
                "buses": {"name": "Buses", "deliver": [{"via": "relay", "to": "b@d.example"}]},
                "meals": {"name": "Meals", "deliver": [{"via": "shelf", "to": "meals"}]},
            },
        }
        self.write()
        self.daemon = Daemon(
            load(self.path),
            provide=lambda: model,
            rng=rng,
            log=log,
            clock=SystemClock(),
            notify=Notify(),
            read=partial(load, self.path),
            watch=FileWatch(partial(files_of, self.path)),
        )

    def write(self):
        """Write the configuration."""
        with self.path.open("w", encoding="utf-8") as file:
            YAML().dump(self.configuration, file)

    @property
    def parts(self):
        """What is at work."""
        return self.daemon._shift.parts

    async def reload(self):
        """Write the configuration and have it used; return what changed."""
        self.write()
        outcome = await self.daemon._reload()
        assert outcome["applied"], outcome
        return outcome

    async def seen_off(self):
        """Return when former parts have ended."""
        await until(lambda: not self.daemon._tasks.running("ending"))


@asynccontextmanager
async def running(site):
    """Run the daemon while the block runs."""
    task = asyncio.create_task(site.daemon.run())
    try:
        await until(lambda: site.daemon._reloads or task.done())
        yield
        site.daemon.stop()
        await within(task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def site(tmp_path, store_url, free_port, model, rng, log):
    """A daemon that runs, on either kind of store."""
    made = Site(tmp_path, store_url, free_port, model, rng, log)
    async with running(made):
        yield made


async def test_what_is_the_same_goes_on(site):
    """Another department and a rule leave every source, sink, breaker and connection as they were, and the model."""
    before = site.parts
    pids = before.parsers.pids()
    site.configuration["departments"]["sports"] = {"name": "Sports", "deliver": [{"via": "shelf", "to": "sports"}]}
    site.configuration["rules"] = [{"name": "ball", "when": {"text": "football"}, "to": "sports"}]
    outcome = await site.reload()
    await site.seen_off()
    assert (outcome["started"], outcome["stopped"], outcome["changed"]) == ([], [], [])
    assert site.parts is not before
    assert site.parts.sources == before.sources
    assert site.parts.outlets == before.outlets
    assert site.parts.serving is before.serving
    assert site.parts.parsers.pids() == pids
    assert site.parts.desks.name("sports") == "Sports"
    assert {outlet.dispatcher.forwarding for outlet in site.parts.outlets.values()} == {site.parts.forwarding}
    assert before.stage not in site.parts.deciding
    assert set(site.parts.sending) == {outlet.dispatcher for outlet in site.parts.outlets.values()}


async def test_a_new_secret_is_a_change_of_its_channel_alone(site):
    """A password that is exchanged on disk makes a new sink; the others stay."""
    before = site.parts
    site.secret.write_text("second")
    outcome = await site.reload()
    await site.seen_off()
    assert outcome["changed"] == ["relay"]
    assert site.parts.outlets["relay"] is not before.outlets["relay"]
    assert site.parts.outlets["shelf"] is before.outlets["shelf"]
    assert site.parts.sources == before.sources
    assert set(site.parts.sending) == {outlet.dispatcher for outlet in site.parts.outlets.values()}


async def test_what_lasts_follows(site):
    """Who is told, how sure the model must be, and how the channels are looked after."""
    site.configuration["operations"] = {"alerts": [{"via": "shelf", "to": "it"}]}
    site.configuration["routing"]["target_error"] = 0.2
    del site.configuration["channels"]["old-mail"]
    await site.reload()
    assert site.parts.serving._target_error == 0.2
    assert [destination.to for destination in site.parts.alerts._operations] == ["it"]
    assert {name for name, _ in site.parts.lives.watched} == {"contact", "mail-in", "relay", "shelf"}


async def test_what_fails_while_it_is_made_leaves_everything(site, monkeypatch):
    """It is told; what was made is closed again, what is at work isn't, and the next reload may do better."""
    before, closed = site.parts, []

    async def fails(_self):
        raise RuntimeError("no")

    async def close(sink):
        closed.append(sink)

    site.configuration["channels"]["relay"]["connections"] = 9
    site.write()
    with monkeypatch.context() as patched:
        patched.setattr(Behind, "prepare", fails)
        patched.setattr(SmtpSink, "aclose", close)
        outcome = await site.daemon._reload()
    assert (outcome["applied"], outcome["problems"]) == (False, ["RuntimeError: see the log"])
    assert site.parts is before
    assert len(closed) == 1
    assert closed != [before.outlets["relay"].sink.sink]
    assert (await site.daemon._reload())["changed"] == ["relay"]


async def greeting(port):
    """Connect as a mail server does; return the greeting, after a polite goodbye."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    line = await within(reader.readline())
    writer.write(b"QUIT\r\n")
    await within(reader.read())
    writer.close()
    return line[:4]


@pytest.fixture
async def listener(site, free_port):
    """The settings of the listener, which is on a port of its own; the daemon runs with them."""
    settings = site.configuration["channels"]["mail-in"]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings["listen"] = f"127.0.0.1:{port}"
    await site.reload()
    assert await greeting(port) == b"220 "
    return settings


async def test_no_mail_server_is_refused_when_a_listener_changes(site, listener):
    """Connections one after the other, through reloads that exchange it and rename it: all are greeted."""
    port, over, greeted = int(listener["listen"].rpartition(":")[2]), asyncio.Event(), []

    async def knock():
        while not over.is_set():
            greeted.append(await greeting(port))

    knocking = [asyncio.create_task(knock()) for _ in range(3)]
    channels = site.configuration["channels"]
    for number in range(12):
        channels["mail-in"]["max_connections"] = 20 + number
        await site.reload()
    channels["incoming"] = channels.pop("mail-in")
    assert (await site.reload())["started"] == ["incoming"]
    over.set()
    await within(asyncio.gather(*knocking))
    assert len(greeted) > 12
    assert set(greeted) == {b"220 "}

    channels["incoming"]["listen"] = f"0.0.0.0:{port}"  # the former one is in its way
    await site.reload()
    await until(lambda: site.parts.sources["incoming"].source.port == port)
    assert await greeting(port) == b"220 "


async def test_a_listener_that_could_not_run_leaves_the_former_one(site, listener):
    """A port that another program has: nothing of the file is used, it is told, and mail comes in as before."""
    port, before = int(listener["listen"].rpartition(":")[2]), site.parts
    with socket.create_server(("127.0.0.1", 0)) as other:
        listener["listen"] = f"127.0.0.1:{other.getsockname()[1]}"
        site.configuration["channels"]["third"] = {"type": "smtp_server", "listen": f"127.0.0.2:{port}"}
        site.write()
        outcome = await site.daemon._reload()
    assert outcome["problems"] == [f"channels.mail-in: can't listen on {listener['listen']}: address already in use"]
    assert site.parts is before
    assert await greeting(port) == b"220 "
    with socket.create_server(("127.0.0.2", port)):
        pass  # what was made ready is let go


async def test_a_certificate_that_is_only_half_renewed(site, listener, tmp_path):
    """The new certificate with the old key is of no use: what ran before goes on, until the key is there, too."""
    make_certificate(tmp_path)
    listener |= {"tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    await site.reload()
    port, key = int(listener["listen"].rpartition(":")[2]), (tmp_path / "key.pem").read_bytes()
    make_certificate(tmp_path)
    new_key = (tmp_path / "key.pem").read_bytes()
    (tmp_path / "key.pem").write_bytes(key)
    outcome = await site.daemon._reload()
    assert not outcome["applied"]
    assert "certificate" in outcome["problems"][0]
    assert await greeting(port) == b"220 "
    (tmp_path / "key.pem").write_bytes(new_key)
    assert (await site.daemon._reload())["changed"] == ["mail-in"]
    assert await greeting(port) == b"220 "


async def test_no_reload_begins_at_the_end(site):
    """Once the daemon stops, what it drains is what it has."""
    before = site.parts
    site.daemon._stop.set()
    with pytest.raises(SignpostError, match="stopping"):
        await site.daemon._apply(load(site.path))
    assert site.parts is before


async def test_nothing_is_kept_behind(site):
    """After many reloads that exchange channels there are as many parts and tasks as after few."""

    async def some(count):
        for number in range(count):
            site.configuration["channels"]["relay"]["connections"] = 1 + number % 2
            site.configuration["channels"]["old-mail"]["poll"] = f"{1 + number % 2}h"
            site.configuration["channels"]["mail-in"]["max_connections"] = 10 + number % 2
            assert (await site.reload())["changed"] == ["mail-in", "old-mail", "relay"]
        await site.seen_off()
        await until(lambda: len(site.daemon._tasks.running("source-mail-in", "source-old-mail")) == 2)
        gc.collect()
        return Counter(type(each).__name__ for each in gc.get_objects() if type(each).__name__ in MADE)

    site.configuration["channels"]["relay"]["connections"] = 7
    site.configuration["channels"]["old-mail"]["poll"] = "7h"
    site.configuration["channels"]["mail-in"]["max_connections"] = 7
    await site.reload()
    few, many = await some(4), await some(12)
    assert many <= few + Counter({"Task": 3})
