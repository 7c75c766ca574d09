"""Opens replays with all their members."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, update

from app.domain import ItemKey, batches
from app.stores import tables
from app.stores.letters.letter_search import Conditions
from app.stores.sql.statements import Statement

_REPLAYS = tables.core(tables.Replay)
_LETTERS = tables.core(tables.DeadLetter)
_ITEMS = tables.core(tables.ReplayItem)


def open_(
    conn: Connection, *, of: str, name: str, filter: str, rate: int, canary: bool, asked_by: str, now: datetime
) -> int:
    """A new idle replay without members; returns its number."""
    values = {"of": of, "name": name, "filter": filter, "rate": rate, "canary": canary, "asked_by": asked_by}
    initial = {"status": "idle", "letters": 0, "items": 0, "asked_at": now}
    return int(conn.execute(insert(_REPLAYS).values(**values, **initial).returning(_REPLAYS.c.id)).scalar_one())


# In the order in which they died first; a letter without item is a member by itself.
_MEMBERS = Statement(
    """
    INSERT INTO replay_items (replay_id, connection, kind, external_id, letter_id, state, mark)
    SELECT :id, coalesce(connection, ''), coalesce(kind, ''), coalesce(external_id, ''),
           CASE WHEN external_id IS NULL THEN id ELSE 0 END AS letter, 'waiting', 0
    FROM dead_letters WHERE replay_id = :id AND state = 'queued'
    GROUP BY 2, 3, 4, 5 ORDER BY min(id)
    """
)
_COUNTED = Statement(
    "UPDATE replays SET letters = :letters, items = (SELECT count(*) FROM replay_items WHERE replay_id = :id) WHERE id = :id"
)


def add_letters(conn: Connection, id: int, where: Conditions) -> int:
    """Queue the dead letters that match; their items become members, each once. Returns how many letters."""
    queued = update(_LETTERS).where(*where, _LETTERS.c.state == "dead").values(state="queued", replay_id=id)
    letters = conn.execute(queued).rowcount
    _MEMBERS.run(conn, {"id": id})
    _COUNTED.run(conn, {"id": id, "letters": letters})
    return int(letters)


def add_items(conn: Connection, id: int, keys: Sequence[ItemKey]) -> None:
    """Make these items members, each once, in this order."""
    for batch in batches(list(dict.fromkeys(keys)), 1_000):
        rows = [{**key._asdict(), "replay_id": id, "letter_id": 0, "state": "waiting", "mark": 0} for key in batch]
        conn.execute(insert(_ITEMS), rows)
    _COUNTED.run(conn, {"id": id, "letters": 0})
