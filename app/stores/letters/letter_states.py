"""What people do to dead letters besides replaying them: discard, take that back, edit the arguments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, func, update
from sqlmodel import SQLModel

from app.domain import ItemKey
from app.stores import tables

_LETTERS = SQLModel.metadata.tables[str(tables.DeadLetter.__tablename__)]


def discard(conn: Connection, found: Sequence[ColumnElement[bool]], who: str, why: str, now: datetime) -> int:
    """Discard the dead letters that the conditions match; returns how many."""
    told = {"state": "discarded", "discarded_at": now, "discarded_by": who, "discard_reason": why}
    return int(conn.execute(update(_LETTERS).where(*found, _LETTERS.c.state == "dead").values(told)).rowcount)


def restore(conn: Connection, id: int, since: datetime) -> bool:
    """Make a letter dead again that was discarded after ``since``; ``False`` when it was not."""
    told = {"state": "dead", "discarded_at": None, "discarded_by": None, "discard_reason": None}
    mine = (_LETTERS.c.id == id, _LETTERS.c.state == "discarded", _LETTERS.c.discarded_at > since)
    return bool(conn.execute(update(_LETTERS).where(*mine).values(told)).rowcount)


def edit(conn: Connection, id: int, args: Sequence[Any], key: ItemKey | None, fingerprint: str) -> bool:
    """Give a dead letter other arguments, the item they name and the fingerprint that it has with that; the first
    arguments are kept. ``False`` if it is not dead."""
    names = ("connection", "kind", "external_id")
    told = {
        "args": msgspec.json.encode(list(args)).decode(),
        "original_args": func.coalesce(_LETTERS.c.original_args, _LETTERS.c.args),
        "fingerprint": fingerprint,
        **dict(zip(names, key or (None, None, None), strict=True)),
    }
    mine = (_LETTERS.c.id == id, _LETTERS.c.state == "dead")
    return bool(conn.execute(update(_LETTERS).where(*mine).values(told)).rowcount)
