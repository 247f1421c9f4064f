"""The process in which the bundled model is trained before a daemon's first start: TYPE and SETTINGS (JSON)."""

from __future__ import annotations

import sys

from router.commandline.model import main
from router.errors import SignpostError

if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SignpostError as error:
        sys.exit(f"signpost: {error}")
