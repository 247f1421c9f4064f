"""What is said of a channel, in sentences, and which comes first."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from router.console.channel_words import Known, Rank, ago, ahead, summary, told
from router.life.lives import Watched
from router.life.proof import Life, Side
from router.store.by_channel import Left

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
POLLED = Watched(polls=timedelta(minutes=1))


@dataclass
class Part:
    """What takes in or delivers, and says what runs out."""

    ends: list = field(default_factory=list)
    token_expires_at: datetime | None = None

    def expiries(self):
        """What somebody has to renew."""
        return self.ends


def before(**span):
    return NOW - timedelta(**span)


def life(**known):
    return Life(**({"first_at": before(days=9)} | known))


def known(name="mail", side=Side.IN, watched=POLLED, **more):
    return Known(**({"name": name, "side": side, "type": "imap", "life": life(), "watched": watched} | more))


def one(*given, **more):
    """Return what is said of one channel."""
    return told([known(*given, **more)], NOW, lambda at: f"{at:%d %b %H:%M}" if at else "", "d1")[0]


def test_a_channel_that_works_needs_no_more_words():
    """One sentence, when it was seen working, and nothing to do."""
    said = one(life=life(proven_at=before(seconds=14)))
    assert (said.rank, said.state, said.how) == (Rank.WELL, "works", "It looks for messages, and reaches them.")
    assert (said.ago, said.proven) == ("14 seconds ago", "01 Sep 11:59")
    assert (said.check, said.to_do, said.howto) == (False, (), None)


def test_a_failure_says_why_and_what_to_do():
    """The error as a sentence, the command that says more, and the page to read; no secret out of an address."""
    error = "the mail server refused https://u:hunter2@mx.example/x?key=hunter2"
    said = one(life=life(proven_at=before(hours=3), failed_at=before(minutes=1), error=error))
    assert said.rank is Rank.FAILING
    assert said.how == "Taking messages in fails. The mail server refused https://…@mx.example/…."
    assert (said.check, said.to_do) == (True, ())
    assert said.howto == ("imap", "Mail from a mailbox (IMAP)")
    assert said.ago == "3 hours ago"


def test_a_type_of_ones_own_leads_to_the_check():
    """A channel type that doesn't ship has no page of ours."""
    assert one(type="fax", life=life(failed_at=NOW, error="paper")).howto[0] == "check-connect"


def test_silence_is_no_error():
    """A mailbox nobody looked at for longer than its limit."""
    said = one(life=life(proven_at=before(minutes=11)))
    assert (said.rank, said.state) == (Rank.SILENT, "silent")
    assert "no error" in said.how
    assert said.check
    assert "restart the daemon" in said.to_do[0]


@pytest.mark.parametrize(
    ("days", "rank", "words", "due"),
    [
        (40, Rank.WELL, "The certificate is good until 11 Oct 12:00, in 40 days.", False),
        (12, Rank.SOON, "The certificate runs out on 13 Sep 12:00, in 12 days.", True),
        (-3, Rank.OVER, "The certificate ran out on 29 Aug 12:00, 3 days ago.", True),
    ],
)
def test_what_runs_out_is_told_two_weeks_ahead(days, rank, words, due):
    """Certificates and applications' secrets: good, soon, over."""
    part = Part([("the certificate", NOW + timedelta(days=days))])
    said = one(watched=Watched(part=part), life=life(proven_at=NOW))
    assert (said.rank, said.runs_out) == (rank, ((words, due),))
    assert any("Renew" in each for each in said.to_do) == due


@pytest.mark.parametrize(("minutes", "words"), [(40, "is good until 01 Sep 12:40 (in 40 minutes)"), (-1, "ran out on")])
def test_a_token_is_nobodys_work(minutes, words):
    """Signpost gets the next access token by itself: no warning, however near its end is."""
    part = Part(token_expires_at=NOW + timedelta(minutes=minutes))
    said = one(watched=Watched(part=part), life=life(proven_at=NOW))
    [(sentence, due)] = said.runs_out
    assert (said.rank, due) == (Rank.WELL, False)
    assert words in sentence
    assert sentence.endswith("Signpost gets the next one by itself.")


def test_a_channel_that_should_bring_messages_and_does_not():
    """`expect_every` is counted from the last message, or from the first day."""
    watched = Watched(expect_every=timedelta(days=2))
    quiet = one(watched=watched, life=life(proven_at=NOW), newest_at=before(days=3))
    assert quiet.rank is Rank.QUIET
    assert "29 Aug 12:00; at least one every 2d is expected" in quiet.to_do[0]
    assert one(watched=watched, newest_at=None).to_do[0].startswith("No message has come yet")
    assert one(watched=watched, life=life(proven_at=NOW), newest_at=before(days=1)).rank is Rank.WELL


def test_refused_requests_are_told_from_three_on():
    """Fewer, or older, are noise."""
    refused = {"proven_at": before(days=2), "refused_at": before(hours=1), "refusal": "the signature is wrong"}
    said = one(watched=Watched(), life=life(**refused, refused=3))
    assert said.rank is Rank.REFUSED
    assert "3 requests were refused" in said.to_do[0]
    assert one(watched=Watched(), life=life(**refused, refused=2)).rank is Rank.WELL


def test_what_waits_and_what_never_arrived():
    """Deliveries to come with the age of the oldest; dead letters make it need a look."""
    left = Left(waiting=1200, oldest_at=before(minutes=50), dead=2, unclear=1)
    said = one(side=Side.OUT, watched=Watched(), left=left, life=life(proven_at=NOW))
    assert (said.rank, said.left, said.gone) == (
        Rank.DEAD,
        "1,200 wait, the oldest for 50 minutes",
        "2 dead, 1 unclear",
    )
    waits = one(side=Side.OUT, watched=Watched(), left=Left(waiting=1), life=life(proven_at=NOW))
    assert (waits.rank, waits.left, waits.gone) == (Rank.WELL, "1 waits", "")


@pytest.mark.parametrize(
    ("reader", "words"),
    [(None, ""), ("", "No daemon reads it at this moment."), ("d1", "This daemon reads it."),
     ("0123456789abcdef", "Another daemon (01234567) reads it.")],
)  # fmt: skip
def test_who_reads_a_mailbox(reader, words):
    """A mailbox is read by one daemon at a time."""
    assert one(reader=reader).reader == words


def test_the_worst_comes_first():
    """Failing, silent, what needs a look, unproven, well; then by name."""
    well = life(proven_at=NOW)
    channels = [
        known("b", life=well), known("a", life=well), known("c", watched=Watched()),
        known("d", side=Side.OUT, watched=Watched(), life=well, left=Left(dead=1)),
        known("e", life=life(proven_at=before(days=1))), known("f", life=life(failed_at=NOW, error="x")),
    ]  # fmt: skip
    said = told(channels, NOW, str, "d1")
    assert [each.name for each in said] == ["f", "e", "d", "c", "a", "b"]
    assert summary(said) == "2 of 6 don't work; 1 of 6 needs a look."
    assert summary(said[3:]) == "All that has been used works."
    assert summary(said[4:]) == "All of them work."


def test_spans_are_rough():
    """Two of a unit at least, so that no one has to read 1 days."""
    spans = [
        timedelta(seconds=1),
        timedelta(seconds=119),
        timedelta(minutes=119),
        timedelta(hours=47),
        timedelta(days=9),
    ]
    assert [ago(each) for each in spans] == [
        "just now", "119 seconds ago", "119 minutes ago", "47 hours ago", "9 days ago",
    ]  # fmt: skip
    assert ahead(timedelta(seconds=1)) == "in 1 second"
