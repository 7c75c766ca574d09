"""What people do to dead letters besides replaying them: discard, restore, edit the arguments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, update
from sqlmodel import SQLModel

from app.domain import ItemKey
from app.stores import tables
from app.stores.letters.letter_search import Conditions

_LETTERS = SQLModel.metadata.tables[str(tables.DeadLetter.__tablename__)]


def discard(conn: Connection, where: Conditions, principal: str, why: str, now: datetime) -> int:
    """Discard the dead letters that match; returns how many."""
    values = {"state": "discarded", "discarded_at": now, "discarded_by": principal, "discard_reason": why}
    return int(conn.execute(update(_LETTERS).where(*where, _LETTERS.c.state == "dead").values(values)).rowcount)


def restore(conn: Connection, id: int, since: datetime) -> bool:
    """Make a letter that was discarded after ``since`` dead again; ``False`` if it was not discarded after that."""
    values = {"state": "dead", "discarded_at": None, "discarded_by": None, "discard_reason": None}
    conditions = (_LETTERS.c.id == id, _LETTERS.c.state == "discarded", _LETTERS.c.discarded_at > since)
    return bool(conn.execute(update(_LETTERS).where(*conditions).values(values)).rowcount)


def edit(
    conn: Connection, id: int, args: Sequence[Any], key: ItemKey | None, connection: str | None, fingerprint: str
) -> bool:
    """Give a dead letter other arguments, the item and the connection that they name and its fingerprint; the original
    arguments are kept. ``False`` if it is not dead."""
    names = ("kind", "external_id")
    values = {
        "args": msgspec.json.encode(list(args)).decode(),
        "original_args": func.coalesce(_LETTERS.c.original_args, _LETTERS.c.args),
        "fingerprint": fingerprint,
        "connection": connection,
        **dict(zip(names, key[1:] if key else (None, None), strict=True)),
    }
    conditions = (_LETTERS.c.id == id, _LETTERS.c.state == "dead")
    return bool(conn.execute(update(_LETTERS).where(*conditions).values(values)).rowcount)
