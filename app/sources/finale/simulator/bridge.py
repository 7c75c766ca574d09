"""Tells a receiver about changes, as a merchant's bridge would: signed with Standard Webhooks, with retries."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import random
import time
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import httpx
import msgspec

from app.sources.finale.simulator.records import Done
from app.sources.finale.simulator.settings import Options

_EVENTS = {
    ("product", "created"): "product.created",
    ("product", "deleted"): "product.deleted",
    ("product", "updated"): "product.updated",
}
_FIRST_WAIT = 0.5  # seconds; doubles with each try
_HELD_BACK = 1.0  # seconds at most, in which later pings overtake


class Ping(NamedTuple):
    """One notice, with the id that stays the same on each try."""

    id: str
    body: bytes


class Bridge:
    """Sends pings in the background while the simulator runs; counts what became of them."""

    def __init__(self, options: Options, dice: random.Random) -> None:
        self.counts = {
            "published": 0,
            "sent": 0,
            "acknowledged": 0,
            "failed": 0,
            "dropped": 0,
            "duplicated": 0,
            "delayed": 0,
        }
        self.acknowledged: set[str] = set()
        self._options = options
        self._dice = dice
        self._running: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None

    @property
    def pending(self) -> int:
        """Pings that are still under way or held back."""
        return len(self._running)

    def tell(self, done: Sequence[Done]) -> None:
        """Report changes; a no-op without a ``bridge_url``. Must be called on the event loop."""
        if not self._options.bridge_url:
            return
        for notice in dict.fromkeys(_notices(done)):
            self._launch(Ping(f"msg_{uuid.UUID(int=self._dice.getrandbits(128))}", notice))

    async def close(self) -> None:
        """Stop sending; what was under way is lost, as it is when a real bridge dies."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _launch(self, ping: Ping) -> None:
        self.counts["published"] += 1
        if self._dice.random() < self._options.drop:
            self.counts["dropped"] += 1
            return
        wait = 0.0
        if self._dice.random() < self._options.reorder:
            wait = self._dice.uniform(0.1, _HELD_BACK)
        if self._dice.random() < self._options.delay:
            self.counts["delayed"] += 1
            wait = self._options.delay_seconds
        copies = 1 + (self._dice.random() < self._options.duplicate)
        self.counts["duplicated"] += copies - 1
        for _ in range(copies):
            self._start(ping, wait)

    def _start(self, ping: Ping, wait: float) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(ping, wait))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _deliver(self, ping: Ping, wait: float) -> None:
        await asyncio.sleep(wait)
        for attempt in range(self._options.bridge_tries):
            self.counts["sent"] += 1
            if await self._post(ping):
                self.counts["acknowledged"] += 1
                self.acknowledged.add(ping.id)
                return
            await asyncio.sleep(_FIRST_WAIT * 2**attempt)
        self.counts["failed"] += 1

    async def _post(self, ping: Ping) -> bool:
        self._client = self._client or httpx.AsyncClient(timeout=10)
        try:
            headers = signed(self._options.bridge_secret, ping, int(time.time()))
            answer = await self._client.post(self._options.bridge_url, content=ping.body, headers=headers)
        except Exception:  # also what a transport raises that is closed under it
            return False
        return answer.is_success


def signed(secret: str, ping: Ping, at: int) -> dict[str, str]:
    """Standard Webhooks headers for a body, written apart from the receiver's own check on purpose."""
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    mac = hmac.new(key, f"{ping.id}.{at}.".encode() + ping.body, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": ping.id,
        "webhook-timestamp": str(at),
        "webhook-signature": "v1," + base64.b64encode(mac.digest()).decode(),
    }


def _notices(done: Sequence[Done]) -> list[bytes]:
    """What a bridge would say: it knows products and inventory, not orders."""
    events = [(_event(each), each.sku) for each in done]
    return [msgspec.json.encode({"event": event, "data": {"productId": sku}}) for event, sku in events if event]


def _event(done: Done) -> str | None:
    return "inventory.updated" if done.kind == "stock" else _EVENTS.get((done.kind, done.what))
