"""Products tell their category's name and path, images, unit, options, modifiers, taxes, and whether they are archived or
sold out; all will be read anew, and until then old rows show what we know of them already."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import add, flags, numbers, texts, words

revision = "0019"
down_revision = "0018"

_TEXTS = ("sold_out", "images", "options", "modifiers", "taxes", "mentions")
_AT_ONCE = 500
_JOINT = " / "
_DEEPEST = 20  # categories above one another; more would be a circle
_READ_ANEW = 1
"""A hash that no content has: the next complete read writes the row anew. Moving it, too, tells the database that we did."""


def upgrade() -> None:
    """Add the columns and fill them as far as what we hold allows."""
    add("listings", *words("category_path", nullable=True), *flags("archived", default=sa.false()))
    add("listings", *words("unit", nullable=True), *numbers("unit_precision", nullable=True))
    add("listings", *texts(*_TEXTS, nullable=True))
    _fill()
    _read_again()


def _read_again() -> None:
    """Without a watermark the next pull or run reads all products."""
    op.execute("DELETE FROM watermarks WHERE kind = 'product'")


def _fill() -> None:
    conn = op.get_bind()
    paths = _paths(
        {(one.connection, one.external_id): (one.parent_id, one.name) for one in conn.execute(_CATEGORIES)}
    )
    after = ("", "")
    while rows := conn.execute(_OLD, {"connection": after[0], "id": after[1], "limit": _AT_ONCE}).all():
        after = (rows[-1].connection, rows[-1].external_id)
        conn.execute(_NEW, [_filled(row, paths.get((row.connection, row.category_id))) for row in rows])


_CATEGORIES = sa.text("SELECT connection, external_id, parent_id, name FROM categories WHERE NOT deleted")
_OLD = sa.text(
    """
    SELECT connection, external_id, category_id, category, supplier_id, supplier_sku, cost_minor, currency, extra
    FROM listings WHERE (connection, external_id) > (:connection, :id) AND NOT deleted
    ORDER BY connection, external_id LIMIT :limit
    """
)
_NEW = sa.text(
    f"""
    UPDATE listings SET category = :category, category_path = :path, archived = :archived, supplier_id = :supplier_id,
        supplier_sku = :supplier_sku, cost_minor = :cost_minor, currency = :currency, row_hash = {_READ_ANEW}
    WHERE connection = :connection AND external_id = :id
    """
)


def _paths(held: Mapping[tuple[str, str], tuple[str | None, str | None]]) -> dict[tuple[str, str], list[str]]:
    """For each category the names from the root down to its own."""
    paths: dict[tuple[str, str], list[str]] = {}
    for connection, id_ in held:
        names: list[str] = []
        at: str | None = id_
        while at is not None and (connection, at) in held and len(names) < _DEEPEST:
            at, name = held[connection, at]
            names.insert(0, name or "")
        paths[connection, id_] = names
    return paths


def _filled(row: Any, names: list[str] | None) -> dict[str, Any]:
    extra = _object(row.extra)
    supplier = next(
        (_object(one).get("item_variation_vendor_info_data") for one in _list(extra, "item_variation_vendor_infos")),
        None,
    )
    told = _object(supplier)
    cost = next((m for m in map(_object, (told.get("price_money"), extra.get("default_unit_cost"))) if m), {})
    return {
        "connection": row.connection,
        "id": row.external_id,
        "category": row.category or (names[-1] if names else None),
        "path": row.category or (_JOINT.join(names) if names else None),
        "archived": _object(extra.get("item")).get("is_archived") is True,
        "supplier_id": row.supplier_id or _text(told.get("vendor_id")),
        "supplier_sku": row.supplier_sku or _text(told.get("sku")),
        "cost_minor": _whole(cost.get("amount")) if row.cost_minor is None else row.cost_minor,
        "currency": row.currency or _text(cost.get("currency")),
    }


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    found = data.get(name)
    return found if isinstance(found, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None
