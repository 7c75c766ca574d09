"""What the schema that gave products their details made of the old ones."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, insert, text

from app.stores.sql.engine import Database, open_database
from tests.stores.filling import values_for


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    with closing(open_database(empty_url)) as database:
        yield database


EXTRA = json.dumps(
    {
        "item": {"is_archived": True},
        "item_variation_vendor_infos": [
            {"item_variation_vendor_info_data": {"vendor_id": "S1", "sku": "s-1", "price_money": {"amount": 70}}}
        ],
    }
)


def _upgraded_listing(empty: Database, **fields: Any) -> Any:
    """A product as the schema before its details left it, in a category below another, after the upgrade."""
    empty.migrate("0018")
    with empty.begin() as conn:
        listings, categories, marks = (
            Table(name, MetaData(), autoload_with=conn) for name in ("listings", "categories", "watermarks")
        )
        blank = dict.fromkeys(("category", "supplier_id", "supplier_sku", "cost_minor", "extra"))
        told = {**values_for(listings), **blank, "category_id": "C2", "deleted": False, "row_hash": 9, **fields}
        conn.execute(insert(listings), told)
        for id_, parent, name in (("C1", None, "Home"), ("C2", "C1", "Bath")):
            named = {"external_id": id_, "parent_id": parent, "name": name, "deleted": False}
            conn.execute(insert(categories), {**values_for(categories), **named})
        conn.execute(insert(marks), [{**values_for(marks), "kind": kind} for kind in ("order", "product")])
    empty.migrate()
    with empty.read() as conn:
        return conn.execute(text("SELECT * FROM listings")).one()


def test_an_old_product_gets_the_name_and_the_path_of_its_category(empty: Database) -> None:
    found = _upgraded_listing(empty)
    assert (found.category, found.category_path) == ("Bath", "Home / Bath")


def test_an_old_product_that_tells_its_category_keeps_it(empty: Database) -> None:
    found = _upgraded_listing(empty, category="Tea", category_id=None)
    assert (found.category, found.category_path) == ("Tea", "Tea")


def test_an_old_product_gets_what_its_further_fields_tell(empty: Database) -> None:
    found = _upgraded_listing(empty, extra=EXTRA)
    assert (bool(found.archived), found.supplier_id, found.supplier_sku, found.cost_minor) == (True, "S1", "s-1", 70)


def test_old_products_will_be_read_anew(empty: Database) -> None:
    assert _upgraded_listing(empty).row_hash == 1
    with empty.read() as conn:
        assert conn.execute(text("SELECT kind FROM watermarks")).scalars().all() == ["order"]


def test_a_deleted_product_stays_as_deleted_as_it_was(empty: Database) -> None:
    assert _upgraded_listing(empty, deleted=True).row_hash == 9
