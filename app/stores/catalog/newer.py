"""Which of two states of a row stays, as SQL: the conditions of every guarded write, on both databases."""

from __future__ import annotations

from app.rules.versions import AHEAD

LOCALLY_EDITED = -1
"""The ``row_hash`` of a row that was changed here by anybody but us: written by the database (migration 0002), or by the
checksum pass (``stores.catalog.checksums``) where the database could not see it. None of its columns is believed."""

OWN_TIME = {  # the text of a moment has six digits after the point, or none
    "sqlite": """CAST(strftime('%s', {row}.read_at) AS INTEGER) * 1000000
        + CAST(substr({row}.read_at, 21, 6) AS INTEGER)""",
    "postgresql": "CAST(extract(epoch FROM {row}.read_at) * 1000000 AS bigint)",
}
"""The version of a row that has none but the time of its read: the source gave none, or one in the future."""

# Newer wins: by the source's version; between equal versions by content, if the read began no earlier. So does the later
# read where our row has but its own read's time (``OWN_TIME``): that says nothing of when the source changed it. A
# tombstone that we concluded ourselves (its hash is 0) is lifted by every read that began after it was concluded, and by
# no other. A row from the future was written while some clock was ahead: it protects nothing. ``written_at`` is the
# database's now.
NEWER = """CASE
    WHEN t.read_at > {horizon} OR t.version > {latest} THEN true
    WHEN t.row_hash = -1 THEN excluded.read_at >= t.read_at
    WHEN t.deleted AND t.row_hash = 0 THEN excluded.read_at >= t.read_at
    ELSE excluded.version > t.version OR (
        excluded.row_hash <> t.row_hash AND excluded.read_at >= t.read_at
        AND (excluded.version = t.version OR t.version = {own_time}))
    END"""
_HORIZON = {  # the text of a moment compares like the moment, also where it has no fraction
    "sqlite": "datetime(excluded.written_at, '+61 seconds')",
    "postgresql": "excluded.written_at + interval '60 seconds'",
}
_LATEST = {
    "sqlite": f"(CAST(strftime('%s', excluded.written_at) AS INTEGER) + 1) * 1000000 + {AHEAD}",
    "postgresql": f"CAST(extract(epoch FROM excluded.written_at) * 1000000 AS bigint) + {AHEAD}",
}

# An item that is gone may have had rows that we never saw, so a deletion is a row of its own under the item's id
# (``fence_row``). What a read shows of such an item, if it began before that, is old. A row by row look-up: joined, the
# two would be planned as if all rows were wanted.
UNFENCED = """CASE WHEN {parent} IS NULL THEN true ELSE NOT EXISTS (
    SELECT 1 FROM {table} f WHERE f.connection = {connection} AND f.external_id = {parent} AND f.deleted
        AND f.row_hash = 0 AND f.read_at > {read_at} AND f.read_at <= {now}) END"""


def is_newer(dialect: str) -> str:
    """Whether the offered row (``excluded``) goes over ours (``t``)."""
    return NEWER.format(
        horizon=_HORIZON[dialect], latest=_LATEST[dialect], own_time=OWN_TIME[dialect].format(row="t")
    )
