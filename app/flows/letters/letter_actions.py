"""What people decide about dead letters: discard (and undo that for a day), edit the arguments."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from app.errors import Conflict, InvalidRequest, NotFound
from app.flows.access import audit
from app.flows.deps import Deps
from app.flows.items.dead_letter import connection_of_run
from app.flows.letters.letters import conditions, dead_terms, visible_letter
from app.flows.letters.messages import check_args
from app.rules.filters import spelled
from app.rules.letters.fingerprint import fingerprint
from app.stores.letters import dead_letters
from app.stores.letters.rows import Letter

UNDO_WITHIN = timedelta(days=1)
MAX_REASON_LENGTH = 2_000


def discard(deps: Deps, text: str, why: str) -> int:
    """Discard the dead letters that a filter matches, with a reason; returns how many. Raises ``Refused``."""
    reason = _reason(why)
    terms = dead_terms(text)
    with deps.database.begin() as conn:
        where, _ = conditions(deps, conn, terms)
        count = dead_letters.discard(conn, where, deps.principal.name, deps.redact(reason), deps.now())
        if count == 0:
            raise NotFound(f"no dead letter matches {spelled(terms)!r}")
        after = {"filter": spelled(terms), "letters": count, "state": "discarded"}
        audit.note(deps, conn, "letters.discard", f"{count} letters", after=after, why=reason)
    return count


def restore(deps: Deps, letter_id: int) -> None:
    """Undo the discarding of a letter, within ``UNDO_WITHIN``. Raises ``Refused``."""
    with deps.database.begin() as conn:
        letter = visible_letter(deps, conn, letter_id, lock=True)
        if letter.state != "discarded":
            raise Conflict(f"dead letter {letter_id} is {letter.state}, not discarded")
        if not dead_letters.restore(conn, letter_id, deps.now() - UNDO_WITHIN):
            raise Conflict(f"dead letter {letter_id} was discarded more than a day ago and cannot be restored")
        before = {"state": "discarded", "reason": letter.discard_reason, "by": letter.discarded_by}
        after = {"state": "dead"}
        subject, connection = f"letter {letter_id}", letter.connection
        audit.note(deps, conn, "letters.restore", subject, connection=connection, before=before, after=after)


def edit_args(deps: Deps, letter_id: int, args: Sequence[Any], why: str) -> None:
    """Give a dead letter other arguments, valid for its actor; the original ones are kept. Raises ``Refused``."""
    reason = _reason(why)
    with deps.database.begin() as conn:
        letter = visible_letter(deps, conn, letter_id, lock=True)
        if letter.state != "dead":
            raise Conflict(f"dead letter {letter_id} is {letter.state}, only a dead one can be edited")
        key = check_args(deps, conn, letter.actor, args)
        about = key.connection if key else connection_of_run(conn, letter.actor, args)
        dead_letters.edit(conn, letter_id, args, key, about, _fingerprint(letter, about))
        before, after = {"args": letter.args}, {"args": list(args)}
        subject, connection = f"letter {letter_id}", letter.connection
        audit.note(deps, conn, "letters.edit", subject, connection=connection, before=before, after=after, why=reason)


def _fingerprint(letter: Letter, connection: str | None) -> str:
    """The fingerprint that the letter would have if it had been about this connection."""
    if letter.connection == connection:
        return letter.fingerprint
    return fingerprint(letter.error_type, letter.error, letter.place, connection)


def _reason(why: str) -> str:
    reason = why.strip()
    if not reason or len(reason) > MAX_REASON_LENGTH:
        raise InvalidRequest(f"say why, in at most {MAX_REASON_LENGTH} characters")
    return reason
