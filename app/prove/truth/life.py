"""One shop's life on the real flows and stores, with a clock that is moved: events, polls, hands, backups, nightly
runs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select
from sqlmodel import SQLModel

from app.domain import Change, Delivery, Kind, Ref
from app.prove.memory import SHOP, Copy
from app.prove.truth.shop import Shop
from app.rules.runs.jobs import POLL
from app.stores.inbox import inbox, refusals
from app.stores.inbox.inbox import Arrival
from app.stores.sql.engine import Database
from app.stores.tables import Schedule, core
from app.stores.upkeep import heartbeats, marks
from app.stores.upkeep.marks import Mark

OPENED = datetime(2026, 3, 2, 3, tzinfo=UTC)

Tables = Mapping[str, Sequence[Mapping[str, Any]]]


class Life(Copy):
    """A shop, our copy of it, and everything that may happen to either; ``now`` is moved by hand."""

    def __init__(self, database: Database) -> None:
        self.shop = Shop()
        self.now = OPENED
        super().__init__(database, self.shop, lambda: self.now)
        self._process = ("web@one", self.now)
        self._seen: Mark | None = None
        self.is_up = True

    def event(self, kind: Kind, id: str, *, work: bool = True) -> None:
        """A webhook arrives; with ``work`` the item that it owes is processed."""
        delivery = Delivery(f"event {next(self.numbers)}", "changed", [Change(kind, id)])
        with self.database.begin() as conn:
            inbox.accept(conn, [Arrival(SHOP, delivery, {}, b"{}", self.now)])
        if work:
            self.work(kind, id)

    def schedule_polls(self, *, on: bool) -> None:
        """Switch the schedule of the polls on or off."""
        table = core(Schedule)
        with self.database.begin() as conn:
            conn.execute(delete(table).where(table.c.job == POLL))
            row = {"connection": SHOP, "job": POLL, "cron": "*/5 * * * *", "timezone": "UTC", "enabled": on}
            conn.execute(insert(table).values(**row))

    def refuse(self, kind: Kind, id: str | None) -> None:
        """Refuse a delivery for its signature."""
        items = [] if id is None else [Ref(kind, id)]
        with self.database.begin() as conn:
            refusals.note(conn, SHOP, self.now, "bad signature", items)

    def heartbeat(self) -> None:
        """Record a heartbeat of the web process, if it is up."""
        if not self.is_up:
            return
        process, started = self._process
        with self.database.begin() as conn:
            heartbeats.record(conn, process, "web", started, self.now)
            self._seen = marks.rise(conn, self._seen, self.now)

    def restart(self) -> None:
        """Start another web process."""
        self.is_up = True
        self._process = (f"web@{next(self.numbers)}", self.now)
        self.heartbeat()

    def by_hand(self, sql: str) -> None:
        """Write into our tables as a stranger would."""
        with self.database.begin() as conn:
            conn.exec_driver_sql(sql)

    def backup(self) -> Tables:
        """Every row of every table except for the audit log."""
        with self.database.read() as conn:
            return {
                name: [dict(row) for row in conn.execute(select(table)).mappings()]
                for name, table in SQLModel.metadata.tables.items()
                if not name.startswith("audit")
            }

    def restore(self, tables: Tables) -> None:
        """Put tables back as they were, like a dump: without triggers."""
        with self.database.begin() as conn:
            sqlite = self.database.dialect == "sqlite"
            if sqlite:
                triggers = conn.exec_driver_sql(
                    "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name NOT LIKE 'audit%'"
                ).all()
                for name, _ in triggers:
                    conn.exec_driver_sql(f"DROP TRIGGER {name}")
            else:
                conn.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for name, rows in tables.items():
                table = SQLModel.metadata.tables[name]
                conn.execute(delete(table))
                if rows:
                    conn.execute(insert(table), rows)
            for _, sql in triggers if sqlite else ():
                conn.exec_driver_sql(sql)

    def pass_to(self, moment: datetime) -> None:
        """Move the clock forward; it never goes back."""
        self.now = max(self.now + timedelta(milliseconds=1), moment)
