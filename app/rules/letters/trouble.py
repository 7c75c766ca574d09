"""The category of an error, by which people filter failed items."""

from app.errors import AuthRejected, BadAnswer, DatabaseFault, RateLimited, Refused, Transient, Unmappable

CATEGORIES = ("network", "rate_limit", "auth", "validation", "mapping", "conflict", "database")

_BY_ERROR: tuple[tuple[type[BaseException], str], ...] = (
    (DatabaseFault, "database"),
    (RateLimited, "rate_limit"),
    (BadAnswer, "validation"),
    (Transient, "network"),
    (AuthRejected, "auth"),
    (Refused, "validation"),
    (Unmappable, "mapping"),
)
_CONFLICTS = ("IntegrityError", "UniqueViolation", "SerializationFailure", "DeadlockDetected")


def category_of(error: BaseException, database_errors: tuple[type[BaseException], ...]) -> str:
    """One of ``CATEGORIES``; "mapping" for an error that fits no other."""
    for error_type, category in _BY_ERROR:
        if isinstance(error, error_type):
            return category
    if isinstance(error, database_errors):
        return "conflict" if type(error).__name__ in _CONFLICTS else "database"
    return "mapping"
