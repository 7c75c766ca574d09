"""How true a connection's copy is now: the agreement of the last complete read, and the spot checks since then."""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from app.rules.drift.agreement import wilson
from app.stores.reports import metrics as figures
from app.stores.reports.metrics import Agreement
from app.stores.runs import spot_checks
from app.stores.runs.spot_checks import Sums

TRUTH = timedelta(days=35)
"""An older agreement says nothing about today."""


class TrueNow(msgspec.Struct, frozen=True):
    """Of a kind: ``share`` (0 to 1), ``at`` and ``run`` of the last known agreement; the rows ``checked`` since the last
    complete read (``since``), how many were ``equal``, and the interval ``low`` to ``high`` of the share of equal rows,
    with 95 % certainty. ``None`` is not known; moments are ISO 8601."""

    share: float | None = None
    at: str | None = None
    run: int | None = None
    since: str | None = None
    checked: int = 0
    equal: int = 0
    low: float | None = None
    high: float | None = None


def true_now(conn: Connection, connection: str, now: datetime) -> dict[str, TrueNow]:
    """Every kind with an agreement or spot checks, by kind."""
    agreements = {row.kind: row for row in figures.agreement(conn, now - TRUTH) if row.connection == connection}
    checks = {row.kind: row for row in spot_checks.sums(conn, connection)}
    return {kind: _of_kind(agreements.get(kind), checks.get(kind)) for kind in sorted({*agreements, *checks})}


def _of_kind(agreement: Agreement | None, checks: Sums | None) -> TrueNow:
    known = TrueNow()
    if agreement is not None:
        at = None if agreement.at is None else agreement.at.isoformat()
        known = TrueNow(agreement.share, at, agreement.run_id)
    if checks is None:
        return known
    low, high = wilson(checks.equal, checks.checked) or (None, None)
    since, counts = checks.since.isoformat(), (checks.checked, checks.equal)
    return TrueNow(known.share, known.at, known.run, since, *counts, low, high)
