"""The faults of one vendor, the same for every process that calls it, and a record of its calls."""

import random
from collections import Counter
from collections.abc import Sequence

from app.domain import Kind, Record
from app.errors import AuthRejected, BadAnswer, RateLimited, Unavailable, VendorForbidden
from app.prove.faults import Dial, Faults
from app.prove.shop import Shop
from app.prove.stage import Stage
from app.prove.trace import Trace
from app.sources.base import Limit

TIMEOUT = 10.0
"""Seconds after which a call times out."""


class VendorFaults:
    """The state of one vendor's service."""

    def __init__(self, stage: Stage, shop: Shop, faults: Faults, trace: Trace, limits: Sequence[Limit]) -> None:
        self.stage = stage
        self.shop = shop
        self.limits = limits
        self._faults = faults
        self._trace = trace
        self._rng: random.Random = stage.rng
        self.refuses_until = 0.0
        self.down_until = 0.0
        self.hangs_until = 0.0
        self.forbidden: dict[Kind, float] = {}
        self.lied: Counter[Kind] = Counter()
        self.in_transaction: list[str] = []
        self.taken: list[float] = []
        self.calls = 0
        self.generation = 0
        self._slowness = self._rng.choice((0.0, 0.2, 0.7))
        self._bulk_slowness = self._rng.choice((0.0, 0.5, 4.0))

    def note(self, what: str, ids: Sequence[str]) -> None:
        """Add a line to the trace."""
        name = self.shop.style.name
        whose = self.stage.current.whose
        self._trace.add(self.stage.now, whose, f"{what} of {name}", [f"{name}/{id}" for id in ids])

    def called(self, what: str, kind: Kind | None) -> None:
        """Count a call; a call with a transaction open is a finding."""
        self.calls += 1
        if self.stage.current.inside:
            self.in_transaction.append(f"{what} {kind or ''}".strip())

    def latency(self, what: str) -> float:
        """Seconds for one way of a call."""
        if self._faults.happens(Dial.VENDOR_SLOW, 0.08):
            return self._rng.uniform(1.0, 9.0)
        if not self._faults.quiet and self._rng.random() < self._slowness:
            return self._rng.uniform(0.4, 3.0)
        if what in ("full", "delta") and not self._faults.quiet:
            return self._rng.uniform(0.02, 0.4 + self._bulk_slowness)
        return self._rng.uniform(0.02, 0.4)

    def download(self) -> float:
        """Seconds until an answer with a whole kind in it has arrived."""
        return 0.0 if self._faults.quiet else self._rng.uniform(0.0, 5.0 * self._bulk_slowness)

    def refuse(self, what: str, kind: Kind | None, generation: int) -> None:
        """Raise the error that this call fails with, if it fails."""
        now, where = self.stage.now, f"{what} {kind or ''}".strip()
        if now < self.hangs_until or self._faults.happens(Dial.VENDOR_HANGS, 0.02):
            self.stage.pause(TIMEOUT)
            raise Unavailable(f"{where}: ReadTimeout: no answer within {TIMEOUT:g} s")
        if now < self.down_until or self._faults.happens(Dial.VENDOR_5XX, 0.04):
            raise Unavailable(f"{where}: 503 Service Unavailable")
        if now < self.refuses_until or generation < self.generation:
            raise AuthRejected(f"{where}: 401 ACCESS_TOKEN_EXPIRED")
        if kind is not None and now < self.forbidden.get(kind, 0.0):
            raise VendorForbidden(f"{where}: 403 INSUFFICIENT_SCOPES, {str(kind).upper()}_READ is missing")
        if self._faults.happens(Dial.VENDOR_429, 0.04):
            raise RateLimited(f"{where}: 429 too many requests", retry_after=self._rng.choice((None, 2.0, 7.0)))
        if self._faults.happens(Dial.VENDOR_HTML, 0.03):
            raise BadAnswer(f"{where}: HTML instead of JSON")

    def cut(self, kind: Kind) -> bool:
        """Whether this read will be cut off after a page."""
        return self._faults.happens(Dial.VENDOR_TRUNCATED, 0.2)

    def cut_off(self) -> None:
        """Fail in the middle of a read."""
        raise BadAnswer("the document is cut short")

    def lie(self, kind: Kind) -> str | None:
        """How a whole read is silently wrong: ``empty``, ``short`` or not at all."""
        for dial, lie in ((Dial.VENDOR_EMPTY, "empty"), (Dial.VENDOR_SHORT, "short")):
            if self._faults.happens(dial, 0.15):
                self.lied[kind] += 1
                return lie
        return None

    def shown(self, lie: str | None, records: Sequence[Record]) -> Sequence[Record]:
        """The records of a page under a lie."""
        if lie is None:
            return records
        return [] if lie == "empty" else records[: len(records) // 2]

    def resume_lost(self) -> bool:
        """Whether the vendor has forgotten a place in a read."""
        return self._faults.happens(Dial.RESUME_LOST, 0.7)

    def seen_by_fetch(self, kind: Kind, item: str) -> list[Record]:
        """An item's rows; with a replica that lags, as they were some seconds ago."""
        if not self.shop.style.seconds and self._faults.happens(Dial.VENDOR_LAGS, 0.15):
            return self.shop.as_of(kind, item, self.stage.now - self._rng.uniform(0.5, 6.0))
        return self.shop.of_item(kind, item)

    def overspent(self) -> list[str]:
        """One sentence for every limit that was exceeded."""
        sentences = []
        taken = sorted(self.taken)
        for limit in self.limits:
            for at in range(len(taken) - limit.calls):
                if taken[at + limit.calls] - taken[at] < limit.seconds - 0.01:
                    sentences.append(
                        f"more than {limit.calls} calls within {limit.seconds:g} s, at {taken[at]:.1f} s"
                    )
                    break
        return sentences
