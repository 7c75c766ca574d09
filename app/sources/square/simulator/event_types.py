"""Square's event types: since which version there is each, how far it is released, and which scopes it takes."""

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
