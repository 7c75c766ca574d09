"""What becomes of a product, a stock row, an order, a party: one claim per rule."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.domain import Listing, Order, StockCount, micros
from app.errors import BadAnswer, Unmappable
from app.sources.finale import mapping, orders
from app.sources.finale.columnar import Band, single
from app.sources.finale.mapping import Terms
from app.sources.finale.stock import Tally
from app.sources.finale.wire import minor, tail
from app.sources.values import moment

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def band(record: dict[str, Any]) -> Band:
    return single(json.dumps(record).encode())


def listing(terms: Terms = Terms(), **fields: Any) -> Listing:  # noqa: B008 (frozen)
    return mapping.products(band({"productUrl": "/demo/api/product/A", **fields}), terms, BEGAN)[0]


def order(**fields: Any) -> Order:
    return orders.orders(band({"orderUrl": "/demo/api/order/1", **fields}), Terms(), BEGAN)[0]


def counts(*rows: dict[str, Any]) -> list[StockCount]:
    tally = Tally()
    for row in rows:
        named = {"productUrl": "/demo/api/product/A", "facilityUrl": "/demo/api/facility/1", **row}
        tally.add(band(named))
    return sorted(tally.counts(BEGAN), key=lambda count: count.state)


def price(type_: str, amount: float | None = None, currency: str | None = "USD") -> dict[str, Any]:
    entry: dict[str, Any] = {"productPriceTypeId": type_, "currencyUomId": currency}
    return entry if amount is None else {**entry, "price": amount}


@pytest.mark.parametrize(
    ("url", "id_"),
    [
        ("/acct/api/product/4x8%20DJ%2015", "4x8%20DJ%2015"),
        ("/acct/api/product/A", "A"),
        ("/acct/api/product/A/", "A"),
        ("/acct/api/product/", None),
        ("/acct/api/product", None),
        ("/acct/api/product/api", "api"),
        ("/", None),
        (None, None),
    ],
)
def test_an_id_is_the_last_segment_as_it_came(url: str | None, id_: str | None) -> None:
    assert tail(url) == id_


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment("2026-04-01T15:06:46") == datetime(2026, 4, 1, 15, 6, 46, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("11.69", "USD", 1169),
        ("0.125", "USD", 12),
        ("0.135", "USD", 14),
        ("1500", "JPY", 1500),
        ("1.2345", "KWD", 1234),
        ("0.29", "EUR", 29),
        ("-3.005", "USD", -300),
        ("1e3", "USD", 100_000),
    ],
)
def test_money_is_exact_and_rounds_half_to_even(amount: str, currency: str, units: int) -> None:
    assert minor(Decimal(amount), currency) == units


@pytest.mark.parametrize(
    ("entries", "wanted", "units"),
    [
        ([price("##user2"), price("LIST_PRICE", 2), price("##user3", 3)], None, 200),
        ([price("##user2"), price("##user5", 0), price("##user6", 11.69)], None, None),
        ([price("##user2"), price("##user5", 0), price("##user6", 11.69)], "##user6", 1169),
        ([price("##user2"), price("##user5", 0), price("##user6", 11.69)], "##USER6", 1169),
        ([price("##user5", 0), price("##user6", 11.69)], "##user5", 0),
        ([price("LIST_PRICE", 2), price("##user3", 3)], "##user3", 300),
        ([price("LIST_PRICE", 2)], "##user3", None),
        ([price("##user2")], None, None),
        ([], None, None),
        (None, None, None),
    ],
)
def test_the_price_is_that_of_the_wanted_list_or_the_list_price_or_none(
    entries: Any, wanted: str | None, units: int | None
) -> None:
    assert listing(Terms(price_list=wanted), priceList=entries).price_minor == units


def test_a_price_has_the_currency_it_names() -> None:
    row = listing(priceList=[price("LIST_PRICE", 1500, "JPY")], cost=900)
    assert (row.price_minor, row.cost_minor, row.currency) == (1500, 900, "JPY")


def test_a_price_without_a_currency_has_the_accounts() -> None:
    assert listing(Terms(currency="EUR"), priceList=[price("LIST_PRICE", 1, None)]).currency == "EUR"


def test_all_prices_are_kept() -> None:
    entries = [price("##user2"), price("LIST_PRICE", 2.25)]
    assert json.loads(listing(priceList=entries).prices or "") == entries


def supplier(party: str, **fields: Any) -> dict[str, Any]:
    return {"supplierPartyUrl": f"/demo/api/partygroup/{party}", **fields}


def test_the_main_supplier_is_the_one_marked_main() -> None:
    row = listing(supplierList=[supplier("1"), supplier("2", supplierPrefOrderId="10_MAIN_SUPPL", leadTime=9)])
    assert (row.supplier_id, row.lead_time_days) == ("2", 9)


def test_without_a_mark_the_first_supplier_is_the_main_one() -> None:
    assert listing(supplierList=[supplier("1", supplierProductId="x"), supplier("2")]).supplier_sku == "x"


def test_a_blank_supplier_is_none() -> None:
    blank: dict[str, Any] = {"supplierPartyUrl": "", "supplierPrefOrderId": "10_MAIN_SUPPL", "leadTime": 3}
    row = listing(supplierList=[{}, blank, supplier("7", supplierProductId="x", leadTime=9)])
    assert (row.supplier_id, row.supplier_sku, row.lead_time_days) == ("7", "x", 9)


@pytest.mark.parametrize("url", ["/demo/api/partygroup/", "/demo/api/partygroup", " "])
def test_a_supplier_whose_url_has_no_id_is_none(url: str) -> None:
    row = listing(supplierList=[{"supplierPartyUrl": url, "leadTime": 3}, supplier("7", leadTime=9)])
    assert (row.supplier_id, row.lead_time_days) == ("7", 9)


def test_a_product_without_a_cost_of_its_own_costs_what_its_main_supplier_takes() -> None:
    entries = [supplier("1", price=3), supplier("2", supplierPrefOrderId="10_MAIN_SUPPL", price=9.25)]
    assert listing(supplierList=entries).cost_minor == 925


def test_the_products_own_cost_comes_before_its_suppliers_price() -> None:
    assert listing(supplierList=[supplier("1", price=3)], cost=0).cost_minor == 0


@pytest.mark.parametrize(("number", "text"), [("10024", "10024"), ("12.50", "12.50"), ("-7", "-7"), ("4e3", "4e3")])
@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("productId", "sku"),
        ("internalName", "name"),
        ("universalProductCode", "barcode"),
        ("longDescription", "description"),
        ("category", "category"),
    ],
)
def test_a_number_where_a_text_belongs_is_the_text_it_is_spelled_with(
    field: str, column: str, number: str, text: str
) -> None:
    row = single(f'{{"productUrl":"/demo/api/product/A","{field}":{number}}}'.encode())
    assert getattr(mapping.products(row, Terms(), BEGAN)[0], column) == text


def test_a_number_beside_texts_harms_none_of_them() -> None:
    columns = {"productUrl": ["/p/A", "/p/B", "/p/C"], "productId": ["10,024", 10024, None]}
    texts = {name: json.dumps(cells).encode() for name, cells in columns.items()}
    assert [product.sku for product in mapping.products(Band(3, texts), Terms(), BEGAN)] == ["10,024", "10024", None]


def test_a_number_as_a_suppliers_code_is_its_text() -> None:
    assert listing(supplierList=[supplier("1", supplierProductId=123)]).supplier_sku == "123"


def test_a_stock_row_may_spell_sku_lot_and_packing_as_numbers() -> None:
    row = {"productUrl": None, "productId": 77, "lotId": 5, "normalizedPackingString": 6, "quantityOnHand": 1}
    (result,) = counts(row)
    assert (result.listing_id, json.loads(result.extra or "")) == (
        "sku:77",
        [{"lot": "5", "packing": "6", "quantity": "1"}],
    )


def test_all_suppliers_are_kept_the_blank_ones_too() -> None:
    entries: list[Any] = [{}, supplier("7")]
    assert json.loads(listing(supplierList=entries).suppliers or "") == entries


def test_a_category_is_its_own_path() -> None:
    row = listing(category="Tea")
    assert (row.category, row.category_path) == ("Tea", "Tea")


def test_the_products_own_lead_time_counts_when_the_supplier_has_none() -> None:
    assert listing(supplierList=[supplier("1")], leadTime=14).lead_time_days == 14


def test_reorder_numbers_come_from_a_guideline() -> None:
    row = listing(reorderGuidelineList=[{"x": 1}, {"reorderPoint": 5, "reorderQuantity": 12.50}])
    assert (row.reorder_point, str(row.reorder_quantity)) == (Decimal(5), "12.5")


def test_reorder_numbers_come_from_the_top_level_when_no_guideline_has_any() -> None:
    assert listing(reorderGuidelineList=[{"x": 1}], reorderPoint="7").reorder_point == Decimal(7)


@pytest.mark.parametrize(
    ("status", "active"),
    [("PRODUCT_ACTIVE", True), (None, True), ("PRODUCT_INACTIVE", False), ("PRODUCT_ODD", False)],
)
def test_an_inactive_product_is_not_deleted(status: str | None, active: bool) -> None:
    row = listing(statusId=status)
    assert (row.active, row.deleted) == (active, False)


def test_an_unknown_status_stays_visible() -> None:
    assert json.loads(listing(statusId="PRODUCT_ODD").extra or "{}") == {"statusId": "PRODUCT_ODD"}


def test_units_of_weight_and_contents_of_an_unknown_shape_stay_in_extra() -> None:
    row = listing(weightUomId="WT_lb", contentList=[{"contentUrl": "/demo/api/content/1"}])
    assert (row.unit, row.images) == (None, None)
    assert json.loads(row.extra or "") == {
        "contentList": [{"contentUrl": "/demo/api/content/1"}],
        "weightUomId": "WT_lb",
    }


def test_a_field_nobody_maps_is_in_extra() -> None:
    assert listing(caliberString=".22", productStoreList=[], ceNumber=None).extra == '{"caliberString":".22"}'


def test_the_version_is_the_update_time() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    row = listing(lastUpdatedDate="2026-01-02T03:04:05")
    assert (row.version, row.modified_at) == (micros(at), at)


def test_the_version_without_an_update_time_is_when_the_read_began() -> None:
    assert (listing().version, listing().modified_at) == (micros(BEGAN), None)


def test_a_record_without_a_url_is_a_bad_answer() -> None:
    with pytest.raises(BadAnswer, match="productUrl is null"):
        mapping.products(band({"productUrl": None}), Terms(), BEGAN)


def test_a_price_that_is_no_number_is_unmappable() -> None:
    with pytest.raises(Unmappable, match="cost"):
        listing(cost="a lot")


@pytest.mark.parametrize(
    ("field", "state"),
    [("quantityOnHand", "on_hand"), ("quantityOnOrder", "on_order"), ("quantityReserved", "reserved")],
)
def test_each_quantity_is_a_state(field: str, state: str) -> None:
    zeros = {"quantityOnHand": 0, "quantityOnOrder": 0, "quantityReserved": 0}
    assert counts({**zeros, field: 4}) == [StockCount("A", "1", state, Decimal(4), version=micros(BEGAN))]


def test_rows_of_the_same_place_are_added_up() -> None:
    assert [count.quantity for count in counts({"quantityOnHand": 2.5}, {"quantityOnHand": 1.5})] == [Decimal(4)]


def test_a_row_without_any_quantity_contributes_nothing() -> None:
    assert counts({"quantityOnHand": 0, "quantityOnOrder": None}) == []


def test_lots_packings_and_orders_are_kept_in_an_order_of_their_own() -> None:
    rows = [{"quantityOnHand": 2, "lotId": "L_2"}, {"quantityOnHand": 1, "lotId": "L_1", "orderUrl": "/o/1"}]
    result = [{"lot": "L_1", "order": "/o/1", "quantity": "1"}, {"lot": "L_2", "quantity": "2"}]
    assert json.loads(counts(*rows)[0].extra or "") == result
    assert counts(*rows) == counts(*reversed(rows))


def test_a_stock_row_without_a_product_url_goes_by_its_sku() -> None:
    assert counts({"productUrl": None, "productId": "MUG", "quantityOnHand": 1})[0].listing_id == "sku:MUG"


@pytest.mark.parametrize(
    ("type_id", "type_"),
    [
        ("PURCHASE_ORDER", "purchase"),
        ("SALES_ORDER", "sale"),
        ("TRANSFER_ORDER", "transfer"),
        ("SALES_RETURN", "return"),
        ("WORK_ORDER", "work"),
        (None, "sale"),
    ],
)
def test_an_order_type_has_our_word(type_id: str | None, type_: str) -> None:
    assert order(orderTypeId=type_id).type == type_


def test_an_order_date_is_taken_as_it_stands() -> None:
    assert order(orderDate="2024-11-28T07:00:00").ordered_on == "2024-11-28"


def test_an_order_total_adds_lines_and_adjustments() -> None:
    lines = [{"quantity": 3, "unitPrice": 0.1}, {"quantity": 1}]
    assert order(orderItemList=lines, orderAdjustmentList=[{"amount": -0.05}, {}]).total_minor == 25


def test_an_order_without_any_amount_has_no_total() -> None:
    assert order(orderItemList=[{"quantity": 3}]).total_minor is None


def test_a_line_keeps_what_has_no_place_of_its_own() -> None:
    line = {"orderItemUrl": "/o/1/orderItem/00000001", "quantity": 1, "normalizedPackingString": "36 cs 36/1"}
    parsed = json.loads(order(orderItemList=[line]).lines or "")[0]
    assert (parsed["line_id"], parsed["extra"]) == ("00000001", {"normalizedPackingString": "36 cs 36/1"})


def test_a_purchase_is_of_its_supplier_and_for_its_destination() -> None:
    parsed = order(
        orderTypeId="PURCHASE_ORDER",
        destinationFacilityUrl="/demo/api/facility/10000",
        orderRoleList=[{"roleTypeId": "CUSTOMER", "partyId": "9"}, {"roleTypeId": "SUPPLIER", "partyId": "10001"}],
    )
    assert (parsed.party_id, parsed.location_id) == ("10001", "10000")


def test_a_vendor_has_the_mail_and_phone_of_its_contacts() -> None:
    contacts = [
        {"contactMechTypeId": "POSTAL_ADDRESS", "address1": "1 Main St"},
        {"contactMechTypeId": "EMAIL_ADDRESS", "infoString": "a@example.com"},
        {"contactMechTypeId": "TELECOM_NUMBER", "contactNumber": "555-0100"},
    ]
    row = {"partyUrl": "/p/1", "roleTypeIdList": ["SUPPLIER"], "contactMechList": contacts}
    result = mapping.vendors(band(row), BEGAN)[0]
    assert (result.email, result.phone) == ("a@example.com", "555-0100")


BLANKS = {"supplierPartyUrl": "", "supplierPrefOrderId": "", "supplierProductId": "", "leadTime": ""}


def test_a_supplier_whose_fields_are_all_empty_is_blank() -> None:
    row = listing(supplierList=[BLANKS, {"supplierPartyUrl": "/demo/api/partygroup/7", "leadTime": "3"}])
    assert (row.supplier_id, row.lead_time_days) == ("7", 3)


def test_an_empty_price_is_none() -> None:
    row = listing(priceList=[{"productPriceTypeId": "LIST_PRICE", "price": ""}])
    assert row.price_minor is None


def test_empty_numbers_of_a_reorder_guideline_are_none() -> None:
    row = listing(reorderGuidelineList=[{"reorderPoint": "", "reorderQuantity": ""}, {"reorderPoint": 5}])
    assert row.reorder_point == 5


def test_an_empty_price_harms_no_other_of_its_band() -> None:
    columns = {"productUrl": ["/p/A", "/p/B"], "priceList": [[price("LIST_PRICE", 0.1)], [price("LIST_PRICE")]]}
    columns["priceList"][1][0]["price"] = ""  # type: ignore[index]
    result = mapping.products(
        Band(2, {name: json.dumps(cells).encode() for name, cells in columns.items()}), Terms(), BEGAN
    )
    assert [one.price_minor for one in result] == [10, None]


@pytest.mark.parametrize("record", [mapping.locations, mapping.vendors])
def test_an_empty_status_says_no_more_than_none(record: Any) -> None:
    columns = {
        "facilityUrl": ["/f/1", "/f/2"],
        "partyUrl": ["/v/1", "/v/2"],
        "roleTypeIdList": [["SUPPLIER"], ["SUPPLIER"]],
        "statusId": ["", "ODD"],
    }
    row = record(Band(2, {name: json.dumps(cells).encode() for name, cells in columns.items()}), BEGAN)
    assert [one.active for one in row] == [True, False]
