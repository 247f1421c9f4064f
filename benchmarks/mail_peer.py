"""What a short script does with a mailbox: fetch a mail, send it on, flag it, one after another, and store nothing.

`python -m benchmarks.mail_peer IMAP_PORT SMTP_PORT` reads all of INBOX with imaplib, sends with smtplib over one
connection, and prints how many mails that were and how many seconds it took, as JSON.
"""

from __future__ import annotations

import imaplib
import json
import smtplib
import sys
import time

from tests.integration.dovecot import PASSWORD, USER


def main(imap_port: int, smtp_port: int) -> None:
    """Read and send everything."""
    began = time.monotonic()
    mailbox, relay = imaplib.IMAP4("127.0.0.1", imap_port), smtplib.SMTP("127.0.0.1", smtp_port)
    mailbox.authenticate("PLAIN", lambda _challenge: f"\0{USER}\0{PASSWORD}".encode())
    mailbox.select("INBOX")
    uids = mailbox.uid("SEARCH", "ALL")[1][0].split()
    for uid in uids:
        [(_, mail), *_] = mailbox.uid("FETCH", uid, "(BODY.PEEK[])")[1]
        relay.sendmail("contact@maplevalley.example", ["office@maplevalley.example"], mail)
        mailbox.uid("STORE", uid, "+FLAGS.SILENT", "(\\Seen)")
    took = time.monotonic() - began
    mailbox.logout()
    relay.quit()
    print(json.dumps({"mails": len(uids), "seconds": took}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
