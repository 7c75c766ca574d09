"""The composition root: Settings in, Deps out; the one place that picks implementations."""

import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from app.channels.mail import mail_sender
from app.channels.queue import BrokerQueue, NullQueue, redis_broker
from app.config import Settings
from app.flows.deps import Deps, Queue
from app.rules.access.encryption import Encryption
from app.rules.access.redaction import redactor
from app.rules.guard.guard import Limits
from app.rules.terminal import for_terminal
from app.sources import connect
from app.sources.base import Context, Source, Unlimited
from app.stores.runs.budgets import SharedBudget
from app.stores.search import SearchIndex
from app.stores.sql.clock import DatabaseClock
from app.stores.sql.engine import Database
from app.stores.sql.engine import open_database as open_database
from app.stores.sql.urls import check_folder
from app.stores.upkeep.marks import Witness

LIVE_PATIENCE = 2.0

POOLS: Mapping[str, int] = {"web": 6, "clock": 3, "narrator": 2, "cli": 4}
"""How many PostgreSQL connections a process of a role opens at most; for workers see ``pool_size``."""


def configure_logging(settings: Settings) -> None:
    """Structured logs on standard error, at the configured level, without secrets; libraries' warnings as well, and
    what ends a process or a thread."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=log_processors(settings),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting(redactor(settings.secrets()), as_json=settings.log_json))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler])
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # a line for every session that the server ended
    log = logging.getLogger("tallyhook")
    sys.excepthook = lambda *error: log.critical("the process ended by an error", exc_info=error)
    threading.excepthook = lambda ended: log.critical("a thread ended by an error", exc_info=ended.exc_value)


def log_processors(settings: Settings) -> list[structlog.typing.Processor]:
    """What makes a log line of an event, tracebacks included; the secrets are taken out of the line."""
    redact = redactor(settings.secrets())
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if settings.log_json else structlog.dev.ConsoleRenderer(colors=False)
    )
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        lambda logger, name, event: for_terminal(redact(str(render(logger, name, event)))),
    ]


class _Redacting(logging.Formatter):
    """Lines of the libraries that log by the standard library, tracebacks included, without secrets."""

    def __init__(self, redact: Callable[[str], str], *, as_json: bool) -> None:
        super().__init__("%(asctime)s %(name)s %(message)s")
        self._redact = redact
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The whole record as text, or as one JSON object with the names that our own lines have."""
        return for_terminal(self._redact(_as_json(record, self) if self._as_json else super().format(record)))


def _as_json(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    fields = {
        "event": record.getMessage(),
        "logger": record.name,
        "level": record.levelname.lower(),
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
    }
    if record.exc_info:
        fields["exception"] = formatter.formatException(record.exc_info)
    return json.dumps(fields)


def pool_size(role: str, threads: int = 0) -> int:
    """How many PostgreSQL connections a process opens at most: a worker half as many as it has threads (most of them
    wait for a vendor, and hold none then) and 4 for its leases, housekeeping and probes; the others what ``POOLS`` says.

    With its defaults ``tallyhook up`` opens 2 x (16/2 + 4) for live workers, 2/2 + 4 for the bulk worker, 6 for web, 3
    for the clock and 2 for its own lines: 40. A ``tallyhook`` command beside it opens up to 4 more.
    """
    return threads // 2 + 4 if role == "worker" else POOLS[role]


def process_name(role: str) -> str:
    """A name for this process that no other process on any machine has."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


def connect_sources(
    settings: Settings, database: Database, clock: DatabaseClock, *, patience: float, public_url: str | None = None
) -> dict[str, Source]:
    """A client per configured connection, on budgets that all processes share.

    Without a ``public_url`` a connection that verifies signatures over one raises ``BadConfiguration``."""
    sources: dict[str, Source] = {}
    for slug, account in settings.accounts().items():
        context = Context(
            connection=slug,
            budget=SharedBudget(database, slug, lambda: clock.now().timestamp()),
            public_url=public_url or settings.public_url,
            patience=patience,
            now=clock.now,
        )
        sources[slug] = connect(account.source, context, account.options)
    return sources


def check(settings: Settings) -> dict[str, bool]:
    """Whether each connection takes webhooks, by slug. Raises ``BadConfiguration`` where an option or an address is wrong;
    no vendor is called."""
    settings.check_auth()
    if settings.database_url is not None:
        check_folder(settings.database())
    open_database(settings.database()).close()
    takes: dict[str, bool] = {}
    for slug, account in settings.accounts().items():
        context = Context(connection=slug, budget=Unlimited(), public_url=settings.address())
        source = connect(account.source, context, account.options)
        takes[slug] = source.receiver is not None
        source.close()
    return takes


def build(settings: Settings, role: str, *, queue: Queue | None = None, threads: int = 0) -> Deps:
    """Everything a process needs. ``role`` is web, worker, clock or cli; only web flushes every commit to disk.
    ``threads`` is how many work at once in a worker."""
    if settings.database_url is not None:
        check_folder(settings.database())
    database = open_database(settings.database(), durable=role == "web", pool=pool_size(role, threads))
    clock = DatabaseClock(database)
    signed_over = None if role == "web" else settings.address()  # the others take no webhooks, and need no signature
    live = connect_sources(settings, database, clock, patience=LIVE_PATIENCE, public_url=signed_over)
    bulk: Mapping[str, Source] = (
        connect_sources(settings, database, clock, patience=settings.bulk_patience, public_url=signed_over)
        if role in ("worker", "cli")
        else live
    )
    clock.measure()
    return Deps(
        database=database,
        queue=queue or _queue(settings),
        sources=live,
        bulk_sources=bulk,
        worker=process_name(role),
        limits=Limits(settings.guard_share, settings.guard_rows),
        redact=redactor(settings.secrets()),
        mail=_mail(settings),
        public_url=settings.public_url,
        now=clock.now,
        host=clock,
        credentials=settings.credentials(),
        witness=Witness(settings.data_dir / f"mark-{role}.json"),
        search=SearchIndex(settings.data_dir / "search.db"),
        encryption=Encryption(None if settings.secret_key is None else settings.secret_key.get_secret_value()),
    )


def _queue(settings: Settings) -> Queue:
    url = settings.redis()
    return BrokerQueue(redis_broker(url)) if url else NullQueue()


def _mail(settings: Settings) -> Callable[[str, str], None] | None:
    """Mail, where there is a key, a sender and somebody to send to."""
    to = [address.strip() for address in settings.mail_to.split(",") if address.strip()]
    if settings.sendgrid_api_key is None or not settings.mail_from or not to:
        return None
    return mail_sender(settings.sendgrid_api_key.get_secret_value(), settings.mail_host, settings.mail_from, to)
