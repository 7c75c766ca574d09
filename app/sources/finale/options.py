"""Reads a connection's options, strings from the environment, and says what is wrong with one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from app.errors import BadConfiguration
from app.sources.base import Limit
from app.sources.setup import given
from app.sources.values import moment

MARGIN = 2.0  # seconds our windows are longer than the vendor's, whose clock sees our calls a little later

_T = TypeVar("_T")


@dataclass(frozen=True)
class Options:
    """One Finale account.

    ``account`` is the path component of the account's addresses. ``webhook_secrets`` (Standard Webhooks) and
    ``bearer_secret`` are what a bridge that reports changes to us signs with. ``stock_pace`` is the seconds between
    two reads of all stock; ``history_start`` the day before which nothing was ever updated; ``row_cap`` the number
    of records at which the vendor silently cuts a list; ``price_list`` the id or the name of the list that has the price.
    ``gets_per_minute`` and ``reads_per_hour`` (lists only) are the call budget, 0 for none.
    """

    account: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    base_url: str = "https://app.finaleinventory.com"
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    bearer_secret: str | None = field(default=None, repr=False)
    stock_pace: float = 15.0
    history_start: datetime = datetime(2008, 1, 1, tzinfo=UTC)
    row_cap: int = 120_000
    gets_per_minute: int = 120
    reads_per_hour: int = 300
    price_list: str | None = None
    currency: str = "USD"

    @property
    def record_limits(self) -> tuple[Limit, ...]:
        """The limits of a single-record read."""
        return _limit("get", self.gets_per_minute, 60 + MARGIN)

    @property
    def list_limits(self) -> tuple[Limit, ...]:
        """The limits of a list read: all there are."""
        return (*self.record_limits, *_limit("collection", self.reads_per_hour, 3600 + MARGIN))


def _limit(name: str, calls: int, seconds: float) -> tuple[Limit, ...]:
    """None for zero calls: a window of a thousand calls a second would cost more than the calls."""
    return (Limit(name, calls, seconds),) if calls else ()


def read(connection: str, options: Mapping[str, str]) -> Options:
    """Check and convert the options; raises ``BadConfiguration`` naming the option and what would be right.

    An empty value counts as not given. No message repeats a secret.
    """
    texts = given(connection, options, {each.name for each in fields(Options)})
    values = {name: _converted(connection, name, text) for name, text in texts.items()}
    for name in ("account", "api_key", "api_secret"):
        if name not in values:
            raise BadConfiguration(f"connection {connection!r}: option {name!r} is missing: {RIGHT[name]}")
    return Options(**values)


def _converted(connection: str, name: str, text: str) -> Any:
    try:
        return _READERS.get(name, str)(text)
    except ValueError:
        # from None: the cause may repeat the value
        raise BadConfiguration(f"connection {connection!r}: option {name!r} must be {RIGHT[name]}") from None


def _account(text: str) -> str:
    """The account's name, also out of an address of it as a browser shows it."""
    match = re.fullmatch(r"(?:.*finaleinventory\.com/([A-Za-z0-9_-]+)(?:/.*)?)|([A-Za-z0-9_-]+)", text)
    return _if(match, match[1] or match[2] if match else "")


def _address(text: str) -> str:
    parts = urlsplit(text)
    return _if(parts.scheme in ("http", "https") and parts.hostname, text.rstrip("/"))


def _currency(text: str) -> str:
    return _if(re.fullmatch(r"[A-Z]{3}", text.upper()), text.upper())


def _positive(text: str) -> int:
    return _if(int(text) > 0, int(text))


def _calls(text: str) -> int:
    return _if(int(text) >= 0, int(text))


def _seconds(text: str) -> float:
    return _if(0 <= float(text) < float("inf"), float(text))


def _day(text: str) -> datetime:
    return _if(datetime.fromisoformat(text), moment(text) or datetime.fromisoformat(text))


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _if(fine: object, value: _T) -> _T:
    if not fine:
        raise ValueError
    return value


_READERS: Mapping[str, Callable[[str], Any]] = {
    "account": _account,
    "base_url": _address,
    "webhook_secrets": _list,
    "stock_pace": _seconds,
    "history_start": _day,
    "row_cap": _positive,
    "gets_per_minute": _calls,
    "reads_per_hour": _calls,
    "currency": _currency,
}
RIGHT: Mapping[str, str] = {
    "account": "the account name as it stands in Finale's addresses, like 'acme' in app.finaleinventory.com/acme",
    "api_key": "the key from Application settings > Users > API keys",
    "api_secret": "the secret that Finale showed once, next to its API key",
    "base_url": "an http or https address",
    "webhook_secrets": "secrets separated by commas",
    "stock_pace": "seconds, like 15",
    "history_start": "a day like 2008-01-01",
    "row_cap": "a positive whole number",
    "gets_per_minute": "a positive whole number, or 0 for no limit",
    "reads_per_hour": "a positive whole number, or 0 for no limit",
    "currency": "an ISO 4217 code like USD",
}
"""The right form of each option, for a person."""
