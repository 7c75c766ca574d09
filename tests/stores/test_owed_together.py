"""Items that a message names together are leased together, and nothing that must be alone comes along."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from app.domain import ALL_ITEMS, Cause, Change, ItemKey, Kind
from app.stores import owed
from app.stores.sql.engine import Database
from tests.stores.racing import at_once

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ItemKey("shop", Kind.PRODUCT, "B")


def _remember(database: Database, *ids: str) -> None:
    with database.begin() as conn:
        owed.owe(conn, "shop", [Change(Kind.PRODUCT, id) for id in ids], Cause.WEBHOOK, NOW)


def _claim(
    database: Database,
    *also: str,
    key: ItemKey = KEY,
    more: int = 0,
    poison_candidates: bool = True,
    after: float = 0,
) -> list[owed.Claim]:
    now = NOW + timedelta(seconds=after)
    with database.begin() as conn:
        return owed.claim(conn, key, also=also, more=more, lease=60, now=now, poison_candidates=poison_candidates)


def _ids(claims: Sequence[owed.Claim]) -> list[str]:
    return [claim.key.external_id for claim in claims]


def test_the_named_items_come_and_the_own_one_first(database: Database) -> None:
    _remember(database, "A", "B", "C", "D")
    first, *others = _ids(_claim(database, "A", "D"))
    assert (first, sorted(others)) == ("B", ["A", "D"])


def test_named_items_come_though_the_own_one_is_settled(database: Database) -> None:
    _remember(database, "A", "C")
    assert sorted(_ids(_claim(database, "A", "C"))) == ["A", "C"]


def test_what_is_not_owed_does_not_come(database: Database) -> None:
    _remember(database, "B")
    assert _ids(_claim(database, "A")) == ["B"]


def test_what_somebody_works_on_does_not_come(database: Database) -> None:
    _remember(database, "A", "B")
    _claim(database, key=ItemKey("shop", Kind.PRODUCT, "A"))
    assert _ids(_claim(database, "A")) == ["B"]


def test_what_failed_before_comes_only_alone(database: Database) -> None:
    _remember(database, "A", "B")
    (claim,) = _claim(database, key=ItemKey("shop", Kind.PRODUCT, "A"))
    with database.begin() as conn:
        owed.fail(conn, claim, next_at=NOW)
    assert _ids(_claim(database, "A")) == ["B"]


def test_the_whole_of_a_kind_comes_only_alone(database: Database) -> None:
    _remember(database, ALL_ITEMS, "B")
    assert _ids(_claim(database, ALL_ITEMS)) == ["B"]


@pytest.mark.parametrize(("more", "count"), [(0, 3), (2, 3), (4, 5), (9, 6)])
def test_neighbours_fill_up_to_the_size_of_a_batch(database: Database, more: int, count: int) -> None:
    _remember(database, "A", "B", "C", "D", "E", "F")
    assert len(_claim(database, "A", "C", more=more)) == count


def test_a_suspect_does_not_come_where_suspects_are_not_wanted(database: Database) -> None:
    _remember(database, "A", "B")
    _claim(database)
    _claim(database, after=61)
    assert _ids(_claim(database, "A", poison_candidates=False, after=122)) == ["A"]


def test_two_messages_that_name_the_same_items_share_them_out(database: Database) -> None:
    ids = [f"{number:03d}" for number in range(40)]
    _remember(database, *ids)

    def take(number: int) -> list[owed.Claim]:
        order = ids if number % 2 else ids[::-1]
        return _claim(database, *order[1:], key=ItemKey("shop", Kind.PRODUCT, order[0]))

    taken = [claim.key.external_id for claims in at_once(8, take) for claim in claims]
    assert sorted(taken) == ids
