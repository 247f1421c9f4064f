"""Mail that comes back, in the words of several mail servers: written by hand, each in the shape that server uses."""

from __future__ import annotations

RETURNED = """From: "Ana Ruiz via Maple Valley School District" <contact@maple.example>
To: {to}
Subject: Bus 12
Message-ID: {mail_id}
References: <family-1@home.example>
MIME-Version: 1.0
X-Signpost-Message: 0WE3WJVY5552
"""


def report(
    mail_id,
    to,
    *,
    action="failed",
    status="5.1.1",
    said="smtp; 550 5.1.1 No such user here",
    final="",
    returned="text/rfc822-headers",
    sender="MAILER-DAEMON@relay.maple.example",
    number=1,
):
    """Return a delivery report as Postfix writes it (RFC 3464).

    `final` is the address that an alias led to; `number` tells two reports apart.
    """
    final_lines = f"Final-Recipient: rfc822; {final or to}\n" + (f"Original-Recipient: rfc822;{to}\n" if final else "")
    return _crlf(f"""From: {sender} (Mail Delivery System)
To: contact@maple.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Message-ID: <2026{number}.4ABC@relay.maple.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="4ABC.1/relay"

This is a MIME-encapsulated message.

--4ABC.1/relay
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host relay.maple.example. I'm sorry.
Her words: my daughter did not come home.

--4ABC.1/relay
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.maple.example
Arrival-Date: Mon, 05 Oct 2026 08:00:00 -0500

{final_lines}Action: {action}
Status: {status}
Remote-MTA: dns; mx.maple.example
Diagnostic-Code: {said}

--4ABC.1/relay
Content-Description: Undelivered Message Headers
Content-Type: {returned}

{RETURNED.format(to=to, mail_id=mail_id)}
--4ABC.1/relay--
""")


def exchange(mail_id, to):
    """Return what Exchange writes: a wrapped notice, the code in the diagnostic, and an answer to the returned mail."""
    return _crlf(f"""From: <postmaster@maple.example>
To: <contact@maple.example>
Subject: Undeliverable: Bus 12
Message-ID: <2ab24bbc@mail.maple.example>
In-Reply-To: {mail_id}
References: {mail_id}
Auto-Submitted: auto-replied
Return-Path: <>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="22a5"

--22a5
Content-Type: multipart/alternative; differences=Content-Type; boundary="inner"

--inner
Content-Type: text/plain; charset="us-ascii"

Your message couldn't be delivered.
--inner
Content-Type: text/html; charset="us-ascii"

<p>Your message couldn't be delivered.</p>
--inner--

--22a5
Content-Type: message/delivery-status

Reporting-MTA: dns;DB5PR06MB1800.example
Received-From-MTA: dns;contact.maple.example

Final-Recipient: rfc822;{to.title()}
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup
X-Display-Name: Office

--22a5
Content-Type: message/rfc822

{RETURNED.format(to=to, mail_id=mail_id)}Content-Type: multipart/mixed; boundary="ours"

--ours
Content-Type: text/plain

Please look.
--ours
Content-Type: message/rfc822

From: ana@home.example
Message-ID: <family-1@home.example>

Please look.
--ours--

--22a5--
""")


def gmail(mail_id, to):
    """Return what Gmail wrote for years: plain words, the address in a header of its own, the mail below a line."""
    return _crlf(f"""Return-Path: <>
From: Mail Delivery Subsystem <mailer-daemon@googlemail.example>
To: contact@maple.example
X-Failed-Recipients: {to}
Subject: Delivery Status Notification (Failure)
Message-ID: <001a11c2@google.example>
Content-Type: text/plain; charset=ISO-8859-1

Delivery to the following recipient failed permanently:

     {to}

The error that the other server returned was:
550 5.1.1 The email account that you tried to reach does not exist.

----- Original message -----

Received: by 192.0.2.11 with SMTP id u11; Mon, 05 Oct 2026 08:00:00 -0500
{RETURNED.format(to=to, mail_id=mail_id)}
Please look.
""")


def qmail(mail_id, to):
    """Return what qmail-send writes: its apology, the address and the reason, and the mail below a line."""
    return _crlf(f"""Return-Path: <>
From: MAILER-DAEMON@mx.maple.example
To: contact@maple.example
Subject: failure notice
Message-ID: <q1@mx.maple.example>

Hi. This is the qmail-send program at mx.maple.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{to}>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <contact@maple.example>
Received: (qmail 1234 invoked by uid 0); 5 Oct 2026 13:00:00 -0000
{RETURNED.format(to=to, mail_id=mail_id)}
Please look.
""")


def exim(mail_id, to, *, late=False):
    """Return what Exim wrote before it knew reports, with the mail below a line of dashes; `late`: its warning."""
    failed = f"X-Failed-Recipients: {to}\n"
    notice = (
        "A message that you sent could not be delivered to one or more of its recipients. This is a permanent error."
    )
    if late:
        failed = ""
        notice = (
            "A message that you sent has not yet been delivered to one or more of its recipients.\n"
            "No action is required on your part. Delivery attempts will continue for some time."
        )
    return _crlf(f"""Return-Path: <>
{failed}Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mx.maple.example>
To: contact@maple.example
Subject: {"Warning: message 1a delayed 24 hours" if late else "Mail delivery failed: returning message to sender"}
Message-Id: <E1a@mx.maple.example>

This message was created automatically by mail delivery software.

{notice}

  {to}
    {"" if late else "host mx2.maple.example [192.0.2.1]: 550 Unrouteable address"}

------ This is a copy of the message, including all the headers. ------

Return-path: <contact@maple.example>
Received: from router by mx.maple.example with esmtp id 1a
{RETURNED.format(to=to, mail_id=mail_id)}
Please look.
""")


def receipt(mail_id):
    """Return a read receipt (RFC 8098), which names the mail in a field and returns nothing."""
    return _crlf(f"""From: Jo <jo@maple.example>
To: contact@maple.example
Subject: Read: Bus 12
Message-ID: <mdn1@maple.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=disposition-notification; boundary="m"

--m
Content-Type: text/plain

Your message was read.
--m
Content-Type: message/disposition-notification

Final-Recipient: rfc822;jo@maple.example
Original-Message-ID: {mail_id}
Disposition: manual-action/MDN-sent-manually; displayed

--m--
""")


def _crlf(text):
    return text.replace("\n", "\r\n").encode()
