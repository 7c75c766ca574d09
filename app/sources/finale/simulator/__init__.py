"""A simulated Finale account that speaks real HTTP, so that everything can be tried without a real one.

    app = create({"products": 300, "changes_per_minute": 60, "bridge_url": "http://127.0.0.1:8000/webhooks/finale"})

The options and fault switches are the fields of ``settings.Options`` and ``settings.Faults``, each with its default
and a comment. ``simulating`` lists the endpoints below ``/_sim``; the kinds are product, stock, order, location and
vendor.

``demo`` says how to run it beside a connection to it.
"""

from collections.abc import Callable, Mapping
from time import time

from starlette.applications import Starlette

from app.sources.finale.simulator.account import Account
from app.sources.finale.simulator.api import Api
from app.sources.finale.simulator.settings import Options
from app.sources.simulating.control import application
from app.sources.simulating.settings import Value, read


def create(options: Mapping[str, Value], clock: Callable[[], float] = time) -> Starlette:
    """The simulator as an ASGI application; raises ``ValueError`` for an unknown or wrong option.

    ``clock`` (epoch seconds) is the account's clock, also for its request limits.
    """
    account = Account(read(options, Options), clock)
    return application(account, Api(account).routes())


def fast_options() -> tuple[dict[str, str], dict[str, str]]:
    """No request limits, which would turn minutes into hours."""
    simulator = {"rate_get": "0", "rate_lists": "0"}
    return simulator, {"gets_per_minute": "60000", "reads_per_hour": "600000", "stock_pace": "1"}


def demo(base_url: str, webhook_url: str) -> tuple[dict[str, str], dict[str, str]]:
    """Options for a simulator that reports to ``webhook_url``, and for a connection to it at ``base_url``."""
    made = Options()
    simulator = {"bridge_url": webhook_url}
    connection = {
        "account": made.account,
        "api_key": made.api_key,
        "api_secret": made.api_secret,
        "base_url": base_url,
        "webhook_secrets": made.bridge_secret,
    }
    return simulator, connection
