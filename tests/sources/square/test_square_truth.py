"""Full reads, deltas and item fetches against the simulator's own truth, row for row."""

from __future__ import annotations

import pytest
from app.domain import Kind
from conftest import Simulate
from square_copy import Copy, flat, ordered

KINDS = list(Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_read_equals_the_truth(simulate: Simulate, kind: Kind) -> None:
    account = simulate(products=60, orders=30, locations=12)
    copy = Copy(account.source)
    copy.read_delta(kind) if kind is Kind.ORDER else copy.read_full(kind)
    truth = account.truth(kind)
    assert flat(copy, kind, truth) == ordered(truth)


@pytest.mark.parametrize("kind", KINDS)
def test_a_delta_after_many_changes_equals_the_truth(simulate: Simulate, kind: Kind) -> None:
    account = simulate(products=60, orders=20, locations=12, short_pages=0.3, empty_pages=0.3)
    copy = Copy(account.source)
    copy.read_delta(kind)
    for _ in range(3):
        account.change(60)
        copy.read_delta(kind)
    truth = account.truth(kind)
    assert flat(copy, kind, truth) == ordered(truth)
