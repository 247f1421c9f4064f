"""Who is answered automatically, and who never is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from channels._mime import understand
from router.answers.answerable import address_of, domain_of, key_of, way_to, why_not
from router.records import Content, Medium, Message

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
ANA = "ana@home.example"
HEAD = {
    "Return-Path": f"<{ANA}>",
    "From": f"Ana Ruiz <{ANA}>",
    "To": "contact@d.example",
    "Subject": "Bus 12",
    "Message-ID": "<1@home.example>",
}


def message(content, medium=Medium.EMAIL):
    """Return a message with what was understood."""
    return Message(id="0WE28VGDH208", channel="mail", medium=medium, received_at=NOW, content=content)


def mail(facts=None, **headers):
    """Return a mail as it is understood: `_` in a header's name stands for `-`, None leaves it out."""
    changes = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in (HEAD | changes).items() if value is not None]
    return message(understand("\r\n".join([*lines, "", "The bus was late.", ""]).encode(), facts or {}, "email"))


def texted(sender="+15555550111", **content):
    """Return a text message."""
    return message(Content(sender=sender, recipient="+15555550100", text="hello", **content), Medium.SMS)


def form(**content):
    """Return a message by a form."""
    return message(Content(**({"sender": ANA, "reply_to": ANA, "text": "hello"} | content)), Medium.WEB_FORM)


ANSWERED = {
    "a mail": mail(),
    "a mail whose sender writes capitals": mail(From="Ana@Home.Example"),
    "a mail that says it isn't automatic": mail(Auto_Submitted="no"),
    "a mail handed over with its envelope": mail({"envelope_from": ANA}, Return_Path=None),
    "a mail with passed checks": mail(Authentication_Results="mx.d.example; spf=pass; dmarc=pass"),
    "a forwarded mail that DMARC lets pass": mail(Authentication_Results="mx.d.example; spf=softfail; dmarc=pass"),
    "a name that only looks like a robot's": mail(Return_Path="<ro.bouncer@h.example>", From="ro.bouncer@h.example"),
    "a text": texted(),
    "WhatsApp": texted("whatsapp:+15555550111"),
    "a form": form(),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERED)
def test_people_are_answered(name):
    """Whoever wrote as a person, from an address that is theirs as far as can be seen."""
    assert why_not(ANSWERED[name], ours=()) == ""


WRAPPED = [
    "prvs=3456a0b1c2=ana@home.example",  # BATV
    "prvs=ana/3456a0b1c2@home.example",  # as an older draft had it
    "btv1==3456a0b1c2d3==Ana@home.example",
    "SRS0=Xy1z=5Q=home.example=ana@alumni.example",  # passed on
    "srs0+Xy1z=5Q=home.example=ana@alumni.example",
    "SRS1=ab2c=other.example==Xy1z=5Q=home.example=ana@alumni.example",  # passed on twice
    "bounces+SRS=44ldt=IX=home.example=ana@work.example",  # by Exchange Online
]


@pytest.mark.parametrize("path", WRAPPED)
def test_a_sender_whose_servers_rewrite_paths_is_answered_by_that_path(path):
    """The path leads back to them, and nobody else can be hit: whoever made it up is answered at their own domain."""
    wrapped = mail(Return_Path=f"<{path}>")
    assert why_not(wrapped, ()) == ""
    assert way_to(wrapped) == path
    assert key_of(address_of(wrapped)) == key_of(ANA)  # a path of tomorrow makes no other person
    assert way_to(mail()) == ANA


@pytest.mark.parametrize(
    "path",
    [
        "prvs=3456a0b1c2=carl@home.example",
        "prvs=3456a0b1c2=ana@other.example",
        "SRS0=Xy1z=5Q=other.example=ana@alumni.example",
        "SRS0=Xy1z=home.example=ana@alumni.example",
        "bounce-17-ana=home.example@news.example",  # VERP: a program's
        "news+ana=home.example@lists.example",
    ],
)
def test_a_path_that_is_not_the_senders_own_gets_no_answer(path):
    """Another's, or a program's that keeps count of its bounces there (VERP)."""
    assert why_not(mail(Return_Path=f"<{path}>"), ()) == "sender not proved"


AUTOMATIC = [
    mail(Auto_Submitted="auto-replied"),
    mail(Auto_Submitted="auto-generated (rejected)"),
    mail(Precedence="bulk"),
    mail(Precedence="list"),
    mail(Precedence="junk"),
    mail(List_Id="<parents.example>"),
    mail(List_Unsubscribe="<mailto:leave@parents.example>"),
    mail(X_Auto_Response_Suppress="All"),
    mail(X_Autoreply="yes"),
    mail(X_Loop="contact@d.example"),
    mail(Feedback_ID="1:2:3:news"),
    mail(X_Signpost_Message="0WE28VGDH209"),  # another Signpost's forwarded mail
    mail(Return_Path="<>"),
    mail({"envelope_from": ""}),
    mail(Content_Type='multipart/report; boundary="x"'),
    *(
        mail(From=f"{robot}@home.example", Return_Path=f"<{robot}@home.example>")
        for robot in (
            "MAILER-DAEMON", "postmaster", "noreply", "no-reply", "no_reply-news", "do-not-reply", "donotreply",
            "bounces+17", "news.no-reply", "owner-parents", "parents-request", "listserv", "notifications",
        )
    ),
    form(sender="no-reply@home.example", reply_to="no-reply@home.example"),
]  # fmt: skip


@pytest.mark.parametrize("automatic", AUTOMATIC, ids=lambda each: " ".join(each.content.headers))
def test_programs_and_lists_are_not(automatic):
    """RFC 3834, section 2, and everything that went before and beside it."""
    assert why_not(automatic, ours=()) == "automatic"


@pytest.mark.parametrize(
    ("forged", "authserv_id"),
    [
        (mail(Return_Path=None), ""),  # nobody knows who sent it
        (mail(Return_Path="<spammer@bulk.example>"), ""),
        (mail({"envelope_from": "spammer@bulk.example"}), ""),  # whatever the mail itself says
        (mail(Authentication_Results="mx.d.example; dmarc=fail header.from=home.example"), ""),
        (mail(Authentication_Results="spf=softfail (sender IP is 192.0.2.1); dkim=none; dmarc=none"), ""),
        (mail(Authentication_Results='mx.d.example; spf=fail smtp.mailfrom="a; dmarc=pass"@home.example'), ""),
        (mail(), "mx.d.example"),  # our own server says nothing of it
        (mail(Authentication_Results="mx.d.example; spf=none; dmarc=none"), "mx.d.example"),
        (mail(Authentication_Results="mx.evil.example; spf=pass; dmarc=pass"), "mx.d.example"),
        (mail(Authentication_Results="mx.d.example; spf=none (dmarc=pass; spf=pass (it says))"), "mx.d.example"),
        (mail(Authentication_Results="mx.d.example; spf=pass; dmarc=fail"), "mx.d.example"),
    ],
)
def test_nobody_is_answered_for_what_others_wrote_in_their_name(forged, authserv_id):
    """The envelope has to name the sender; a failed check always counts, a passed one only if our own server tells."""
    assert why_not(forged, (), authserv_id) == "sender not proved"


@pytest.mark.parametrize("result", ["dmarc=pass", "dmarc=none; spf=pass smtp.mailfrom=home.example"])
def test_what_our_own_server_believes_is_answered(result):
    """With its name in the configuration, a pass of DMARC or SPF is needed and enough."""
    proved = mail(Authentication_Results=f"MX.d.example 1; dkim=none; {result}")
    assert why_not(proved, (), "mx.d.example") == ""


def test_other_reasons():
    """Spam, what can't be read, ourselves, and nobody at all."""
    assert why_not(form(suspicion="a field was filled in that people don't see"), ()) == "suspicious"
    assert why_not(mail(X_Spam_Flag="YES"), ()) == "suspicious"
    assert why_not(mail(X_Spam_Status="Yes, score=9.1"), ()) == "suspicious"
    assert why_not(form(unreadable="too deep"), ()) == "unreadable"
    assert why_not(mail(), {key_of("Ana+Bus@home.example")}) == "our own address"
    assert why_not(mail(To=ANA), ()) == "our own address"  # it was written to where it came from
    assert why_not(texted("+15555550100"), ()) == "our own address"
    assert why_not(message(Content()), ()) == "no address"


def test_nobody_is_texted_for_a_number_in_a_form():
    """Anybody may type anybody's number."""
    assert address_of(form(sender="+15555550111", reply_to="", phone="+15555550111")) == ""
    assert address_of(form(phone="+15555550111")) == ANA
    assert address_of(texted("SCHOOL")) == ""  # a short name can't be answered
    assert address_of(mail(Reply_To="victim@other.example")) == ANA  # a mail is answered where it came from
    assert address_of(form(reply_to="a@localhost")) == ""
    assert address_of(form(reply_to=f"{'a' * 250}@home.example")) == ""


def test_what_is_the_same_person_and_whose_server_bears_it():
    """Tags and the way a telephone is reached make no other person; telephone numbers count by the ten thousand."""
    assert key_of("Ana+school@Home.Example") == key_of(ANA)
    assert key_of("whatsapp:+15555550111") == key_of("+15555550111")
    assert domain_of(ANA) == "home.example"
    assert domain_of("whatsapp:+15555550111") == domain_of("+15555559999") == "+1555555"
