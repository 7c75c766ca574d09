"""What a replay would change: items are fetched, mapped and applied in a transaction that is rolled back."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.domain import ALL_ITEMS, Answer, ItemKey, Kind, Ref, batches
from app.errors import TakesTooLong
from app.flows.deps import Deps
from app.flows.items.fetching import apply_answer, refs_of
from app.flows.letters.letters import conditions, terms_of
from app.flows.runs.dry_run import Effects, would_write
from app.rules.calls.lanes import Lane, lane
from app.rules.letters.summing import Row, summed
from app.stores.letters import letter_search
from app.stores.letters.rows import ListedLetter, Totals
from app.stores.runs.drift import DriftRow

MAX_ITEMS = 25
"""Items of a preview: each costs a call where the vendor has no batch read."""


class PreviewedItem(msgspec.Struct):
    """An item of a preview: ``letters`` are the numbers of its letters.

    ``outcome`` is "changes", "nothing", "gone", "late", "cannot say" or "fails: <error type>".
    """

    connection: str | None
    kind: str | None
    external_id: str | None
    letters: list[int]
    moot: bool
    outcome: str = "cannot say"
    error: str | None = None

    @property
    def key(self) -> ItemKey | None:
        """The item, if it can be fetched by its id."""
        if self.connection is None or self.kind is None or self.external_id in (None, ALL_ITEMS):
            return None
        return ItemKey(self.connection, Kind(self.kind), str(self.external_id))


class PreviewedChange(msgspec.Struct, frozen=True):
    """A row that would be written; ``fields`` is ``{field: [before, after]}``."""

    connection: str
    kind: str
    item: str
    change: str
    fields: Mapping[str, Sequence[Any]]


class Preview(msgspec.Struct, frozen=True):
    """What a replay would change; ``left_out`` is how many items of the ``totals`` were not previewed."""

    summary: str
    totals: Totals
    left_out: int
    items: list[PreviewedItem]
    rows: list[PreviewedChange]


def preview(deps: Deps, text: str, *, limit: int = MAX_ITEMS) -> Preview:
    """What replaying the letters of a filter would change, of at most ``limit`` items; writes nothing."""
    with deps.database.read() as conn:
        where, reads = conditions(deps, conn, terms_of(text))
        letters = letter_search.page(conn, where, reads, limit=500)
        totals = letter_search.totals(conn, where, reads)
    items = _items(letters)[:limit]
    rows = [row for batch in _batched(deps, items) for row in _preview_batch(deps, batch)]
    summary = summed([Row(row.kind, row.change, row.fields) for row in rows], [item.outcome for item in items])
    return Preview(summary, totals, max(0, totals.items - len(items)), items, rows)


def _items(letters: Sequence[ListedLetter]) -> list[PreviewedItem]:
    """One entry per item, however many letters name it, and one for each letter without item."""
    items: dict[ItemKey | int, PreviewedItem] = {}
    for letter in letters:
        entry = PreviewedItem(letter.connection, letter.kind, letter.external_id, [], moot=True)
        item = items.setdefault(letter.key or letter.id, entry)
        item.letters.append(letter.id)
        item.moot = item.moot and letter.moot
    return list(items.values())


def _batched(deps: Deps, items: Sequence[PreviewedItem]) -> list[list[PreviewedItem]]:
    """The items that one call can fetch together, without those that cannot be fetched by their id."""
    by_kind: dict[tuple[str, Kind], list[PreviewedItem]] = defaultdict(list)
    for item in items:
        if item.key is not None and item.connection in deps.sources:
            by_kind[item.key.connection, item.key.kind].append(item)
    return [
        batch
        for (connection, kind), of_kind in by_kind.items()
        for batch in batches(of_kind, deps.sources[connection].batch_size(kind))
    ]


def _preview_batch(deps: Deps, items: Sequence[PreviewedItem]) -> list[PreviewedChange]:
    """Fetch items of one kind and return what would be written; notes the outcome of each. If this fails, each item is
    tried by itself."""
    keys = [item.key for item in items if item.key is not None]
    connection, refs = keys[0].connection, refs_of(deps, keys)
    began = deps.now()
    try:
        with lane(Lane.PERSON):
            answer = deps.sources[connection].fetch(list(refs.values()))

        def work(conn: Connection) -> Effects:
            applied, closed = apply_answer(conn, connection, answer, began, deps.now())
            return Effects(answer.records, set(applied.written), closed, answer.gone)

        rows, _ = would_write(deps, connection, work)
    except TakesTooLong:  # the caller's time is over, which says nothing about the item
        raise
    except Exception as error:  # that an item would fail is an outcome
        if len(items) > 1:
            return [row for item in items for row in _preview_batch(deps, [item])]
        items[0].outcome, items[0].error = f"fails: {type(error).__name__}", deps.redact(str(error))
        return []
    for item, key in zip(items, keys, strict=True):
        item.outcome = _outcome(refs[key.external_id], answer, rows)
    return [PreviewedChange(connection, str(row.kind), row.item, row.change, dict(row.fields)) for row in rows]


def _outcome(ref: Ref, answer: Answer, rows: Sequence[DriftRow]) -> str:
    if ref in answer.not_yet:
        return "late"
    if ref in answer.gone:
        return "gone"
    written = {row.item.split("/", 1)[0] for row in rows}
    children = {
        getattr(record, "external_id", None)
        for record in answer.records
        if getattr(record, "parent_id", None) == ref.external_id
    }
    return "changes" if written & {ref.external_id, *children} else "nothing"
