"""100,000 deliveries of a week: how fast those are found of which something came, such as ``outcome:dead``.

``python -m tests.bench.outcomes [--database sqlite|postgresql] [--events 100000]``. The baseline reads every delivery and
every death, and looks in Python. One delivery in twenty died, and one in four names three items. Rare are three that were
``held`` and twenty items that are ``owed``; ``stale`` were thousands on the first day and one lately; nothing is ``gone``
or ``unchanged``.
"""

import argparse
from datetime import datetime, timedelta
from functools import partial

import msgspec
from sqlalchemy import insert
from sqlmodel import SQLModel

from app.flows.deps import Deps
from app.flows.inbox import inbox
from tests.bench import filtering, servers
from tests.bench.installation import DATABASES
from tests.fakes import SHOP

ITEMS = 20_000
TARGET_MS = 200.0

QUESTIONS = (
    "outcome:dead since:8d",
    "outcome:dead since:2h",
    "outcome:dead connection:shop since:8d",
    "outcome:applied since:8d",
    "-outcome:applied since:8d",
    "outcome:held since:8d",
    "outcome:stale since:8d",
    "outcome:stale since:1h",
    "outcome:owed since:8d",
    "outcome:unchanged since:8d",
    "outcome:gone,unchanged since:8d",
)

HELD = frozenset({7, 50_007, 90_007})
STALE = frozenset({*range(1, 6_000, 2), 98_001})
OWED = range(20_001, 20_021)


def fill(count: int, deps: Deps) -> None:
    """Deliveries about an item each, six seconds apart, and a settlement of each a minute later."""
    now, apart = deps.now(), timedelta(days=7) / count
    tables = SQLModel.metadata.tables
    for at in range(0, count, 5_000):
        numbers = range(at, min(at + 5_000, count))
        some = [(number, now - apart * (count - number)) for number in numbers]
        with deps.database.begin() as conn:
            conn.execute(insert(tables["inbox_events"]), [_event(*one) for one in some])
            conn.execute(insert(tables["settlements"]), [_settled(*one) for one in some])
    with deps.database.begin() as conn:
        conn.execute(insert(tables["owed_items"]), [_owed(number, now) for number in OWED])


def _event(number: int, at: datetime) -> dict[str, object]:
    return {
        **{"connection": SHOP, "event_id": f"e{number}", "type": "product.updated", "received_at": at},
        **{"occurred_at": at, "verdict": "accepted", "items": _items(number)},
        **{"headers": '{"content-type":"application/json"}', "body": b'{"id":"' + b"x" * 300 + b'"}'},
    }


def _items(number: int) -> str:
    """One item, or three in every fourth delivery."""
    more = f',["stock","I{number % ITEMS}"],["product","I{(number * 7) % ITEMS}"]' if number % 4 == 0 else ""
    return f'[["product","I{number % ITEMS}"]{more}]'


def _settled(number: int, at: datetime) -> dict[str, object]:
    return {
        **{"connection": SHOP, "kind": "product", "external_id": f"I{number % ITEMS}", "cause": "webhook"},
        **{"outcome": _outcome(number), "changes": 1, "attempts": 0},
        **{"first_seen_at": at, "settled_at": at + timedelta(minutes=1)},
    }


def _outcome(number: int) -> str:
    if number in HELD:
        return "held"
    if number in STALE:
        return "stale"
    return "dead" if number % 20 == 0 else "applied"


def _owed(number: int, now: datetime) -> dict[str, object]:
    return {
        **{"connection": SHOP, "kind": "product", "external_id": f"I{number % ITEMS}", "cause": "webhook"},
        **{"first_seen_at": now - timedelta(hours=1), "next_at": now, "rev": 1, "version": 0},
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

    return filtering.p95(ask, 5)


def _died(deaths: dict[tuple[str, str, str], list[object]], connection: str, items: str, at: object) -> bool:
    named = msgspec.json.decode(items)
    return any(died >= at for kind, id in named for died in deaths.get((connection, kind, id), ()))  # type: ignore[operator]


def measure(kind: str, count: int, rounds: int) -> None:
    """Every question, on one database."""
    with filtering.filled(kind, partial(fill, count)) as deps:
        floor = by_hand(deps)
        print(f"\n{kind}: {count:,} deliveries and settlements; p95 in ms of a page of 50 (target {TARGET_MS:g})")
        print(f"  {'baseline: looked up in Python':62}{floor:8.1f}")
        questions = {text: partial(inbox.find, deps, text) for text in QUESTIONS}
        filtering.measure(floor, questions, TARGET_MS, rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=filtering.ROUNDS)
    chosen = parser.parse_args()
    print(f"outcomes; {servers.machine()}")
    for one in [chosen.database] if chosen.database else DATABASES:
        measure(one, chosen.events, chosen.rounds)
