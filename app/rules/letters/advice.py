"""What to do about a dead letter, by the sort of error: one sentence for somebody who was woken up by it."""

from __future__ import annotations

from collections.abc import Mapping

from app import errors

_FORBIDDEN = (
    "The vendor knows us but does not let us do this: grant the permission that the message names, then replay."
)
_REFUSED = "The vendor refuses this very request: look at the exchange; if the item is gone for good, discard."

_BY_TYPE: Mapping[str, str] = {
    "AuthRejected": "The vendor refuses our credentials: renew them in the settings, restart, then replay.",
    "VendorForbidden": _FORBIDDEN,
    "Forbidden": _FORBIDDEN,  # so are older letters stored
    "ConnectionPaused": "The connection is paused: see `tallyhook connections list` for the reason; replay once it is"
    " active.",
    "DatabaseFault": "The database failed, which should never become a letter: report it, and replay.",
    "RateLimited": "The vendor wanted fewer calls: wait until it is quiet, then replay with a low rate.",
    "BudgetSpent": "Our own call budget was used up: replay when less is going on.",
    "Unavailable": "The vendor did not answer for hours: look at its status page, and replay once it is back.",
    "BadAnswer": "The vendor's answer could not be true: look at the exchange, and replay when it answers properly.",
    "VendorRefused": _REFUSED,
    "Refused": _REFUSED,  # likewise
    "NotFound": "What the message names is not here any more: look whether its connection is still configured, or discard.",
    "Unmappable": "The payload has a shape we do not know: report the field that the message names; replay after an"
    " update.",
    "KilledWorker": "Working on this killed the process, several times: look at memory and the worker's log before you"
    " replay, one letter alone.",
    "BadConfiguration": "A setting is missing or wrong; the message says which. Mend it, restart, then replay.",
    "LookupError": "No worker knows this message: an older or newer version sent it. Edit its arguments, or discard.",
}
_OTHERWISE = "A fault of ours, most likely: the traceback says where. Replay one letter after an update."
_DATABASE = "The database failed: look at its log; when it is well, replay."


def advice(error_type: str) -> str:
    """What to do about a letter that died of such an exception."""
    if error_type in _BY_TYPE:
        return _BY_TYPE[error_type]
    return _DATABASE if error_type in _DATABASE_TYPES else _OTHERWISE


_DATABASE_TYPES = frozenset({"OperationalError", "DBAPIError", "InterfaceError", "IntegrityError", "DataError"})


def known_types() -> set[str]:
    """The names of our own errors that a letter can die of."""
    leaves = (
        one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.TallyhookError)
    )
    return {one.__name__ for one in leaves} - {
        "TallyhookError",
        "Transient",
        "Permanent",
        "Busy",
        "Conflict",
        "InvalidRequest",
        "InvalidOptions",
        "TakesTooLong",
    }
