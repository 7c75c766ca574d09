"""The same flows from a terminal: ``tallyhook demo | up | sync | runs | status | dead | ...``."""

from __future__ import annotations

import sys

from app.cli.codes import FAILED, code_of, told
from app.cli.commands import app
from app.errors import TallyhookError
from app.rules.filters import FilterError
from app.stores.engine import DATABASE_ERRORS


def main() -> None:
    """The console command; an error of ours is one line and the exit code for it, never a traceback."""
    try:
        app()
    except (TallyhookError, FilterError) as error:
        print(f"tallyhook: {told(error)}", file=sys.stderr)
        raise SystemExit(code_of(error)) from None
    except DATABASE_ERRORS as error:
        line = str(getattr(error, "orig", error)).strip().splitlines()[0]
        print(f"tallyhook: the database: {line} (is its schema up to date? `tallyhook migrate`)", file=sys.stderr)
        raise SystemExit(FAILED) from None
