"""Which messages there are and what their arguments must be, for those who edit or replay a dead one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from app.domain import ItemKey, Kind
from app.errors import Conflict, InvalidRequest
from app.flows.deps import Deps
from app.flows.items.dead_letter import ITEM_ACTOR, item_of_message
from app.stores.runs import runs

RUN_ACTOR = "run"
LONGEST_ID = 500


def check_args(deps: Deps, conn: Connection, actor: str, args: Sequence[Any]) -> ItemKey | None:
    """The item that such a message would be about; raises ``InvalidRequest`` saying what would be right."""
    if actor == RUN_ACTOR:
        if run_of(actor, args) is None or runs.get(conn, args[0]) is None:
            raise InvalidRequest("the arguments of 'run' are [<number of a run that exists>]")
        return None
    if actor != ITEM_ACTOR:
        raise InvalidRequest(
            f"nobody here knows what arguments {actor!r} takes; it can be replayed as it is, or discarded"
        )
    key = item_of_message(actor, args)
    if key is None or not 0 < len(key.external_id) <= LONGEST_ID or not _texts(args[3:]):
        kinds = ", ".join(Kind)
        raise InvalidRequest(
            f'the arguments of "{ITEM_ACTOR}" are ["<connection>", "<kind>", "<external id>"], kinds: {kinds}'
        )
    if key.connection not in deps.sources or not deps.who.sees(key.connection):
        there = ", ".join(sorted(filter(deps.who.sees, deps.sources))) or "none"
        raise InvalidRequest(f"no connection {key.connection!r}; there are {there}")
    return key


def check_replayable(letter: Mapping[str, Any]) -> None:
    """Raise ``Conflict`` for a message about an item that names none: it would only die again."""
    if letter["actor"] == ITEM_ACTOR and letter["external_id"] is None:
        raise Conflict(
            f"letter {letter['id']} names no item, so it would only die again; edit its arguments, or discard it"
        )


def run_of(actor: str, args: Sequence[Any]) -> int | None:
    """The run that a message is about, if it is about one."""
    if actor != RUN_ACTOR or len(args) != 1 or type(args[0]) is not int:
        return None
    return int(args[0])


def _texts(also: Sequence[Any]) -> bool:
    return all(isinstance(one, list) and all(isinstance(id, str) for id in one) for one in also)
