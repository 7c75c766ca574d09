"""Ten thousand hostile requests to a real web process: no fault, no leak, no growth, and good ones are served as before."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from statistics import median

import httpx
import psycopg
import pytest

from app.stores.sql.engine import open_database
from tests.stack import eventually
from tests.web.attacked import HOOK, Attacked, attacked, bearer, signed
from tests.web.hostile_bytes import ambiguous, mutated, odd, slow
from tests.web.hostile_requests import api, deliveries, good, pages

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]

REQUESTS = 5_000
"""At each of the two databases."""

WARM = 2_000
GROWTH = 40_000
"""kB that the process may grow by after it is warm."""

BOUND = 0.25
"""Seconds that a good delivery may take at any rate; generous, because machines of CI are slow."""


@dataclass
class Aftermath:
    """What was found."""

    attacked: Attacked
    growth: int
    before: list[float]
    after: list[float]
    seconds: float


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def aftermath(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _valkey_server: str
) -> Iterator[Aftermath]:
    folder = tmp_path_factory.mktemp("attacked")
    url = f"sqlite:///{folder / 'shop.db'}"
    if request.param == "postgresql":
        url = made(request.getfixturevalue("pg_server"))
    with closing(open_database(url)) as database:
        database.migrate()
    with attacked(url, _valkey_server, folder) as target:
        yield attack(target)


def made(server: str) -> str:
    """The URL of another database there."""
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute("CREATE DATABASE attacked")
    address, _, options = server.partition("?")
    return f"{address.rpartition('/')[0]}/attacked" + (f"?{options}" if options else "")


def attack(target: Attacked) -> Aftermath:
    before, began = timed(target, "before"), time.monotonic()
    document = httpx.get(
        f"http://127.0.0.1:{target.port}/openapi.json", headers=bearer(target.token), timeout=60
    ).json()
    victim = f"GET /api/dead-letters HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {target.token}\r\n\r\n".encode()
    attacks = [*api(document, target.token, 10), *pages(target.token, 700), *deliveries(800)]
    attacks += [*odd(), *ambiguous(victim), *mutated(900)]
    random.Random(1).shuffle(attacks)
    patient = threading.Thread(target=slow, args=(target,))
    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(lambda one: one(target), attacks[:WARM]))
        warm = min(_readings(target))
        patient.start()
        list(crowd.map(lambda one: one(target), attacks[WARM:]))
    patient.join()
    seconds = time.monotonic() - began
    eventually(lambda: target.memory() - warm < GROWTH, within=60)
    return Aftermath(target, min(_readings(target)) - warm, before, timed(target, "after"), seconds)


def _readings(target: Attacked) -> Iterator[int]:
    """Its memory during a second. What callers hung up on is at work for a moment: a password is hashed in 64 MB."""
    for _ in range(20):
        yield target.memory()
        time.sleep(0.05)


def timed(target: Attacked, when: str) -> list[float]:
    """Seconds that each of 200 good deliveries took, sorted."""
    took = []
    for number in range(200):
        body = good(f"{when}-{number}")
        began = time.perf_counter()
        status = target.ask("POST", HOOK, signed(body), body)
        took.append(time.perf_counter() - began)
        assert status == 202, (when, number, status)
    return sorted(took)


def test_nothing_was_answered_wrongly(aftermath: Aftermath) -> None:
    assert "\n".join(aftermath.attacked.wrong) == ""


def test_there_were_enough_requests(aftermath: Aftermath) -> None:
    print(f"{aftermath.attacked.sent} requests in {aftermath.seconds:.1f} s: {dict(aftermath.attacked.seen)}")
    assert aftermath.attacked.sent > REQUESTS + 400


def test_its_log_has_no_traceback_and_no_secret(aftermath: Aftermath) -> None:
    log = aftermath.attacked.logged()
    at = log.find("Traceback")
    assert at < 0, log[max(0, at - 300) :][:5_000]
    assert log.count(aftermath.attacked.token) == 1


def test_its_memory_does_not_grow(aftermath: Aftermath) -> None:
    print(f"grown by {aftermath.growth} kB")
    assert aftermath.growth < GROWTH


def test_it_lived_through_it(aftermath: Aftermath) -> None:
    assert aftermath.attacked.process.poll() is None


def test_good_deliveries_are_answered_as_soon_as_before(aftermath: Aftermath) -> None:
    before, after = median(aftermath.before), median(aftermath.after)
    print(f"a good delivery: {before * 1000:.1f} ms before, {after * 1000:.1f} ms after")
    assert after < max(BOUND, 5 * before)
