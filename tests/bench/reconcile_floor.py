"""The floor: the least a reconciliation can do for the same output rows, by hand, in straight lines, on bare drivers.

No pages, no bands, no error handling, no live writers to spare: one file at a time into memory, one transaction.
"""

import gc
import hashlib
import json
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from app.domain import UNKNOWN_WRITER, Kind, Listing, quantity
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.bulk import _copy_types
from app.stores.sql.columns import moment_text

EMPTY = {b"null", b"[]", b'""', b"{}"}
MAPPED = {
    *("productUrl", "productId", "internalName", "longDescription", "statusId", "category", "universalProductCode"),
    *("priceList", "supplierList", "reorderGuidelineList", "lastUpdatedDate"),
}
Row = tuple[Any, ...]


class Price(msgspec.Struct, gc=False):
    productPriceTypeId: str  # noqa: N815
    price: Decimal | None = None
    currencyUomId: str = "USD"  # noqa: N815


class Supplier(msgspec.Struct, gc=False):
    supplierPartyUrl: str  # noqa: N815
    supplierProductId: str  # noqa: N815
    leadTime: int  # noqa: N815


def run(folder: Path, url: str, connection: str) -> None:
    """Products, then stock."""
    gc.disable()
    _reconcile(url, connection, Kind.PRODUCT, folder / "product")
    _reconcile(url, connection, Kind.STOCK, folder / "inventoryitem")


def _reconcile(url: str, connection: str, kind: Kind, file: Path) -> None:
    read_at = datetime.now(UTC)
    on_sqlite = url.startswith("sqlite")
    driver: Any = sqlite3.connect(url.removeprefix("sqlite:///")) if on_sqlite else psycopg.connect(url)
    held = _held(driver, kind, connection, on_sqlite)
    rows = _products(file) if kind is Kind.PRODUCT else _stock(file, read_at)
    width = len(sql.shape(kind).keys)
    pack, digest, number, get = msgspec.msgpack.Encoder().encode, hashlib.blake2b, int.from_bytes, held.get
    differing = []
    for row in rows:
        hashed = number(digest(pack(row[:-2]), digest_size=8).digest(), "big", signed=True)
        if get(row[0] if width == 1 else "\x1f".join(row[:width])) != hashed:
            differing.append((*row, hashed))
    del rows, held
    differing.sort(key=lambda row: row[:width])
    put = _put_sqlite if on_sqlite else _put_postgresql
    put(driver, kind, connection, differing, read_at)
    driver.commit()
    driver.close()


def _held(driver: Any, kind: Kind, connection: str, on_sqlite: bool) -> dict[str, int]:
    keys = " || chr(31) || ".join(sql.shape(kind).keys)
    if on_sqlite:
        driver.execute("PRAGMA synchronous=NORMAL")
        wanted = f"SELECT {keys}, row_hash FROM {sql.shape(kind).table} WHERE connection = ?".replace("chr(", "char(")
        return dict(driver.execute(wanted, (connection,)))
    cursor = driver.cursor(binary=True)
    cursor.execute(f"SELECT {keys}, row_hash FROM {sql.shape(kind).table} WHERE connection = %s", (connection,))
    return dict(cursor.fetchall())


def _products(file: Path) -> list[Row]:
    columns = msgspec.json.decode(file.read_bytes(), type=dict[str, msgspec.Raw])

    def typed(name: str, type_: Any) -> Any:
        return msgspec.json.decode(columns[name], type=list[type_])

    def texts(name: str) -> list[str | None]:
        return [None if (cell := bytes(raw)) in EMPTY else cell.decode() for raw in typed(name, msgspec.Raw)]

    def labelled(name: str) -> list[bytes | None] | None:
        label, cells = f'"{name}":'.encode(), list(map(bytes, typed(name, msgspec.Raw)))
        return None if set(cells) <= EMPTY else [None if cell in EMPTY else label + cell for cell in cells]

    prices = [(round(e[0].price * 100), e[0].currencyUomId) for e in typed("priceList", list[Price])]
    mains = [e[0] for e in typed("supplierList", list[Supplier])]
    updated = [datetime.fromisoformat(t).replace(tzinfo=UTC) for t in typed("lastUpdatedDate", str)]
    unmapped = filter(None, [labelled(name) for name in sorted(columns) if name not in MAPPED])
    extras = [f"{{{b','.join(filter(None, row)).decode()}}}" for row in zip(*unmapped, strict=True)]
    categories = typed("category", str | None)  # they do not nest
    told = {
        "external_id": [u.rpartition("/")[2] for u in typed("productUrl", str)],
        "sku": typed("productId", str),
        "name": typed("internalName", str | None),
        "description": typed("longDescription", str | None),
        "active": [s == "PRODUCT_ACTIVE" for s in typed("statusId", str)],
        "category": categories,
        "category_path": categories,
        "barcode": typed("universalProductCode", str | None),
        "price_minor": [p for p, _ in prices],
        "cost_minor": [round(c * 100) for c in typed("cost", Decimal)],
        "currency": [c for _, c in prices],
        "prices": texts("priceList"),
        "supplier_id": [m.supplierPartyUrl.rpartition("/")[2] for m in mains],
        "supplier_sku": [m.supplierProductId for m in mains],
        "suppliers": texts("supplierList"),
        "lead_time_days": [m.leadTime for m in mains],
        "reorders": texts("reorderGuidelineList"),
        "extra": extras,
        "version": [int(u.timestamp()) * 1_000_000 for u in updated],
        "modified_at": updated,
    }
    empty = msgspec.structs.asdict(Listing(""))  # the columns that this source does not fill
    return list(zip(*(told.get(name, [empty[name]] * len(mains)) for name in empty), strict=True))


def _stock(file: Path, read_at: datetime) -> list[Row]:
    columns = msgspec.json.decode(file.read_bytes(), type=dict[str, msgspec.Raw])

    def typed(name: str, type_: Any) -> Any:
        return msgspec.json.decode(columns[name], type=list[type_])

    listings = [u.rpartition("/")[2] for u in typed("productUrl", str)]
    places = [u.rpartition("/")[2] for u in typed("facilityUrl", str)]
    details = list(
        zip(*(typed(n, str | None) for n in ("lotId", "normalizedPackingString", "orderUrl")), strict=True)
    )
    exact = lru_cache(quantity)
    version = int(read_at.timestamp() * 1_000_000)
    sums: dict[tuple[str, str, str], list[Any]] = {}
    columns_of = {"on_hand": "quantityOnHand", "on_order": "quantityOnOrder", "reserved": "quantityReserved"}
    for state, name in columns_of.items():
        for amount, listing, place, detail in zip(typed(name, Decimal), listings, places, details, strict=True):
            if amount:
                told = [{"l": detail, "q": amount}] if detail != (None, None, None) else []
                entry = sums.setdefault((listing, place, state), [Decimal(0), []])
                entry[0] += amount
                entry[1] += told
    return [
        (*key, exact(amount), _told(told, exact) if told else None, False, version, None)
        for key, (amount, told) in sums.items()
    ]


def _told(told: list[dict[str, Any]], exact: Any) -> str:
    names = ("lot", "packing", "order")
    rows = [{n: t for n, t in zip(names, e["l"], strict=True) if t} | {"quantity": str(exact(e["q"]))} for e in told]
    return json.dumps(rows, separators=(",", ":"))


def _put_sqlite(driver: Any, kind: Kind, connection: str, rows: list[Row], read_at: datetime) -> None:
    noted = (moment_text(read_at), moment_text(datetime.now(UTC)), UNKNOWN_WRITER)
    driver.executemany(sql.row_upsert(kind), ((connection, *row, *noted) for row in rows))


def _put_postgresql(driver: Any, kind: Kind, connection: str, rows: list[Row], read_at: datetime) -> None:
    columns = ", ".join((*sql.shape(kind).fields, "row_hash"))
    cursor = driver.cursor()
    cursor.execute(
        f"CREATE TEMP TABLE stage ON COMMIT DROP AS SELECT {columns} FROM {sql.shape(kind).table} WITH NO DATA"
    )
    with cursor.copy(f"COPY stage ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(_copy_types(kind))
        for row in rows:
            copy.write_row(row)
    cursor.execute(sql.staged_upsert(kind, "stage"), (connection, read_at, datetime.now(UTC), UNKNOWN_WRITER))
