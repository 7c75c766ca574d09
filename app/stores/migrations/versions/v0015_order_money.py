"""Orders tell their money, and their lines what they come to; all orders will be read anew, old lines show what they can
until then."""

import json
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import add, bigs, words

revision = "0015"
down_revision = "0012"

_AMOUNTS = ("subtotal_minor", "discount_minor", "tax_minor", "service_charge_minor", "tip_minor", "net_minor")
_AT_ONCE = 500
_DECIMALS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "KWD": 3, "BHD": 3, "JOD": 3, "OMR": 3, "TND": 3}
_KINDS = {"return": "returned", "purchase": "bought", "transfer": "moved"}


def upgrade() -> None:
    """Add the columns, give the view its new ones, and bring the old rows along."""
    add("orders", *words("channel", nullable=True), *bigs(*_AMOUNTS, nullable=True))
    op.execute("DROP VIEW order_lines")
    op.execute(_ORDER_LINES[op.get_bind().dialect.name])
    _bring_old_lines()
    _read_again()


def _bring_old_lines() -> None:
    """A price in minor units becomes an exact one; what a line came to nobody wrote down."""
    conn = op.get_bind()
    after = ("", "")
    while rows := conn.execute(_OLD, {"connection": after[0], "id": after[1], "limit": _AT_ONCE}).all():
        after = (rows[-1][0], rows[-1][1])
        conn.execute(_NEW, [{"connection": row[0], "id": row[1], "lines": _lines(row[2], row[3])} for row in rows])


_OLD = sa.text(
    """
    SELECT connection, external_id, type, lines FROM orders
    WHERE (connection, external_id) > (:connection, :id) AND lines IS NOT NULL
    ORDER BY connection, external_id LIMIT :limit
    """
)
_NEW = sa.text("UPDATE orders SET lines = :lines WHERE connection = :connection AND external_id = :id")


def _lines(type_: str, text: str) -> str:
    return json.dumps([_line(type_, line) for line in json.loads(text)], ensure_ascii=False, separators=(",", ":"))


def _line(type_: str, line: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in line.items() if value is not None and name != "unit_minor"}
    told["kind"] = _KINDS.get(type_, "sold")
    if line.get("unit_minor") is not None:
        price = Decimal(line["unit_minor"]).scaleb(-_DECIMALS.get(line.get("currency") or "", 2))
        told["unit_price"] = format(price.normalize() if price else Decimal(0), "f")
    if type_ == "return" and line.get("quantity"):
        told["quantity"] = format(-Decimal(line["quantity"]), "f")
    return told


def _read_again() -> None:
    """Without a watermark the next pull or run reads all orders; of version 0 whatever it shows is newer."""
    op.execute("UPDATE orders SET version = 0 WHERE NOT deleted")
    op.execute("DELETE FROM watermarks WHERE kind = 'order'")


_COMMON = (
    """o.connection, o.external_id AS order_id, o.number, o.type, o.status, o.location_id, o.party_id, o.ordered_on"""
)
_ORDER_LINES = {
    "sqlite": f"""
        CREATE VIEW order_lines AS
        SELECT {_COMMON}, line.key + 1 AS position,
               json_extract(line.value, '$.line_id') AS line_id,
               json_extract(line.value, '$.kind') AS kind,
               json_extract(line.value, '$.part_of') AS part_of,
               json_extract(line.value, '$.listing_id') AS listing_id,
               coalesce(json_extract(line.value, '$.sku'), listing.sku) AS sku,
               json_extract(line.value, '$.name') AS name,
               CAST(json_extract(line.value, '$.quantity') AS NUMERIC) AS quantity,
               CAST(json_extract(line.value, '$.unit_price') AS NUMERIC) AS unit_price,
               json_extract(line.value, '$.discount_minor') AS discount_minor,
               json_extract(line.value, '$.tax_minor') AS tax_minor,
               json_extract(line.value, '$.total_minor') AS total_minor,
               coalesce(json_extract(line.value, '$.currency'), o.currency) AS currency
        FROM orders o CROSS JOIN json_each(o.lines) line
        LEFT JOIN listings listing ON listing.connection = o.connection
             AND listing.external_id = json_extract(line.value, '$.listing_id')
        WHERE NOT o.deleted
        """,
    "postgresql": f"""
        CREATE VIEW order_lines AS
        SELECT {_COMMON}, line.position,
               line.value ->> 'line_id' AS line_id,
               line.value ->> 'kind' AS kind,
               line.value ->> 'part_of' AS part_of,
               line.value ->> 'listing_id' AS listing_id,
               coalesce(line.value ->> 'sku', listing.sku) AS sku,
               line.value ->> 'name' AS name,
               (line.value ->> 'quantity')::numeric AS quantity,
               (line.value ->> 'unit_price')::numeric AS unit_price,
               (line.value ->> 'discount_minor')::bigint AS discount_minor,
               (line.value ->> 'tax_minor')::bigint AS tax_minor,
               (line.value ->> 'total_minor')::bigint AS total_minor,
               coalesce(line.value ->> 'currency', o.currency) AS currency
        FROM orders o CROSS JOIN LATERAL jsonb_array_elements(o.lines::jsonb) WITH ORDINALITY AS line(value, position)
        LEFT JOIN listings listing ON listing.connection = o.connection
             AND listing.external_id = line.value ->> 'listing_id'
        WHERE NOT o.deleted
        """,
}
