"""How changes are sent to subscribers: signed by the Standard Webhooks specification, and again later and later.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

PREFIX = "whsec_"
"""How every secret begins, by the specification."""

FIRST, LONGEST = 5.0, 3600.0
"""Seconds until the next attempt after one that failed: at least and at most."""

GIVE_UP = timedelta(days=5)
"""A subscriber that fails for so long is disabled."""

GONE = 410
"""A subscriber that answers so wants no more, and is disabled at once."""

_SPREAD = 0.5


def new_secret() -> str:
    """A random secret of 32 bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def new_id(prefix: str = "msg") -> str:
    """A random id of a message, which begins with a word."""
    return f"{prefix}_{secrets.token_hex(16)}"


def signed(id: str, body: bytes, secret: str, seconds: int) -> Mapping[str, str]:
    """The headers of a message that is sent at ``seconds`` since 1970."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.new(key, f"{id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def wait_after(attempts: int, jitter: float) -> timedelta:
    """How long to wait after this many failed attempts, one or more; ``jitter`` in [0, 1) spreads them."""
    backoff = min(LONGEST / (1 + _SPREAD), FIRST * 2.0 ** min(attempts - 1, 30))
    return timedelta(seconds=backoff * (1 + _SPREAD * jitter))


def url_problem(url: str) -> str | None:
    """What is wrong with a subscriber's URL."""
    right = "a subscriber's URL is like https://example.com/changes"
    try:
        parts = urlsplit(url)
        readable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return right
    if not readable or len(url) > 2000 or re.search(r"[\s\x00-\x1f\x7f\\]", url):
        return right
    if "@" in parts.netloc:
        return f"{right}, without a user or a password: messages are signed instead"
    return f"{right}, without what follows #" if parts.fragment else None
