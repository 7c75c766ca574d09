"""What people ask about dead letters: which there are, of how many causes, and everything about one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection

from app.domain import ItemKey, Kind
from app.errors import InvalidRequest, NotFound
from app.flows.deps import Deps
from app.rules.filters import Term, parse, spelled
from app.rules.letters.advice import advice
from app.stores import owed
from app.stores.letters import dead_letters, letter_search
from app.stores.letters.letter_search import KEYS, Reads
from app.stores.reports import settled

DEFAULT = Term("state", ("dead",))
"""What a filter means that says nothing about states: those that wait for a person."""


def terms_of(text: str) -> tuple[Term, ...]:
    """The terms of a filter of letters, with ``DEFAULT`` unless it names a state or a letter; raises ``FilterError``."""
    terms = parse(text, KEYS)
    return terms if any(one.key in ("state", "id") for one in terms) else (*terms, DEFAULT)


def dead_terms(text: str) -> tuple[Term, ...]:
    """The terms of a filter for those who want to do something about letters: dead ones, and no others.

    Raises ``FilterError``, and ``Refused`` for a filter that asks for letters in another state.
    """
    terms = terms_of(text)
    others = {value for term in terms if term.key == "state" for value in term.values} - set(DEFAULT.values)
    if others or any(term.negated for term in terms if term.key == "state"):
        raise InvalidRequest(f"only dead letters can be replayed or discarded, not {spelled(terms)!r}")
    return (*(term for term in terms if term.key != "state"), DEFAULT)


def find(deps: Deps, text: str, *, limit: int = 50, before_id: int | None = None) -> dict[str, Any]:
    """``totals`` (letters, causes, items, moot) of a filter, and a page of ``rows``, the latest dead first."""
    with deps.database.read() as conn:
        found, reads = conditions(deps, conn, terms_of(text))
        rows = letter_search.page(conn, found, reads, limit=limit, before_id=before_id)
        return {"totals": letter_search.totals(conn, found, reads), "rows": rows}


def groups(deps: Deps, text: str, by: str, *, limit: int = 50) -> dict[str, Any]:
    """``totals`` of a filter, and its letters grouped ``by`` cause or item, the largest group first."""
    group = letter_search.by_cause if by == "cause" else letter_search.by_item
    with deps.database.read() as conn:
        found, reads = conditions(deps, conn, terms_of(text))
        rows = group(conn, found, reads, limit=limit)
        return {"totals": letter_search.totals(conn, found, reads), "rows": rows}


def conditions(deps: Deps, conn: Connection, terms: Sequence[Term]) -> tuple[list[ColumnElement[bool]], Reads]:
    """A filter's conditions as the stores take them, for the one who asks."""
    reads = letter_search.full_reads(conn)
    return letter_search.where(terms, deps.who, now=deps.now(), reads=reads), reads


def show(deps: Deps, letter_id: int) -> dict[str, Any]:
    """One letter with all attempts; ``moot``, ``advice``, and ``since`` (what came of its item lately): ``owed``,
    ``settled`` (newest first) and ``letters`` (others of the item). Raises ``NotFound`` when there is none."""
    with deps.database.read() as conn:
        letter = seen(deps, conn, letter_id)
        reads = letter_search.full_reads(conn)
        key = key_of(letter)
        return {
            **letter,
            "moot": letter_search.is_moot(conn, letter_id, reads),
            "advice": advice(letter["error_type"]),
            "since": None if key is None else _since(deps, conn, key, letter_id),
        }


def seen(deps: Deps, conn: Connection, letter_id: int, *, lock: bool = False) -> dict[str, Any]:
    """A letter that the caller may see; raises ``NotFound`` when there is none."""
    letter = dead_letters.get(conn, letter_id, lock=lock)
    if letter is None or not deps.who.sees(letter["connection"]):
        raise NotFound(f"there is no dead letter {letter_id}", "letter")
    return letter


def key_of(letter: dict[str, Any]) -> ItemKey | None:
    """The item that a letter is about, if any."""
    if letter["external_id"] is None:
        return None
    return ItemKey(letter["connection"], Kind(letter["kind"]), letter["external_id"])


def sentence(totals: dict[str, int]) -> str:
    """ "412 letters, 3 causes, 37 items; 5 moot"."""
    told = [f"{totals[name]:,} {name if totals[name] != 1 else name[:-1]}" for name in ("letters", "causes", "items")]
    return ", ".join(told) + (f"; {totals['moot']:,} moot" if totals["moot"] else "")


def _since(deps: Deps, conn: Connection, key: ItemKey, letter_id: int) -> dict[str, Any]:
    terms = [Term("connection", (key.connection,)), Term("kind", (str(key.kind),)), Term("item", (key.external_id,))]
    found, reads = conditions(deps, conn, terms)
    others = letter_search.page(conn, found, reads, limit=11)
    shown = ("id", "state", "died_at", "fingerprint", "error")
    return {
        "owed": owed.is_owed(conn, key),
        "settled": settled.latest(conn, key, 5),
        "letters": [{name: one[name] for name in shown} for one in others if one["id"] != letter_id],
    }
