"""What others' faults cost: a restart of the database, a neighbour that hangs, and keeping 16,000 leases.

``python -m tests.bench.recovery [--database sqlite|postgresql] [--part restart|neighbour|leases]
[--leases 16000] [--seconds 40]``

* **restart**: PostgreSQL is stopped for some seconds while deliveries go on; seconds from the moment it accepts
  connections again to our first 202 and to the first item applied. The baseline is the same without a restart.
* **neighbour**: milliseconds from receipt to the row on a quick connection, alone and beside one that owes 300 items of
  which every call times out after 30 s.
* **leases**: seconds to renew 16,000 leases at once, beside one UPDATE of all rows by a bare driver and one for each.
"""

import argparse
import contextlib
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import msgspec
import psycopg

from app.channels.queue import BrokerQueue, redis_broker
from app.domain import Cause, Change, ItemKey, Kind, batches
from app.prove.real import databases
from app.stores import owed
from app.stores.owed import Claim
from app.stores.sql.columns import moment_from
from tests.bench import latency, servers
from tests.bench.installation import BEARER, DATABASES, Installation, installed

RESTARTS = 3
DOWN = 5.0
PACE = 0.02
"""Seconds between deliveries around a restart."""

PRODUCTS = 1_000
"""Each delivery is about one of its own."""

HANGING = "hanging"
HANGING_ITEMS = 300
RATE = 20.0


def main() -> None:
    """Print what was chosen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--part", choices=("restart", "neighbour", "leases"))
    parser.add_argument("--leases", type=int, default=16_000)
    parser.add_argument("--seconds", type=float, default=40.0, help="how long the neighbour is measured")
    chosen = parser.parse_args()
    print(f"faults of others; {servers.machine()}, load average {os.getloadavg()[0]:.1f}")
    kinds = [chosen.database] if chosen.database else list(DATABASES)
    if chosen.part in (None, "restart") and "postgresql" in kinds:
        _restart()
    for kind in kinds:
        if chosen.part in (None, "neighbour"):
            _neighbour(kind, chosen.seconds)
        if chosen.part in (None, "leases"):
            leases(kind, chosen.leases)


# --- restart ---


class Recovery(NamedTuple):
    """Seconds to the first 202, and to the first row written."""

    accepted: float
    applied: float


def _restart() -> None:
    with databases.postgresql() as database, installed("postgresql", database.url) as place:
        place.environment["TALLYHOOK_LOG_LEVEL"] = "error"  # a line for each refusal would cost more than the refusal
        labels = [f"{letter}{number}" for letter in "bdr" for number in range(RESTARTS)]
        latency.seed(place, [f"{label}-{number}" for label in labels for number in range(PRODUCTS)])
        place.web()
        with place.workers():
            before = [_recovery(place, time.time(), f"b{number}") for number in range(RESTARTS)]
            after = [_restarted(place, database, number) for number in range(RESTARTS)]
    print(f"\nrestart of PostgreSQL, down for {DOWN:g} s; worst of {RESTARTS}, seconds")
    print(f"{'':44}{'first 202':>11}{'first row':>11}")
    for name, times in (("without a restart", before), ("from when it accepts connections", after)):
        print(f"{name:44}{max(one.accepted for one in times):11.2f}{max(one.applied for one in times):11.2f}")
    sys.stdout.flush()


def _restarted(place: Installation, database: databases.ProvingDatabase, number: int) -> Recovery:
    place.database.close()  # our own sessions would keep the server from stopping
    accepts: list[float] = []
    watching = threading.Thread(target=_watch, args=(database.url, accepts))
    with database.harms["database restarted"]():
        watching.start()
        _deliver_for(place, DOWN, f"d{number}")
    watching.join()
    return _recovery(place, accepts[0], f"r{number}")


def _watch(url: str, accepts: list[float]) -> None:
    """Note when the server accepts connections."""
    while not accepts:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=2).close()
            accepts.append(time.time())
        time.sleep(0.005)


def _deliver_for(place: Installation, seconds: float, label: str) -> None:
    """What comes while nothing can be accepted."""
    end = time.monotonic() + seconds
    with httpx.Client(timeout=30) as client:
        for number in range(PRODUCTS):
            if time.monotonic() > end:
                return
            _deliver(place, client, f"{label}-{number}")
            time.sleep(PACE)


def _deliver(place: Installation, client: httpx.Client, id_: str) -> bool:
    """Whether a delivery about a seeded product was accepted."""
    body = msgspec.json.encode({"event": "product.updated", "data": {"productId": f"SKU-{id_}"}})
    headers = {"content-type": "application/json", "authorization": f"Bearer {BEARER}", "webhook-id": id_}
    with contextlib.suppress(httpx.HTTPError):
        return client.post(f"http://127.0.0.1:{place.port}/webhooks/finale", content=body, headers=headers).is_success
    return False


def _recovery(place: Installation, since: float, label: str) -> Recovery:
    """Deliver until one is accepted, and wait until it is applied."""
    with httpx.Client(timeout=30) as client:
        for number in range(PRODUCTS):
            if _deliver(place, client, f"{label}-{number}"):
                break
            time.sleep(PACE)
    accepted = time.time() - since
    settled = "SELECT settled_at FROM settlements WHERE external_id = :id"
    while not (rows := place.rows(settled, id=f"sku:SKU-{label}-{number}")):
        time.sleep(0.01)
    applied = moment_from(rows[0][0])
    assert applied is not None
    return Recovery(accepted, applied.timestamp() - since)


# --- neighbour ---


def _neighbour(kind: str, seconds: float) -> None:
    with installed(kind) as place, _silence() as address:
        prefix = f"TALLYHOOK_CONNECTIONS__{HANGING.upper()}__"
        for option in ("ACCOUNT", "API_KEY", "API_SECRET", "GETS_PER_MINUTE", "READS_PER_HOUR"):
            place.environment[prefix + option] = place.environment[f"TALLYHOOK_CONNECTIONS__FINALE__{option}"]
        place.environment |= {f"{prefix}SOURCE": "finale", f"{prefix}BASE_URL": address}
        place.web()
        with place.workers():
            alone = latency.measure(place, "A", RATE, seconds)
            _owe_hanging(place)
            beside = latency.measure(place, "B", RATE, seconds)
            left = place.rows("SELECT count(*) FROM owed_items WHERE connection = :name", name=HANGING)[0][0]
    print(f"\n{kind}: a quick connection at {RATE:g} events/s, from receipt to the row, milliseconds")
    print(f"{'':44}{'p50':>9}{'p99':>9}{'max':>9}")
    for name, waits in (("alone", alone), (f"beside {HANGING_ITEMS} items that hang ({left} still owed)", beside)):
        print(f"{name:44}" + "".join(f"{latency.at(waits.received, share):9.1f}" for share in (0.5, 0.99, 1.0)))
    sys.stdout.flush()


@contextlib.contextmanager
def _silence() -> Iterator[str]:
    """A vendor that answers after an hour."""
    port = servers.free_port()
    with servers.process("tests.bench.upstream", str(port), "3600000", env={}, port=port):
        yield f"http://127.0.0.1:{port}"


def _owe_hanging(place: Installation) -> None:
    changes = [Change(Kind.ORDER, f"hangs-{number}") for number in range(HANGING_ITEMS)]
    with place.database.begin() as conn:
        fresh = owed.owe(conn, HANGING, changes, Cause.WEBHOOK, datetime.now(UTC))
    BrokerQueue(redis_broker(place.environment["TALLYHOOK_REDIS_URL"])).enqueue(fresh)
    time.sleep(2)  # until every thread that is given to it hangs


# --- leases ---


def leases(kind: str, count: int) -> None:
    """Renew so many at once, and compare."""
    with installed(kind) as place:
        claims = _claimed(place, count)
        ours = _best(lambda: _extend(place, claims))
        bare, each = _bare(kind, place, claims)
    print(f"\n{kind}: renewal of {count:,} leases, best of 3, seconds")
    for name, seconds in (("bare driver, one UPDATE of all rows", bare), ("bare driver, one UPDATE each", each)):
        print(f"{name:44}{seconds:9.3f}")
    print(f"{'Tallyhook':44}{ours:9.3f}  {ours / bare:.1f} times one UPDATE")
    sys.stdout.flush()


def _claimed(place: Installation, count: int) -> list[Claim]:
    now, claims = datetime.now(UTC), list[Claim]()
    for ids in batches([f"{number:06d}" for number in range(count)], 500):
        with place.database.begin() as conn:
            owed.owe(conn, "finale", [Change(Kind.ORDER, id_) for id_ in ids], Cause.WEBHOOK, now)
            key = ItemKey("finale", Kind.ORDER, ids[0])
            claims += owed.claim(conn, key, also=ids[1:], more=0, lease=3600, now=now)
    if len(claims) != count:
        raise RuntimeError(f"{len(claims)} of {count} were claimed")
    return claims


def _extend(place: Installation, claims: Sequence[Claim]) -> None:
    with place.database.begin() as conn:
        owed.extend(conn, claims, until=datetime.now(UTC) + timedelta(hours=1))


def _bare(kind: str, place: Installation, claims: Sequence[Claim]) -> tuple[float, float]:
    """Seconds of one statement for all rows, and of one statement for each, in one transaction each time."""
    mark = "?" if kind == "sqlite" else "%s"
    every = f"UPDATE owed_items SET lease_until = {mark}"
    one = every + f" WHERE connection = {mark} AND kind = {mark} AND external_id = {mark} AND token = {mark}"
    until: Any = datetime.now(UTC) + timedelta(hours=1)
    if kind == "sqlite":
        until = place.rows("SELECT max(lease_until) FROM owed_items")[0][0]  # as it is spelled there
    rows = [(until, *claim.key, claim.token) for claim in claims]
    with contextlib.closing(_connect(place.database.url)) as conn:

        def run(statement: str, values: Sequence[tuple[Any, ...]]) -> None:
            cursor = conn.cursor()
            for bound in values:
                cursor.execute(statement, bound)
            conn.commit()

        return _best(lambda: run(every, [(until,)])), _best(lambda: run(one, rows))


def _connect(url: str) -> Any:
    return sqlite3.connect(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else psycopg.connect(url)


def _best(work: Callable[[], None]) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
