"""A vendor's account as a process sees it: an answer is made at a moment between call and return, so reads race with
edits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TypeVar

import msgspec

from app.domain import (
    ALL_ITEMS,
    SKU_PREFIX,
    Answer,
    BadRecord,
    Change,
    Delivery,
    Kind,
    Listing,
    Order,
    Page,
    Record,
    Ref,
    Scope,
    key_of,
    micros,
)
from app.domain import KINDS as KIND_OF
from app.domain.decoding import decode
from app.errors import BudgetSpent
from app.prove.memory import PlainSource
from app.prove.shop import KINDS
from app.prove.vendor_faults import VendorFaults
from app.sources.base import Budget, Limit, PayloadInvalid, ResumeLost

T = TypeVar("T")


class PlainReceiver:
    """Trusts every delivery: signatures are no part of this proof."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Accepts everything."""

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """Read the JSON delivery that ``network`` sends."""
        try:
            return decode(body, Delivery)
        except msgspec.DecodeError as error:
            raise PayloadInvalid("that is no delivery") from error


@dataclass
class Account(PlainSource):
    """The ``Source`` of one simulated process. ``patience`` is how many seconds a call waits for the budget."""

    faults: VendorFaults
    shared: Budget
    now: Callable[[], datetime]
    patience: float
    generation: int = 0

    def __post_init__(self) -> None:
        self.stage, self.shop, self.limits = self.faults.stage, self.faults.shop, self.faults.limits
        self.name = self.shop.style.name
        self.kinds: tuple[Kind, ...] = KINDS
        self.whole_kinds: tuple[Kind, ...] = self.shop.style.whole
        self.receiver = PlainReceiver()
        self._calls = 0

    def batch_size(self, kind: Kind) -> int:
        """That of the style."""
        return self.shop.style.batch

    def pace(self, kind: Kind) -> float:
        """Whole kinds are pulled at most every 20 s."""
        return 20.0 if kind in self.whole_kinds else 5.0

    def storm_size(self, kind: Kind) -> int:
        """Small, so that few records make a storm."""
        return 12 if kind is Kind.PRODUCT else 1_000_000

    def calls(self) -> int:
        """Calls made so far."""
        return self._calls

    def budget(self) -> Sequence[Limit]:
        """The limits that every call counts against."""
        return self.limits

    def check(self) -> None:
        """Make one cheap call."""
        self._ask(None, "check", lambda: None)

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        """The truth about some items of one kind at a moment within the call."""
        kind, began = refs[0].kind, self.now()
        self.faults.note(f"asked for {kind}", [ref.external_id for ref in refs])
        return self._ask(kind, "fetch", lambda: self._answer(kind, refs, began))

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        """What changed since a watermark."""
        if since is None or kind in self.whole_kinds:
            yield from self.full(kind)
            return
        changed = self._ask(kind, "delta", lambda: self._changed(kind, int(since)))
        mark = max([int(since), *(version for _, version in changed if version <= micros(self.shop.now))])
        if kind in self.shop.style.named:
            yield Page(changes=[Change(kind, item, version) for item, version in changed])
        else:
            yield self._ask(
                kind, "delta", lambda: self._page([r for i, _ in changed for r in self.shop.of_item(kind, i)])
            )
        yield Page(watermark=str(mark))

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        """All of a kind, in pages where the style has pages."""
        began, mark = self.now(), min(self.shop.newest(kind), micros(self.shop.now))  # no watermark in the future
        if resume is None:
            after = ""
        elif self.shop.style.page is None or self.faults.resume_lost():
            raise ResumeLost("that place is forgotten")
        else:
            mark_text, _, after = resume.partition("/")
            mark = int(mark_text)
        if kind in self.shop.style.named and kind in self.shop.style.open:  # what only grows is named, not shown
            changed = self._ask(kind, "full", lambda: self._changed(kind, 0))
            yield Page(changes=[Change(kind, item, version) for item, version in changed])
        else:
            yield from self._pages(kind, after, mark, began)
        whole = kind in self.whole_kinds
        scope = None if kind in self.shop.style.open else Scope(kind, absent=self.shop.absent(kind))
        yield Page(watermark=str(micros(began) if whole else mark), complete=scope)

    def _pages(self, kind: Kind, after: str, mark: int, began: datetime) -> Iterator[Page]:
        size = self.shop.style.page or 1_000_000
        cut, lie = self.faults.cut(kind), self.faults.lie(kind)
        while True:
            records = self._ask(kind, "full", partial(self._behind, kind, after, size))
            shown = self.faults.shown(lie, records)
            last = "/".join(key_of(records[-1])) if records else after
            token = f"{mark}/{last}" if self.shop.style.page is not None else None
            page = self._page(shown, began)
            yield msgspec.structs.replace(page, resume=token, label=f"{kind} to {last}")
            if len(records) < size:
                return
            after = last
            if cut:
                self.faults.cut_off()

    def window(
        self, kind: Kind, since: datetime | None, until: datetime | None, resume: str | None = None
    ) -> Iterator[Page]:
        """Records modified in between; whole kinds in full."""
        began = self.now()

        def inside() -> Page:
            records = self._behind(kind, "", 1_000_000)
            if kind not in self.whole_kinds:
                records = [r for r in records if _between(since, r.modified_at, until)]
            return self._page(records, began)

        yield self._ask(kind, "window", inside)

    def order_ids(self, first: date, last: date) -> Iterator[tuple[date, str]]:
        """The orders of some days."""
        orders = self._ask(Kind.ORDER, "order ids", lambda: self._behind(Kind.ORDER, "", 1_000_000))
        for order in orders:
            if isinstance(order, Order) and order.ordered_on is not None:
                day = date.fromisoformat(order.ordered_on)
                if first <= day <= last:
                    yield day, order.external_id

    # answers

    def _ask(self, kind: Kind | None, what: str, made: Callable[[], T]) -> T:
        """One call: a request, an answer made at some moment, and its way back."""
        self._wait_for_budget()
        self._calls += 1
        self.faults.called(what, kind)
        self.stage.pause(self.faults.latency(what))
        self.faults.refuse(what, kind, self.generation)
        answer = made()
        self.stage.pause(self.faults.latency(what))
        if what == "full" and self.shop.style.page is None:  # one large answer takes long to arrive
            self.stage.pause(self.faults.download())
        return answer

    def _wait_for_budget(self) -> None:
        if not self.limits:
            return
        waited = 0.0
        while (wait := self.shared.take(self.limits)) > 0:
            if waited + wait > self.patience:
                raise BudgetSpent("our own budget is used up", retry_after=wait)
            self.stage.pause(wait)
            waited += wait
        self.faults.taken.append(self.stage.current.committed_at)

    def _changed(self, kind: Kind, since: int) -> list[tuple[str, int]]:
        items = self.shop.items[kind]
        return sorted((item, version) for item, version in items.items() if version >= since)

    def _behind(self, kind: Kind, after: str, size: int) -> list[Record]:
        rows = self.shop.rows[kind]
        return [rows[key] for key in sorted(rows) if "/".join(key) > after][:size]

    def _page(self, records: Sequence[Record], began: datetime | None = None) -> Page:
        good, failed = self._readable(records, began or self.now())
        return Page(records=good, failed=failed)

    def _readable(self, records: Sequence[Record], began: datetime) -> tuple[list[Record], list[BadRecord]]:
        """Records as the source's mapping gives them; unreadable ones apart, those of whole kinds with a version."""
        good: list[Record] = []
        failed: list[BadRecord] = []
        for record in records:
            kind, key = KIND_OF[type(record)], key_of(record)
            harm = self.shop.bad.get((kind, key))
            if harm is not None and harm.unreadable:
                failed.append(BadRecord(kind, key[0], harm.words(kind, key)))
                continue
            shown = record if harm is None else harm.on(record)
            good.append(msgspec.structs.replace(shown, version=micros(began)) if kind in self.whole_kinds else shown)
        return good, failed

    def _answer(self, kind: Kind, refs: Sequence[Ref], began: datetime) -> Answer:
        ids = [self._asked(ref) for ref in refs]
        if self._answers_whole(kind, ids):
            good, failed = self._readable(self._behind(kind, "", 1_000_000), began)
            return Answer(good, covers=[Scope(kind, absent=self.shop.absent(kind))], failed=failed)
        items = sorted({id for id in ids if id is not None})
        records = [record for item in items for record in self.faults.seen_by_fetch(kind, item)]
        good, failed = self._readable(records, began)
        here = {self.shop.item_of(record) for record in records}
        missing = [ref for ref, id in zip(refs, ids, strict=True) if id not in here]
        if kind is Kind.PRODUCT and self.shop.style.varied:
            scopes = [Scope(kind, "parent_id", item) for item in items]
            gone = [ref for ref in missing if ref.external_id.startswith(SKU_PREFIX)]
            return Answer(good, gone=gone, covers=scopes, failed=failed)
        if self.shop.style.varied and kind is Kind.ORDER:
            return Answer(good, not_yet=missing, failed=failed)
        return Answer(good, gone=[] if kind is Kind.STOCK else missing, failed=failed)

    def _answers_whole(self, kind: Kind, ids: Sequence[str | None]) -> bool:
        """Whether a fetch of some items reads the whole kind."""
        if kind is Kind.VENDOR or (kind is Kind.LOCATION and not self.shop.style.varied):
            return kind in self.whole_kinds and ALL_ITEMS in ids
        return kind in self.whole_kinds

    def _asked(self, ref: Ref) -> str | None:
        """The item that a ref means: a SKU's product, a variation's item."""
        id = ref.external_id
        if id.startswith(SKU_PREFIX):
            sku = id.removeprefix(SKU_PREFIX)
            rows = self.shop.rows[Kind.PRODUCT].values()
            return next((self.shop.item_of(r) for r in rows if isinstance(r, Listing) and r.sku == sku), None)
        if ref.kind is Kind.PRODUCT and self.shop.style.varied:
            return id.partition("v")[0]
        return id


def _between(since: datetime | None, moment: datetime | None, until: datetime | None) -> bool:
    return moment is not None and (since is None or since <= moment) and (until is None or moment <= until)
