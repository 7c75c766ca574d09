"""What a command's exit code says, the same for all of them."""

from __future__ import annotations

from app.errors import BadConfiguration, Busy, Refused, TallyhookError
from app.rules.filters import FilterError

WELL = 0
FAILED = 1
USAGE = 2
BUSY = 3
REFUSED = 4
INTERRUPTED = 130

EXPLAINED = (
    "Exit codes: 0 all is well; 1 the run did not complete, or a check found something; 2 the command or a setting is "
    "written wrongly; 3 another run of the connection is active; 4 refused or not found; 130 interrupted."
)


def code_of(error: TallyhookError | FilterError) -> int:
    """The exit code for an error that ended a command."""
    if isinstance(error, Busy):
        return BUSY
    if isinstance(error, Refused):
        return REFUSED
    return USAGE if isinstance(error, (BadConfiguration, FilterError)) else FAILED


def told(error: TallyhookError | FilterError) -> str:
    """The error in one line, with what to do next where that is known."""
    line = " ".join(str(error).split())
    return f"{line}; see `tallyhook runs show {error.run_id}`" if isinstance(error, Busy) else line
