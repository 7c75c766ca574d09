"""The database notices rows that anybody but Tallyhook changes, and holds at most one open batch per kind.

Tallyhook never writes a row without moving ``row_hash``, ``version``, ``read_at`` or ``written_at``. An update that
moves none of them was made by somebody else: its ``row_hash`` becomes -1, so that the next complete read finds the
row different.
"""

from alembic import op

from app.stores.migrations.columns import unique_where

revision = "0002"
down_revision = "0001"

TABLES = ("listings", "stock", "orders", "locations", "vendors", "categories")

_UNMOVED = """NEW.row_hash = OLD.row_hash AND NEW.version = OLD.version AND NEW.read_at = OLD.read_at
    AND NEW.written_at = OLD.written_at"""
_SQLITE = """
CREATE TRIGGER {table}_local_edit AFTER UPDATE ON {table}
WHEN {unmoved} AND OLD.row_hash <> -1
BEGIN UPDATE {table} SET row_hash = -1 WHERE rowid = NEW.rowid; END
"""
_FUNCTION = """
CREATE FUNCTION tallyhook_local_edit() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.row_hash := -1; RETURN NEW; END $$
"""
_POSTGRESQL = """
CREATE TRIGGER {table}_local_edit BEFORE UPDATE ON {table} FOR EACH ROW
WHEN ({unmoved} AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION tallyhook_local_edit()
"""


def upgrade() -> None:
    """Add the triggers and the index."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute(_FUNCTION)
    for table in TABLES:
        op.execute((_POSTGRESQL if postgresql else _SQLITE).format(table=table, unmoved=_UNMOVED))
    unique_where("ux_holds_open", "holds", ["connection", "kind"], "state IN ('held', 'released')")
