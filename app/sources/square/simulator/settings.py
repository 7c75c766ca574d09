"""Every option and fault switch of the simulated Square account, with its default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec

from app.sources.square.simulator.scopes import known_scopes

Value = str | int | float | bool
Shape = TypeVar("Shape")


Kind = Literal["", "product", "category", "stock", "order", "location", "vendor"]


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """Switches that POST /_sim/faults can change while the simulator runs; probabilities lie between 0 and 1."""

    # webhooks
    drop: float = 0.0  # an event is never sent
    duplicate: float = 0.0  # an event is sent twice, same bytes
    reorder: float = 0.0  # an event waits up to reorder_seconds, so that later ones overtake it
    reorder_seconds: float = 0.5
    delay: float = 0.0  # an event waits delay_hours (divided by time_scale)
    delay_hours: float = 25.0
    late_ack: float = 0.0  # the receiver's 2xx comes too late to count: http_timeout, and a retry
    catalog_burst: int = 2  # catalog.version.updated events per edit
    order_burst: int = 2  # order.updated events per API order
    payment_events: bool = True  # payment.created and payment.updated for point-of-sale sales
    # orders
    order_lag: float = 0.0  # seconds for which a new order is missing or lacks its lines
    order_lag_empty: bool = False  # True: it is there without line_items; False: it is missing (404)
    offline: float = 0.1  # a point-of-sale sale arrives 72 h late with its original created_at
    # reads
    short_pages: float = 0.0  # a page holds fewer rows than it could
    empty_pages: float = 0.0  # a page is empty and yet has a cursor
    repeat_cursor: bool = False  # the same cursor comes for ever
    cursor_seconds: float = 300.0  # life of a cursor
    latency: float = 0.0  # seconds before each answer
    rate_per_second: float = 0.0  # beyond: 429; 0 for no limit
    retry_after: float = 0.0  # seconds announced with a 429; 0 for no header, as Square does
    delete_seconds: float = 0.0  # how long one catalog delete blocks the next (429)
    expired_token: bool = False  # 401 for every call
    forbidden: Kind = ""  # 403 for reads of this kind of record: the token lacks a permission
    scopes: str = (
        ""  # Square's, comma-separated: others are refused (403), their events not sent; none: all there are
    )
    bad_records: float = 0.0  # share of the records that have one unreadable field, always the same one
    events_enabled: bool = False  # Events API
    oauth_token: bool = False  # 403 for webhook subscriptions: they take the application's own token only
    # the next n answers are
    next_429: int = 0
    next_500: int = 0
    next_503: int = 0
    next_html: int = 0  # 200 with a login page
    next_truncated: int = 0  # 200 with half a document
    next_errors_in_200: int = 0  # 200 with an errors list


class Options(Faults):
    """What the account is made of and where it reports to; fixed at the start."""

    seed: int = 1
    products: int = 40  # items; every third has two or three variations
    locations: int = 3
    vendors: int = 8
    orders: int = 40  # of the last month
    access_token: str = "simulated-token"  # noqa: S105 - a simulator's, public
    merchant_id: str = "MSIMULATED000"
    changes_per_minute: float = 0.0
    webhook_url: str = ""  # no webhooks without it; signed as it is written here
    webhook_key: str = "simulated-signature-key"
    plain_http: bool = False  # subscriptions may be registered for http URLs, for trials on one machine
    webhook_timeout: float = 10.0  # seconds a receiver has to acknowledge
    webhook_parallel: int = 64
    time_scale: float = 60.0  # divides the retry schedule, the delay and the three weeks to auto-disable
    environment: str = "Sandbox"
    state_file: str = ""  # keeps the shop over a restart, in the size it was opened with; the seed must stay the same


def read(options: Mapping[str, Value]) -> Options:
    """The options as given, checked; text is converted. Raises ``ValueError`` naming what is wrong."""
    found = _converted(dict(options), Options)
    check_scopes(found.scopes)
    return found


def merge(current: Options, changes: Mapping[str, Any]) -> Options:
    """Switch faults; raises ``ValueError`` for what is no fault switch."""
    _converted(dict(changes), Faults)
    check_scopes(str(changes.get("scopes", "")))
    merged = _converted({**msgspec.structs.asdict(current), **changes}, Options)
    for name in changes:
        setattr(current, name, getattr(merged, name))
    return current


def check_scopes(scopes: str) -> None:
    """Raises ``ValueError`` for a scope that Square does not have."""
    if unknown := {one for one in scopes.split(",") if one} - known_scopes():
        raise ValueError(f"simulator option: scopes: there is no {sorted(unknown)[0]}")


def _converted(values: dict[str, Any], shape: type[Shape]) -> Shape:
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"simulator option: {error}") from error
