"""A PostgreSQL database that serves proofs only: prepared once, and emptied before each seed."""

from contextlib import closing

import psycopg

from app.errors import BadConfiguration
from app.stores.sql.engine import open_database
from app.stores.tables import CATALOG, InboxEvent

_MARK = "tallyhook_prove"
_OTHERS = """
    SELECT count(*) FROM information_schema.tables
    WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"""


def prepare(url: str) -> None:
    """Migrate an empty database and mark it as one for proofs.

    Raises ``BadConfiguration`` for a database that has tables and no mark, because a proof would empty it.
    """
    with psycopg.connect(plain(url), autocommit=True) as conn:
        marked = conn.execute("SELECT to_regclass(%s)", (_MARK,)).fetchone() != (None,)
        if not marked and conn.execute(_OTHERS).fetchone() != (0,):
            raise BadConfiguration("a proof empties its database; this one has tables already: name an empty one")
        conn.execute(f"CREATE TABLE IF NOT EXISTS {_MARK} (emptied_at timestamptz)".encode())
    with closing(open_database(url, pool=1)) as database:
        database.migrate()


def empty(url: str) -> None:
    """Delete every row of all our tables and restart their sequences; the audit log's trigger is disabled meanwhile."""
    names = InboxEvent.metadata.tables if CATALOG else ()
    with psycopg.connect(plain(url), autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(f"TRUNCATE {', '.join(names)} RESTART IDENTITY".encode())


def plain(url: str) -> str:
    """A database URL as libpq spells it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
