"""Compares the tables of an installation with the truth of its simulated vendors."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from app.domain import Kind
from app.prove.real import books
from app.prove.real.stack import Stack
from app.stores.catalog import catalog_sql

Row = Mapping[str, Any]


def differences(stack: Stack) -> list[str]:
    """One line for every row, of every kind that was ever read, in which our tables and the vendors' truth differ."""
    return [
        f"{name}: {line}"
        for name in stack.simulated
        for row in stack.sql("SELECT DISTINCT kind FROM watermarks WHERE connection = :c ORDER BY kind", c=name)
        for line in difference(stack, name, row["kind"])
    ]


def difference(stack: Stack, slug: str, kind: Kind) -> list[str]:
    """One line for every row of a kind in which our table and the vendor's truth differ, by the fields of the truth.
    For orders also every amount that differs from the vendor's books."""
    rows = stack.simulated[slug].truth(kind)
    return [*_of_rows(stack, slug, kind, rows), *(_of_books(stack, slug, rows) if kind == Kind.ORDER else [])]


def _of_rows(stack: Stack, slug: str, kind: Kind, rows: list[dict[str, Any]]) -> list[str]:
    fields = list(next(iter(rows), {}))
    held = _ours(stack, slug, kind, fields)
    if not any(
        _is_empty_stock(row) for row in rows
    ):  # a vendor that shows no empty stock: none and zero are the same
        held = [row for row in held if not _is_empty_stock(row)]
    truth, ours = _by_key(kind, rows), _by_key(kind, held)
    sentences = [f"{kind} {key}: we lack it" for key in sorted(truth.keys() - ours.keys())]
    sentences += [f"{kind} {key}: the vendor lacks it: {ours[key]}" for key in sorted(ours.keys() - truth.keys())]
    sentences += [
        f"{kind} {key}: ours {ours[key]}, theirs {truth[key]}"
        for key in sorted(truth.keys() & ours.keys())
        if _plain(ours[key]) != _plain(truth[key])
    ]
    return sentences


def _of_books(stack: Stack, slug: str, rows: list[dict[str, Any]]) -> list[str]:
    lines: dict[str, list[Row]] = {}
    for line in stack.sql(books.OUR_LINES, slug=slug):
        lines.setdefault(line["order_id"], []).append(line)
    ours = {row["external_id"]: row for row in stack.sql(books.OURS, slug=slug)}
    return [
        f"order {id_}: {text}"
        for row in rows
        if (id_ := row["external_id"]) in ours
        for text in books.wrong(books.vendor_books(row), books.our_books(ours[id_], lines.get(id_, [])))
    ]


def lost(stack: Stack) -> list[str]:
    """Every event that was acknowledged and is not in the inbox."""
    sentences = []
    for name, simulated in stack.simulated.items():
        kept = {
            row["event_id"] for row in stack.sql("SELECT event_id FROM inbox_events WHERE connection = :c", c=name)
        }
        sentences += [
            f"{name}: event {event_id} was acknowledged and is lost" for event_id in simulated.acknowledged() - kept
        ]
    return sorted(sentences)


def _ours(stack: Stack, slug: str, kind: Kind, fields: list[str]) -> list[Row]:
    if not fields:
        return []
    table = catalog_sql.shape(kind).table
    rows = stack.sql(
        f"SELECT {', '.join(fields)} FROM {table} WHERE connection = :slug AND NOT deleted",
        slug=slug,
    )
    if "lines" in fields:
        return [{**row, "lines": _lines(row["lines"])} for row in rows]
    return list(rows)


def _is_empty_stock(row: Row) -> bool:
    return "quantity" in row and float(row["quantity"]) == 0


def _lines(text: str | None) -> list[list[Any]]:
    names = ("kind", "listing_id", "quantity", "unit_price", "total_minor")
    return [[line.get(name) for name in names] for line in msgspec.json.decode(text or "[]")]


def _by_key(kind: Kind, rows: Iterable[Row]) -> dict[tuple[Any, ...], Row]:
    keys = catalog_sql.shape(kind).keys
    return {tuple(row[name] for name in keys): row for row in rows}


def _plain(row: Row) -> dict[str, Any]:
    """Values in the form that both databases and JSON share."""
    plain = dict(row)
    if "quantity" in plain:
        plain["quantity"] = float(plain["quantity"])
    if "active" in plain:
        plain["active"] = bool(plain["active"])
    return plain
