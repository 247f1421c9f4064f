"""Pictures of texts: the text comes at once, its files follow as one message, and what can't be had is said there."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest

from channels import twilio_sms
from channels._mime import understand
from channels._twilio_rest import Rest, is_a_media_host
from router.errors import StoreBusy
from router.interfaces import SystemClock
from router.testing import assert_well_formed, until
from tests.contract.test_twilio_source import LINE, Line
from tests.integration.fake_twilio import ACCOUNT, NUMBER

PICTURE = ("image/jpeg", b"\xff\xd8\xff" + 1000 * b"p")
SID = f"SM{1:032x}"
FILES = f"{SID}/files"
pytestmark = pytest.mark.usefixtures("twilio_token")


@pytest.fixture
async def line(twilio):
    """A channel whose source has looked before."""
    line = Line(twilio)
    await line.known()
    return line


def file_sid(number):
    """Return the sid of a file of the first text."""
    return f"ME{1:016x}{number:016x}"


async def followed(line):
    """Run the source until the files have followed; return what was taken of them."""
    async with line.running():
        await until(lambda: FILES in line.intake.taken)
    assert [*line.intake.taken] == [SID, FILES]  # the text first, and neither twice
    return line.intake.taken[FILES]


def said(inbound):
    """Return what a message says, and the names, types and bytes of its files."""
    mail = message_from_bytes(inbound.original, policy=policy.default)
    files = [(part.get_filename(), part.get_content_type(), part.get_content()) for part in mail.iter_attachments()]
    return understand(inbound.original, inbound.facts, inbound.medium.value), files


@pytest.mark.case("T06")
async def test_ten_pictures_follow_their_text(line, tally):
    """One message with all ten, byte for byte, that names the text, has its sender, and that no program answers."""
    pictures = [("image/jpeg", PICTURE[1] + bytes([number])) for number in range(10)]
    line.twilio.incoming(1, "Look", *pictures)
    inbound = await followed(line)
    assert_well_formed(inbound, "text-line")
    content, files = said(inbound)
    assert files == [(f"file-{n}.jpg", *picture) for n, picture in enumerate(pictures, 1)]
    assert content.text.strip() == "10 files of the text message R1."
    assert (content.sender, content.recipient, content.references) == ("+15555550111", NUMBER, ("R1",))
    assert content.auto_submitted
    assert inbound.received_at > line.intake.taken[SID].received_at
    tally(messages=2, lost=0, copies=0)


@pytest.mark.case("T06")
async def test_credentials_are_shown_to_the_api_alone(line):
    """A file's address wants them and leads to a place that mustn't see them."""
    line.twilio.incoming(1, "Look", PICTURE)
    line.twilio.lead_to[file_sid(0)] = line.twilio.base.replace("127.0.0.1", "localhost") + "/stored/x"
    await followed(line)  # localhost isn't the API's host: it isn't asked at all
    below = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{SID}/Media/{file_sid(0)}"
    assert line.twilio.shown_files == [(below, True)]


async def test_a_redirection_that_is_no_address_ends_nothing(line):
    """One file leads to nonsense: the other one comes, and the message says what is missing."""
    line.twilio.incoming(1, "Look", PICTURE, PICTURE)
    line.twilio.lead_to[file_sid(0)] = "http://[bad"
    content, files = said(await followed(line))
    assert len(files) == 1
    assert "file 1:" in content.text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.twilio.com/2010-04-01/Accounts/AC0/Messages/SM0/Media/ME0", True),
        ("https://messaging.twilio.com/v1/Services/MG0/PhoneNumbers", True),
        ("http://api.twilio.com/2010-04-01/Accounts/AC0", False),
        ("https://api.twilio.com:8443/x", False),
        ("https://mms.twiliocdn.com/AC0/ME0?Expires=1", False),
        ("https://s3-external-1.amazonaws.com/media.twiliocdn.com/AC0/x", False),
    ],
)
async def test_who_is_shown_our_credentials(url, shown):
    """The API, and not the hosts that its answers lead to."""
    settings = twilio_sms.TwilioSettings.model_validate({**LINE, "api_base": "https://api.twilio.com"})
    assert ("Authorization" in await Rest.of(settings, SystemClock()).headers(url)) is shown


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://mms.twiliocdn.com/AC0/ME0?Expires=1", True),
        ("https://s3-external-1.amazonaws.com/media.twiliocdn.com/AC0/x", True),
        ("https://api.twilio.com/x", True),
        ("http://mms.twiliocdn.com/AC0/ME0", False),
        ("https://s3-external-1.amazonaws.com/another-bucket/x", False),
        ("https://twiliocdn.com.attacker.example/x", False),
        ("https://nottwilio.com/x", False),
        ("https://mms.twiliocdn.com@attacker.example/x", False),
        ("https://169.254.169.254/latest/meta-data", False),
        ("file:///etc/passwd", False),
    ],
)
def test_where_files_may_lie(url, fits):
    """At Twilio, or in Twilio's own bucket, over TLS."""
    assert is_a_media_host(url) is fits


BAD = {
    "gone": (PICTURE, lambda twilio: twilio.files.clear(), "Twilio doesn't have it any more"),
    "too large": (("image/png", 17_000_000 * b"x"), lambda _twilio: None, "it is too large"),
    "a page": (
        ("text/html", b"<script>alert(1)</script>"),
        lambda _twilio: None,
        "it is of a kind that isn't passed on",
    ),
    "a program": (("application/x-msdownload", b"MZ"), lambda _twilio: None, "it is of a kind that isn't passed on"),
    "a drawing with scripts": (
        ("image/svg+xml", b"<svg/>"),
        lambda _twilio: None,
        "it is of a kind that isn't passed on",
    ),
    "elsewhere": (
        PICTURE,
        lambda twilio: twilio.lead_to.update({file_sid(0): "http://169.254.169.254/x"}),
        "its address leads to a host that isn't Twilio's",
    ),
    "in circles": (
        PICTURE,
        lambda twilio: twilio.lead_to.update(
            {file_sid(0): f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{SID}/Media/{file_sid(0)}"}
        ),
        "its address leads round in circles",
    ),
}


@pytest.mark.case("T06")
@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_had_is_said(line, name, tally):
    """The other files come all the same, and the message says what is missing and why."""
    bad, spoil, why = BAD[name]
    line.twilio.incoming(1, "Look", bad, PICTURE)
    spoil(line.twilio)
    line.twilio.files[file_sid(1)] = PICTURE
    content, files = said(await followed(line))
    assert files == [("file-2.jpg", *PICTURE)]
    assert content.text.split("\n")[0] == "1 file of the text message R1."
    assert content.text.strip().split("\n")[1:] == [f"Not fetched, and kept by Twilio: file 1: {why}."]
    tally(messages=2, faults=1, lost=0)


@pytest.mark.case("T06")
async def test_a_picture_that_hangs_holds_up_no_text(line, tally):
    """The text is taken at once, so is the next one; the picture is tried again when Twilio gives it."""
    line.settings |= {"timeout": "200ms", "connect_timeout": "200ms"}
    line.twilio.hanging.add(file_sid(0))
    line.twilio.incoming(1, "Look", PICTURE)
    async with line.running():
        await until(lambda: line.twilio.shown_files)
        line.twilio.incoming(2, "the next text")
        await until(lambda: len(line.intake.taken) == 2)
        assert FILES not in line.intake.taken
        await until(lambda: line.troubles)
        line.twilio.hanging.clear()
        await until(lambda: FILES in line.intake.taken)
    assert said(line.intake.taken[FILES])[1] == [("file-1.jpg", *PICTURE)]
    tally(messages=3, faults=1, lost=0)


@pytest.mark.parametrize("status", [500, 503, 429, 401])
async def test_what_twilio_does_not_give_now_is_tried_again(line, status):
    """Once at each look, and no incomplete message is handed in meanwhile."""
    line.twilio.incoming(1, "Look", PICTURE)
    async with line.running():
        await until(lambda: SID in line.intake.taken)
    line.intake.taken.pop(FILES, None)
    source = line.source()
    source._files.wanted(line.intake.taken[SID], "R1")
    line.twilio.failures = [(status, 0, {})]
    waiting = source._files._waiting[SID]
    waiting.tries = 1
    assert not await source._files._follow(waiting, line.intake.accept)
    assert await source._files._follow(waiting, line.intake.accept)
    assert said(line.intake.taken[FILES])[1] == [("file-1.jpg", *PICTURE)]
    await source._rest.aclose()


async def test_after_thirty_tries_the_message_says_so(line):
    """Nobody waits for ever: the last try hands in what there is."""
    line.twilio.incoming(1, "Look", PICTURE)
    async with line.running():
        await until(lambda: SID in line.intake.taken)
    line.intake.taken.pop(FILES, None)
    source = line.source()
    source._files.wanted(line.intake.taken[SID], "R1")
    waiting = source._files._waiting[SID]
    waiting.tries = 30
    line.twilio.failures = [(500, 0, {})]
    assert await source._files._follow(waiting, line.intake.accept)
    assert "Twilio didn't give them in 30 tries" in said(line.intake.taken[FILES])[0].text
    await source._rest.aclose()


async def test_files_that_were_under_way_are_fetched_after_a_restart(line):
    """The position waits for them."""
    line.twilio.hanging.add(file_sid(0))
    line.twilio.incoming(1, "Look", PICTURE)
    at = line.twilio.now
    async with line.running():
        await until(lambda: line.twilio.shown_files)
        line.twilio.now = at.replace(hour=at.hour + 1)
        asked = len(line.twilio.requests)
        await until(lambda: len(line.twilio.requests) >= asked + 3)  # a look or more from then on
        assert await line.reached() <= at
    line.twilio.hanging.clear()
    line.twilio.let_go.set()
    await followed(line)


async def test_a_busy_store_loses_no_files(line):
    """They are handed in again at the next look."""
    line.twilio.incoming(1, "Look", PICTURE)
    line.twilio.hanging.add(file_sid(0))
    async with line.running():
        await until(lambda: line.twilio.shown_files)
        line.intake.failures = [StoreBusy("busy"), RuntimeError("unforeseen")]
        line.twilio.let_go.set()
        await until(lambda: FILES in line.intake.taken)
    assert [each.source_key for each in line.intake.offered] == [SID, FILES, FILES, FILES]


async def test_without_media_nothing_is_fetched(line):
    """`media: false`: the text says how many files there are, and they stay at Twilio."""
    line.settings |= {"media": False}
    line.twilio.incoming(1, "Look", PICTURE)
    await line.look()
    await line.look()
    assert [*line.intake.taken] == [SID]
    assert "1 file, kept by Twilio" in said(line.intake.taken[SID])[0].text
    assert not line.twilio.shown_files
