"""10,000 dead letters: how fast they are listed, filtered and grouped, and how fast a bulk replay sends them.

``python -m tests.bench.letters [--database sqlite|postgresql] [--letters 10000]``. The baseline of a
question is the same filter in Python over all rows; that of the replay is a transaction per letter, as one person's
clicks would be.
"""

import argparse
import time
from datetime import datetime, timedelta
from functools import partial

import msgspec
from sqlalchemy import insert
from sqlmodel import SQLModel

from app.domain import Cause, ItemKey, Kind
from app.flows.deps import Deps
from app.flows.letters import letters
from app.flows.letters.drive_replay import drive_replay
from app.flows.letters.replay import replay_letters, show_replay
from app.stores import owed
from app.stores.letters import dead_letters, letter_search
from app.stores.letters.rows import Attempt
from tests.bench import filtering
from tests.bench.installation import DATABASES
from tests.fakes import SHOP

SETTLEMENTS = 20
"""For each letter."""

TARGET_MS = 100.0
CAUSES = ("RateLimited", "Unmappable", "Unavailable", "Refused")

QUESTIONS = (
    "",
    "connection:shop",
    "kind:product",
    "item:I7777",
    "item:I77*",
    "item:SKU-I7777",
    "cause:RateLimited",
    "-cause:RateLimited",
    "state:dead,replayed,discarded",
    "since:2h",
    "until:2h",
    "error:number-7777",
    "moot:yes",
    "connection:shop cause:RateLimited item:I7* since:2h state:dead",
)


def fill(count: int, deps: Deps) -> None:
    """Letters of as many items, four causes, two hours' worth each half; settlements, some of which make letters moot."""
    now = deps.now()
    made = []
    for number in range(count):
        kind = CAUSES[number % 4]
        died = now - timedelta(seconds=14_400 * number / count)
        made.append(
            {
                **{
                    "message_id": f"m{number}",
                    "actor": "sync_item",
                    "queue": "live",
                    "args": "[]",
                    "connection": SHOP,
                },
                **{"kind": "product", "external_id": f"I{number}", "error_type": kind, "place": "app/x.py:f"},
                **{"error": f"it failed, number-{number}", "fingerprint": f"{kind}-0000000{number % 9}"},
                **{"attempts": attempts(kind, died), "first_failed_at": died, "died_at": died},
                **{"state": "dead", "replays": 0},
            }
        )
    settled = [
        {
            **{"connection": SHOP, "kind": "product", "external_id": f"I{number % 50_000}", "cause": "webhook"},
            **{"outcome": "applied", "changes": 1, "attempts": 0, "first_seen_at": now - timedelta(hours=9)},
            "settled_at": now - timedelta(hours=8) if number % 50_000 > 500 else now,
        }
        for number in range(count * SETTLEMENTS)
    ]
    tables = SQLModel.metadata.tables
    for name, rows in (("dead_letters", made), ("settlements", settled)):
        for at in range(0, len(rows), 5_000):
            with deps.database.begin() as conn:
                conn.execute(insert(tables[name]), rows[at : at + 5_000])


def attempts(error_type: str, at: datetime) -> str:
    """One, as a letter keeps it."""
    one = Attempt(1, at, "bench", error_type, "it failed", traceback="x" * 2_000)
    return msgspec.json.encode([one]).decode()


def by_hand(deps: Deps, count: int) -> float:
    """A filter by cause in Python, over all rows."""

    def ask() -> int:
        with deps.database.read() as conn:
            rows = letter_search.page(conn, [], {}, limit=count)
        return len([row for row in rows if row.error_type == "RateLimited"])

    return filtering.p95(ask, 5)


def one_by_one(deps: Deps, count: int) -> float:
    """Letters per second when each is replayed in a transaction of its own."""
    table = SQLModel.metadata.tables["dead_letters"]
    began = time.perf_counter()
    for number in range(count):
        with deps.database.begin() as conn:
            id = conn.execute(table.select().where(table.c.message_id == f"m{number}")).mappings().one()["id"]
            letter = dead_letters.get(conn, id, lock=True)
            assert letter is not None
            assert letter.external_id is not None
            owed.revive(conn, ItemKey(SHOP, Kind.PRODUCT, letter.external_id), Cause.REPLAY, deps.now())
            conn.execute(table.update().where(table.c.id == id).values(state="replayed"))
    return count / (time.perf_counter() - began)


def states(deps: Deps) -> dict[str, int]:
    """How many letters are in each state."""
    with deps.database.read() as conn:
        return {
            row[0]: row[1] for row in conn.exec_driver_sql("SELECT state, count(*) FROM dead_letters GROUP BY state")
        }


def measure(kind: str, count: int, rounds: int = filtering.ROUNDS) -> None:
    """Both, on one database."""
    with filtering.filled(kind, partial(fill, count)) as deps:
        floor = by_hand(deps, count)
        print(f"\n{kind}: {count:,} letters, {count * SETTLEMENTS:,} settlements; p95 in ms (target {TARGET_MS:g})")
        print(f"  {'baseline: filtered in Python':62}{floor:8.1f}")
        lists = {f"list {text or '(everything)'}": partial(letters.find, deps, text) for text in QUESTIONS}
        filtering.measure(floor, lists, TARGET_MS, rounds)
        groups = {"cause": letters.groups_by_cause, "item": letters.groups_by_item}
        filtering.measure(
            floor, {f"groups by {by}": partial(ask, deps, "") for by, ask in groups.items()}, rounds=rounds
        )
        alone = count // 20
        single = one_by_one(deps, alone)
        dead_before = states(deps)["dead"]
        began = time.perf_counter()
        replay_id = replay_letters(deps, "", "bench", rate=0, canary=False)
        opened = time.perf_counter() - began
        drive_replay(deps, replay_id, slice_=0.0)
        while show_replay(deps, replay_id).progress.waiting:
            drive_replay(deps, replay_id, slice_=0.0)
        took = time.perf_counter() - began
        sent = dead_before - states(deps).get("dead", 0)
        if sent != count - alone:
            raise RuntimeError(f"{sent} of {count - alone} letters were sent")
        print(
            f"  replay: one by one {single:,.0f}/s; bulk {sent / took:,.0f}/s (opening {opened:.2f} s), "
            f"{sent / took / single:.1f} times"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--letters", type=int, default=10_000)
    chosen = parser.parse_args()
    for one in [chosen.database] if chosen.database else DATABASES:
        measure(one, chosen.letters)
