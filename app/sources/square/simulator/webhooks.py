"""The simulated webhooks: events, signed and sent in the background, retried on Square's schedule.

Facts: 10 s to acknowledge with a 2xx (a redirect is a failure); 11 retries in 24 hours with the same bytes and event
id; after three weeks without a 2xx the subscription is disabled.
"""

import asyncio
import base64
import hashlib
import hmac
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import msgspec

from app.sources.simulating import outbox
from app.sources.simulating.answers import Json
from app.sources.square.simulator.clock import Clock, event_text
from app.sources.square.simulator.scopes import is_sent
from app.sources.square.simulator.settings import Options

GAPS = (60, 120, 240, 480, 960, 1920, 3600, 7200, 14400, 28800, 28800)
"""Seconds between the tries."""
AT_ONCE = 64  # deliveries
DISABLE_AFTER = 21 * 86_400
KEPT_US = 28 * 86_400 * 1_000_000  # how long the Events API and we remember

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


class Event(NamedTuple):
    """One event, as bytes that never change again."""

    id: str
    type: str
    created_us: int
    body: bytes
    searchable: bool


@dataclass(eq=False)
class Delivery:
    """An event that is being delivered: ``due`` is when its next try is (wall clock, seconds)."""

    event: Event
    due: float
    began_us: int
    number: int = 0
    reason: str | None = None
    subscription: str = ""  # its id; empty: that of the options


class OutboxState(NamedTuple):
    """The part that survives a restart; ``rotated_key`` is empty as long as the key of the options signs."""

    enabled: bool
    events_enabled: bool
    rotated_key: str
    events: list[Event]
    under_way: list[Delivery]
    others: list[Subscription] = []  # noqa: RUF012 (a named tuple's default is never shared for writing)


class Outbox(outbox.Outbox):
    """Makes events, keeps them for the Events API, and sends them to the subscription of the options and to later
    ones."""

    counted = ("published", "sent", "acked", "failed", "dropped", "discarded", "delayed", "reordered")

    def __init__(self, options: Options, clock: Clock) -> None:
        super().__init__(options, Random(options.seed * 7 + 3))
        self._options = options
        self._clock = clock
        self._free = asyncio.Semaphore(AT_ONCE)
        self._failing_since: dict[str, float] = {}
        self._under_way: dict[Delivery, None] = {}
        name = f"wbhk_{hashlib.sha256(options.webhook_key.encode()).hexdigest()[:32]}"
        self.own = Subscription(name, "Simulated subscription", options.webhook_url, options.webhook_key, [])
        self.subscriptions = {name: self.own} if options.webhook_url else {}  # by id, the oldest first
        self.on_try: Callable[[], None] = lambda: None  # called after each try
        self.events: deque[Event] = deque(maxlen=100_000)

    @property
    def pending(self) -> int:
        """Deliveries being sent or waiting for a retry."""
        return len(self._under_way)

    def publish(
        self,
        kind: str,
        type_: str,
        id_: str,
        object_: Json | None = None,
        *,
        location_id: str = "",
        merchant_id: str = "",
    ) -> None:
        """Publish an event about an object, of our merchant or of another one. Must be called on the event loop."""
        if not is_sent(self._options.scopes, kind):
            return
        data = {"type": type_, "id": id_, **({} if object_ is None else {"object": object_})}
        event = self._event(kind, data, location_id, merchant_id or self._options.merchant_id)
        self.events.append(event)
        for one in self.subscriptions.values():
            if one.takes(kind):
                self._send_to(one, event)

    def _send_to(self, one: Subscription, event: Event) -> None:
        delay = self._options.delay_hours * 3600 / self._options.time_scale
        for wait in self._waits(delay, self._options.reorder_seconds):
            delivery = Delivery(event, time.time() + wait, self._clock.tick_us(), subscription=one.id)
            self._under_way[delivery] = None
            self._start(self._deliver(delivery))

    def recorded(self, start_us: int, end_us: int) -> list[Event]:
        """The events in the Events API: those that happened while it was enabled, in the last 28 days."""
        oldest = self._clock.tick_us() - KEPT_US
        return [one for one in self.events if one.searchable and max(start_us, oldest) <= one.created_us <= end_us]

    def rotate_key(self, one: Subscription) -> str:
        """Make a new signature key; the old one is no longer used."""
        one.key = f"rotated-{self._dice.getrandbits(64):016x}"
        return one.key

    def state(self) -> OutboxState:
        """The part that survives a restart."""
        return OutboxState(
            self.own.enabled,
            self._options.events_enabled,
            "" if self.own.key == self._options.webhook_key else self.own.key,
            [event for event in self.events if event.searchable],
            list(self._under_way),
            [one for one in self.subscriptions.values() if one is not self.own],
        )

    def restore(self, kept: OutboxState) -> None:
        """Apply what ``state`` returned.

        The dice start anew: a receiver must never see an event id twice, not even that of an event which was sent but
        not saved.
        """
        self._dice.seed(f"{self._options.seed}/{self._clock.tick_us()}")
        self.own.enabled = kept.enabled
        self._options.events_enabled = self._options.events_enabled or kept.events_enabled
        self.own.key = kept.rotated_key or self._options.webhook_key
        self.subscriptions |= {one.id: one for one in kept.others}
        self.events.extend(kept.events)
        self._under_way = dict.fromkeys(one for one in kept.under_way if self._receiver_of(one) is not None)

    def resume(self) -> None:
        """Continue the deliveries that a restart interrupted. Must be called on the event loop."""
        for delivery in self._under_way:
            self._start(self._deliver(delivery))

    def _event(self, kind: str, data: Json, location_id: str, merchant_id: str) -> Event:
        event_id = str(uuid.UUID(int=self._dice.getrandbits(128), version=3))
        created = self._clock.tick_us()
        envelope = {
            "merchant_id": merchant_id,
            **({"location_id": location_id} if location_id else {}),
            "type": kind,
            "event_id": event_id,
            "created_at": event_text(created),
            "data": data,
        }
        return Event(event_id, kind, created, msgspec.json.encode(envelope), self._options.events_enabled)

    async def _deliver(self, delivery: Delivery) -> None:
        while True:
            await asyncio.sleep(max(0.0, delivery.due - time.time()))
            one = self._receiver_of(delivery)
            if one is None or not one.enabled or await self._is_done(delivery, one):
                break
            delivery.due = time.time() + GAPS[delivery.number] / self._options.time_scale
            delivery.number += 1
            self.on_try()
        del self._under_way[delivery]
        self.on_try()

    def _receiver_of(self, delivery: Delivery) -> Subscription | None:
        return self.subscriptions.get(delivery.subscription or self.own.id)

    async def _is_done(self, delivery: Delivery, one: Subscription) -> bool:
        """Try once; whether it was acknowledged, or was the last try."""
        delivery.reason = await self._try(delivery, one)
        self._judge(delivery.reason, one)
        last = delivery.number == len(GAPS)
        self.counts["discarded"] += last and delivery.reason is not None
        return last or delivery.reason is None

    def _judge(self, reason: str | None, one: Subscription) -> None:
        if reason is None:
            self._failing_since.pop(one.id, None)
            return
        now = time.monotonic()
        if now - self._failing_since.setdefault(one.id, now) > DISABLE_AFTER / self._options.time_scale:
            one.enabled = False

    async def _try(self, delivery: Delivery, one: Subscription) -> str | None:
        """Send once; the reason of the failure, or ``None`` when it was acknowledged."""
        async with self._free:
            self.counts["sent"] += 1
            is_late = self._dice.random() < self._options.late_ack
            failed = await self._post(one.url, delivery.event.body, self._headers(delivery, one))
            failed = "http_timeout" if is_late and failed in (None, "http_error") else failed
        self.counts["acked" if failed is None else "failed"] += 1
        if failed is None:
            self.acknowledged.add(delivery.event.id)
        return failed

    def _headers(self, delivery: Delivery, one: Subscription) -> dict[str, str]:
        number, reason = str(delivery.number), delivery.reason
        retry = {"square-retry-number": number, "square-retry-reason": reason} if reason else {}
        body = delivery.event.body
        return {
            "content-type": "application/json",
            "user-agent": "Square Connect v2",
            "x-square-hmacsha256-signature": signature(one, body, "sha256"),
            "x-square-signature": signature(one, body, "sha1"),
            "square-environment": self._options.environment,
            "square-initial-delivery-timestamp": event_text(delivery.began_us),
            "square-subscription-id": one.id,
            "square-version": one.api_version,
            **retry,
        }


def signature(one: Subscription, body: bytes, algorithm: str) -> str:
    """The signature over the registered URL and the raw body; SHA-1 is the undocumented old one."""
    message = one.url.encode() + body
    return base64.b64encode(hmac.digest(one.key.encode(), message, algorithm)).decode()
