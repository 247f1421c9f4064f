"""The cases of the report on reliability: what is done, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A fault, an attack or a load; `unrun` says why no test has its number, where none has."""

    what: str
    expected: str
    unrun: str = ""


CASES = {
    # Crash and storage
    "D01": Case("`kill -9` at random under mixed load", "it restarts and goes on; nothing lost"),
    "D02": Case("`kill -9` at every named place", "the same end from every place; copies only after the last dot"),
    "D03": Case("PostgreSQL killed under load", "503 and 451 meanwhile, then on without a restart; nothing lost"),
    "D04": Case("power cut of the store's disk", "every acknowledged message is there"),
    "D05": Case("fsync fails once", "no acknowledgement for what isn't on disk"),
    "D06": Case("the Nth write fails, for every N", "done or refused, never half"),
    "D07": Case("the disk is full for a while", "refused before it is acknowledged; heals by itself"),
    "D08": Case(
        "a daemon is frozen past its lease, killed or cut off beside others; two copies by mistake",
        "taken over within 30 s; at most one copy per fault after the dot",
    ),
    "D09": Case("the clock jumps: hours, years, past 2038", "nothing lost, no copies, no delivery put off for long"),
    "D10": Case("no memory for a reader; SIGTERM with 100 under way", "the reader dies alone; a stop within 30 s"),
    # Network and the other side
    "N01": Case(
        "the answer after the last dot is lost", "one more try with the same Message-ID, then a person is asked"
    ),
    "N02": Case("a mail server that hangs or answers slowly", "time-outs by phase; others aren't held up"),
    "N03": Case("4xx, greylisting, 421, partial recipients", "each recipient for itself, backoff with jitter"),
    "N04": Case("a desk's mailbox is gone or full", "a dead letter that people hear of, or the fallback"),
    "N05": Case("encryption stripped, certificates wrong", "it waits, and nothing goes out in the clear"),
    "N06": Case("IMAP cut in the middle, half open, nonsense", "fetched again; one bad mail holds up no other"),
    "N07": Case("sign-in fails, tokens expire or are revoked", "an alert, few attempts, nothing lost"),
    "N08": Case("a webhook's receiver fails, redirects, rebinds", "signed, one key per delivery, no private address"),
    "N09": Case("a bad line: slow, lossy, narrow", "slower, and right"),
    # Hostile mail
    "M01": Case("mails that break parsers", "each delivered or held with its original; the next one follows"),
    "M02": Case("mails that burn processor time", "the reader is ended at its limit; others don't wait"),
    "M03": Case("depth, 100,000 parts, bombs, 24 and 60 MB", "limits; the original is kept"),
    "M04": Case("NUL, surrogates, odd dates, no or two From", "stored, shown and routed"),
    "M05": Case("injection by line ends, SMTP smuggling", "no further header, recipient or message"),
    "M06": Case("TNEF, S/MIME, PGP, invitations, images, nothing", "routed, the original as it came"),
    "M07": Case("loops of every kind", "it stops by itself, and people hear of it"),
    "M08": Case("24 kinds of automatic mail, with acknowledgements on", "no acknowledgement to any of them"),
    "M09": Case("a mail bomb with forged senders", "few acknowledgements to anybody; it stays up"),
    "M10": Case("active content in a message, shown in a browser", "no script, no request"),
    "M11": Case("attachments with evil names and contents", "harmless names, held apart"),
    # Twilio
    "T01": Case("signatures: 8 good, 14 bad", "the good are taken, the bad leave no trace"),
    "T02": Case("the same text five times at once, and 30 days later", "one message"),
    "T03": Case("ten minutes without the web server; a slow store", "what the webhook missed is fetched, once"),
    "T04": Case("STOP, ALTO, HELP, START", "nothing is sent to who wants nothing"),
    "T05": Case("every error of sending; late, doubled, forged news", "terminal or tried again, rightly"),
    "T06": Case("1,601 characters, 40 emoji, 10 pictures, bad pictures", "the text at once, pictures later or noted"),
    # Load
    "P01": Case("a snow day: 100 a second, then 10 for an hour", "accepted within a second; nothing lost"),
    "P02": Case("a mail server at a tenth of its speed", "bounded memory, urgent first, refusals before accepting"),
    "P03": Case("one sender with 10,000 messages", "the others wait no longer than usual"),
}
