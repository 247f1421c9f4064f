"""What the bundled model doubts, from the form to the desks: two matters, suspected spam, and what it doesn't know."""

from __future__ import annotations

import re

import aiohttp
import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, FALLBACK, district
from tests.acceptance.senders import by_form

BUSES, MEALS = ADDRESSES["transportation"], ADDRESSES["food-services"]
TWO = (
    "The school bus on route 14 was late at our bus stop again, what time does it come now? "
    "Also, how do I add money to his lunch account in the cafeteria?"
)
PITCH = (
    "Rank first on Google! We sell backlinks and SEO packages for your website, 500 quality links for $99. "
    "Click here to unsubscribe."
)
VAGUE = "Where do I send the form back?"


@pytest.fixture
def doubting(daemons, tmp_path, relay):
    """Return a function that starts a daemon with settings of `routing`."""

    async def start(**routing):
        configuration = district(tmp_path, relay.port)
        configuration["routing"] |= routing
        daemon = daemons(tmp_path, configuration)
        await daemon.start()
        return daemon

    return start


async def send(daemon, text):
    """Send the form; return the message's id."""
    await by_form(daemon.url, {"name": "Ana Ruiz", "email": "ana@home.example", "message": text})
    await daemon.settled()
    [message] = await daemon.ask("messages", "list")
    return message["id"]


def at(collector, recipient):
    """Return the only mail that arrived at one recipient."""
    [mail] = collector.at(recipient)
    return mail


async def test_both_departments_of_two_matters_get_the_message(doubting, collector):
    """Each mail says who else has it, `explain` lists both matters, and neither is an office's guess."""
    daemon = await doubting(split="both")
    ident = await send(daemon, TWO)
    assert {mail.recipient for mail in collector.arrivals if mail.is_route} == {BUSES, MEALS}
    for recipient, other in ((BUSES, "Food Services"), (MEALS, "Transportation")):
        mail = at(collector, recipient)
        assert re.search(rf"Also sent to:? +{other}", mail.words)
        assert mail["X-Signpost-Reason"] == "model"
        assert mail["X-Signpost-Message"] == ident
    told = await daemon.ask("explain", ident)
    assert (told["department"], told["also"]) == ("transportation", ["food-services"])
    assert "also about food-services" in told["detail"]
    shown = await daemon.ask("messages", "show", ident)
    assert {each["department"] for each in shown["deliveries"]} == {"transportation", "food-services"}


async def test_the_first_matters_department_is_one_click_from_the_second(doubting, collector):
    """By default it goes to one; the link in that mail opens the page with the other one chosen, and only shows it."""
    daemon = await doubting()
    await send(daemon, TWO)
    [mail] = [mail for mail in collector.arrivals if mail.is_route]
    assert mail.recipient == BUSES
    link = re.search(r"\S+/m/\S+\?to=food-services", mail.words)[0]
    async with aiohttp.ClientSession() as client, client.get(link) as page:
        assert re.search(r'value="food-services"[^>]* checked', await page.text())
    assert (await daemon.status())["deliveries"]["delivered"] == 1


async def test_the_likeliest_are_one_click_away_where_the_model_does_not_know(doubting, collector):
    """The fallback gets it with links for three departments."""
    daemon = await doubting()
    ident = await send(daemon, VAGUE)
    mail = at(collector, FALLBACK)
    assert mail["X-Signpost-Reason"] == "abstained"
    offered = re.findall(r"\S+/m/\S+\?to=([a-z-]+)", mail.words)
    told = await daemon.ask("explain", ident)
    offered = list(dict.fromkeys(offered))
    assert len(offered) == 3
    assert offered == [department for department, _ in told["model"]["departments"]][: len(offered)]


@pytest.mark.parametrize(("where", "recipient"), [("fallback", FALLBACK), ("technology", ADDRESSES["technology"])])
async def test_suspected_spam_is_delivered_marked(doubting, collector, where, recipient):
    """Where the district says, with the reason; never nowhere."""
    daemon = await doubting(spam=where)
    ident = await send(daemon, PITCH)
    mail = at(collector, recipient)
    assert "Careful, this may not be genuine" in mail.words
    assert mail["X-Signpost-Reason"] == "abstained"
    assert (await daemon.ask("explain", ident))["detail"].startswith("suspicious")


async def test_suspected_spam_that_is_held_waits_for_a_person_and_is_not_lost(doubting, collector):
    """With `hold` nothing is sent until somebody releases it; then it is delivered."""
    daemon = await doubting(spam="hold")
    ident = await send(daemon, PITCH)
    assert (await daemon.status())["messages"]["held"] == 1
    assert not [mail for mail in collector.arrivals if mail.is_route]
    await daemon.ask("messages", "release", ident)
    await until(lambda: collector.at(FALLBACK), 60, "the released message")
