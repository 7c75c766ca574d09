"""The error tree: one question decides each branch, "will waiting help?".

    TallyhookError
     ├ Transient            waiting helps: the owed item is tried again, later and later
     │  ├ Unavailable         no answer, a timeout, a 5xx, a dropped connection
     │  ├ RateLimited         the vendor says "not now" (retry_after, seconds)
     │  │  └ BudgetSpent        our own budget says so before the call: no failed attempt
     │  ├ BadAnswer           an answer that cannot be true: HTML, an error body in a 200, cut short
     │  └ DatabaseFault       the database is in trouble: no dead letter, no failed run, no counted attempt
     └ Permanent            waiting does not help: a dead letter, for a person
        ├ AuthRejected        the credentials are refused
        │  └ VendorForbidden    the credentials are good, but may not do this (403)
        ├ Refused             this request cannot be carried out as it is; web and cli have a status for each
        │  ├ VendorRefused      the vendor refuses it (any other 4xx)
        │  ├ NotFound           there is no such thing, or the caller may not see it
        │  ├ Conflict           the state of the thing does not allow it
        │  │  └ Busy              a bulk run of the connection is active already
        │  ├ InvalidRequest     a value is wrong
        │  │  └ InvalidOptions    the options of a run contradict each other
        │  └ Forbidden          the caller may not do it
        ├ TakesTooLong        a query takes longer than it may: it has to be narrowed
        ├ Unmappable          the payload does not have the shape we know
        ├ KilledWorker        the message took its worker process down, several times
        └ BadConfiguration    a setting is missing or wrong

Expected events (a deleted record, an unknown event type, a duplicate) are results, not exceptions.
"""


class TallyhookError(Exception):
    """Anything Tallyhook raises on purpose."""


class Transient(TallyhookError):
    """Waiting helps. ``retry_after`` is the vendor's or budget's own wish in seconds, if it has one."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Transient):
    """No usable answer: a timeout, a 5xx, a refused or dropped connection."""


class RateLimited(Transient):
    """Too many requests, by the vendor's count or our own budget's."""


class BudgetSpent(RateLimited):
    """Our own budget has no call left now; the vendor was not asked, so nothing has failed."""


class BadAnswer(Transient):
    """An answer that cannot be the truth: HTML, a 200 with an error body, a truncated document."""


class DatabaseFault(Transient):
    """The database is in trouble: restarted, locked, read-only, full, unreachable, or it undid our transaction.

    It is nobody's fault: it makes no dead letter, fails no run and counts as no attempt. ``stores.sql.engine`` raises it
    instead of the driver's error, so that nothing above needs to know drivers.
    """


class Permanent(TallyhookError):
    """Waiting does not help; somebody has to look."""


class AuthRejected(Permanent):
    """The vendor refuses the credentials (401, 403 or a login page)."""


class VendorForbidden(AuthRejected):
    """The vendor knows us but does not let us do this (403); the message has the vendor's own words."""


class Refused(Permanent):
    """This request cannot be carried out as it is. The web and the commands answer each subclass with its own status or exit
    code."""


class VendorRefused(Refused):
    """The vendor refuses this request (any 4xx that does not concern the credentials)."""


class NotFound(Refused):
    """There is no such thing, or the caller may not see it; ``what`` names the sort of thing for programs."""

    def __init__(self, message: str, what: str = "") -> None:
        super().__init__(message)
        self.what = what


class Conflict(Refused):
    """The state of the thing does not allow it."""


class Busy(Conflict):
    """The connection has an active bulk run, whose id is ``run_id``."""

    def __init__(self, message: str, run_id: int) -> None:
        super().__init__(message)
        self.run_id = run_id


class InvalidRequest(Refused):
    """A value is wrong; the message says what would be right."""


class InvalidOptions(InvalidRequest):
    """The options of a run contradict each other, or one would be ignored; the message quotes them as the API spells
    them."""


class Forbidden(Refused):
    """The caller may not do it."""


class TakesTooLong(Permanent):
    """A query took longer than it may, or nobody waits for its answer any more. The database is not in trouble: the query
    would take as long again, so it has to be narrowed."""


class Unmappable(Permanent):
    """A payload whose shape we do not know; the message names the field and what was expected."""


class KilledWorker(Permanent):
    """A message whose processing took the worker process down again and again."""


class BadConfiguration(Permanent):
    """A setting is missing or wrong; the message says which one and what would be right."""
