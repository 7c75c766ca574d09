"""Every option and fault switch of the simulated Square account, with its default."""

from typing import Literal

from app.sources.simulating import settings
from app.sources.square.simulator.scopes import known_scopes

Kind = Literal["", "product", "category", "stock", "order", "location", "vendor"]


class Faults(settings.Faults):
    """Switches that POST /_sim/faults can change while the simulator runs."""

    # webhooks
    reorder_seconds: float = 0.5  # how long at most a reordered event waits
    delay_hours: float = 25.0  # how long a delayed event waits; time_scale divides it
    late_ack: float = 0.0  # the receiver's 2xx comes too late to count: http_timeout, and a retry
    catalog_burst: int = 2  # catalog.version.updated events per edit
    # orders
    order_lag: float = 0.0  # seconds for which a new order is missing or lacks its lines
    order_lag_empty: bool = False  # True: it is there without line_items; False: it is missing (404)
    offline: float = 0.1  # a point-of-sale sale arrives 72 h late with its original created_at
    # reads
    short_pages: float = 0.0  # a page holds fewer rows than it could
    empty_pages: float = 0.0  # a page is empty and yet has a cursor
    repeat_cursor: bool = False  # the same cursor comes for ever
    cursor_seconds: float = 300.0  # life of a cursor
    rate_per_second: float = 0.0  # beyond: 429; 0 for no limit
    retry_after: float = 0.0  # seconds announced with a 429; 0 for no header, as Square does
    delete_seconds: float = 0.0  # how long one catalog delete blocks the next (429)
    forbidden: Kind = ""  # 403 for reads of this kind of record: the token lacks a permission
    scopes: str = (
        ""  # Square's, comma-separated: others are refused (403), their events not sent; none: all there are
    )
    events_enabled: bool = False  # Events API
    oauth_token: bool = False  # 403 for webhook subscriptions: they take the application's own token only
    # the next n answers are
    next_500: int = 0
    next_503: int = 0
    next_errors_in_200: int = 0  # 200 with an errors list

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a scope that Square does not have."""
        if unknown := {scope for scope in self.scopes.split(",") if scope} - known_scopes():
            raise ValueError(f"scopes: there is no {sorted(unknown)[0]}")


class Options(Faults):
    """The size of the account, its credentials and its webhooks; fixed at the start."""

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
    time_scale: float = 60.0  # divides the retry schedule, the delay and the three weeks to auto-disable
    environment: str = "Sandbox"
    state_file: str = ""  # keeps the shop over a restart, in the size it was opened with; the seed must stay the same
