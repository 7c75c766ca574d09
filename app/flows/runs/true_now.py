"""How true a connection's copy is now: the agreement of the last complete read, and the spot checks since then."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.rules.drift.agreement import Interval, wilson
from app.stores.reports import metrics as figures
from app.stores.reports.metrics import Agreement
from app.stores.runs import spot_checks
from app.stores.runs.spot_checks import Sums

TRUTH = timedelta(days=35)
"""An older agreement says nothing about today."""


class TrueNow(NamedTuple):
    """A kind's ``agreement`` after its last complete read (``None``: not known), and the spot checks since (``None``: it
    was never read whole)."""

    connection: str
    kind: str
    agreement: Agreement | None
    checks: Sums | None

    @property
    def interval(self) -> Interval | None:
        """The interval of the share of equal rows, with 95 % certainty; ``None`` while no row was checked."""
        return None if self.checks is None else wilson(self.checks.equal, self.checks.checked)


def true_now(conn: Connection, connection: str, now: datetime) -> list[TrueNow]:
    """Every kind with an agreement or spot checks, by kind."""
    agreements = {row.kind: row for row in figures.agreement(conn, now - TRUTH) if row.connection == connection}
    checks = {row.kind: row for row in spot_checks.sums(conn, connection)}
    return [
        TrueNow(connection, kind, agreements.get(kind), checks.get(kind)) for kind in sorted({*agreements, *checks})
    ]


def as_json(rows: list[TrueNow]) -> dict[str, dict[str, Any]]:
    """By kind: ``share``, ``at`` and ``run`` of the last known agreement; the rows ``checked`` since the last complete read
    (``since``), how many were ``equal``, and the interval ``low`` to ``high``. ``None`` is not known."""
    return {row.kind: _of_kind(row) for row in rows}


def _of_kind(row: TrueNow) -> dict[str, Any]:
    agreement, checks = row.agreement, row.checks
    low, high = row.interval or (None, None)
    return {
        "share": None if agreement is None else agreement.share,
        "at": None if agreement is None or agreement.at is None else agreement.at.isoformat(),
        "run": None if agreement is None else agreement.run_id,
        "since": None if checks is None else checks.since.isoformat(),
        "checked": 0 if checks is None else checks.checked,
        "equal": 0 if checks is None else checks.equal,
        "low": low,
        "high": high,
    }
