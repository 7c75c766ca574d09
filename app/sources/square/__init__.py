"""Square: webhooks, catalog, inventory counts, orders, locations and vendors of one merchant.

Options of a connection (all text; those marked * are needed):

    access_token *       personal or OAuth access token
    environment          ``production`` (default) or ``sandbox``: picks the base URL
    base_url             another base URL, for a simulator
    square_version       API version, YYYY-MM-DD (default 2026-09-16)
    webhook_keys         signature keys of the webhook subscription, separated by commas; without one, no webhooks
    webhook_url          the notification URL as registered, byte for byte (default: public URL/webhooks/connection)
    merchant_id          take only this merchant's events
    requests_per_second  the rate to begin with (default 10); it follows what Square allows
"""

import re
from collections.abc import Mapping
from datetime import date
from urllib.parse import urlsplit

from app.errors import BadConfiguration
from app.sources.base import Context, Source
from app.sources.setup import given
from app.sources.square.client import Client
from app.sources.square.setup import SETUP
from app.sources.square.source import SquareSource
from app.sources.square.webhook import SquareReceiver

BASE_URLS = {
    "production": "https://connect.squareup.com",
    "sandbox": "https://connect.squareupsandbox.com",
}
SQUARE_VERSION = "2026-09-16"
_PRINTABLE = re.compile(r"[!-~]+")


def connect(context: Context, options: Mapping[str, str]) -> Source:
    """Build the source of one connection; opens no connection yet. Raises ``BadConfiguration``."""
    options = given(context.connection, options, SETUP.options)
    if "access_token" not in options:
        raise _bad(context, "access_token", "is missing; it is under Credentials in Square's developer console")
    if not _PRINTABLE.fullmatch(options["access_token"]):  # no header could carry it
        raise _bad(
            context, "access_token", "has a character that is in no token; copy it again, without quotes or dots"
        )
    client = Client(
        context,
        _base_url(context, options),
        options["access_token"],
        _version(context, options),
        _rate(context, options),
    )
    return SquareSource(client, _receiver(context, options))


def _base_url(context: Context, options: Mapping[str, str]) -> str:
    environment = options.get("environment", "production")
    if environment not in BASE_URLS:
        raise _bad(context, "environment", f"must be production or sandbox, not {environment!r}")
    url = options.get("base_url", BASE_URLS[environment])
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise _bad(context, "base_url", f"must be like {BASE_URLS['production']}, not {url!r}")
    return url


def _version(context: Context, options: Mapping[str, str]) -> str:
    version = options.get("square_version", SQUARE_VERSION)
    try:
        return date.fromisoformat(version).isoformat()
    except ValueError as error:
        raise _bad(context, "square_version", f"must be a date like {SQUARE_VERSION}, not {version!r}") from error


def _rate(context: Context, options: Mapping[str, str]) -> float:
    text = options.get("requests_per_second", "10")
    try:
        rate = float(text)
    except ValueError as error:
        raise _bad(context, "requests_per_second", f"must be a number like 10, not {text!r}") from error
    if not 1 <= rate <= 1000:
        raise _bad(context, "requests_per_second", f"must lie between 1 and 1000, not {text!r}")
    return rate


def _receiver(context: Context, options: Mapping[str, str]) -> SquareReceiver | None:
    """``None`` without a key: an endpoint that could verify nothing must not exist."""
    keys = [key.strip() for key in options.get("webhook_keys", "").split(",") if key.strip()]
    if not keys:
        return None
    public = f"{context.public_url.rstrip('/')}/webhooks/{context.connection}" if context.public_url else None
    url = options.get("webhook_url", public)
    if url is None:
        raise _bad(context, "webhook_url", "is missing, and there is no public URL to derive it from; it is signed")
    return SquareReceiver(url, keys, options.get("merchant_id"))


def _bad(context: Context, name: str, problem: str) -> BadConfiguration:
    return BadConfiguration(f"connection {context.connection!r}: the option {name} {problem}")
