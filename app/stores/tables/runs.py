"""Bulk reads and schedules: watermarks, budgets, runs, drift, holds, schedules, heartbeats."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import AUTO_ID, long, moment, one_where


class Watermark(SQLModel, table=True):
    """How far a kind has been read, by the source's clock; only the source understands it.

    ``value`` and ``pulled_at`` are null before the first complete pull. ``failed_at`` is when a pull last failed because
    its source could not answer, ``whole_read_at`` when the last read of the whole kind began.
    """

    __tablename__ = "watermarks"

    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    value: str | None = None
    pulled_at: datetime | None = moment(default=None)
    failed_at: datetime | None = moment(default=None)
    whole_read_at: datetime | None = moment(default=None)


class BudgetUse(SQLModel, table=True):
    """A sliding window: the moments (epoch seconds, JSON list) of the calls still inside it."""

    __tablename__ = "budget_use"

    connection: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    taken: str = Field(sa_type=Text)


class Run(SQLModel, table=True):
    """One bulk sync. ``status`` is ``idle``, ``running``, ``completed``, ``failed`` or ``cancelled``.

    ``counts`` is JSON by kind (``rules.runs.kind_counts.KindCounts``). The slot makes a scheduled run unique however many
    clocks there are. ``options``, ``progress`` and ``checkpoint`` are JSON objects (``domain.Options``,
    ``rules.runs.progress.Progress``, ``rules.runs.checkpoint.Checkpoint``); ``reason`` says why a smart run chose what it
    did. A ``dry`` run writes only its drift rows.
    """

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("connection", "strategy", "slot"),
        one_where("ux_runs_active", "connection", where="status IN ('idle', 'running')"),
        Index("ix_runs_started", "connection", "created_at"),
        Index("ix_runs_page", "connection", "id"),
        Index("ix_runs_counted", "connection", "strategy", "status", "dry", "calls"),
    )

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    connection: str
    strategy: str
    cause: str
    status: str = "idle"
    slot: datetime | None = moment(default=None)
    created_at: datetime = moment()
    started_at: datetime | None = moment(default=None)
    finished_at: datetime | None = moment(default=None)
    hinted_at: datetime | None = moment(default=None)
    token: str | None = None
    lease_until: datetime | None = moment(default=None)
    kills: int = 0
    counts: str = Field(default="{}", sa_type=Text)
    calls: int = 0
    error: str | None = long()
    dry: bool = False
    options: str = Field(default="{}", sa_type=Text)
    reason: str | None = long()
    progress: str = Field(default="{}", sa_type=Text)
    checkpoint: str = Field(default="{}", sa_type=Text)


class RunPage(SQLModel, table=True):
    """A page of an unfinished complete read, kept so that the read can resume after it.

    ``records`` are the page's records, packed, ``failed`` (JSON) those that could not be read. The rows are deleted when
    the kind is written.
    """

    __tablename__ = "run_pages"

    run_id: int = Field(primary_key=True, sa_type=BigInteger)
    number: int = Field(primary_key=True)
    records: bytes = Field(sa_type=LargeBinary)
    failed: str = Field(default="[]", sa_type=Text)


class FailedItem(SQLModel, table=True):
    """An item that a run or a poll (``run_id`` is null) could not sync, while its neighbours succeeded.

    ``category`` is ``network``, ``rate_limit``, ``auth``, ``validation``, ``mapping``, ``conflict`` or ``database``;
    ``resolved_at`` is when a later run synced it.
    """

    __tablename__ = "failed_items"
    __table_args__ = (
        UniqueConstraint("connection", "kind", "external_id"),
        Index("ix_failed_items_run", "run_id"),
    )

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    run_id: int | None = Field(default=None, sa_type=BigInteger)
    connection: str
    kind: str
    external_id: str
    category: str
    error_type: str
    error: str = Field(sa_type=Text)
    traceback: str = Field(sa_type=Text)
    attempts: int = 1
    failed_at: datetime = moment()
    resolved_at: datetime | None = moment(default=None)


class Drift(SQLModel, table=True):
    """One row that a complete read or a spot check (``run_id`` is null) found different, what differed and why.

    ``change`` is ``missing`` (we lacked it), ``differs`` or ``vanished``; ``fields`` is JSON ``{field: [old, new]}``.
    ``cause`` is one of ``rules.drift.drift.DriftCause``, and ``why`` gives the evidence in a sentence. Our copy became
    wrong between ``since`` and ``since_latest``. ``corrected_from`` is the cause before later evidence came at
    ``corrected_at``.
    """

    __tablename__ = "drift"
    __table_args__ = (
        Index("ix_drift_run", "run_id", "kind", "change", "cause"),
        Index("ix_drift_run_page", "run_id", "id"),
        Index("ix_drift_page", "connection", "id"),
    )

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    run_id: int | None = Field(default=None, sa_type=BigInteger)
    connection: str
    kind: str
    item: str
    change: str
    fields: str = Field(sa_type=Text)
    cause: str
    since: datetime | None = moment(default=None)
    since_latest: datetime | None = moment(default=None)
    why: str | None = long()
    corrected_from: str | None = None
    corrected_at: datetime | None = moment(default=None)
    found_at: datetime = moment()


class Hold(SQLModel, table=True):
    """An implausible batch that waits for a person.

    ``state`` is ``keeping`` until all of its rows are kept, then ``held``. Then it is ``released`` (its rows are being
    written) and ``applied``, or ``dismissed``, or ``passed`` (a later read was plausible), or ``expired`` (a later read
    found another batch). A kind has at most one open hold.

    ``findings`` is a JSON list of the rules that hold the batch, ``rows`` the number of its rows, ``digest`` identifies
    it. ``absent`` says what becomes of rows without a record, ``read_at`` is when the read began. Until ``believed_until``
    the same rules do not hold this kind again.
    """

    __tablename__ = "holds"
    __table_args__ = (one_where("ux_holds_open", "connection", "kind", where="state IN ('held', 'released')"),)

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    connection: str
    kind: str
    run_id: int | None = Field(default=None, sa_type=BigInteger)
    reason: str = Field(sa_type=Text)
    summary: str = Field(sa_type=Text)
    state: str = "held"
    held_at: datetime = moment()
    findings: str = Field(default="[]", sa_type=Text, sa_column_kwargs={"server_default": "[]"})
    digest: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    rows: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    absent: str | None = None
    read_at: datetime | None = moment(default=None)
    believed_until: datetime | None = moment(default=None)


class HoldRow(SQLModel, table=True):
    """One row of a hold: ``fields`` is JSON ``{field: [before, after]}``, ``record`` the whole record as JSON, null if the
    row ends. ``read_at`` is when its read began, null if that is the hold's."""

    __tablename__ = "hold_rows"
    __table_args__ = (Index("ix_hold_rows_item", "hold_id", "item"),)

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    hold_id: int = Field(sa_type=BigInteger)
    item: str
    row_key: str
    fields: str = Field(sa_type=Text)
    record: str | None = Field(default=None, sa_type=Text)
    read_at: datetime | None = moment(default=None)


class Schedule(SQLModel, table=True):
    """When a job runs by itself for a connection: a five-field cron expression in a time zone.

    Slots count from ``last_slot``: the last one that fired, or when a person edited the schedule since. ``fired_slot`` is
    the last one that fired.
    """

    __tablename__ = "schedules"

    connection: str = Field(primary_key=True)
    job: str = Field(primary_key=True)
    cron: str
    timezone: str = "UTC"
    enabled: bool = True
    last_slot: datetime | None = moment(default=None)
    fired_slot: datetime | None = moment(default=None)


class Heartbeat(SQLModel, table=True):
    """The last heartbeat of each process, and when it stopped, if it could write that."""

    __tablename__ = "beats"

    process: str = Field(primary_key=True)
    role: str
    started_at: datetime = moment()
    seen_at: datetime = moment()
    stopped_at: datetime | None = moment(default=None)
