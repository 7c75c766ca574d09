"""Square's event types, and the scopes that its events and calls take: the permissions of the simulated account's token."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

CATALOGUE = Path(__file__).parent.parent / "samples" / "event_catalogue.json"


class EventType(NamedTuple):
    """What is known of one."""

    since: str
    release: str
    scopes: tuple[str, ...]


@cache
def known_types() -> dict[str, EventType]:
    """Every event type by its name."""
    rows: list[dict[str, Any]] = msgspec.json.decode(CATALOGUE.read_bytes())
    return {row["event"]: EventType(row["since"], row["release"], tuple(row["scopes"] or ())) for row in rows}


READS = {
    "/v2/catalog": "ITEMS_READ",
    "/v2/inventory": "INVENTORY_READ",
    "/v2/orders": "ORDERS_READ",
    "/v2/vendors": "VENDOR_READ",
    "/v2/locations": "MERCHANT_PROFILE_READ",
    "/v2/merchants": "MERCHANT_PROFILE_READ",
}
"""The scope of a read; a delete needs the write scope."""


def known_scopes() -> set[str]:
    """Every scope that a call or an event needs."""
    of_events = {scope for one in known_types().values() for scope in one.scopes}
    return {*of_events, *READS.values(), "ITEMS_WRITE"}


def is_granted(granted: str, method: str, path: str) -> bool:
    """Whether a token with these scopes (comma-separated; empty for all) may make a call."""
    needed = next((scope for prefix, scope in READS.items() if path.startswith(prefix)), None)
    if needed and method == "DELETE":
        needed = needed.replace("_READ", "_WRITE")
    return not granted or needed is None or needed in granted.split(",")


def is_sent(granted: str, kind: str) -> bool:
    """Whether events of a type are sent to an application that was granted these scopes."""
    needed = known_types()[kind].scopes if kind in known_types() else ()
    return not granted or set(needed) <= set(granted.split(","))
