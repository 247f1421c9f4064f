"""The peer of the path figure: a bare relay loop that reads a row, sends it by SMTP and marks it, one after another.

`python -m benchmarks.relay_peer FILE SMTP_PORT COUNT` fills an SQLite file (WAL, FULL) with mails, each committed as
sent before the next one is read, and prints how many seconds the loop took, as JSON. It parses, decides and composes
nothing, and what it was sending when it dies is sent twice.
"""

from __future__ import annotations

import json
import smtplib
import sqlite3
import sys
import time
from contextlib import closing

from benchmarks.letters import letter

_NEXT = "SELECT id, mail FROM mails WHERE sent_at IS NULL ORDER BY id LIMIT 1"


def main(path: str, smtp_port: int, count: int) -> None:
    """Fill the file, send everything, and print the figures."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE mails (id INTEGER PRIMARY KEY, mail BLOB NOT NULL, sent_at REAL)")
        connection.execute("CREATE INDEX waiting ON mails (id) WHERE sent_at IS NULL")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO mails (mail) VALUES (?)", ((letter(number),) for number in range(count)))
        connection.execute("COMMIT")
        relay, began, cpu_s = smtplib.SMTP("127.0.0.1", smtp_port), time.monotonic(), time.process_time()
        while row := connection.execute(_NEXT).fetchone():
            relay.sendmail("contact@maplevalley.example", ["office@maplevalley.example"], row[1])
            connection.execute("UPDATE mails SET sent_at = ? WHERE id = ?", (time.time(), row[0]))
        took, cpu_s = time.monotonic() - began, time.process_time() - cpu_s
        relay.quit()
    print(json.dumps({"mails": count, "seconds": took, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
