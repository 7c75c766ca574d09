"""What can be wrong with records as the source sent them: future dates, unstorable texts, unknown time zones, and
records that could not be read."""

from zoneinfo import ZoneInfo

from sqlalchemy import Connection, String
from sqlmodel.sql.sqltypes import AutoString

from app.domain import Kind
from app.stores.catalog import catalog_sql
from app.stores.sql.statements import Statement
from app.stores.tables import CATALOG
from app.stores.validation.asking import Check, Cutoffs, Finding, Question

_MINE = "connection = :connection"
_UNHELD = "\N{REPLACEMENT CHARACTER}"


def _future_rows(kind: Kind) -> str:
    return f"""
        SELECT '{kind}' AS kind, {catalog_sql.item_text(kind)} AS item, modified_at FROM {catalog_sql.shape(kind).table}
        WHERE {_MINE} AND (modified_at > :ahead OR version > :ahead_version)
    """


# Deleted rows too: no read before that date brings them back.
FROM_THE_FUTURE = Question(
    " UNION ALL ".join(map(_future_rows, Kind)),
    [Check("from_the_future", ("kind", "item", "modified_at"))],
)


def _unheld_rows(kind: Kind) -> str:
    table = CATALOG[kind]
    texts = [column.name for column in table.c if isinstance(column.type, (String, AutoString))]
    holes = " OR ".join(f"instr({name}, '{_UNHELD}') > 0" for name in texts)
    return f"""
        SELECT '{kind}' AS kind, {catalog_sql.item_text(kind)} AS item FROM {table.name}
        WHERE {_MINE} AND NOT deleted AND ({holes})
    """


UNHELD_TEXTS = Question(
    " UNION ALL ".join(map(_unheld_rows, Kind)),
    [Check("unheld_texts", ("kind", "item"))],
)
FAILED_ITEMS = Question(
    f"""
    SELECT kind, count(*) AS items, min(external_id) AS item, max(error) AS error FROM failed_items
    WHERE {_MINE} AND resolved_at IS NULL GROUP BY kind
    """,
    [Check("failed_items", ("kind", "items", "item", "error"), counts="sum(items)")],
)


class _UnknownZones:
    """Finds locations whose time zone this machine does not know: their days are computed in UTC."""

    checks = (Check("unknown_time_zones", ("location", "name", "timezone")),)

    def ask(self, conn: Connection, connection: str, cutoffs: Cutoffs, samples: int) -> list[Finding]:
        """The finding, with at most ``samples`` samples."""
        rows = [row for row in _ZONES.run(conn, {"connection": connection}) if not _is_zone(row[2])]
        shown = [dict(zip(self.checks[0].shows, row, strict=True)) for row in rows[:samples]]
        return [Finding(self.checks[0].name, len(rows), shown)]


_ZONES = Statement(
    f"""
    SELECT external_id, name, timezone FROM locations
    WHERE {_MINE} AND NOT deleted AND timezone IS NOT NULL ORDER BY external_id
    """
)
UNKNOWN_ZONES = _UnknownZones()


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # also for a folder, or a path out of where zones are
        return False
    return True
