"""Deliveries saved elsewhere, and deliveries to be saved: one JSON object per line.

    {"connection": "shop", "received_at": "2026-11-25T08:00:00Z", "headers": {...}, "body": "..."}

A body that is no text is ``body_base64`` instead. What is imported is verified, parsed and stored exactly as a delivery
that comes in, with ``received_at`` (now, if it is missing) as the time for signatures that have one.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from app.domain import batches
from app.flows.access import audit
from app.flows.deps import Deps
from app.flows.inbox.inbox import conditions
from app.flows.inbox.receive import check_ids
from app.rules.access.redaction import safe_headers
from app.rules.filters import parse
from app.sources.base import PayloadInvalid, SignatureInvalid
from app.stores.inbox import inbox, inbox_search
from app.stores.inbox.inbox import Arrival
from app.stores.inbox.inbox_search import KEYS

AT_ONCE = 200
LONGEST_LINE = 2_000_000


class Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One delivery as it is saved."""

    connection: str
    headers: dict[str, str]
    body: str | None = None
    body_base64: str | None = None
    received_at: datetime | None = None


@dataclass
class Imported:
    """What became of the lines: ``new`` and ``duplicates`` are deliveries, ``bad`` the lines that were refused, with
    their number and why."""

    new: int = 0
    duplicates: int = 0
    bad: list[tuple[int, str, str]] = field(default_factory=list)


class _BadLine(Exception):
    """A line that cannot be taken; the message says what would be right."""


def import_lines(
    deps: Deps, lines: Iterable[str], *, trust: bool = False, told: Callable[[int], object] = lambda count: None
) -> Imported:
    """Take deliveries in, some at a time; a bad line is told and keeps none of the others out.

    ``trust`` leaves out verification, by somebody's decision, which the audit log then says. ``told`` is called with
    the number of lines behind us.
    """
    result = Imported()
    try:
        _import(deps, lines, trust, told, result)
    finally:  # whoever interrupts it has imported what came before
        _note(deps, trust, result)
    return result


def _import(deps: Deps, lines: Iterable[str], trust: bool, told: Callable[[int], object], result: Imported) -> None:
    numbered = ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())
    for some in batches(numbered, AT_ONCE):
        arrivals = [one for number, line in some if (one := _taken(deps, number, line, trust, result)) is not None]
        with deps.database.begin() as conn:
            accepted = inbox.accept(conn, arrivals)
        deps.queue.enqueue(accepted.owed)
        result.new += accepted.new
        result.duplicates += accepted.duplicates
        told(some[-1][0])


def _note(deps: Deps, trust: bool, result: Imported) -> None:
    with deps.database.begin() as conn:
        after = {"new": result.new, "duplicates": result.duplicates, "bad": len(result.bad), "verified": not trust}
        audit.note(deps, conn, "inbox.import", f"{result.new} deliveries", after=after)


def export_lines(deps: Deps, text: str) -> Iterator[str]:
    """The deliveries that a filter matches, oldest first, a line each, as ``import_lines`` takes them."""
    terms = parse(text, KEYS)
    with deps.database.read() as conn:
        for event in inbox_search.whole(conn, conditions(deps, conn, terms)):
            yield msgspec.json.encode(_saved(event)).decode()


def _taken(deps: Deps, number: int, line: str, trust: bool, result: Imported) -> Arrival | None:
    try:
        return _arrival(deps, line, trust)
    except _BadLine as error:
        result.bad.append((number, line, str(error)))
        return None


def _arrival(deps: Deps, line: str, trust: bool) -> Arrival:
    if len(line) > LONGEST_LINE:
        raise _BadLine(f"a line may have at most {LONGEST_LINE} characters")
    try:
        saved = msgspec.json.decode(line, type=Saved)
        body, received_at = _body(saved), _received_at(saved, deps.now())
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # of base64, Unicode and nesting too
        raise _BadLine(f'right would be {{"connection", "headers", "body"}}: {error}') from None
    source = deps.sources.get(saved.connection)
    if source is None or source.receiver is None or not deps.who.sees(saved.connection):
        raise _BadLine(f"no connection {saved.connection!r} takes deliveries here")
    headers = {name.lower(): value for name, value in saved.headers.items()}
    try:
        if not trust:
            source.receiver.verify(headers, body, received_at)
        delivery = source.receiver.parse(headers, body)
        check_ids(delivery)
    except (SignatureInvalid, PayloadInvalid) as error:
        raise _BadLine(str(error)) from None
    return Arrival(saved.connection, delivery, safe_headers(headers), body, received_at)


def _body(saved: Saved) -> bytes:
    if (saved.body is None) == (saved.body_base64 is None):
        raise _BadLine('right would be either "body" or "body_base64"')
    return saved.body.encode() if saved.body is not None else base64.b64decode(saved.body_base64 or "", validate=True)


def _received_at(saved: Saved, now: datetime) -> datetime:
    if saved.received_at is None:
        return now
    if saved.received_at.tzinfo is None:
        raise _BadLine('"received_at" needs a time zone: 2026-11-25T08:00:00Z')
    try:
        return saved.received_at.astimezone(UTC)
    except OverflowError:
        raise _BadLine(f'"received_at" {saved.received_at} is outside of our calendar') from None


def _saved(event: dict[str, Any]) -> Saved:
    body: bytes = event["body"]
    told = {"connection": event["connection"], "headers": event["headers"], "received_at": event["received_at"]}
    try:
        return Saved(**told, body=body.decode())
    except UnicodeDecodeError:
        return Saved(**told, body_base64=base64.b64encode(body).decode())
