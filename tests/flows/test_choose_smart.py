"""What a smart run chooses when a kind may not be read."""

from __future__ import annotations

import pytest

from app.domain import Kind, Strategy
from app.errors import Forbidden
from app.flows.choose_smart import choose_smart
from app.flows.health import judge
from app.stores.engine import Database
from tests.fakes import SHOP, World


@pytest.fixture
def world(database: Database) -> World:
    """A shop of which only vendors were never read: smart would read them first."""
    world = World(database)
    world.source.kinds = (Kind.VENDOR, Kind.PRODUCT)
    return world


def test_smart_never_chooses_a_kind_that_may_not_be_read(world: World) -> None:
    judge(world.deps, SHOP, Kind.VENDOR, Forbidden("403: VENDOR_READ"))
    choice = choose_smart(world.deps, SHOP)
    assert choice.strategy is not Strategy.VENDORS
    assert "vendor" not in choice.reason


def test_smart_still_chooses_something_when_no_kind_may_be_read(world: World) -> None:
    for kind in world.source.kinds:
        judge(world.deps, SHOP, kind, Forbidden("403"))
    assert choose_smart(world.deps, SHOP).strategy in Strategy
