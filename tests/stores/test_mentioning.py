"""Which items have to be read again because something changed by which their listings are told."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import text

from app.domain import Listing, Mentioned, micros
from app.stores import catalog
from app.stores.sql.engine import Database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = micros(NOON + timedelta(hours=1))


def hold(database: Database, *listings: Listing, connection: str = "shop") -> None:
    with database.begin() as conn:
        catalog.apply(conn, connection, listings, read_at=NOON, now=NOON)


def listing(id_: str, *mentions: str, parent: str | None = None) -> Listing:
    told = msgspec.json.encode(mentions).decode() if mentions else None
    return Listing(id_, parent_id=parent, mentions=told, version=1)


def mentioning(database: Database, *changed: Mentioned) -> list[str]:
    with database.read() as conn:
        return catalog.mentioning(conn, "shop", changed)


@pytest.fixture
def held(database: Database) -> Database:
    hold(database, listing("V1", "C1", "T1", parent="I1"), listing("V2", "C1", parent="I1"), listing("V3", "C2"))
    hold(database, listing("V1", "C1", parent="I9"), connection="other")
    return database


def test_an_item_is_named_once_however_many_listings_it_has(held: Database) -> None:
    assert mentioning(held, Mentioned("C1", LATER)) == ["I1"]


def test_a_listing_without_an_item_is_named_itself(held: Database) -> None:
    assert mentioning(held, Mentioned("C2", LATER), Mentioned("C7", LATER)) == ["V3"]


def test_a_part_of_an_id_is_no_mention(held: Database) -> None:
    assert mentioning(held, Mentioned("C", LATER), Mentioned("1", LATER)) == []


def test_what_was_read_after_the_change_knows_of_it(held: Database) -> None:
    assert mentioning(held, Mentioned("C1", micros(NOON - timedelta(minutes=1)))) == []


def test_what_was_read_within_moments_of_the_change_may_not_know_of_it(held: Database) -> None:
    assert mentioning(held, Mentioned("C1", micros(NOON - timedelta(seconds=1)))) == ["I1"]


def test_mentions_that_somebody_spoilt_by_hand_harm_nothing(held: Database) -> None:
    with held.begin() as conn:
        conn.execute(text("UPDATE listings SET mentions = 'C1, C2' WHERE external_id = 'V3'"))
    assert mentioning(held, Mentioned("C1", LATER)) == ["I1"]


def test_nothing_changed_concerns_nothing(held: Database) -> None:
    assert mentioning(held) == []
