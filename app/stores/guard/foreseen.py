"""What a dry run would have written so far: its later batches are judged as if it had been written."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from app.domain import Kind
from app.stores.runs.drift import DRY_RUN
from app.stores.tables import Drift, core

_drift = core(Drift)


@dataclass(frozen=True)
class Foreseen:
    """Ids of products that would be ``created``, would have ``ended``, or whose end would be ``held``; places that would
    exist, and whether they are open. ``account_held``: the products look like those of another account."""

    created: Collection[str] = ()
    ended: Collection[str] = ()
    held: Collection[str] = ()
    places: Mapping[str, bool] = field(default_factory=dict)
    account_held: bool = False


NOTHING = Foreseen()


def foreseen(conn: Connection, run_id: int, *, account_held: bool) -> Foreseen:
    """What follows from the differences that a dry run has recorded so far."""
    columns = (_drift.c.kind, _drift.c["item"], _drift.c.change, _drift.c.cause, _drift.c.fields)
    query = select(*columns).where(_drift.c.run_id == run_id, _drift.c.kind.in_((Kind.PRODUCT, Kind.LOCATION)))
    created, ended, held = set[str](), set[str](), set[str]()
    places: dict[str, bool] = {}
    for kind, item, change, cause, fields_json in conn.execute(query):
        fields = msgspec.json.decode(fields_json)
        ends = change == "vanished" or _becomes(fields, "deleted", default=False)
        if kind == Kind.LOCATION and cause == DRY_RUN:
            if ends or "active" in fields:
                places[item] = not ends and _becomes(fields, "active", default=True)
        elif ends:
            (ended if cause == DRY_RUN else held).add(item)
        elif cause == DRY_RUN and change == "missing":
            created.add(item)
    return Foreseen(created, ended, held, places, account_held)


def _becomes(fields: Mapping[str, Any], name: str, *, default: bool) -> bool:
    return bool(fields[name][1]) if name in fields else default
