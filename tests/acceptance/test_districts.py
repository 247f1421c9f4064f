"""Districts of five and of thirty departments, observing before trusting, and messages that can't wait."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.acceptance.daemon import free_port, until
from tests.acceptance.district import district, smtp_port, steer
from tests.acceptance.ledger import Sent
from tests.acceptance.senders import by_form, by_smtp, mail

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
WORDS = {
    "My son was sick today and stays at home, please excuse his absence.": "en",
    "Where does the bus to the north side stop this year?": "en",
    "¿Cómo puedo inscribir a mi hija en el kínder?": "es",
    "Buy cheap watches now, best price for your district.": "en",
}


def example(name, folder, relay_port):
    """Return a shipped example with this machine's ports and folders, otherwise as it is."""
    configuration = YAML(typ="safe").load(EXAMPLES / name)
    web = free_port()
    configuration["organization"]["public_url"] = f"http://127.0.0.1:{web}"
    configuration["http"] = {"listen": f"127.0.0.1:{web}"}
    configuration["store"] = {"url": f"sqlite:///{folder}/signpost.db"}
    configuration["channels"]["mail-in"]["listen"] = f"127.0.0.1:{free_port()}"
    configuration["channels"]["relay"] |= {"host": "127.0.0.1", "port": relay_port}
    return configuration


async def write_all(daemon, ledger, texts):
    """Send texts by mail and by form in turn; return their tokens."""
    tokens = []
    to = daemon.configuration["channels"]["relay"]["from"]
    for number, text in enumerate(texts):
        token = ledger.new_token()
        if number % 2:
            ledger.hand_in(Sent(token, "", text))
            await by_form(daemon.url, {"message": f"{text}\n{token}", "email": "ana@home.example"})
        else:
            data = mail(token, text)
            ledger.hand_in(Sent(token, "", text, data))
            await by_smtp(smtp_port(daemon.configuration), data, to=to)
        tokens.append(token)
    return tokens


async def routes(collector, tokens):
    """Wait until every message has arrived somewhere; return the arrivals by token."""
    await until(lambda: set(tokens) <= {each.token for each in collector.arrivals if each.is_route}, 60, "all arrived")
    found = {each.token: each for each in collector.arrivals if each.is_route}
    assert len(found) == len([each for each in collector.arrivals if each.is_route])
    return found


def addresses(configuration):
    """Return each department's address."""
    return {name: each["deliver"][0]["to"] for name, each in configuration["departments"].items()}


async def test_a_district_of_five_observes_and_then_goes_live(daemons, tmp_path, relay, collector, ledger):
    """Observing, everything goes to the front office and says so; live, to the desks whose labels the model chose."""
    daemon = daemons(tmp_path, example("small-district.yaml", tmp_path, relay.port))
    desks = addresses(daemon.configuration)
    assert daemon.configuration["routing"]["mode"] == "observe"
    assert len(desks) == 5
    await daemon.start()
    observed = await routes(collector, await write_all(daemon, ledger, WORDS))
    for arrival in observed.values():
        assert arrival.recipient == desks["front-office"]
        assert arrival["X-Signpost-Reason"] == "observe"
    rows = await daemon.ask("messages", "list")
    assert all(row["why"].startswith("would go to ") for row in rows)
    await daemon.stop()

    daemon.configuration["routing"]["mode"] = "live"
    daemon.write_configuration()
    await daemon.start()
    tokens = await write_all(daemon, ledger, WORDS)
    live = await routes(collector, tokens + list(observed))
    for token in tokens:
        arrival = live[token]
        assert arrival.recipient == desks[arrival["X-Signpost-Department"]]
        assert arrival["X-Signpost-Reason"] in {"model", "abstained"}
    assert live[tokens[-1]].recipient == desks["front-office"]


async def test_a_district_of_thirty(daemons, tmp_path, relay, collector, ledger):
    """Its rules steer to desks that the model doesn't know, a school gets its own, and nothing is left undecided."""
    configuration = example("thirty-departments.yaml", tmp_path, relay.port)
    desks = addresses(configuration)
    assert len(desks) == 30
    configuration["rules"].append({"name": "absences", "when": {"text": "absent today"}, "to": "attendance"})
    daemon = daemons(tmp_path, configuration)
    await daemon.start()
    steered = {
        "Please send me a W-2 copy for last year.": desks["payroll"],
        "This is a public records request.": desks["public-records"],
        "I want to report something under Title IX.": desks["title-ix"],
        "A subpoena was served to us.": desks["legal"],
        "When do GED classes begin?": desks["adult-education"],
        "He is absent today.": desks["attendance"],
        "He goes to River Bend Elementary and is absent today.": "attendance.riverbend@threerivers.example",
    }
    tokens = await write_all(daemon, ledger, [*steered, *WORDS])
    found = await routes(collector, tokens)
    assert {ledger.sent[token].text: found[token].recipient for token in tokens[: len(steered)]} == steered
    for token in tokens[len(steered) :]:
        assert found[token].recipient in desks.values()
    assert (await daemon.settled())["messages"]["routed"] == len(tokens)


@pytest.mark.parametrize(
    "text",
    [
        "My daughter never came home from school and nobody has seen her.",
        "Mi hija no llegó a casa de la escuela y nadie la ha visto.",
    ],
)
async def test_an_alarming_message_is_told_at_once_and_routed(daemon, collector, ledger, text):
    """Besides its route, which is marked, people named for it get an alert with what was written and the original."""
    [token] = await write_all(daemon, ledger, [f"{text} {steer('transportation')}"])
    [route] = (await routes(collector, [token])).values()
    assert route["X-Signpost-Urgent"] == "yes"
    [alert] = await until(lambda: collector.at("safety@maple.example"), 30, "the alert")
    assert not alert.is_route
    assert alert["X-Signpost-Message"] == route["X-Signpost-Message"]
    assert alert["Subject"].startswith("URGENT")
    assert text in alert.words
    assert alert.original == ledger.sent[token].original


async def test_an_innocent_message_alarms_nobody(daemons, tmp_path, relay, collector, ledger):
    """Strong words about homework are no danger: one mail, at its desk."""
    daemon = daemons(tmp_path, district(tmp_path, relay.port))
    await daemon.start()
    tokens = await write_all(daemon, ledger, [f"This homework is killing me. {steer('technology')}"])
    [route] = (await routes(collector, tokens)).values()
    assert route["X-Signpost-Urgent"] == ""
    assert (await daemon.settled())["deliveries"]["delivered"] == 1
