"""How the demo reads the departments' Maildirs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from channels.maildir import MaildirSettings, MaildirSink
from router.demo.mailboxes import Mailboxes
from router.errors import NotFound
from router.testing_sinks import sample_alert, sample_context, sample_forward


@pytest.fixture
def boxes(tmp_path):
    """The mailboxes in a fresh folder."""
    return Mailboxes(tmp_path)


@pytest.fixture
def deliver(tmp_path):
    """Return what delivers a forward the way the demo does, and answers with the mail's name."""
    sink = MaildirSink(MaildirSettings(path=str(tmp_path)), sample_context())
    return sink.send


async def test_a_delivered_mail_reads_as_it_was_written(boxes, deliver):
    """Headers, marks, both bodies: as composed."""
    name = await deliver(sample_forward(to="buses"))
    mail = boxes.read("buses", name)
    headers = dict(mail.headers)
    assert mail.subject == headers["Subject"]
    assert " via " in headers["From"]
    assert dict(mail.marks)["X-Signpost-Misroute"] in mail.page
    assert mail.text.strip()
    assert mail.original
    assert boxes.counts() == [("buses", 1)]
    assert boxes.holds("buses", name)


@pytest.mark.parametrize(
    "original",
    [
        b"Subject: deep\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 3000 + b"x",
        b"\xff\xfe\0" * 1000,
        b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(2000)),
    ],
)
async def test_the_original_is_not_parsed(boxes, deliver, original):
    """Whatever a stranger sent, the mail around it is read, and quickly: the original is left alone."""
    name = await deliver(replace(sample_forward(to="buses"), original=original))
    mail = boxes.read("buses", name)
    assert mail.page.startswith("<!")
    assert mail.original


async def test_an_alert_is_a_mail_too(boxes, deliver):
    """An alert has no message's marks, and reads all the same."""
    name = await deliver(sample_alert(to="it"))
    mail = boxes.read("it", name)
    assert mail.page
    assert "X-Signpost-Misroute" not in dict(mail.marks)


async def test_the_newest_comes_first_and_read_mail_counts(boxes, deliver, tmp_path):
    """A mail that a mail program moved to cur/ is still listed; the order is by age."""
    old = await deliver(sample_forward(1, to="buses"))
    new = await deliver(sample_forward(2, to="buses"))
    seen = tmp_path / "buses" / "cur" / f"{old}:2,S"
    (tmp_path / "buses" / "new" / old).rename(seen)
    os.utime(seen, (1, 1))
    assert [mail.name for mail in boxes.newest("buses", 10)] == [new, old]
    assert boxes.read("buses", old).name == old
    assert [mail.name for mail in boxes.newest("buses", 1)] == [new]


@pytest.mark.parametrize("box", ["nobody", "..", "buses/../..", "", ".hidden", "a" * 70])
def test_there_is_no_way_out_of_the_folder(tmp_path, box):
    """Only mailboxes below the folder have names."""
    outside = tmp_path / "outside" / "new"
    outside.mkdir(parents=True)
    (outside / ("signpost." + "0" * 32)).write_bytes(b"Subject: secret\r\n\r\n")
    boxes = Mailboxes(tmp_path / "departments")
    Path(tmp_path / "departments" / "buses" / "new").mkdir(parents=True)
    for read in (lambda: boxes.newest(box, 5), lambda: boxes.read(box, "signpost." + "0" * 32)):
        with pytest.raises(NotFound):
            read()


@pytest.mark.parametrize("name", ["x", "../../outside/new/signpost." + "0" * 32, "signpost." + "0" * 31 + "/"])
async def test_only_our_own_mails_have_names(boxes, deliver, name):
    """A name that isn't one we gave is never looked up."""
    await deliver(sample_forward(to="buses"))
    with pytest.raises(NotFound):
        boxes.read("buses", name)


def test_before_the_first_mail_there_is_nothing(tmp_path):
    """A folder that isn't there yet has no mailboxes."""
    assert Mailboxes(tmp_path / "not-yet").counts() == []
