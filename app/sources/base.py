"""The seam every vendor plugs into: the Source protocol, its budgets, and what a connection is built from."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import httpx
import msgspec

from app.domain import Answer, Delivery, Kind, Page, PastPage, Ref
from app.domain.decoding import decode
from app.rules.calls.lanes import Limit as Limit

Place = TypeVar("Place")

LONGEST_ID = 400
"""The longest id in a delivery, in characters. A longer one may not fit a key, so it stands for its whole kind."""


class SignatureInvalid(Exception):
    """The delivery is not from the sender that it claims (answered 401). The message never holds a secret."""


class PayloadInvalid(Exception):
    """The delivery is authentic but not readable (answered 400); the message says what would be right."""


class Receiver(Protocol):
    """The webhook side of a connection; pure, called on the event loop, so it must not block."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Check the raw bytes in constant time; raises ``SignatureInvalid``. Header names are lower case."""

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """Read a verified body; raises ``PayloadInvalid``. Unknown event types come back as ignored."""


class Source(Protocol):
    """One connected account. Blocking and thread-safe; every read is counted against the budgets.

    All methods raise ``app.errors`` only; a record that does not exist is an answer, not an error.
    """

    name: str
    kinds: tuple[Kind, ...]
    """The kinds this source can read, in the order a bulk run should read them (parents first)."""

    whole_kinds: tuple[Kind, ...]
    """The kinds without a delta: every read of them is a complete one, so nobody calls ``delta``."""

    listed_kinds: tuple[Kind, ...]
    """The kinds of which no single item can be read: each ``fetch`` of them, of however many items, is one read of the
    whole list, so a run asks for all its items at once."""

    receiver: Receiver | None
    """``None`` when no webhook secret is configured: the endpoint then does not exist."""

    def batch_size(self, kind: Kind) -> int:
        """How many items of a kind one call can fetch (1 where the vendor has no batch read)."""

    def pace(self, kind: Kind) -> float:
        """Seconds between two whole-kind pulls, so that hints cannot use up the budget."""

    def storm_size(self, kind: Kind) -> int:
        """From how many owed items of a kind on one delta pull is cheaper than item fetches."""

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        """The present truth about at most ``batch_size`` items of one kind."""

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        """What changed since a watermark that an earlier last page gave; ``None`` reads from the beginning."""

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        """A complete read for reconciliation; the last page says in ``complete`` which rows it covers.

        With ``resume`` it continues after the page that gave this token, and its last page covers both parts
        together. Either every page except the last has a token or none has. Raises ``ResumeLost`` before the first
        page.
        """

    def window(
        self, kind: Kind, since: datetime | None, until: datetime | None, resume: str | None = None
    ) -> Iterator[Page]:
        """Records last modified between two moments, both included; ``None`` is an open end.

        The pages prove no absence: none has ``complete`` or a watermark. A kind without times of change is read
        whole. Some pages have a ``resume`` token, which covers all pages up to that one and is valid for the same
        window only. Raises ``ResumeLost`` before the first page.
        """

    def order_ids(self, first: date, last: date) -> Iterator[tuple[date, str]]:
        """Business day and external id of every order of these days, both included, as cheaply as the vendor allows.

        The day is that of the record's ``ordered_on``. Days come in any order.
        """

    def calls(self) -> int:
        """The number of upstream calls that this object has made in this thread."""

    def budget(self) -> Sequence[Limit]:
        """Every limit that this account's calls count against, as this process sees them now; empty for none."""

    def warm(self) -> None:
        """Build this thread's HTTP client now rather than at its first call."""

    def close(self) -> None:
        """Give connections back."""


class ResumeLost(Exception):
    """A read cannot continue where it stopped: its token is too old, of another read, or refused. Read from the
    beginning."""


def place_of(resume: str, shape: type[Place]) -> Place:
    """The place in a read that a token (``Page.resume``, JSON) encodes; raises ``ResumeLost`` for any other text."""
    try:
        return decode(resume, shape)
    except msgspec.DecodeError as error:
        raise ResumeLost(f"{resume[:40]!r} is not a place in a read: {error}") from error


class LedgerUnavailable(Exception):
    """The vendor keeps no record of past events for this account; the message is a sentence that says why."""


class Recorded(NamedTuple):
    """One past event: the delivery that its webhook would have made, and the bytes that it would have carried."""

    delivery: Delivery
    body: bytes


@runtime_checkable
class EventLedger(Protocol):
    """A source whose vendor keeps past events, so that missed deliveries can be found."""

    def missed(self, since: datetime, until: datetime) -> Iterator[Recorded]:
        """Every event recorded in between, delivered or not; raises ``LedgerUnavailable`` before the first one."""


@runtime_checkable
class InventoryLedger(Protocol):
    """A source whose vendor keeps the past changes of counts, so that history can begin before we did."""

    def past_changes(self, listing_ids: Sequence[str], since: datetime) -> Iterator[PastPage]:
        """Every change since a moment of the counts of some listings (at most 100), in any order; raises as every read
        does."""


class Subscription(NamedTuple):
    """A vendor's subscription to send us webhooks. ``lacking`` are event types that we follow and it does not send."""

    name: str
    url: str
    enabled: bool
    lacking: tuple[str, ...] = ()


@runtime_checkable
class Subscriptions(Protocol):
    """A source that can ask whether the vendor still sends webhooks to us."""

    def subscriptions(self) -> Sequence[Subscription]:
        """The subscriptions that lead to this connection; raises ``AuthRejected`` where the credentials may not list
        them."""


@runtime_checkable
class Addressed(Subscriptions, Protocol):
    """A source whose deliveries are signed over the URL that is registered with the vendor."""

    @property
    def signed_url(self) -> str:
        """The URL over which we compute signatures; empty where we take no webhooks."""

    def registrations(self) -> Sequence[Subscription]:
        """Every subscription of the account, wherever it leads; raises ``AuthRejected`` where the credentials may not
        list them."""


@runtime_checkable
class Checkable(Protocol):
    """A source that can check cheaply whether the account answers us."""

    def check(self) -> None:
        """One cheap call that every credential may make; raises as every read does (``AuthRejected``, ``Unavailable``,
        ``BadAnswer``, ...), and returns when the account answers us."""


@runtime_checkable
class Identified(Protocol):
    """A source that knows whose account it reads, so that events about other accounts are recognised."""

    def account(self) -> str:
        """The vendor's id of the account, as its deliveries name it; empty where unknown. Raises as every read does."""

    def learn(self, account: str) -> None:
        """Treat deliveries about any other account as foreign from now on; a configured account wins."""


class Budget(Protocol):
    """A call budget shared by every process that works for one connection."""

    def take(self, limits: Sequence[Limit]) -> float:
        """Take one call from every limit at once, or none: returns 0.0, or the seconds until it could.

        The caller's lane (``rules.calls.lanes``) decides who goes first when calls are scarce.
        """


@dataclass(frozen=True)
class Context:
    """What a vendor folder is given to build its client.

    ``patience`` is how long (seconds) a call may sleep for a budget before it raises ``BudgetSpent``: short for live items,
    long for bulk reads. ``transport`` replaces the network in tests. ``now`` reads the only clock, the database's: versions
    and moments of our own making come from it, never from the host.
    """

    connection: str
    budget: Budget
    public_url: str | None = None
    patience: float = 2.0
    transport: Callable[[], httpx.BaseTransport] | None = None
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class Unlimited:
    """A budget without limits, for local simulators and tests."""

    def take(self, limits: Sequence[Limit]) -> float:
        """Always 0.0."""
        return 0.0
