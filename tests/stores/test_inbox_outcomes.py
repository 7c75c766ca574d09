"""What a filter by outcome finds, compared with every delivery looked at one by one, in an inbox made at random."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from sqlalchemy import insert
from sqlmodel import SQLModel

from app.domain import Principal, Role
from app.rules.filters import parse
from app.stores.inbox import inbox_search
from app.stores.sql.engine import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS = 10
ADMIN = Principal("x", Role.ADMIN)
NAMES = (*(f"I{number}" for number in range(150)), "*", 'odd "id"', "ü\n\\x", "1/2")
OFTEN = {"applied": 900, "dead": 550, "held": 30, "stale": 3, "unchanged": 1}
"""How many settlements have each outcome; nothing is ``gone``."""


class Delivered(NamedTuple):
    event_id: str
    connection: str
    received_at: datetime
    items: list[tuple[str, str]]


class Came(NamedTuple):
    key: tuple[str, str, str]
    outcome: str
    first_seen_at: datetime
    settled_at: datetime


class Inbox:
    """An inbox, what came of it and what is owed; settlements of one item may come in any order."""

    def __init__(self, seed: int) -> None:
        self._random = random = Random(seed)
        self.deliveries = [
            Delivered(
                f"e{number}", self._connection(), self._moment(), [self._item() for _ in range(random.choice(SIZES))]
            )
            for number in range(900)
        ]
        self.settlements = [
            Came((self._connection(), *self._item()), outcome, NOW, self._moment())
            for outcome, count in OFTEN.items()
            for _ in range(count)
        ]
        self.owed = {(self._connection(), *self._item()): self._moment() for _ in range(40)}

    def _connection(self) -> str:
        return self._random.choice(("shop", "shop", "till"))

    def _item(self) -> tuple[str, str]:
        return self._random.choice(("product", "stock")), self._random.choice(NAMES)

    def _moment(self) -> datetime:
        """Of few different ones, so that many are the same."""
        return NOW - timedelta(minutes=30 * self._random.randrange(DAYS * 48))

    def matches(self, one: Delivered, outcome: str) -> bool:
        keys = [(one.connection, *item) for item in one.items]
        if outcome == "owed":
            return any(key in self.owed and self._unsettled(key, one.received_at) for key in keys)
        return any(
            came.key in keys and came.outcome == outcome and came.settled_at >= one.received_at
            for came in self.settlements
        )

    def _unsettled(self, key: tuple[str, str, str], received_at: datetime) -> bool:
        settled = any(came.key == key and came.settled_at >= received_at for came in self.settlements)
        return self.owed[key] <= received_at or not settled

    def write(self, database: Database) -> None:
        tables = SQLModel.metadata.tables
        with database.begin() as conn:
            conn.execute(insert(tables["inbox_events"]), [_event(one) for one in self.deliveries])
            conn.execute(insert(tables["settlements"]), [_settled(came) for came in self.settlements])
            conn.execute(insert(tables["owed_items"]), [_owed(*one) for one in self.owed.items()])


SIZES = (0, 1, 1, 1, 2, 5)


def _key(key: tuple[str, str, str]) -> dict[str, Any]:
    return dict(zip(("connection", "kind", "external_id"), key, strict=True), cause="webhook")


def _event(one: Delivered) -> dict[str, Any]:
    items = msgspec.json.encode(one.items).decode()
    told = {"type": "changed", "verdict": "accepted", "headers": "{}", "body": b"{}"}
    return {**one._asdict(), **told, "items": items}


def _settled(came: Came) -> dict[str, Any]:
    times = {"first_seen_at": came.first_seen_at, "settled_at": came.settled_at}
    return {**_key(came.key), **times, "outcome": came.outcome, "changes": 1, "attempts": 0}


def _owed(key: tuple[str, str, str], since: datetime) -> dict[str, Any]:
    return {**_key(key), "first_seen_at": since, "next_at": since, "rev": 1, "version": 0}


def pages(database: Database, text: str, limit: int = 50) -> list[str]:
    """The deliveries of all pages, one page after the other."""
    found: list[str] = []
    before_id = None
    while True:
        with database.read() as conn:
            terms = parse(text, inbox_search.KEYS)
            matching = inbox_search.where(conn, terms, ADMIN, now=NOW, connections=["shop", "till"])
            rows = inbox_search.page(conn, matching, limit=limit, before_id=before_id)
        found += [row.event_id for row in rows]
        if len(rows) < limit:
            return found
        before_id = rows[-1].id


def by_hand(inbox: Inbox, outcome: str, since: datetime, *, negated: bool = False) -> list[str]:
    newest = sorted(enumerate(inbox.deliveries), key=lambda one: (one[1].received_at, one[0]), reverse=True)
    recent = [one for _, one in newest if one.received_at >= since]
    return [one.event_id for one in recent if inbox.matches(one, outcome) is not negated]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("days", [1, DAYS + 1])
def test_each_outcome_has_the_deliveries_that_one_finds_by_hand(database: Database, seed: int, days: int) -> None:
    inbox, since = Inbox(seed), NOW - timedelta(days=days)
    inbox.write(database)
    found = {outcome: pages(database, f"outcome:{outcome} since:{days}d") for outcome in inbox_search.OUTCOMES}
    assert found == {outcome: by_hand(inbox, outcome, since) for outcome in inbox_search.OUTCOMES}


def test_without_an_outcome_are_the_deliveries_that_did_not_come_to_it(database: Database) -> None:
    inbox, since = Inbox(3), NOW - timedelta(days=8)
    inbox.write(database)
    found = {outcome: pages(database, f"-outcome:{outcome} since:8d") for outcome in inbox_search.OUTCOMES}
    assert found == {outcome: by_hand(inbox, outcome, since, negated=True) for outcome in inbox_search.OUTCOMES}


def test_without_a_time_every_delivery_is_found(database: Database) -> None:
    inbox = Inbox(4)
    inbox.write(database)
    assert pages(database, "outcome:dead") == by_hand(inbox, "dead", NOW - timedelta(days=DAYS + 1))
