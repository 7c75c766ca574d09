"""Imports and exports deliveries: one JSON object per line.

    {"connection": "shop", "received_at": "2026-11-25T08:00:00Z", "headers": {...}, "body": "..."}

A body that is not text is ``body_base64`` instead. An imported delivery is verified, parsed and stored exactly like one
that comes in; ``received_at`` (now, if it is missing) is the time for signatures that have one.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from app.domain import batches
from app.domain.decoding import decode
from app.flows.access import audit
from app.flows.deps import Deps
from app.flows.inbox.accepting import accept
from app.flows.inbox.inbox import conditions
from app.flows.inbox.receive import check_ids
from app.rules.access.redaction import safe_headers
from app.rules.filters import parse
from app.sources.base import PayloadInvalid, SignatureInvalid
from app.stores.inbox import inbox_search
from app.stores.inbox.inbox import Arrival
from app.stores.inbox.inbox_search import KEYS
from app.stores.inbox.rows import StoredDelivery

BATCH_SIZE = 200
MAX_LINE_LENGTH = 2_000_000
FIRST_YEAR = 2000
"""No delivery is older."""


class SavedDelivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of an export."""

    connection: str
    headers: dict[str, str]
    body: str | None = None
    body_base64: str | None = None
    received_at: datetime | None = None


class BadLine(NamedTuple):
    """A line that was refused, and why."""

    number: int
    line: str
    why: str


@dataclass
class Imported:
    """The result of an import: how many deliveries were ``new`` and how many ``duplicates``, and the ``bad`` lines."""

    new: int = 0
    duplicates: int = 0
    bad: list[BadLine] = field(default_factory=list)


class _InvalidLine(Exception):
    """The message says what would be right."""


def import_lines(
    deps: Deps,
    lines: Iterable[str],
    *,
    trust: bool = False,
    on_progress: Callable[[int], object] = lambda count: None,
) -> Imported:
    """Store the deliveries of these lines, some at a time; a bad line is noted and the others are stored.

    ``trust`` skips verification, which the audit log records. ``on_progress`` is called with the number of lines done.
    """
    result = Imported()
    try:
        _import(deps, lines, trust, on_progress, result)
    finally:  # an interrupted import has stored the lines before
        _note(deps, trust, result)
    return result


def _import(
    deps: Deps, lines: Iterable[str], trust: bool, on_progress: Callable[[int], object], result: Imported
) -> None:
    numbered = ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())
    for batch in batches(numbered, BATCH_SIZE):
        arrivals: list[tuple[int, str, Arrival]] = []
        for number, line in batch:
            try:
                arrivals.append((number, line, _arrival(deps, line, trust)))
            except _InvalidLine as error:
                result.bad.append(BadLine(number, line, str(error)))
        accepted, unwritable = accept(deps.database, [arrival for _, _, arrival in arrivals])
        errors = {id(arrival): f"it cannot be stored: {error}" for arrival, error in unwritable}
        result.bad += [BadLine(number, line, errors[id(one)]) for number, line, one in arrivals if id(one) in errors]
        deps.queue.enqueue(accepted.owed)
        result.new += accepted.new
        result.duplicates += accepted.duplicates
        on_progress(batch[-1][0])


def _note(deps: Deps, trust: bool, result: Imported) -> None:
    with deps.database.begin() as conn:
        after = {"new": result.new, "duplicates": result.duplicates, "bad": len(result.bad), "verified": not trust}
        audit.note(deps, conn, "inbox.import", f"{result.new} deliveries", after=after)


def export_lines(deps: Deps, text: str) -> Iterator[str]:
    """The deliveries that a filter matches, oldest first, one line each, in the format of ``import_lines``."""
    terms = parse(text, KEYS)
    with deps.database.read() as conn:
        for event in inbox_search.whole(conn, conditions(deps, conn, terms)):
            yield msgspec.json.encode(_saved(event)).decode()


def _arrival(deps: Deps, line: str, trust: bool) -> Arrival:
    if len(line) > MAX_LINE_LENGTH:
        raise _InvalidLine(f"a line may have at most {MAX_LINE_LENGTH} characters")
    try:
        saved = decode(line, SavedDelivery)
        body, received_at = _body(saved), _received_at(saved, deps.now())
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # of base64, Unicode and nesting too
        raise _InvalidLine(f'right would be {{"connection", "headers", "body"}}: {error}') from None
    source = deps.sources.get(saved.connection)
    if source is None or source.receiver is None or not deps.principal.can_see(saved.connection):
        raise _InvalidLine(f"no connection {saved.connection!r} takes deliveries here")
    headers = {name.lower(): value for name, value in saved.headers.items()}
    try:
        if not trust:
            source.receiver.verify(headers, body, received_at)
        delivery = source.receiver.parse(headers, body)
        check_ids(delivery)
    except (SignatureInvalid, PayloadInvalid) as error:
        raise _InvalidLine(str(error)) from None
    # one of the future, from a clock that was wrong, would be due only then
    return Arrival(saved.connection, delivery, safe_headers(_storable(headers)), body, min(received_at, deps.now()))


def _storable(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers as a database can hold them: no server takes a NUL in one, but a file can have it."""
    mark = "\N{REPLACEMENT CHARACTER}"
    return {name.replace("\x00", mark): value.replace("\x00", mark) for name, value in headers.items()}


def _body(saved: SavedDelivery) -> bytes:
    if (saved.body is None) == (saved.body_base64 is None):
        raise _InvalidLine('right would be either "body" or "body_base64"')
    return saved.body.encode() if saved.body is not None else base64.b64decode(saved.body_base64 or "", validate=True)


def _received_at(saved: SavedDelivery, now: datetime) -> datetime:
    if saved.received_at is None:
        return now
    if saved.received_at.tzinfo is None:
        raise _InvalidLine('"received_at" needs a time zone: 2026-11-25T08:00:00Z')
    try:
        received_at = saved.received_at.astimezone(UTC)
    except OverflowError:
        raise _InvalidLine(f'"received_at" {saved.received_at} is outside of our calendar') from None
    if received_at.year < FIRST_YEAR:
        raise _InvalidLine(f'"received_at" is {saved.received_at}; a time since {FIRST_YEAR} was expected')
    return received_at


def _saved(event: StoredDelivery) -> SavedDelivery:
    saved = SavedDelivery(event.connection, event.headers, received_at=event.received_at)
    try:
        return msgspec.structs.replace(saved, body=event.body.decode())
    except UnicodeDecodeError:
        return msgspec.structs.replace(saved, body_base64=base64.b64encode(event.body).decode())
