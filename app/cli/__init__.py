"""The same flows from a terminal: ``tallyhook demo | up | sync | runs | status | dead | ...``."""

import logging
import sys

import structlog

from app.cli.codes import FAILED, code_of, message_of
from app.cli.commands import app
from app.cli.here import settings_here
from app.errors import BadConfiguration, TallyhookError
from app.flows.deps import DATABASE_ERRORS
from app.local.private import keep_private
from app.rules.access.redaction import redactor
from app.rules.filters import FilterError
from app.rules.terminal import for_terminal


def main() -> None:
    """Run the console command; an error of ours prints one line and sets the exit code, never a traceback."""
    keep_private()
    structlog.configure(  # until a command knows better: what is answered goes to standard output alone
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        app()
    except (TallyhookError, FilterError) as error:
        print(f"tallyhook: {_redacted(message_of(error))}", file=sys.stderr)
        raise SystemExit(code_of(error)) from None
    except DATABASE_ERRORS as error:
        line = str(getattr(error, "orig", error)).strip().splitlines()[0]
        print(
            f"tallyhook: the database: {_redacted(line)} (is its schema up to date? `tallyhook migrate`)",
            file=sys.stderr,
        )
        raise SystemExit(FAILED) from None


def _redacted(line: str) -> str:
    """The line without our secrets and safe to print: it may quote a vendor or the database."""
    try:
        return for_terminal(redactor(settings_here().secrets())(line))
    except BadConfiguration:  # then that is the error, and its message names no secret
        return for_terminal(line)
