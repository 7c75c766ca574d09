"""The SQL conditions of every guarded write: which of two states of a row stays."""

from app.rules.versions import AHEAD

LOCALLY_EDITED = -1
"""The ``row_hash`` of a row that somebody else changed here: set by a trigger (migration 0002), or by the checksum pass
(``stores.catalog.checksums``) if the trigger could not see it. None of its columns can be trusted."""

OWN_TIME = {  # the text of a moment has six digits after the point, or none
    "sqlite": """CAST(strftime('%s', {row}.read_at) AS INTEGER) * 1000000
        + CAST(substr({row}.read_at, 21, 6) AS INTEGER)""",
    "postgresql": "CAST(extract(epoch FROM {row}.read_at) * 1000000 AS bigint)",
}
"""The version of a row whose source gave none, or one in the future: the time of its read."""

# Newer wins: by the source's version; with equal versions by content, if the read began no earlier. A later read also
# wins over a row whose only version is the time of its read (``OWN_TIME``), which says nothing of when the source changed
# it. Our own tombstone (its hash is 0) is replaced by every read that began after it was concluded, and by no other. A
# row from the future was written while some clock was ahead, and is not protected. ``written_at`` is the database's now.
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

# An item that is gone may have had rows that we never saw, so its deletion is a row under the item's id (``fence_row``).
# What an earlier read shows of such an item is old. This is a look-up per row, because a join would be planned as if all
# rows were needed.
UNFENCED = """CASE WHEN {parent} IS NULL THEN true ELSE NOT EXISTS (
    SELECT 1 FROM {table} f WHERE f.connection = {connection} AND f.external_id = {parent} AND f.deleted
        AND f.row_hash = 0 AND f.read_at > {read_at} AND f.read_at <= {now}) END"""


def is_newer(dialect: str) -> str:
    """The condition that the offered row (``excluded``) replaces ours (``t``)."""
    return NEWER.format(
        horizon=_HORIZON[dialect], latest=_LATEST[dialect], own_time=OWN_TIME[dialect].format(row="t")
    )
