"""The meaning of exit codes, the same for every command."""

import re

from app.errors import BadConfiguration, Busy, DatabaseFault, InvalidOptions, Refused, TallyhookError
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

_DRIVERS_NAME = re.compile(r"^\w+(Error|Exception): ")
_QUOTED = re.compile(r'"([a-z][A-Za-z]*)"')


def code_of(error: TallyhookError | FilterError) -> int:
    """The exit code for an error that ended a command."""
    if isinstance(error, Busy):
        return BUSY
    if isinstance(error, (BadConfiguration, FilterError, InvalidOptions)):
        return USAGE
    return REFUSED if isinstance(error, Refused) else FAILED


def message_of(error: TallyhookError | FilterError) -> str:
    """The error in one line, with the next step where it is known."""
    line = " ".join(str(error).split())
    if isinstance(error, DatabaseFault):
        said = _DRIVERS_NAME.sub("", line)
        line = f"the database does not serve: {said} (which one it is says TALLYHOOK_DATABASE_URL)"
    if isinstance(error, InvalidOptions):
        line = as_typed(line)
    return f"{line}; see `tallyhook runs show {error.run_id}`" if isinstance(error, Busy) else line


def as_typed(line: str) -> str:
    """A sentence that quotes options as the API spells them (``"filterYear"``), with ``--filter-year`` instead."""
    return _QUOTED.sub(lambda match: "--" + re.sub("[A-Z]", lambda big: f"-{big[0].lower()}", match[1]), line)
