"""History: triggers write a row for every applied change of the merchant's data, in the same commit.

A trigger sees every writer, on the item path, in bulk and by hand, and costs only rows that really changed. The rows of
a first load are left out (``written_by`` is then ``first load``); one row per kind says that it began, and for what is held
already, since when its history is known.
"""

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import add, amounts, bigs, moments, row_id, words

revision = "0029"
down_revision = "0028"

KINDS = {
    "listings": "product",
    "stock": "stock",
    "orders": "order",
    "locations": "location",
    "vendors": "vendor",
    "categories": "category",
}
STATUS = "CASE WHEN {row}.archived THEN 'archived' WHEN {row}.active THEN 'active' ELSE 'inactive' END"
TRACKED = {  # the columns of history, and the value of a living row
    "listings": {
        "price": "{row}.price_minor",
        "cost": "{row}.cost_minor",
        "reorder_point": "{row}.reorder_point",
        "status": STATUS,
    },
    "stock": {"quantity": "{row}.quantity"},
}
KEPT = {  # other columns of history
    "listings": {"external_id": "{row}.external_id", "currency": "{row}.currency"},
    "stock": {
        "external_id": "{row}.listing_id",
        "location_id": "{row}.location_id",
        "state": "{row}.state",
    },
}

_SAME = {"sqlite": "{a} IS {b}", "postgresql": "{a} IS NOT DISTINCT FROM {b}"}
_SQLITE = """CREATE TRIGGER {table}_history_{event} AFTER {event} ON {table} WHEN {when} BEGIN {insert}; END"""
_POSTGRESQL = (
    """CREATE FUNCTION tallyhook_{table}_{event}_history() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN {insert}; RETURN NULL; END $$""",
    """CREATE TRIGGER {table}_history_{event} AFTER {event} ON {table} FOR EACH ROW
    WHEN ({when}) EXECUTE FUNCTION tallyhook_{table}_{event}_history()""",
)
EVENTS = ("insert", "update", "delete")


def upgrade() -> None:
    """Add the column, the table and the triggers, and note that what is held was loaded before."""
    dialect = op.get_bind().dialect.name
    for table in KINDS:
        add(table, *words("written_by", nullable=True))
    _create_table(dialect)
    for table, kind in KINDS.items():
        op.execute(
            f"""INSERT INTO history (connection, kind, external_id, op, changed_at, recorded_at)
            SELECT connection, '{kind}', '', 'since', max(written_at), max(written_at) FROM {table} GROUP BY connection"""
        )
        for event in EVENTS:
            for text in (_SQLITE,) if dialect == "sqlite" else _POSTGRESQL:
                op.execute(
                    text.format(
                        table=table, event=event, when=_when(table, event, dialect), insert=_insert(table, event)
                    )
                )


def _create_table(dialect: str) -> None:
    own = "CAST(CAST(pg_current_xact_id() AS text) AS bigint)" if dialect == "postgresql" else "0"
    op.create_table(
        "history",
        row_id(),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False, server_default=sa.text(own)),
        *words("connection", "kind", "external_id"),
        *words("location_id", "state", nullable=True),
        *words("op"),
        *moments("changed_at", "recorded_at"),
        *words("written_by", nullable=True),
        *amounts(*_pair("quantity"), nullable=True),
        *bigs(*_pair("price"), *_pair("cost"), nullable=True),
        *words("currency", nullable=True),
        *amounts(*_pair("reorder_point"), nullable=True),
        *words(*_pair("status"), nullable=True),
    )
    op.create_index("ix_history_item", "history", ["connection", "external_id", "id"])
    op.create_index("ix_history_feed", "history", ["transaction_id", "id"])


def _pair(name: str) -> tuple[str, str]:
    return f"{name}_before", f"{name}_after"


def _when(table: str, event: str, dialect: str) -> str:
    """A row came to life, ended, or lives and has other content. A mark that somebody edited it (-1) is no content."""
    if event == "insert":
        return "NOT NEW.deleted AND coalesce(NEW.written_by, '') <> 'first load'"
    if event == "delete":
        return "NOT OLD.deleted"
    changed = " OR ".join(
        f"NOT ({_SAME[dialect].format(a=value.format(row='OLD'), b=value.format(row='NEW'))})"
        for value in TRACKED.get(table, {}).values()
    )
    content = "OLD.row_hash <> NEW.row_hash AND NEW.row_hash <> -1"
    living = f"NOT NEW.deleted AND ({content}{' OR ' + changed if changed else ''})"
    return f"OLD.deleted <> NEW.deleted OR {living}"


def _insert(table: str, event: str) -> str:
    """The row of history; in an insert there is nothing before, in a delete nothing after."""
    row = "OLD" if event == "delete" else "NEW"
    values = {"connection": f"{row}.connection", "kind": f"'{KINDS[table]}'"}
    kept = KEPT.get(table, {"external_id": "{row}.external_id"})
    values |= {column: value.format(row=row) for column, value in kept.items()}
    values |= _circumstances(event)
    for column, value in TRACKED.get(table, {}).items():
        values[f"{column}_before"] = "NULL" if event == "insert" else _living(value, "OLD")
        values[f"{column}_after"] = "NULL" if event == "delete" else _living(value, "NEW")
    return f"INSERT INTO history ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def _circumstances(event: str) -> dict[str, str]:
    if event == "insert":
        return {
            "op": "'created'",
            "changed_at": _earlier("coalesce(NEW.modified_at, NEW.read_at)"),
            "recorded_at": "NEW.written_at",
            "written_by": "coalesce(NEW.written_by, 'hand')",
        }
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'" if op.get_bind().dialect.name == "sqlite" else "now()"
    if event == "delete":
        return {"op": "'deleted'", "changed_at": now, "recorded_at": now, "written_by": "'hand'"}
    by_hand = "NEW.written_at = OLD.written_at AND NEW.read_at = OLD.read_at AND NEW.version = OLD.version"
    unmoved = "NEW.modified_at IS NULL OR NEW.modified_at = OLD.modified_at"
    moved = f"CASE WHEN {unmoved} THEN NEW.read_at ELSE NEW.modified_at END"
    return {
        "op": "CASE WHEN NEW.deleted THEN 'deleted' WHEN OLD.deleted THEN 'created' ELSE 'updated' END",
        "changed_at": f"CASE WHEN {by_hand} THEN {now} ELSE {_earlier(moved)} END",
        "recorded_at": f"CASE WHEN {by_hand} THEN {now} ELSE NEW.written_at END",
        "written_by": f"CASE WHEN {by_hand} THEN 'hand' ELSE NEW.written_by END",
    }


def _earlier(moment: str) -> str:
    """Nothing changed later than it was written: a moment ahead of that comes from a wrong clock."""
    least = "min" if op.get_bind().dialect.name == "sqlite" else "least"
    return f"{least}({moment}, NEW.written_at)"


def _living(value: str, row: str) -> str:
    return f"CASE WHEN {row}.deleted THEN NULL ELSE {value.format(row=row)} END"
