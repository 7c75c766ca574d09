"""A run as the database keeps it: one typed row, its JSON columns read into their types."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from app.domain import Options, Status, Strategy
from app.rules.runs.checkpoint import Checkpoint
from app.rules.runs.kind_counts import KindCounts
from app.rules.runs.progress import Progress
from app.stores import tables

RUNS = tables.core(tables.Run)

_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    "counts": msgspec.json.Decoder(dict[str, KindCounts]),
    "options": msgspec.json.Decoder(Options),
    "progress": msgspec.json.Decoder(Progress),
    "checkpoint": msgspec.json.Decoder(Checkpoint),
}


class Run(NamedTuple):
    """One run, as ``tables.Run`` describes it; ``counts`` are by kind."""

    id: int
    connection: str
    strategy: str
    cause: str
    status: Status
    slot: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    hinted_at: datetime | None
    token: str | None
    lease_until: datetime | None
    kills: int
    counts: dict[str, KindCounts]
    calls: int
    error: str | None
    dry: bool
    options: Options
    reason: str | None
    progress: Progress
    checkpoint: Checkpoint

    @property
    def chosen_strategy(self) -> Strategy:
        """The strategy that was carried out: for a smart run the strategy that it chose, once it has chosen."""
        return self.checkpoint.chosen or Strategy(self.strategy)

    @property
    def is_active(self) -> bool:
        """Whether the run is at work, or waits to begin or to go on."""
        return self.status in (Status.IDLE, Status.RUNNING)


def run_of(row: Mapping[Any, Any]) -> Run:
    """The run of a database row with all columns."""
    values = {**row, **{name: decoder.decode(row[name]) for name, decoder in _DECODERS.items()}}
    return Run(**{**values, "status": Status(row["status"])})
