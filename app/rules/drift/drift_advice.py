"""What to do about a difference, by its cause."""

from collections.abc import Mapping
from datetime import datetime

from app.rules.drift.drift import DriftCause

_ADVICE: Mapping[str, str] = {
    DriftCause.MISSED: "The vendor did not notify us: check that its webhook subscription is on and covers this kind of"
    " change; only the nightly run finds deletions that it never announces.",
    DriftCause.SILENT: "No setting helps: the vendor gave the edit no new time of change. The nightly run"
    " finds such edits, those of older orders within a month.",
    DriftCause.LATE: "Nothing, if it is rare. If it is not, more workers or a larger call budget shorten the backlog"
    " (`tallyhook status`).",
    DriftCause.FAILED: "Look at `tallyhook dead list` and `tallyhook failed`: fix what they name, or the next change of"
    " the item will fail, too.",
    DriftCause.LOCAL: "Somebody writes into our tables: find out who has the database's password, and give that program"
    " an account that may only read.",
    DriftCause.RESTORED: "A backup was restored: look at `tallyhook dead list` and the runs since; the poll and this run"
    " have brought back what was lost.",
    DriftCause.MAPPING: "Nothing: a new release of Tallyhook maps the data differently, and the run has brought the row"
    " up to date.",
    DriftCause.STALE: "The vendor answered with an older state: nothing to do if it is rare; if it is not, report it to the"
    " vendor, with the times given.",
    DriftCause.DOWN: "We could neither receive events nor poll: keep the processes running, and the polls and the connection"
    " switched on (`tallyhook schedule show`).",
    DriftCause.REFUSED: "We refused deliveries: compare the signature key in the settings with the one at the vendor,"
    " and the public address with the one it signs.",
    DriftCause.UNKNOWN: "Nothing yet: the sentence next to it says what is not known. It is judged again every few"
    " minutes.",
}


def advice_on(cause: str) -> str | None:
    """What to do about a difference with this cause; ``None`` for a cause that is not a reason (a dry run's)."""
    return _ADVICE.get(cause)


def since_words(since: datetime | None, latest: datetime | None) -> str:
    """Since when our copy was wrong, in words (UTC): a moment, or the two between which it was."""
    if latest is None:
        return "" if since is None else f"since {since:%m-%d %H:%M}"
    if since is None:
        return f"at {latest:%m-%d %H:%M} at the latest"
    if f"{since:%m-%d %H:%M}" == f"{latest:%m-%d %H:%M}":
        return f"since {since:%m-%d %H:%M}"
    end = f"{latest:%H:%M}" if since.date() == latest.date() else f"{latest:%m-%d %H:%M}"
    return f"between {since:%m-%d %H:%M} and {end}"
