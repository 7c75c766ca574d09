"""Square's event types: since which version there is each, how far it is released, and which scopes it takes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from app.sources.square.simulator.answers import Json, invalid
from app.sources.square.simulator.strict import is_version

CATALOGUE = Path(__file__).parent.parent / "samples" / "event_catalogue.json"


class EventType(NamedTuple):
    """What is known of one."""

    since: str
    release: str
    scopes: tuple[str, ...]


@cache
def known_types() -> dict[str, EventType]:
    """Every event type by its name."""
    rows: list[Json] = msgspec.json.decode(CATALOGUE.read_bytes())
    return {row["event"]: EventType(row["since"], row["release"], tuple(row["scopes"] or ())) for row in rows}


def types_answer(given: Mapping[str, str]) -> Json:
    """The types there are in the version of the API that is asked for, else in the newest."""
    version = given.get("api_version")
    if version is not None and not is_version(version):
        raise invalid("The API version is not valid.", "INVALID_VALUE", "api_version")
    found = {name: one for name, one in known_types().items() if version is None or one.since <= version}
    rows = [
        {"event_type": name, "api_version_introduced": one.since, "release_status": one.release}
        for name, one in found.items()
    ]
    return {"event_types": list(found), "metadata": rows}
