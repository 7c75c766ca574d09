"""What a replay would change: fetched, mapped and applied as it would be, and taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from app.domain import WHOLE, Answer, ItemKey, Kind, Ref, batches
from app.errors import TakesTooLong
from app.flows.deps import Deps
from app.flows.items.fetching import apply_answer, refs_of
from app.flows.letters.letters import conditions, key_of, terms_of
from app.flows.runs.dry_run import Effects, would_write
from app.rules.calls.lanes import Lane, lane
from app.rules.letters.summing import Row, summed
from app.stores.letters import letter_search
from app.stores.runs.drift import DriftRow

MOST = 25
"""Items of a preview: each costs a call where the vendor has no batch read."""


def preview(deps: Deps, text: str, *, limit: int = MOST) -> dict[str, Any]:
    """What replaying the letters of a filter would change, without writing anything.

    ``items`` (the first ``limit``) have ``connection``, ``kind``, ``external_id``, ``letters`` (their numbers),
    ``moot``, ``outcome`` ("changes", "nothing", "gone", "late", "cannot say", "fails: <error>") and ``error``;
    ``rows`` what would change: ``connection``, ``kind``, ``item``, ``change`` and ``fields`` ({field: [before,
    after]}); ``summary`` is a sentence, and ``totals`` and ``left_out`` say how much there is beyond.
    """
    with deps.database.read() as conn:
        found, reads = conditions(deps, conn, terms_of(text))
        letters = letter_search.page(conn, found, reads, limit=500)
        totals = letter_search.totals(conn, found, reads)
    items = _items(letters)
    shown = items[:limit]
    rows = [row for some in _batched(deps, shown) for row in _rows(deps, some)]
    outcomes = [item["outcome"] for item in shown]
    return {
        "summary": summed([Row(row["kind"], row["change"], row["fields"]) for row in rows], outcomes),
        "totals": totals,
        "left_out": max(0, totals["items"] - len(shown)),
        "items": shown,
        "rows": rows,
    }


def _items(letters: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry per item, however many letters name it; those without item each by themselves."""
    items: dict[Any, dict[str, Any]] = {}
    for letter in letters:
        key = key_of(letter)
        told = {"connection": letter["connection"], "kind": letter["kind"], "external_id": letter["external_id"]}
        entry = {**told, "letters": [], "moot": True, "outcome": "cannot say", "error": None}
        item = items.setdefault(key or letter["id"], entry)
        item["letters"].append(letter["id"])
        item["moot"] = item["moot"] and letter["moot"]
    return list(items.values())


def _batched(deps: Deps, items: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Items that one call can fetch; those that cannot be fetched one by one are left as they are."""
    by_kind: dict[tuple[str, Kind], list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        if item["external_id"] not in (None, WHOLE) and item["connection"] in deps.sources:
            by_kind[item["connection"], Kind(item["kind"])].append(item)
    return [
        some
        for (connection, kind), of_kind in by_kind.items()
        for some in batches(of_kind, deps.sources[connection].batch_size(kind))
    ]


def _rows(deps: Deps, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fetch some items and see what would be written; an item that fails is told so, and its neighbours tried alone."""
    connection, kind = items[0]["connection"], Kind(items[0]["kind"])
    refs = refs_of(deps, [ItemKey(connection, kind, item["external_id"]) for item in items])
    began = deps.now()
    try:
        with lane(Lane.PERSON):
            answer = deps.sources[connection].fetch(list(refs.values()))

        def work(conn: Connection) -> Effects:
            applied, closed = apply_answer(conn, connection, answer, began, deps.now())
            return Effects(answer.records, set(applied.written), closed, answer.gone)

        rows = would_write(deps, connection, work)
    except TakesTooLong:  # that says nothing of the item
        raise
    except Exception as error:  # that it would fail is an answer
        if len(items) > 1:
            return [row for item in items for row in _rows(deps, [item])]
        items[0] |= {"outcome": f"fails: {type(error).__name__}", "error": deps.redact(str(error))}
        return []
    for item in items:
        item["outcome"] = _outcome(refs[item["external_id"]], answer, rows)
    return [_told(connection, row) for row in rows]


def _outcome(ref: Ref, answer: Answer, rows: Sequence[DriftRow]) -> str:
    if ref in answer.not_yet:
        return "late"
    if ref in answer.gone:
        return "gone"
    keys = {row.item.split("/", 1)[0] for row in rows}
    parents = {getattr(one, "external_id", None) for one in answer.records if _parent(one) == ref.external_id}
    return "changes" if keys & {ref.external_id, *parents} else "nothing"


def _parent(record: Any) -> str | None:
    return getattr(record, "parent_id", None)


def _told(connection: str, row: DriftRow) -> dict[str, Any]:
    fields: Mapping[str, Any] = row.fields
    return {
        "connection": connection,
        "kind": str(row.kind),
        "item": row.item,
        "change": row.change,
        "fields": dict(fields),
    }
