"""`python -m tests.torture`: run every case in its long form, and write what came of it into docs/reliability.md."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.torture.recording import RECORD, SEED, SHARE
from tests.torture.report import read, rewrite

PAGE = Path("docs/reliability.md")


def main():
    """Run, report, and return pytest's exit status."""
    asked = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    asked.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="what the random numbers come from")
    asked.add_argument("--share", type=float, default=1.0, help="of each case's rounds, for whoever has less time")
    asked.add_argument("--page", type=Path, default=PAGE, help="the page that the table is written into")
    asked.add_argument("-k", default="", metavar="WORDS", help="only tests whose names match, as for pytest")
    asked.add_argument("tests", nargs="*", default=["tests"], help="which tests (default: all that belong to a case)")
    given, for_pytest = asked.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="signpost-torture-") as folder:
        record = Path(folder) / "record.jsonl"
        record.touch()
        os.environ |= {SEED: str(given.seed), SHARE: str(given.share), RECORD: str(record)}
        print(f"seed {given.seed}")  # noqa: T201  whoever wants to see the same again needs it, whatever happens
        status = pytest.main(["-m", "case", "-q", "-k", given.k, *for_pytest, *given.tests])
        given.page.write_text(rewrite(given.page.read_text("utf-8"), read(record), datetime.now(UTC).date()), "utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
