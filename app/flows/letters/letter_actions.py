"""What people decide about dead letters: discard (and take it back for a day), edit the arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from app.domain import ItemKey
from app.errors import Conflict, InvalidRequest, NotFound
from app.flows.access import audit
from app.flows.deps import Deps
from app.flows.letters.letters import conditions, dead_terms, seen
from app.flows.letters.messages import check_args
from app.rules.filters import spelled
from app.rules.letters.fingerprint import fingerprint
from app.stores.letters import letter_states

UNDO_WITHIN = timedelta(days=1)
LONGEST_REASON = 2_000


def discard(deps: Deps, text: str, why: str) -> int:
    """Discard the dead letters that a filter matches, with a reason; returns how many. Raises ``Refused``."""
    reason = _reason(why)
    terms = dead_terms(text)
    with deps.database.begin() as conn:
        found, _ = conditions(deps, conn, terms)
        count = letter_states.discard(conn, found, deps.who.name, deps.redact(reason), deps.now())
        if count == 0:
            raise NotFound(f"no dead letter matches {spelled(terms)!r}")
        after = {"filter": spelled(terms), "letters": count, "state": "discarded"}
        audit.note(deps, conn, "letters.discard", f"{count} letters", after=after, why=reason)
    return count


def restore(deps: Deps, letter_id: int) -> None:
    """Take back that a letter was discarded, within ``UNDO_WITHIN``. Raises ``Refused``."""
    with deps.database.begin() as conn:
        letter = seen(deps, conn, letter_id, lock=True)
        if letter["state"] != "discarded":
            raise Conflict(f"dead letter {letter_id} is {letter['state']}, not discarded")
        if not letter_states.restore(conn, letter_id, deps.now() - UNDO_WITHIN):
            raise Conflict(f"dead letter {letter_id} was discarded more than a day ago; that stays")
        before = {"state": "discarded", "reason": letter["discard_reason"], "by": letter["discarded_by"]}
        about = {"connection": letter["connection"], "before": before, "after": {"state": "dead"}}
        audit.note(deps, conn, "letters.restore", f"letter {letter_id}", **about)


def edit_args(deps: Deps, letter_id: int, args: Sequence[Any], why: str) -> None:
    """Give a dead letter other arguments, checked as its actor would; the original ones are kept. Raises ``Refused``."""
    reason = _reason(why)
    with deps.database.begin() as conn:
        letter = seen(deps, conn, letter_id, lock=True)
        if letter["state"] != "dead":
            raise Conflict(f"dead letter {letter_id} is {letter['state']}, only a dead one can be edited")
        key = check_args(deps, conn, letter["actor"], args)
        letter_states.edit(conn, letter_id, args, key, _fingerprint(letter, key))
        about = {
            "connection": letter["connection"],
            "before": {"args": letter["args"]},
            "after": {"args": list(args)},
        }
        audit.note(deps, conn, "letters.edit", f"letter {letter_id}", why=reason, **about)


def _fingerprint(letter: Mapping[str, Any], key: ItemKey | None) -> str:
    """That of the letter, had it been about this item."""
    if letter["connection"] == (key.connection if key else None):
        return str(letter["fingerprint"])
    connection = key.connection if key else None
    return fingerprint(letter["error_type"], letter["error"], letter["place"], connection)


def _reason(why: str) -> str:
    reason = why.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise InvalidRequest(f"say why, in at most {LONGEST_REASON} characters")
    return reason
