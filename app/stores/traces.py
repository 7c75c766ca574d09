"""What the database remembers of an item's changes: is it failing, is it waiting, when was it last heard of?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, bindparam, text

from app.domain import Kind
from app.stores.columns import moment_from

_FAILING = text(
    """SELECT external_id FROM owed_items
        WHERE connection = :connection AND kind = :kind AND external_id IN :names AND (attempts > 0 OR kills > 0)
       UNION
       SELECT external_id FROM dead_letters
        WHERE connection = :connection AND kind = :kind AND external_id IN :names AND state = 'dead'"""
).bindparams(bindparam("names", expanding=True))

_WAITING = text(
    "SELECT external_id FROM owed_items WHERE connection = :connection AND kind = :kind AND external_id IN :names"
).bindparams(bindparam("names", expanding=True))

_LAST = text(
    """SELECT external_id, max(settled_at) FROM settlements
        WHERE connection = :connection AND kind = :kind AND external_id IN :names AND outcome <> 'dead'
        GROUP BY external_id"""
).bindparams(bindparam("names", expanding=True))


@dataclass
class Heard:
    """Traces of a set of items: which fail, which wait, and when each was last settled (UTC)."""

    failing: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    last: dict[str, datetime] = field(default_factory=dict)


def heard(conn: Connection, connection: str, kind: Kind, names: Sequence[str]) -> Heard:
    """The traces of the items named; at most some hundred names at a time."""
    bound = {"connection": connection, "kind": kind.value, "names": list(names)}
    found = Heard()
    found.failing.update(row[0] for row in conn.execute(_FAILING, bound))
    found.waiting.update(row[0] for row in conn.execute(_WAITING, bound))
    for name, settled_at in conn.execute(_LAST, bound):
        moment = moment_from(settled_at)
        if moment is not None:
            found.last[name] = moment
    return found
