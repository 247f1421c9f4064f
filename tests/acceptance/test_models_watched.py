"""A daemon goes back from a worse champion by itself while messages flow: nothing is lost, unrouted or doubled."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS
from tests.acceptance.senders import by_form, form_message
from tests.acceptance.test_faults import all_arrived
from tests.acceptance.test_models import BUSES, LATE, command, modelled, registered, versions  # noqa: F401  fixtures

ENOUGH = 100  # messages until the watch looks for the first time (`router.learning.watch`)


async def test_a_worse_champion_is_left_while_messages_flow(
    daemons,
    modelled,  # noqa: F811  the fixture
    versions,  # noqa: F811
    collector,
    ledger,
    tmp_path,
):
    """The new one leaves everything to people. Each message goes once to where it was decided, before and after."""
    [first] = await registered(modelled["store"]["url"], versions, "one")
    daemon = daemons(tmp_path, modelled)
    await daemon.start()
    tokens = {}

    async def send():
        token, fields = form_message(ledger, BUSES, LATE)
        tokens[await by_form(daemon.url, fields, key=token)] = token
        ledger.acked.add(token)

    async def decided(model):
        return [event for event in daemon.events("message_decided") if event["model"] == model]

    async def enough_decided(model):
        await asyncio.gather(*(send() for _ in range(10)))
        return len(await decided(model)) >= ENOUGH

    await until(lambda: enough_decided(first), 120, "the first has decided enough")
    worse = versions("leaves all to people", first, least=1.01)
    path = tmp_path / "worse.model"
    path.write_bytes(worse.artifact)
    given = {"sha256": worse.sha256, "verdict": worse.verdict.to_json(), "parent": first}
    assert (await command(daemon, "models_register", path=str(path), **given))["state"] == "champion"
    await until(lambda: enough_decided(worse.version), 120, "the second has decided enough")

    async def went_back():
        await send()
        return daemon.events("model_rolled_back")

    [event] = await until(went_back, 180, daemon.output)
    assert (event["model"], event["serves"]) == (worse.version, first)
    since = len(await decided(first))
    await send()
    await until(lambda: _grown(decided, first, since), 60, "the first decides again")
    counts = await daemon.settled()
    for event in daemon.events("message_decided"):
        token = tokens[event["message_id"]]
        ledger.sent[token] = replace(ledger.sent[token], to=ADDRESSES[event["department"]])
    audit = await all_arrived(collector, ledger, 120)
    assert audit.duplicates == {}
    assert (
        counts["messages"]["routed"]
        == len(ledger.acked)
        == counts["deliveries"]["delivered"] - len(collector.at(ALERTS))
    )
    assert any("was taken back" in each["Subject"] for each in collector.at(ALERTS))


async def _grown(decided, model, since):
    return len(await decided(model)) > since
