"""Reports changes to a receiver, as a merchant's bridge would: signed with Standard Webhooks, with retries."""

import asyncio
import base64
import hashlib
import hmac
import random
import time
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from app.sources.finale.simulator.records import Done
from app.sources.finale.simulator.settings import Options
from app.sources.simulating.outbox import Outbox

_TRIES = 6
_FIRST_WAIT = 0.5  # seconds; doubles with each try
_HELD_BACK = 1.0  # seconds at most, in which later pings overtake


class Ping(NamedTuple):
    """One notice, with the id that stays the same on each try."""

    id: str
    body: bytes


class Bridge(Outbox):
    """Sends pings in the background while the simulator runs. What is under way when it stops is lost, as it is when a
    real bridge dies."""

    counted = ("published", "sent", "acknowledged", "failed", "dropped", "duplicated", "delayed")

    def __init__(self, options: Options, dice: random.Random) -> None:
        super().__init__(options, dice)
        self._options = options

    def report(self, done: Sequence[Done]) -> None:
        """Report changes; a no-op without a ``bridge_url``. Must be called on the event loop."""
        for notice in dict.fromkeys(_notices(done)) if self._options.bridge_url else ():
            ping = Ping(f"msg_{uuid.UUID(int=self._dice.getrandbits(128))}", notice)
            for wait in self._waits(self._options.delay_seconds, _HELD_BACK):
                self._start(self._deliver(ping, wait))

    async def _deliver(self, ping: Ping, wait: float) -> None:
        await asyncio.sleep(wait)
        for attempt in range(_TRIES):
            self.counts["sent"] += 1
            headers = signed(self._options.bridge_secret, ping, int(time.time()))
            if await self._post(self._options.bridge_url, ping.body, headers) is None:
                self.counts["acknowledged"] += 1
                self.acknowledged.add(ping.id)
                return
            await asyncio.sleep(_FIRST_WAIT * 2**attempt)
        self.counts["failed"] += 1


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
    return [_notice(each) for each in done if each.kind in ("product", "stock")]


def _notice(done: Done) -> bytes:
    event = "inventory.updated" if done.kind == "stock" else f"product.{done.what}"
    return msgspec.json.encode({"event": event, "data": {"productId": done.sku}})
