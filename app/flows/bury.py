"""Turns a message that failed for good into a dead letter; called from the broker's ``after_nack``."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from app.domain import ItemKey, Kind
from app.flows.deps import Deps
from app.stores import dead_letters

ITEM_ACTOR = "sync_item"

log = structlog.get_logger()


def bury(
    deps: Deps, *, message_id: str, actor: str, queue: str, args: Sequence[object], error: BaseException
) -> None:
    """Record the dead message with every attempt; idempotent by message id.

    If this write fails the item stays owed and is tried again after its lease: it dies later, it is not lost.
    """
    key = item_of(actor, args)
    with deps.database.begin() as conn:
        letter = dead_letters.bury(
            conn,
            message_id=message_id,
            actor=actor,
            queue=queue,
            args=args,
            key=key,
            error=error,
            worker=deps.worker,
            now=deps.now(),
            redact=deps.redact,
        )
    log.error("dead_letter", letter=letter, actor=actor, item="/".join(key) if key else None, error=str(error))


def item_of(actor: str, args: Sequence[object]) -> ItemKey | None:
    """The item a message is about, ``None`` for any other message, malformed ones included."""
    if actor != ITEM_ACTOR or len(args) not in (3, 4) or not all(isinstance(arg, str) for arg in args[:3]):
        return None
    connection, kind, external_id = map(str, args[:3])  # what came along with it has been seen to
    return ItemKey(connection, Kind(kind), external_id) if kind in set(Kind) else None
