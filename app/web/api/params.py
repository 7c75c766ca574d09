"""Types of requests: path, query and body of each operation, as strict structs in camel case."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.domain import Kind, Options, Strategy
from app.rules.spellings import DRIFT_CAUSES, DRIFT_CHANGES, RUN_CAUSES, STATUSES, Words

Text = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]  # no database keeps a NUL in a text
RunId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a run's number")]
RowId = Annotated[
    int, Meta(ge=1, le=2**63 - 1, description='continue after this row; "next" of the previous page has it')
]
Most = Annotated[int, Meta(ge=1, le=500, description="at most this many rows in a page")]
Moment = Annotated[datetime, Meta(tz=True, description="a moment with its time zone: 2026-11-22T00:00:00Z")]


def _spelled(words: Words) -> Any:
    """A text in any case, also in an older spelling."""
    pattern = f"(?i)^({'|'.join(words.spellings)})$"  # the error message quotes it; the schema has no flag for case
    return Meta(pattern=pattern, extra_json_schema={"pattern": words.pattern})


Spelling = Annotated[str, _spelled(STATUSES)]
RunCause = Annotated[str, _spelled(RUN_CAUSES)]
DriftCause = Annotated[str, _spelled(DRIFT_CAUSES)]
DriftChange = Annotated[str, _spelled(DRIFT_CHANGES)]
Year = Annotated[int, Meta(ge=1990, le=2100, description="only records last modified in this year")]
Records = Annotated[int, Meta(ge=1, le=1_000_000_000, description="stop after this many records")]


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Only the connection."""


class RunOptions(Options, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"):
    """What narrows a run. ``from`` and ``to`` are business days, both included; ``dryRun`` writes nothing."""

    filter_year: Year | None = None
    modified_since: Moment | None = None
    limit: Records | None = None
    category: Text | None = None
    first: Annotated[date, Meta(description="first business day")] | None = msgspec.field(default=None, name="from")
    last: Annotated[date, Meta(description="last business day")] | None = msgspec.field(default=None, name="to")

    def options(self) -> Options:
        """The options as the flows know them."""
        return Options(**{name: getattr(self, name) for name in Options.__struct_fields__})


class StartRun(RunOptions, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"):
    """A run by its strategy; ``smart`` chooses one itself and says why."""

    strategy: Strategy = Strategy.SMART


class OneKind(Params, frozen=True, kw_only=True):
    """Of an item by its id at the source; without a kind, a product with its stock."""

    kind: Kind | UnsetType = UNSET


class Days(Params, frozen=True, kw_only=True):
    """The span of the figures."""

    days: Annotated[int, Meta(ge=1, le=366, description="this many days back")] = 7


class Samples(Params, frozen=True, kw_only=True):
    """How many samples to show, and whether to compute them now although an answer is cached."""

    samples: Annotated[int, Meta(ge=0, le=100, description="at most this many samples of each finding")] = 5
    anew: bool = False


class CriticalPage(Params, frozen=True, kw_only=True):
    """A page of listings that are out of stock or low; ``anew`` counts now although a count is cached."""

    limit: Most = 50
    after: Text | UnsetType = UNSET
    anew: bool = False


class Page(Params, frozen=True, kw_only=True):
    """A page of rows; the fields of a subclass come before these."""

    limit: Most = 50
    before_id: RowId | UnsetType = UNSET


class HistoryPage(Page, frozen=True):
    """A page of runs; ``status`` and ``cause`` in any case, and also in older spellings."""

    status: Spelling | UnsetType = UNSET
    strategy: Strategy | UnsetType = UNSET
    cause: RunCause | UnsetType = UNSET
    since: Moment | UnsetType = UNSET
    until: Moment | UnsetType = UNSET
    dry: bool | UnsetType = UNSET


class FailedItemsPage(Page, frozen=True):
    """A page of items that runs could not sync; with ``resolved`` also those that were synced since."""

    run_id: RunId | UnsetType = UNSET
    category: Text | UnsetType = UNSET
    resolved: bool = False


class DriftPage(Page, frozen=True):
    """A page of differences that runs found; ``cause`` and ``change`` in any case, and also in older spellings."""

    run_id: RunId | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    cause: DriftCause | UnsetType = UNSET
    change: DriftChange | UnsetType = UNSET
    since: Moment | UnsetType = UNSET


class EditSchedule(Params, frozen=True, kw_only=True):
    """When a job runs by itself; fields that are not given stay unchanged."""

    job: Text
    cron: Text | UnsetType = UNSET
    timezone: Text | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


def check(params: msgspec.Struct) -> None:
    """Raise ``ValueError`` for a moment that UTC cannot express (year 1 or 9999, far from Greenwich)."""
    for field in msgspec.structs.fields(params):
        value = getattr(params, field.name)
        if isinstance(value, datetime):
            try:
                value.astimezone(UTC)
            except OverflowError:
                raise ValueError(
                    f"`{field.encode_name}` is out of range; right would be 2026-11-22T00:00:00Z"
                ) from None
