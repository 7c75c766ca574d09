"""Where a run continues after a crash, a cancel or a pause, stage by stage."""

from datetime import datetime

import msgspec

from app.domain import Strategy


class FailedStage(msgspec.Struct, frozen=True):
    """A stage that failed while the run went on with the next one; ``stage`` is its place in the plan, from 0."""

    stage: int = msgspec.field(name="leg")
    kind: str
    error: str


class Limited(msgspec.Struct, frozen=True):
    """Since when a run could not go on because calls were limited, and how many records it had processed then."""

    since: datetime
    processed: int


class Checkpoint(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where to go on. ``stage`` counts finished stages, ``chosen`` is the strategy that a smart run decided on.

    The rest is about the current stage: ``resume`` is the source's token, ``pages`` the number of stored pages,
    ``read_at`` when its read began, ``after`` the last item done, ``begun`` the records processed before it, ``wrote`` how
    many rows its comparison has written,
    ``silences`` how often its vendor did not answer although the account did since it processed more than ``silent_at``
    records, ``limited`` since when its calls are limited, ``upto`` where a slice ends.
    ``failed`` are the earlier stages that failed.
    """

    stage: int = msgspec.field(default=0, name="leg")
    resume: str | None = None
    pages: int = 0
    read_at: datetime | None = None
    after: str | None = None
    begun: int = 0
    wrote: int = 0
    chosen: Strategy | None = None
    failed: list[FailedStage] = []
    silences: int = 0
    silent_at: int = 0
    limited: Limited | None = None
    upto: datetime | None = None

    def next_stage(self, processed: int) -> "Checkpoint":
        """The checkpoint at the beginning of the next stage, after ``processed`` records."""
        return Checkpoint(stage=self.stage + 1, begun=processed, chosen=self.chosen, failed=self.failed)

    def restart_stage(self) -> "Checkpoint":
        """The beginning of the current stage."""
        return msgspec.structs.replace(self, resume=None, pages=0, read_at=None, after=None)

    def first_failed(self) -> "Checkpoint":
        """The beginning of the first stage that failed: a resumed run goes on there."""
        return Checkpoint(stage=min(each.stage for each in self.failed), begun=self.begun, chosen=self.chosen)
