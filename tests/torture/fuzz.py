"""`python -m tests.torture.fuzz SEEDS FOUND RUNS SEED`: let atheris look for mails that crash the whole way.

It begins with the mails in the folder SEEDS, and puts what crashes into FOUND. Which inputs lead to new code it sees by
itself, so it goes where chance alone doesn't.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["channels", "classifiers", "router"]):
    from tests.unit.channels.whole_path import go

LONGEST = 20_000  # octets
HANGS_S = 120  # one input


def main(seeds, found, runs, seed):
    """Run so many inputs; the process ends with status 0 if none crashed."""
    options = (f"-runs={runs}", f"-seed={seed}", f"-max_len={LONGEST}", f"-timeout={HANGS_S}", "-rss_limit_mb=4096")
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={found}/", seeds], go)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
