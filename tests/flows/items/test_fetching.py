"""Which claims an answer's unreadable records belong to."""

from datetime import UTC, datetime

import pytest

from app.domain import Answer, BadRecord, ItemKey, Kind, Ref
from app.flows.items.fetched import Fetched
from app.stores.owed import Claim
from tests.fakes import listing

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def claim(external_id: str) -> Claim:
    return Claim(ItemKey("shop", Kind.PRODUCT, external_id), 1, "t", 0, 0, 0, "webhook", NOW)


@pytest.mark.parametrize(
    "bad",
    [
        BadRecord(Kind.PRODUCT, "I1", "product I1: name is 5"),
        BadRecord(Kind.PRODUCT, "V1", "product V1: sku is 5", "I1"),
        BadRecord(Kind.PRODUCT, "", "a product without a readable id: 5", "I1"),
    ],
)
def test_an_unreadable_record_fails_the_claim_of_the_item_it_belongs_to(bad: BadRecord) -> None:
    claims = [claim("I1"), claim("I2")]
    refs = {one.key.external_id: Ref(Kind.PRODUCT, one.key.external_id) for one in claims}
    fetched = Fetched(claims, refs, Answer(failed=[bad]), NOW)
    assert [(one.key.external_id, error) for one, error in fetched.failed()] == [("I1", bad.error)]


def test_an_unreadable_record_without_any_id_fails_the_claims_of_which_nothing_else_is_shown() -> None:
    claims = [claim("I1"), claim("I2"), claim("I3")]
    refs = {one.key.external_id: Ref(Kind.PRODUCT, one.key.external_id) for one in claims}
    nameless = BadRecord(Kind.PRODUCT, "", "a product without a readable id: 5")
    answer = Answer(records=[listing("I1")], gone=[refs["I2"]], failed=[nameless])
    fetched = Fetched(claims, refs, answer, NOW)
    assert [(one.key.external_id, error) for one, error in fetched.failed()] == [("I3", nameless.error)]
    assert [(one.key.external_id, outcome) for one, outcome in fetched.outcomes(set())] == [
        ("I1", "unchanged"),
        ("I2", "gone"),
    ]
