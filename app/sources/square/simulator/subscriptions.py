"""A webhook subscription in the simulator: its URL, its event types and its signature."""

import base64
import hmac

import msgspec

API_VERSION = "2026-07-15"
"""The application's version, for subscriptions that name none."""
TEST = "webhooks.test_notification"


class Subscription(msgspec.Struct):
    """One subscription."""

    id: str
    name: str
    url: str
    key: str
    event_types: list[str]  # empty: every type
    api_version: str = API_VERSION
    enabled: bool = True
    created_us: int = 0
    updated_us: int = 0

    def takes(self, kind: str) -> bool:
        """Whether it receives events of a type; every subscription receives a test."""
        return self.enabled and (not self.event_types or kind in self.event_types or kind == TEST)


def signature(one: Subscription, body: bytes, algorithm: str) -> str:
    """The signature over the registered URL and the raw body; SHA-1 is the undocumented old one."""
    message = one.url.encode() + body
    return base64.b64encode(hmac.digest(one.key.encode(), message, algorithm)).decode()
