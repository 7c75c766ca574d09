"""What people ask about dead letters: a list, their causes, and everything about one letter."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

import msgspec
from sqlalchemy import Connection

from app.domain import ItemKey
from app.errors import InvalidRequest, NotFound
from app.flows.deps import Deps
from app.rules.filters import Term, parse, spelled
from app.rules.letters.advice import advice
from app.stores import owed
from app.stores.letters import dead_letters, letter_search
from app.stores.letters.letter_search import KEYS, Conditions, FullReads
from app.stores.letters.rows import (
    Attempt,
    CauseGroup,
    Exchange,
    ItemGroup,
    Letter,
    LetterRow,
    ListedLetter,
    Message,
    Totals,
)
from app.stores.reports import settled
from app.stores.reports.settled import ItemSettlement

# The rows that the edges show.
__all__ = ["Attempt", "CauseGroup", "Exchange", "ItemGroup", "LetterRow", "Message", "Totals"]

Row = TypeVar("Row")

DEFAULT = Term("state", ("dead",))
"""The state that a filter means if it names none: letters that wait for a person."""


class Matches(msgspec.Struct, Generic[Row], frozen=True):
    """A page of letters or groups of a filter, and the totals of all that it matches."""

    totals: Totals
    rows: list[Row]


class OtherLetter(msgspec.Struct, frozen=True):
    """Another letter of the same item."""

    id: int
    state: str
    died_at: datetime
    fingerprint: str
    error: str


class ItemNow(msgspec.Struct, frozen=True):
    """What happened to a letter's item lately: whether it is ``owed``, its latest settlements (newest first), and its
    other letters."""

    owed: bool
    settled: list[ItemSettlement]
    letters: list[OtherLetter]


class LetterView(Letter, frozen=True, kw_only=True):
    """A letter with ``advice``; if it is ``moot``, a replay would change nothing; ``since`` is ``None`` without item."""

    moot: bool
    advice: str
    since: ItemNow | None


def terms_of(text: str) -> tuple[Term, ...]:
    """The terms of a filter of letters, with ``DEFAULT`` unless it names a state or a letter; raises ``FilterError``."""
    terms = parse(text, KEYS)
    return terms if any(term.key in ("state", "id") for term in terms) else (*terms, DEFAULT)


def dead_terms(text: str) -> tuple[Term, ...]:
    """The terms of a filter that selects letters for an action: dead ones only.

    Raises ``FilterError``, and ``Refused`` for a filter that names another state.
    """
    terms = terms_of(text)
    others = {value for term in terms if term.key == "state" for value in term.values} - set(DEFAULT.values)
    if others or any(term.negated for term in terms if term.key == "state"):
        raise InvalidRequest(f"only dead letters can be replayed or discarded, not {spelled(terms)!r}")
    return (*(term for term in terms if term.key != "state"), DEFAULT)


def find(deps: Deps, text: str, *, limit: int = 50, before_id: int | None = None) -> Matches[ListedLetter]:
    """A page of the letters that a filter matches, the latest dead first; raises ``FilterError``."""
    return _matches(deps, text, partial(letter_search.page, limit=limit, before_id=before_id))


def groups_by_cause(deps: Deps, text: str, *, limit: int = 50) -> Matches[CauseGroup]:
    """The letters that a filter matches by cause, the largest group first; raises ``FilterError``."""
    return _matches(deps, text, partial(letter_search.by_cause, limit=limit))


def groups_by_item(deps: Deps, text: str, *, limit: int = 50) -> Matches[ItemGroup]:
    """The letters that a filter matches by item, the largest group first; raises ``FilterError``."""
    return _matches(deps, text, partial(letter_search.by_item, limit=limit))


def _matches(deps: Deps, text: str, read: Callable[[Connection, Conditions, FullReads], list[Row]]) -> Matches[Row]:
    with deps.database.read() as conn:
        where, reads = conditions(deps, conn, terms_of(text))
        return Matches(letter_search.totals(conn, where, reads), read(conn, where, reads))


def conditions(deps: Deps, conn: Connection, terms: Sequence[Term]) -> tuple[Conditions, FullReads]:
    """The conditions of a filter for the caller, and the full reads that supersede letters."""
    reads = letter_search.full_reads(conn)
    return letter_search.where(terms, deps.principal, now=deps.now(), reads=reads), reads


def show(deps: Deps, letter_id: int) -> LetterView:
    """One letter with all attempts; raises ``NotFound`` when the caller can see no such letter."""
    with deps.database.read() as conn:
        letter = visible_letter(deps, conn, letter_id)
        return LetterView(
            **msgspec.structs.asdict(letter),
            moot=letter_search.is_superseded(conn, letter_id, letter_search.full_reads(conn)),
            advice=advice(letter.error_type),
            since=None if letter.key is None else _item_now(deps, conn, letter.key, letter_id),
        )


def visible_letter(deps: Deps, conn: Connection, letter_id: int, *, lock: bool = False) -> Letter:
    """A letter that the caller may see; raises ``NotFound`` when there is none."""
    letter = dead_letters.get(conn, letter_id, lock=lock)
    if letter is None or not deps.principal.can_see(letter.connection):
        raise NotFound(f"there is no dead letter {letter_id}", "letter")
    return letter


def sentence(totals: Totals) -> str:
    """ "412 letters, 3 causes, 37 items; 5 moot"."""
    numbers = {"letter": totals.letters, "cause": totals.causes, "item": totals.items}
    counted = ", ".join(f"{number:,} {noun}{'' if number == 1 else 's'}" for noun, number in numbers.items())
    return counted + (f"; {totals.moot:,} moot" if totals.moot else "")


def _item_now(deps: Deps, conn: Connection, key: ItemKey, letter_id: int) -> ItemNow:
    terms = [Term("connection", (key.connection,)), Term("kind", (str(key.kind),)), Term("item", (key.external_id,))]
    where, reads = conditions(deps, conn, terms)
    others = letter_search.page(conn, where, reads, limit=11)
    return ItemNow(
        owed.is_owed(conn, key),
        settled.latest(conn, key, 5),
        [
            OtherLetter(one.id, one.state, one.died_at, one.fingerprint, one.error)
            for one in others
            if one.id != letter_id
        ],
    )
