"""How long a vendor has limited our calls for a kind, as this process sees it: items of the kind wait accordingly."""

from datetime import datetime

from app.domain import Kind
from app.flows.connections.per_database import PerDatabase
from app.flows.deps import Deps

_since: PerDatabase[dict[tuple[str, Kind], datetime]] = PerDatabase(dict)


def limited_for(deps: Deps, connection: str, kind: Kind) -> float:
    """Note that a call was limited; returns for how many seconds none of the kind has been answered since the first that
    was."""
    now = deps.now()
    return (now - _since.of(deps.database).setdefault((connection, kind), now)).total_seconds()


def not_limited(deps: Deps, connection: str, kind: Kind) -> None:
    """Note that a call was answered."""
    _since.of(deps.database).pop((connection, kind), None)
