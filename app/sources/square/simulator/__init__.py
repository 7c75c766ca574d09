"""A simulated Square account over real HTTP, with every trap of the real one that we know of.

``create(options)`` gives a Starlette app; options and fault switches with their defaults are the fields of
``settings.Options``. The same seed gives the same merchandise (``simulating.merchandise``) and the same dice.

    /v2/...    the API: catalog, inventory, orders, locations, vendors, events, subscriptions
    /_sim/...  see ``simulating``; kinds of changes may also be names of ``shop_life.HAPPENINGS``

A call, a field or a parameter that Square has and this simulator lacks is refused as Square refuses unknown ones
(404, 400). Nothing in a request is ignored, except where Square is documented or was seen to ignore it.

With ``state_file`` the shop survives the process: its rows, clock, dice and pending webhooks. Counters, cursors and
fault switches start anew.

Deleted variations keep their counts, and their place in old orders.
"""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from app.sources.simulating.control import application
from app.sources.simulating.settings import Value, read
from app.sources.square.simulator.account import Account, opened
from app.sources.square.simulator.answers import ApiError
from app.sources.square.simulator.api_catalog import CatalogApi
from app.sources.square.simulator.api_events import EventsApi
from app.sources.square.simulator.api_inventory import InventoryApi
from app.sources.square.simulator.api_orders import OrdersApi
from app.sources.square.simulator.api_places import PlacesApi
from app.sources.square.simulator.gate import Gate
from app.sources.square.simulator.settings import Options


def create(options: Mapping[str, Value]) -> Starlette:
    """An app that is one account; raises ``ValueError`` for an unknown or unreadable option or state file."""
    world = opened(read(options, Options))
    if world.options.changes_per_minute > 0 and not (world.options.products and world.options.locations):
        raise ValueError("simulator option: changes_per_minute needs products and locations")
    account = Account(world)
    routes = [
        *CatalogApi(world, account.life.edits).routes,
        *InventoryApi(world).routes,
        *OrdersApi(world).routes,
        *PlacesApi(world).routes,
        *EventsApi(world).routes,
    ]

    return application(
        account,
        routes,
        middleware=[Middleware(Gate, world=world)],
        exception_handlers={ApiError: _refused, HTTPException: _refused},
    )


async def _refused(request: Request, error: Exception) -> Response:
    """An ``ApiError`` as it is; Starlette's own errors in Square's form."""
    if not isinstance(error, ApiError):
        status = error.status_code if isinstance(error, HTTPException) else 500
        code = "NOT_FOUND" if status == 404 else "METHOD_NOT_ALLOWED"
        error = ApiError(status, "INVALID_REQUEST_ERROR", code, "Resource not found.")
    return error.response()


def fast_options() -> tuple[dict[str, str], dict[str, str]]:
    """A day of webhook retries in two and a half minutes.

    Not in less: on a busy machine a receiver needs some moments between them.
    """
    return {"time_scale": "600", "delay_hours": "3"}, {}


def demo(base_url: str, webhook_url: str) -> tuple[dict[str, str], dict[str, str]]:
    """Options for a simulator at ``base_url`` that pushes to ``webhook_url``, and for a connection to it."""
    defaults = Options()
    simulator = {"webhook_url": webhook_url}
    connection = {
        "base_url": base_url,
        "access_token": defaults.access_token,
        "webhook_keys": defaults.webhook_key,
        "webhook_url": webhook_url,
    }
    return simulator, connection
