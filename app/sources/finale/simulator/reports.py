"""A small part of Finale's reports: rows of objects with column titles, numbers as text, and a footer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.sources.finale.simulator.world import World


def rows(world: World) -> list[dict[str, Any]]:
    """``format=jsonObject`` of the stock of each product, in units."""
    sums: dict[int, dict[str, Decimal]] = {}
    for place, amount in world.stock.items():
        states = sums.setdefault(place.number, {})
        states[world.state_of(place)] = states.get(world.state_of(place), Decimal(0)) + amount
    found = [_row(product.sku, product.name, sums.get(product.number, {})) for product in world.by_update()]
    totals = {state: sum((each.get(state, Decimal(0)) for each in sums.values()), Decimal(0)) for state in _TITLES}
    return [*found, _row("TOTAL:", "", totals)]


_TITLES = {"on_hand": "Units\nQoH", "reserved": "Units\nReserved", "on_order": "Units\nOn order"}


def _row(sku: str, name: str, states: dict[str, Decimal]) -> dict[str, Any]:
    cells = {title: f"{states[state]:,f}" if states.get(state) else "" for state, title in _TITLES.items()}
    return {"Product ID": sku, "Description": name, **cells}
