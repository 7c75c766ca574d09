"""What to do about a dead letter, by the type of its error: one sentence for the person on call."""

from collections.abc import Mapping

_FORBIDDEN = (
    "The vendor knows us but does not let us do this: grant the permission that the message names, then replay."
)
_REFUSED = "The vendor refuses this request: look at the exchange; if the item was deleted, discard."

_BY_TYPE: Mapping[str, str] = {
    "AuthRejected": "The vendor refuses our credentials: renew them in the settings, restart, then replay.",
    "VendorForbidden": _FORBIDDEN,
    "Forbidden": _FORBIDDEN,  # older letters are stored under this name
    "DatabaseFault": "The database failed, which should never become a letter: report it, and replay.",
    "RateLimited": "The vendor asked for fewer calls: wait a while, then replay with a low rate.",
    "BudgetSpent": "Our own call budget was used up: replay when there is less to do.",
    "Unavailable": "The vendor did not answer for hours: look at its status page, and replay once it is back.",
    "BadAnswer": "The vendor's answer was not plausible: look at the exchange, and replay when it answers properly.",
    "VendorRefused": _REFUSED,
    "Refused": _REFUSED,  # likewise
    "NotFound": "What the message names no longer exists here: check that its connection is still configured, or discard.",
    "Unmappable": "The payload has a shape we do not know: report the field that the message names; replay after an"
    " update.",
    "KilledWorker": "Processing this crashed the worker several times: look at memory and the worker's log, then replay"
    " only this letter.",
    "BadConfiguration": "A setting is missing or wrong; the message names it. Correct it, restart, then replay.",
    "LookupError": "No worker knows this message: an older or newer version sent it. Edit its arguments, or discard.",
}
_DATABASE_TYPES = frozenset({"OperationalError", "DBAPIError", "InterfaceError", "IntegrityError", "DataError"})
_OTHERWISE = "Most likely a bug of Tallyhook: the traceback shows where. Replay one letter after an update."
_DATABASE = "The database failed: look at its log; replay once it works."


def advice(error_type: str) -> str:
    """What to do about a letter that died of such an exception."""
    if error_type in _BY_TYPE:
        return _BY_TYPE[error_type]
    return _DATABASE if error_type in _DATABASE_TYPES else _OTHERWISE
