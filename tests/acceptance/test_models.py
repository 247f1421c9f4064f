"""Models are exchanged while messages flow: nothing is lost, unrouted or doubled, and every daemon follows."""

from __future__ import annotations

from time import monotonic

import pytest

from classifiers._artifact import Artifact
from classifiers.linear import CLASSIFIER, LinearSettings
from router import control
from router.interfaces import Example, ModelInput
from router.learning import registry
from router.learning.train import trained
from router.learning.verdicts import Verdict
from router.store import models
from router.store.engine import open_store
from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, district, smtp_port
from tests.acceptance.reloading import streams
from tests.acceptance.senders import by_form, by_smtp, form_message, mail_message
from tests.acceptance.test_faults import all_arrived
from tests.contract.store_helpers import spoil

BUSES = ADDRESSES["transportation"]
LATE = "The school bus didn't come to our bus stop this morning; the driver of route 12 was 40 minutes late again."
ROUNDS = 20


async def command(daemon, name, **arguments):
    """Ask the daemon as the commands do, without the start of a process."""
    return await control.ask(control.socket_path(daemon.configuration["store"]["url"]), name, arguments)


@pytest.fixture(scope="module")
def versions():
    """Models of the district's departments that answer alike, learnt in a moment."""
    words = {"transportation": LATE, "food-services": "lunch menu cafeteria milk pizza tray breakfast balance"}
    rows = [
        Example(input=ModelInput(subject="", body=f"{one} {other}"), department=label)
        for label, text in words.items()
        for one in text.split()
        for other in text.split()[:9]
    ]
    artifact = CLASSIFIER.train(rows, [], LinearSettings(augment=False, folds=2), lambda _what, _share: None, seed=0)

    def make(remark, parent="", least=0.0):
        meta = {**artifact.meta, "operating_points": [[0.05, least, -1e6, 1.0]], "remark": remark}
        changed = Artifact(artifact.type, artifact.arrays, meta)
        return trained(changed, Verdict(passed=True, sentence="They are the same."), parent)

    return make


async def registered(url, versions, *remarks):
    """Register the first version as champion and the others as challengers while no daemon runs; return their names."""
    store = open_store(url)
    await store.open()
    try:
        first = await registry.register(store, versions(remarks[0]), promote=True)
        rest = [await registry.register(store, versions(each, first.version), promote=False) for each in remarks[1:]]
    finally:
        await store.close()
    return [first.version, *(row.version for row in rest)]


async def send_form(daemon, ledger):
    """Hand in a message that only the model can route, and return its id."""
    token, fields = form_message(ledger, BUSES, LATE)
    reference = await by_form(daemon.url, fields, key=token)
    ledger.acked.add(token)
    return reference


async def send_mail(daemon, ledger):
    """Likewise by SMTP."""
    token, data = mail_message(ledger, BUSES, LATE)
    await by_smtp(smtp_port(daemon.configuration), data)
    ledger.acked.add(token)


async def decided_by(reference, *daemons):
    """Return the version that a message was decided with, once one of these daemons has done so."""

    def found():
        events = [event for daemon in daemons for event in daemon.events("message_decided")]
        return [event for event in events if event["message_id"] == reference]

    [event] = await until(found, 60, "it is decided")
    return event["model"]


@pytest.fixture
def modelled(tmp_path, relay):
    """A district without rules: the model decides everything."""
    return district(tmp_path, relay.port, rules=[])


async def test_promoting_and_going_back_twenty_times_while_messages_flow(
    daemons, modelled, versions, collector, ledger, tmp_path, record_testsuite_property
):
    """Nothing is lost, nothing goes unrouted, nothing arrives twice; what comes after a command is the new model's."""
    first, second = await registered(modelled["store"]["url"], versions, "one", "two")
    daemon = daemons(tmp_path, modelled)
    await daemon.start()
    seconds = []
    async with streams(lambda: send_form(daemon, ledger), lambda: send_mail(daemon, ledger)) as more:
        for _ in range(ROUNDS):
            await command(daemon, "models_promote", version=second)
            assert await decided_by(await send_form(daemon, ledger), daemon) == second
            await more()
            began = monotonic()
            assert (await command(daemon, "models_rollback"))["version"] == first
            seconds.append(monotonic() - began)
            assert await decided_by(await send_form(daemon, ledger), daemon) == first
    record_testsuite_property("seconds that a rollback takes, at most", round(max(seconds), 2))
    audit = await all_arrived(collector, ledger, 120)
    assert audit.duplicates == {}
    counts = await daemon.settled()
    assert counts["messages"]["routed"] == len(ledger.acked) == counts["deliveries"]["delivered"]
    decided = daemon.events("message_decided")
    assert {(event["reason"], event["department"]) for event in decided} == {("model", "transportation")}
    assert {event["model"] for event in decided} == {first, second}
    history = (await command(daemon, "models_show", version=second))["history"]
    assert [event["what"] for event in history].count("rolled_back") == ROUNDS


async def test_a_champion_of_another_program_is_told_of_and_the_bundled_model_serves(
    daemons, modelled, collector, ledger, tmp_path
):
    """After an update that reads old models no more messages are routed all the same."""
    store = open_store(modelled["store"]["url"])
    await store.open()
    await registry.register(
        store, trained(Artifact("telepathy", {}, {}), Verdict(passed=True, sentence="Yes.")), promote=True
    )
    await store.close()
    daemon = daemons(tmp_path, modelled)
    await daemon.start()
    assert await decided_by(await send_form(daemon, ledger), daemon) == serves(daemon)
    await all_arrived(collector, ledger, 60)
    assert any("A model was refused" in each["Subject"] for each in collector.at(ALERTS))
    assert (await command(daemon, "models_show", version=serves(daemon)))["state"] == models.CHALLENGER


def serves(daemon):
    """Return the version that a daemon serves, by its log."""
    return daemon.events("model_serves")[-1]["model"]


@pytest.fixture
async def names(postgres_url, versions):
    """Three versions in one database, the first of which serves."""
    return await registered(postgres_url, versions, "one", "two", "three")


@pytest.fixture
async def two(daemons, modelled, names, tmp_path, postgres_url):
    """Two daemons on one database, ready."""
    assert names
    made = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        own = district(folder, modelled["channels"]["relay"]["port"], rules=[])
        own["store"] = {"url": postgres_url.replace(":@", "@")}
        own["channels"]["shelf"] = modelled["channels"]["shelf"]
        own["channels"].pop("old-mail")
        made.append(daemons(folder, own, XDG_RUNTIME_DIR=str(folder)))
        await made[-1].start()
    return made


@pytest.fixture
async def store(postgres_url):
    """The database of the two, opened beside them."""
    opened = open_store(postgres_url)
    await opened.open()
    yield opened
    await opened.close()


async def test_every_daemon_follows_and_a_damaged_model_never_serves(two, names, store, collector, ledger):
    """What one is told to promote or to leave counts for both; a damaged champion is told of, and that is all."""
    first, second, damaged = names
    await two[0].ask("models", "promote", second, "--by", "ana@maple.example")
    for daemon in two:
        await until(lambda d=daemon: serves(d) == second, 60, "it serves the second")
    await two[1].ask("models", "rollback", "--by", "ana@maple.example")
    for daemon in two:
        await until(lambda d=daemon: serves(d) == first, 60, "it serves the first again")

    await spoil(store, damaged)
    await store.write(lambda connection: models.promote(connection, damaged, store.clock.now()))
    for daemon in two:
        await until(lambda d=daemon: d.events("model_refused"), 60, "it is refused")
    for daemon in two:
        for _ in range(3):
            assert await decided_by(await send_form(daemon, ledger), *two) == first
    audit = await all_arrived(collector, ledger, 60)
    assert audit.duplicates == {}
    subjects = [each["Subject"] for each in collector.at(ALERTS)]
    assert any("A model was refused" in subject for subject in subjects)
