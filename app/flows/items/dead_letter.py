"""Records a message that failed for good as a dead letter; called from the broker's ``after_nack``."""

from collections.abc import Sequence

import structlog
from sqlalchemy import Connection

from app.domain import ItemKey, Kind
from app.flows.deps import Deps
from app.stores.letters import dead_letters
from app.stores.letters.dead_letters import DyingMessage
from app.stores.owed import Claim
from app.stores.runs import runs

ITEM_ACTOR = "sync_item"
RUN_ACTOR = "run"

log = structlog.get_logger()


def record_dead_letter(
    deps: Deps, *, message_id: str, actor: str, queue: str, args: Sequence[object], error: BaseException
) -> None:
    """Record the message with every attempt; idempotent by message id.

    Only what the claim covered is settled: later changes stay owed, and an item that another worker has taken over is left
    to that worker. If this write fails, the item stays owed and is tried again after its lease: it dies later, and is not
    lost.
    """
    key = item_of_message(actor, args)
    claim = getattr(error, "claim", None)
    covered = claim if isinstance(claim, Claim) and claim.key == key else None

    def write(conn: Connection) -> int | None:
        connection = connection_of_run(conn, actor, args)
        message = DyingMessage(message_id, actor, queue, args, key, connection, covered)
        return dead_letters.record(conn, message, error, worker=deps.worker, now=deps.now(), redact=deps.redact)

    letter = deps.database.transact(write)
    if letter is None:
        log.info("dead_letter_not_needed", actor=actor, item="/".join(key) if key else None, error=str(error))
        return
    log.error("dead_letter", letter=letter, actor=actor, item="/".join(key) if key else None, error=str(error))


def with_claim(error: Exception, claim: Claim) -> Exception:
    """The final error of an item, with the claim that its dead letter settles."""
    error.claim = claim  # type: ignore[attr-defined]
    return error


def item_of_message(actor: str, args: Sequence[object]) -> ItemKey | None:
    """The item that a message names, ``None`` for a malformed or any other message."""
    if actor != ITEM_ACTOR or len(args) not in (3, 4) or not all(isinstance(arg, str) for arg in args[:3]):
        return None
    connection, kind, external_id = map(str, args[:3])
    return ItemKey(connection, Kind(kind), external_id) if kind in set(Kind) else None


def run_of(actor: str, args: Sequence[object]) -> int | None:
    """The run that a message is about, if it is about one."""
    if actor != RUN_ACTOR or len(args) != 1 or type(args[0]) is not int:
        return None
    return int(args[0])


def connection_of_run(conn: Connection, actor: str, args: Sequence[object]) -> str | None:
    """The connection of the run that a message is about, ``None`` if it is about none."""
    run_id = run_of(actor, args)
    run = None if run_id is None else runs.get(conn, run_id)
    return None if run is None else run.connection
