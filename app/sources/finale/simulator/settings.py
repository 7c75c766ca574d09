"""Every option and fault switch of the simulated Finale account, with its default."""

from typing import Literal

from app.sources.simulating import settings

Kind = Literal["", "product", "stock", "order", "location", "vendor"]


class Faults(settings.Faults):
    """Switches that POST /_sim/faults can change while the simulator runs."""

    # lists
    short_column: str = ""  # this column comes as [] beside longer ones
    extra_column: str = ""  # this column has one cell too many
    empty_as_columns: bool = False  # an empty list is {"productUrl": []} instead of {}
    random_order: bool = False  # not by lastUpdatedDate
    ignore_filter: bool = False  # every filter is ignored
    row_cap: int = 120_000  # a list filtered by date never has more rows, the oldest ones
    cap_unfiltered: bool = False  # nor has an unfiltered one
    lines_in_list: bool = False  # order lists carry orderItemList
    blank_cells: bool = False  # empty cells are "" instead of null
    unplaced_stock: int = 0  # so many products have 12 more on hand in a row without any facility
    # limits
    rate_get: int = 120  # per minute; 0 for no limit
    rate_post: int = 120
    rate_lists: int = 300  # collection reads per hour
    reset_in_seconds: bool = False  # X-RateLimit-Reset in epoch seconds instead of milliseconds
    # the next n answers are
    next_502: int = 0
    next_login: int = 0  # 200 with a login page
    next_dropped: int = 0  # the connection breaks in the middle of the body
    next_empty: int = 0  # 200 without a body
    next_error_body: int = 0  # 200 with {"success": false, "errorMessage": ...}
    # access
    forbidden: Kind = ""  # 403 for reads of this kind of record
    legacy_cookie: bool = False  # Basic is refused, POST /{account}/api/auth gives a session cookie
    # writes
    hard_deletes: bool = False  # the shop also deletes products for good, which Finale itself never does
    # GraphQL
    graphql_cap: int = 1000
    graphql_removed_field: str = ""  # this field is no longer known
    # the bridge
    delay_seconds: float = 5.0  # how much later a delayed ping is sent


class Options(Faults):
    """The size of the account, its credentials and its bridge; fixed at the start. ``seed`` decides every random
    choice."""

    seed: int = 1
    account: str = "demo"
    api_key: str = "simulated-key"
    api_secret: str = "simulated-secret"  # noqa: S105 - a simulator's, public
    products: int = 300
    stock_rows_each: float = 2.1  # on-hand rows per product, on average
    locations: int = 3  # each with sublocations
    sublocations: int = 3
    vendors: int = 8
    orders: int = 40  # of the last weeks
    first_day: str = "2016-01-01"  # product edits before the start lie between these days
    last_day: str = "2025-12-31"
    same_second: bool = False  # all products were last edited in one second, as after an import
    changes_per_minute: float = 0.0  # a living shop
    bridge_url: str = ""  # where each change is reported to; nowhere without it
    bridge_secret: str = "whsec_c2ltdWxhdGVkLWJyaWRnZS1zZWNyZXQ="  # noqa: S105 - a simulator's, public
    state_file: str = ""  # keeps the shop over a restart
