"""The same flows from a terminal: ``tallyhook demo | up | web | worker | clock | status | dead | ...``."""

from __future__ import annotations

import sys

from app.cli.commands import app
from app.errors import TallyhookError


def main() -> None:
    """The console command; an error of ours is one line and exit code 1, never a traceback."""
    try:
        app()
    except TallyhookError as error:
        print(f"tallyhook: {error}", file=sys.stderr)
        raise SystemExit(1) from None
