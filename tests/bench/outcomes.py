"""100,000 deliveries of a week: how fast those are found of which something came, such as ``outcome:dead``.

``python -m tests.bench.outcomes``. The baseline reads every delivery and every death, and looks in Python. One delivery
in twenty died; nothing is ``gone`` or ``owed``; and three were ``held``, so that every delivery is looked at for three.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import insert
from sqlmodel import SQLModel

from app.flows.deps import Deps
from app.flows.inbox import inbox
from app.stores.sql.engine import open_database
from tests.bench import servers
from tests.bench.letters import p95
from tests.fakes import SHOP, FakeSource, ListQueue

EVENTS = 100_000
ITEMS = 20_000
TARGET_MS = 200.0

QUESTIONS = (
    "outcome:dead since:8d",
    "outcome:dead since:2h",
    "outcome:dead connection:shop since:8d",
    "outcome:gone since:8d",
    "outcome:applied since:8d",
    "outcome:owed since:8d",
    "outcome:held since:8d",
)

HELD = frozenset({7, 50_007, 90_007})


def fill(deps: Deps) -> None:
    """Deliveries about an item each, six seconds apart, and a settlement of each a minute later."""
    now, apart = deps.now(), timedelta(days=7) / EVENTS
    tables = SQLModel.metadata.tables
    for at in range(0, EVENTS, 5_000):
        some = [(number, now - apart * (EVENTS - number)) for number in range(at, at + 5_000)]
        with deps.database.begin() as conn:
            conn.execute(insert(tables["inbox_events"]), [_event(*one) for one in some])
            conn.execute(insert(tables["settlements"]), [_settled(*one) for one in some])
    if deps.database.dialect == "postgresql":
        with deps.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("ANALYZE")


def _event(number: int, at: datetime) -> dict[str, object]:
    return {
        **{"connection": SHOP, "event_id": f"e{number}", "type": "product.updated", "received_at": at},
        **{"occurred_at": at, "verdict": "accepted", "items": f'[["product","I{number % ITEMS}"]]'},
        **{"headers": '{"content-type":"application/json"}', "body": b'{"id":"' + b"x" * 300 + b'"}'},
    }


def _settled(number: int, at: datetime) -> dict[str, object]:
    outcome = "held" if number in HELD else "dead" if number % 20 == 0 else "applied"
    return {
        **{"connection": SHOP, "kind": "product", "external_id": f"I{number % ITEMS}", "cause": "webhook"},
        **{"outcome": outcome, "changes": 1, "attempts": 0},
        **{"first_seen_at": at, "settled_at": at + timedelta(minutes=1)},
    }


def by_hand(deps: Deps) -> float:
    """What came to be dead, looked up in Python over all rows."""

    def ask() -> int:
        with deps.database.read() as conn:
            deaths: dict[tuple[str, str, str], list[object]] = {}
            asked = "SELECT connection, kind, external_id, settled_at FROM settlements WHERE outcome = 'dead'"
            for *key, at in conn.exec_driver_sql(asked):
                deaths.setdefault((key[0], key[1], key[2]), []).append(at)
            events = conn.exec_driver_sql("SELECT connection, items, received_at FROM inbox_events").all()
        return len([1 for connection, items, at in events if _died(deaths, connection, items, at)])

    return p95(ask, 5)


def _died(deaths: dict[tuple[str, str, str], list[object]], connection: str, items: str, at: object) -> bool:
    named = msgspec.json.decode(items)
    return any(died >= at for kind, id in named for died in deaths.get((connection, kind, id), ()))  # type: ignore[operator]


def measure(kind: str) -> None:
    """Every question, on one database."""
    with (
        servers.scratch() as folder,
        servers.database_url(kind, folder) as url,
        closing(open_database(url)) as database,
    ):
        database.migrate()
        source = {SHOP: FakeSource()}
        deps = Deps(database, ListQueue(), source, source, now=lambda: datetime.now(UTC))
        fill(deps)
        floor = by_hand(deps)
        print(f"\n{kind}: {EVENTS:,} deliveries and settlements; p95 in ms of a page of 50 (target {TARGET_MS:g})")
        print(f"  {'baseline: looked up in Python':62}{floor:8.1f}")
        for text in QUESTIONS:
            took = p95(lambda text=text: inbox.find(deps, text))  # type: ignore[misc]
            late = "" if took < TARGET_MS else "  MISSED"
            print(f"  {text:62}{took:8.1f}{took / floor:8.2f} of baseline{late}", flush=True)


if __name__ == "__main__":
    print(f"outcomes; {servers.machine()}")
    for one in ("sqlite", "postgresql"):
        measure(one)
