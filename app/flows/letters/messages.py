"""The arguments that each kind of message takes, checked before a dead one is edited or replayed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from app.domain import ItemKey, Kind
from app.errors import Conflict, InvalidRequest
from app.flows.deps import Deps
from app.flows.items.dead_letter import ITEM_ACTOR, RUN_ACTOR, connection_of_run, item_of_message
from app.stores.letters.rows import Letter

MAX_ID_LENGTH = 500


def check_args(deps: Deps, conn: Connection, actor: str, args: Sequence[Any]) -> ItemKey | None:
    """The item that a message with these arguments is about, if any; raises ``InvalidRequest`` if they are not valid."""
    if actor == RUN_ACTOR:
        connection = connection_of_run(conn, actor, args)
        if connection is None or not deps.principal.can_see(connection):
            raise InvalidRequest("the arguments of 'run' are [<number of a run that exists>]")
        return None
    if actor != ITEM_ACTOR:
        raise InvalidRequest(
            f"nobody here knows what arguments {actor!r} takes; it can be replayed as it is, or discarded"
        )
    key = item_of_message(actor, args)
    if key is None or not 0 < len(key.external_id) <= MAX_ID_LENGTH or not _lists_of_texts(args[3:]):
        kinds = ", ".join(Kind)
        raise InvalidRequest(
            f'the arguments of "{ITEM_ACTOR}" are ["<connection>", "<kind>", "<external id>"], kinds: {kinds}'
        )
    if key.connection not in deps.sources or not deps.principal.can_see(key.connection):
        known = ", ".join(sorted(filter(deps.principal.can_see, deps.sources))) or "none"
        raise InvalidRequest(f"no connection {key.connection!r}; use one of: {known}")
    return key


def check_replayable(letter: Letter) -> None:
    """Raise ``Conflict`` for a message that should be about an item but names none: it would only die again."""
    if letter.actor == ITEM_ACTOR and letter.external_id is None:
        raise Conflict(
            f"letter {letter.id} names no item, so it would only die again; edit its arguments, or discard it"
        )


def _lists_of_texts(args: Sequence[Any]) -> bool:
    return all(isinstance(arg, list) and all(isinstance(id, str) for id in arg) for arg in args)
