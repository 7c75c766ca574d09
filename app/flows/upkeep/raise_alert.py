"""Raises an alert, keeps it up to date while the trouble lasts, and closes it."""

import structlog
from sqlalchemy import Connection

from app.flows.deps import Deps
from app.stores.upkeep import alerts

log = structlog.get_logger()


def raise_alert(deps: Deps, key: str, title: str, detail: str, severity: str, connection: str | None) -> None:
    """Raise an alert, or update the open one with this key."""
    with deps.database.begin() as conn:
        new = alerts.raise_(
            conn,
            key,
            title=deps.redact(title),
            detail=deps.redact(detail),
            severity=severity,
            connection=connection,
            now=deps.now(),
        )
    if new:
        log.warning("alert", key=key, title=title)


def close_alert(deps: Deps, key: str) -> None:
    """Close the open alert with this key, if there is one; if it was mailed, its end is mailed too. Trouble that comes and
    goes is mailed neither when it returns nor when it ends."""
    with deps.database.begin() as conn:
        alert = alerts.close(conn, key, deps.now())
        if alert is None or alerts.settle_short(conn, alert, deps.now()):
            return
        if alert.told_at is not None and not key.startswith("gap:"):
            detail = f"It has been over since {deps.now():%Y-%m-%d %H:%M} UTC: {alert.detail}"
            raise_over(deps, conn, key, f"over: {alert.title}", detail, alert.connection)


def raise_over(deps: Deps, conn: Connection, key: str, title: str, detail: str, connection: str | None) -> None:
    """Say once that the trouble of the alert with this key is over."""
    texts = {"title": title, "detail": detail, "severity": "info"}
    alerts.raise_(conn, f"{key}:over", **texts, connection=connection, now=deps.now(), over=True)
