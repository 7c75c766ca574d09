"""The simulated webhooks: events, signed and sent in the background, retried on Square's schedule.

Facts: 10 s to acknowledge with a 2xx (a redirect is a failure); 11 retries in 24 hours with the same bytes and event
id; after three weeks without a 2xx the subscription is disabled.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
import uuid
from collections import Counter, deque
from random import Random
from typing import Any, NamedTuple

import httpx
import msgspec

from app.sources.square.simulator.clock import Clock, event_text, parse_us
from app.sources.square.simulator.settings import Options

Json = dict[str, Any]
GAPS = (60, 120, 240, 480, 960, 1920, 3600, 7200, 14400, 28800, 28800)
"""Seconds between the tries."""
DISABLE_AFTER = 21 * 86_400
KEPT_US = 28 * 86_400 * 1_000_000  # how long the Events API and we remember


class Event(NamedTuple):
    """One event, as bytes that never change again."""

    id: str
    type: str
    created_us: int
    body: bytes
    searchable: bool


class Outbox:
    """Makes events, keeps them for the Events API, and sends them to the one subscription."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._dice = Random(options.seed * 7 + 3)
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None
        self._free = asyncio.Semaphore(options.webhook_parallel)
        self._failing_since: float | None = None
        self.keys = [options.webhook_key]
        self.enabled = True
        self.subscription_id = f"wbhk_{hashlib.sha256(options.webhook_key.encode()).hexdigest()[:32]}"
        self.tally: Counter[str] = Counter()
        self.events: deque[Event] = deque(maxlen=100_000)

    @property
    def pending(self) -> int:
        """Deliveries on their way or waiting for a retry."""
        return len(self._tasks)

    def publish(self, kind: str, data: Json, location_id: str | None = None) -> None:
        """An event happened. Must be called on the event loop."""
        event = self._event(kind, data, location_id)
        self.events.append(event)
        if not self._options.webhook_url or not self.enabled:
            return
        self.tally["published"] += 1
        if self._dice.random() < self._options.drop:
            self.tally["dropped"] += 1
            return
        for _ in range(2 if self._dice.random() < self._options.duplicate else 1):
            self._start(self._deliver(event, self._head_start()))

    def recorded(self, start_us: int, end_us: int) -> list[Event]:
        """What the Events API knows: events that happened while it was enabled, in the last 28 days."""
        oldest = self._clock.tick_us() - KEPT_US
        return [one for one in self.events if one.searchable and max(start_us, oldest) <= one.created_us <= end_us]

    def rotate_key(self) -> str:
        """A new signature key; the old one signs no longer."""
        self.keys = [f"rotated-{self._dice.getrandbits(64):016x}"]
        return self.keys[0]

    async def close(self) -> None:
        """Give up what is still on its way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _event(self, kind: str, data: Json, location_id: str | None) -> Event:
        event_id = str(uuid.UUID(int=self._dice.getrandbits(128), version=3))
        created = self._clock.tick_us()
        envelope = {
            "merchant_id": self._options.merchant_id,
            **({"location_id": location_id} if location_id else {}),
            "type": kind,
            "event_id": event_id,
            "created_at": event_text(created),
            "data": data,
        }
        return Event(event_id, kind, created, msgspec.json.encode(envelope), self._options.events_enabled)

    def _head_start(self) -> float:
        """Seconds an event waits before its first try."""
        if self._dice.random() < self._options.delay:
            self.tally["delayed"] += 1
            return self._options.delay_hours * 3600 / self._options.time_scale
        if self._dice.random() < self._options.reorder:
            self.tally["reordered"] += 1
            return self._dice.uniform(0, self._options.reorder_seconds)
        return 0.0

    def _start(self, delivery: Any) -> None:
        task = asyncio.get_running_loop().create_task(delivery)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, event: Event, head_start: float) -> None:
        await asyncio.sleep(head_start)
        reason, began = None, self._clock.tick_us()
        for number in range(len(GAPS) + 1):
            if number:
                await asyncio.sleep(GAPS[number - 1] / self._options.time_scale)
            if not self.enabled:
                return
            reason = await self._try(event, number, reason, began)
            self._judge(reason)
            if reason is None:
                return
        self.tally["discarded"] += 1

    def _judge(self, reason: str | None) -> None:
        if reason is None:
            self._failing_since = None
            return
        now = time.monotonic()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if now - self._failing_since > DISABLE_AFTER / self._options.time_scale:
            self.enabled = False

    async def _try(self, event: Event, number: int, reason: str | None, began: int) -> str | None:
        """Send once; the reason of the failure, or ``None`` when it was acknowledged."""
        async with self._free:
            self.tally["sent"] += 1
            failed = await self._send(event, self._headers(event, number, reason, began))
        self.tally["acked" if failed is None else "failed"] += 1
        return failed

    async def _send(self, event: Event, headers: dict[str, str]) -> str | None:
        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=self._options.webhook_timeout)
        late = self._dice.random() < self._options.late_ack
        try:
            async with asyncio.timeout(self._options.webhook_timeout):
                answer = await self._client.post(self._options.webhook_url, content=event.body, headers=headers)
        except (TimeoutError, httpx.TimeoutException):
            return "http_timeout"
        except httpx.HTTPError:
            return "other_error"
        if late:
            return "http_timeout"
        return None if answer.is_success else "http_error"

    def _headers(self, event: Event, number: int, reason: str | None, began: int) -> dict[str, str]:
        retry = {"square-retry-number": str(number), "square-retry-reason": reason} if reason else {}
        return {
            "content-type": "application/json",
            "user-agent": "Square Connect v2",
            "x-square-hmacsha256-signature": self.signature(event.body, "sha256"),
            "x-square-signature": self.signature(event.body, "sha1"),
            "square-environment": self._options.environment,
            "square-initial-delivery-timestamp": event_text(began),
            "square-subscription-id": self.subscription_id,
            "square-version": "2026-07-15",
            **retry,
        }

    def signature(self, body: bytes, algorithm: str) -> str:
        """Over the registered URL and the raw body, as Square does it; SHA-1 is the undocumented old one."""
        message = self._options.webhook_url.encode() + body
        return base64.b64encode(hmac.digest(self.keys[0].encode(), message, algorithm)).decode()


def range_us(filter_: Json) -> tuple[int, int]:
    """Both ends of an event search's ``created_at``; raises ``ValueError``."""
    limits = filter_.get("created_at") or {}
    start = parse_us(limits["start_at"]) if limits.get("start_at") else 0
    end = parse_us(limits["end_at"]) if limits.get("end_at") else 1 << 62
    return start, end
