"""One record of Finale's that cannot be read harms only itself."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain import BadRecord, Kind, Page, Ref, Scope, key_of
from app.errors import AuthRejected, Unavailable, VendorForbidden
from app.sources.finale import mapping
from app.sources.finale.columnar import Band, single
from app.sources.finale.isolation import readable
from app.sources.finale.mapping import Terms
from tests.sources.finale.finale_stub import (
    FACILITIES,
    NOW,
    ORDERS,
    PARTIES,
    PRODUCTS,
    STOCK,
    Refusal,
    columns,
    order,
    product,
    stock,
    stub,
)

HUGE = 99_999_999_999_999_999_999
REPLACED = "a\N{REPLACEMENT CHARACTER}b"


def ids_and_failures(pages: Iterable[Page]) -> tuple[list[str], list[str]]:
    """The first key fields of the records and of the failed ones."""
    read = list(pages)
    records = [key_of(record)[0] for page in read for record in page.records]
    return sorted(records), [bad.external_id for page in read for bad in page.failed]


def failed(pages: Iterable[Page]) -> BadRecord:
    (result,) = (bad for page in pages for bad in page.failed)
    return result


def price(amount: Any) -> list[dict[str, Any]]:
    return [{"productPriceTypeId": "LIST_PRICE", "price": amount}]


BAD_PRODUCTS = [
    ({"priceList": price(HUGE)}, f"priceList[0].price is {HUGE}, expected an amount that fits 64 bits of cents"),
    ({"priceList": price("NaN")}, "priceList[0].price is NaN, expected a number"),
    ({"priceList": price("dear")}, 'priceList[0].price is "dear", expected a number'),
    ({"priceList": 5}, "priceList is 5, expected a list"),
    ({"cost": HUGE}, f"cost is {HUGE}, expected an amount"),
    ({"cost": "a lot"}, 'cost is "a lot", expected a number'),
    ({"leadTime": 3_000_000_000}, "leadTime is 3000000000, expected a number that fits 32 bits"),
    ({"leadTime": "Infinity"}, "leadTime is Infinity"),
    ({"supplierList": [{"leadTime": "soon"}]}, 'supplierList[0].leadTime is "soon", expected a number'),
    (
        {"reorderGuidelineList": [{"reorderPoint": 10**15}]},
        f"the reorderPoint is {10**15}, expected a number of at most",
    ),
    ({"reorderGuidelineList": [{"reorderPoint": "x"}]}, 'reorderGuidelineList[0].reorderPoint is "x"'),
    ({"internalName": {"a": 1}}, 'internalName is {"a":1}, expected a text'),
    ({"productId": True}, "productId is true, expected a text"),
    ({"lastUpdatedDate": "yesterday"}, 'lastUpdatedDate is "yesterday", expected a time like'),
    ({"lastUpdatedDate": "0001-01-01T00:00:00+14:00"}, "lastUpdatedDate is"),
    ({"lastUpdatedDate": "9999-12-31T23:59:59-14:00"}, "lastUpdatedDate is"),
]


@pytest.mark.parametrize(("fields", "said"), BAD_PRODUCTS)
def test_a_bad_product_harms_only_itself(fields: dict[str, Any], said: str) -> None:
    rows = columns([product("A"), product("B", **fields), product("C")])
    source = stub({PRODUCTS: rows, "product/B": product("B", **fields)})
    fetched = source.fetch([Ref(Kind.PRODUCT, "B")])
    for pages in (
        source.full(Kind.PRODUCT),
        source.delta(Kind.PRODUCT, "2026-05-20T00:00:00"),
        source.window(Kind.PRODUCT, None, None),
        source.window(Kind.PRODUCT, datetime(2026, 4, 20, tzinfo=UTC), NOW),
    ):
        read = list(pages)
        assert ids_and_failures(read) == (["A", "C"], ["B"])
        assert failed(read).error.startswith(f"product B: {said}")
    assert ([bad.external_id for bad in fetched.failed], list(fetched.gone)) == (["B"], [])


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
@pytest.mark.parametrize("depth", [300, 900, 1_000, 100_000])
def test_what_is_nested_deeper_than_anybody_reads_harms_only_its_product(
    depth: int, opening: str, closing: str
) -> None:
    deep = f"{opening * depth}1{closing * depth}"
    rows = json.dumps(columns([product("A"), product("B", internalName="@"), product("C")])).replace('"@"', deep)
    pages = list(stub({PRODUCTS: rows.encode()}).full(Kind.PRODUCT))
    assert ids_and_failures(pages) == (["A", "C"], ["B"])
    assert "internalName is " in failed(pages).error


def test_a_full_read_with_a_bad_product_has_its_watermark_and_its_claim() -> None:
    rows = columns([product("A", lastUpdatedDate="2026-05-31T10:00:00"), product("B", cost="a lot")])
    last = list(stub({PRODUCTS: rows}).full(Kind.PRODUCT))[-1]
    assert (last.watermark, last.complete) == ("2026-05-31T12:00:00", Scope(Kind.PRODUCT))


def test_the_watermark_moves_past_a_bad_product() -> None:
    rows = columns([product("B", cost="a lot", lastUpdatedDate="2026-06-01T10:00:00")])
    assert (
        list(stub({PRODUCTS: rows}).delta(Kind.PRODUCT, "2026-05-31T12:00:00"))[-1].watermark == "2026-06-01T10:00:00"
    )


@pytest.mark.parametrize("url", [None, 5, "", {"a": 1}])
def test_a_record_without_a_readable_id_harms_no_other(url: Any) -> None:
    for collection, kind, row in (
        (PRODUCTS, Kind.PRODUCT, product("A")),
        (FACILITIES, Kind.LOCATION, {"facilityUrl": "/demo/api/facility/A"}),
        (PARTIES, Kind.VENDOR, {"partyUrl": "/demo/api/partygroup/A", "roleTypeIdList": ["SUPPLIER"]}),
    ):
        bad = {**row, next(iter(row)): url}
        source = stub({collection: columns([bad, row])})
        assert ids_and_failures(source.full(kind)) == (["A"], [""]), kind


@pytest.mark.parametrize("number", ["1e400", "1" + 5000 * "0", "NaN", "1.5"])
@pytest.mark.parametrize("field", ["orderUrl", "lastUpdatedDate", "orderDate"])
def test_a_number_that_nobody_reads_harms_only_its_order(field: str, number: str) -> None:
    rows = columns([order("1"), order("2", **{field: "@"}), order("3")])
    document = json.dumps(rows).replace('"@"', number).encode()
    assert {"1", "3"} <= set(ids_and_failures(stub({ORDERS: document}).full(Kind.ORDER))[0])


def test_a_product_asked_for_by_its_sku_fails_as_that_item() -> None:
    source = stub({PRODUCTS: columns([product("10001", productId="MUG", cost="a lot")])})
    answer = source.fetch([Ref(Kind.PRODUCT, "sku:MUG")])
    assert [(bad.external_id, bad.owner) for bad in answer.failed] == [("10001", "sku:MUG")]
    assert not answer.gone


def test_nulls_in_lists_say_nothing() -> None:
    row = product("A", priceList=[None, *price(2)], supplierList=[None], reorderGuidelineList=[None])
    (page, _) = stub({PRODUCTS: columns([row])}).full(Kind.PRODUCT)
    assert page.records[0].price_minor == 200  # type: ignore[union-attr]


def test_a_null_among_the_lines_of_an_order_says_nothing() -> None:
    row = order("1", orderItemList=[None, {"quantity": 2, "unitPrice": 3}])
    (page, _) = stub({ORDERS: columns([row])}).full(Kind.ORDER)
    assert page.records[0].total_minor == 600  # type: ignore[union-attr]


@pytest.mark.parametrize(("url", "said"), [(5, "5"), (None, "null"), ("", '""'), ([], "[]")])
def test_a_record_without_a_readable_url_is_shown_by_what_stands_there(url: Any, said: str) -> None:
    pages = list(
        stub({FACILITIES: columns([{"facilityUrl": url}, {"facilityUrl": "/a/api/facility/A"}])}).full(Kind.LOCATION)
    )
    assert (
        failed(pages).error
        == f"a location without a readable id: facilityUrl is {said}, expected the URL of a record"
    )


@pytest.mark.parametrize("number", [b"NaN", b"1e400", b"-Infinity"])
def test_a_number_that_is_none_harms_only_its_record(number: bytes) -> None:
    body = json.dumps(columns([product("A", cost=1), product("B", cost=7)])).encode()
    pages = stub({PRODUCTS: body.replace(b"[1, 7]", b"[1, " + number + b"]")}).full(Kind.PRODUCT)
    assert ids_and_failures(pages) == (["A"], ["B"])


@pytest.mark.parametrize("text", [rb"a\u0000b", rb"a\ud83db", b"a\xffb", b"a\x00b", b"a\x01b"])
@pytest.mark.parametrize("path", ["full", "fetch"])
def test_a_text_that_no_database_holds_arrives_with_a_replacement(text: bytes, path: str) -> None:
    listed = json.dumps(columns([product("A", internalName="NAME")])).encode().replace(b"NAME", text)
    alone = json.dumps(product("A", internalName="NAME")).encode().replace(b"NAME", text)
    source = stub({PRODUCTS: listed, "product/A": alone})
    read = source.fetch([Ref(Kind.PRODUCT, "A")]) if path == "fetch" else next(iter(source.full(Kind.PRODUCT)))
    assert read.records[0].name == REPLACED  # type: ignore[union-attr]


BAD_STOCK = [
    (
        {"facilityUrl": None, "quantityOnHand": 0, "quantityOnOrder": 12},
        "facilityUrl is null, expected the URL of a facility (12 on_order)",
    ),
    ({"quantityOnHand": "some"}, 'quantityOnHand is "some", expected a number'),
    ({"quantityOnHand": 10**15}, f"quantityOnHand is {10**15}, expected a number of at most 15 digits"),
    ({"quantityOnHand": "NaN"}, "quantityOnHand is NaN"),
    ({"quantityOnHand": "sNaN"}, "quantityOnHand is sNaN"),
    ({"facilityUrl": 5}, "facilityUrl is 5, expected a text"),
    ({"lotId": [1]}, "lotId is [1], expected a text"),
]


@pytest.mark.parametrize(("fields", "said"), BAD_STOCK)
def test_a_bad_stock_row_harms_only_its_product_at_its_place(fields: dict[str, Any], said: str) -> None:
    rows = [stock("A"), stock("B", "1"), stock("B", "2", **fields), stock("C")]
    source = stub({STOCK: columns(rows)})
    pages = list(source.full(Kind.STOCK))
    assert ids_and_failures(pages) == (["A", "B", "C"], ["B"])
    assert failed(pages).error.startswith(f"stock B: {said}")
    assert pages[-1].complete is not None
    assert [bad.external_id for bad in source.fetch([Ref(Kind.STOCK, "*")]).failed] == ["B"]


def test_a_sum_of_which_a_row_is_unreadable_is_not_delivered() -> None:
    rows = [stock("A"), stock("B", quantityOnHand=4), stock("B", quantityOnHand="some"), stock("B", "2")]
    pages = list(stub({STOCK: columns(rows)}).full(Kind.STOCK))
    assert sorted(key_of(record) for page in pages for record in page.records) == [
        ("A", "1", "on_hand"),
        ("B", "2", "on_hand"),
    ]


def test_a_stock_row_of_no_product_is_a_failure_without_an_id() -> None:
    rows = [stock("A"), stock("B", productUrl=None)]
    assert ids_and_failures(stub({STOCK: columns(rows)}).full(Kind.STOCK)) == (["A"], [""])


@pytest.mark.parametrize("url", [5, {}, True])
def test_a_stock_row_of_an_unreadable_product_leaves_in_doubt_which_one_it_is(url: Any) -> None:
    rows = [stock("A"), stock("B", productUrl=url, productId="MUG")]
    assert ids_and_failures(stub({STOCK: columns(rows)}).full(Kind.STOCK)) == (["A"], [""])


def test_stock_read_for_one_product_says_nothing_of_others() -> None:
    answer = stub({STOCK: columns([stock("A")])}).fetch([Ref(Kind.STOCK, "B")])
    assert [(scope.field, scope.value) for scope in answer.covers] == [("listing_id", "B")]


def test_stock_without_any_row_says_nothing_of_the_product_it_was_read_for() -> None:
    assert not stub({STOCK: {}}).fetch([Ref(Kind.STOCK, "B")]).covers


BAD_ORDERS = [
    ({"orderItemList": [{"quantity": "some"}]}, 'orderItemList[0].quantity is "some", expected a number'),
    ({"orderItemList": [{"quantity": 1}, 5]}, "orderItemList[1] is 5, expected an object"),
    ({"orderItemList": [{"quantity": 1, "unitPrice": HUGE}]}, f"the total is {HUGE}"),
    ({"orderItemList": [{"quantity": 1, "unitPrice": "1e999999999"}]}, 'orderItemList[0].unitPrice is "1e999999999"'),
    ({"orderAdjustmentList": [{"amount": "1e999999999"}]}, 'an adjustment\'s amount is "1e999999999"'),
    ({"orderItemList": 5}, "orderItemList is 5, expected a list"),
    ({"orderItemList": [{"quantity": 10**15}]}, f"orderItemList[0].quantity is {10**15}"),
    ({"orderDate": "soon"}, 'orderDate is "soon", expected a day'),
    ({"statusId": [1]}, "statusId is [1], expected a text"),
]


@pytest.mark.parametrize(("fields", "said"), BAD_ORDERS)
def test_a_bad_order_harms_only_itself(fields: dict[str, Any], said: str) -> None:
    rows = columns([order("1"), order("2", **fields), order("3")])
    source = stub({ORDERS: rows, "order/2": order("2", **fields)})
    for pages in (source.full(Kind.ORDER), source.delta(Kind.ORDER, "2026-05-20T00:00:00")):
        read = list(pages)
        assert ids_and_failures(read) == (["1", "3"], ["2"])
        assert failed(read).error.startswith(f"order 2: {said}")
        assert not [change for page in read for change in page.changes]
    assert [bad.external_id for bad in source.fetch([Ref(Kind.ORDER, "2")]).failed] == ["2"]


@pytest.mark.parametrize("fields", [{"orderUrl": 5}, {"lastUpdatedDate": "once"}, {"lastUpdatedDate": 5}])
def test_a_bad_header_harms_no_other_hint(fields: dict[str, Any]) -> None:
    rows = [{**row, "orderItemList": None} for row in (order("1"), order("2", **fields), order("3"))]
    pages = list(stub({ORDERS: columns(rows)}).full(Kind.ORDER))
    assert [change.external_id for page in pages for change in page.changes] == ["1", "3"]
    assert len([bad for page in pages for bad in page.failed]) == 1


@pytest.mark.parametrize("fields", [{"orderUrl": None}, {"orderDate": "soon"}, {"orderDate": 5}])
def test_a_bad_order_harms_no_other_order_of_its_day(fields: dict[str, Any]) -> None:
    source = stub({ORDERS: columns([order("1"), order("2", **fields), order("3")])})
    days = source.order_ids(datetime(2026, 5, 29, tzinfo=UTC).date(), NOW.date())
    assert sorted(id_ for _, id_ in days) == ["1", "3"]


@pytest.mark.parametrize(
    ("collection", "kind", "good", "bad"),
    [
        (FACILITIES, Kind.LOCATION, {"facilityUrl": "/f/1"}, {"facilityUrl": "/f/2", "facilityName": [1]}),
        (FACILITIES, Kind.LOCATION, {"facilityUrl": "/f/1"}, {"facilityUrl": "/f/2", "parentFacilityUrl": {}}),
        (
            PARTIES,
            Kind.VENDOR,
            {"partyUrl": "/p/1", "roleTypeIdList": ["SUPPLIER"]},
            {"partyUrl": "/p/2", "roleTypeIdList": ["SUPPLIER"], "groupName": {}},
        ),
        (
            PARTIES,
            Kind.VENDOR,
            {"partyUrl": "/p/1", "roleTypeIdList": ["SUPPLIER"]},
            {"partyUrl": "/p/2", "roleTypeIdList": 5},
        ),
    ],
)
def test_a_bad_place_or_party_harms_only_itself(collection: str, kind: Kind, good: Any, bad: Any) -> None:
    pages = list(stub({collection: columns([good, bad])}).full(kind))
    assert ids_and_failures(pages) == (["1"], ["2"])
    assert pages[-1].complete == Scope(kind)


def test_a_bad_customer_is_nobodys_failure() -> None:
    rows = [{"partyUrl": "/p/2", "roleTypeIdList": ["CUSTOMER"], "groupName": {}}]
    assert ids_and_failures(stub({PARTIES: columns(rows)}).full(Kind.VENDOR)) == ([], [])


def test_a_name_that_is_a_number_is_its_text() -> None:
    (page, _) = stub({FACILITIES: columns([{"facilityUrl": "/f/1", "facilityName": 12}])}).full(Kind.LOCATION)
    assert page.records[0].name == "12"  # type: ignore[union-attr]


def counted(read: Callable[[Band], list[Any]]) -> tuple[Callable[[Band], list[Any]], list[int]]:
    sizes: list[int] = []

    def reading(band: Band) -> list[Any]:
        sizes.append(band.rows)
        return read(band)

    return reading, sizes


def test_a_band_without_a_bad_row_is_read_once() -> None:
    reading, sizes = counted(lambda band: mapping.products(band, Terms(), NOW))
    readable(Kind.PRODUCT, "productUrl", single(json.dumps(product("A")).encode()), reading)
    assert sizes == [1]


def test_one_bad_row_of_many_costs_two_readings_for_each_halving() -> None:
    rows = [product(str(index), cost="a lot" if index == 700 else 1) for index in range(1024)]
    source = stub({PRODUCTS: columns(rows)})
    band = source._client.collection("product")[0]
    reading, sizes = counted(lambda part: mapping.products(part, Terms(), NOW))
    result = readable(Kind.PRODUCT, "productUrl", band, reading)
    assert ([record.external_id for record in result.records], len(sizes)) == (
        [str(index) for index in range(1024) if index != 700],
        21,
    )


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            Refusal(403, b'{"msg":"no permission to view products"}'),
            VendorForbidden,
            "no permission to view products",
        ),
        (Refusal(401, b'{"errorMessage":"key revoked"}'), AuthRejected, "key revoked"),
        (Refusal(401, b"<html><title>Trial expired</title></html>", "text/html"), AuthRejected, "Trial expired"),
        (Refusal(200, b"<html>Your trial has expired</html>", "text/html"), AuthRejected, "Your trial has expired"),
        (Refusal(200, b"<html>Please log in</html>", "text/html"), AuthRejected, "Please log in"),
    ],
)
def test_a_refusal_carries_finales_own_words(answer: Refusal, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=f"GET /demo/api/product/.*{said}") as raised:
        list(stub({PRODUCTS: answer}).full(Kind.PRODUCT))
    assert type(raised.value) is error


COMPANY = "partygroup/PRIMARY"


@pytest.mark.parametrize(
    "answer", [{"partyUrl": "/demo/api/partygroup/PRIMARY"}, Refusal(404), Refusal(403), Refusal(429)]
)
def test_an_account_that_answers_passes_the_check(answer: Any) -> None:
    stub({COMPANY: answer}).check()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Refusal(401), AuthRejected),
        (Refusal(302), AuthRejected),
        (Refusal(200, b"<p>log in</p>"), AuthRejected),
        (Refusal(503), Unavailable),
    ],
)
def test_an_account_that_refuses_us_or_is_down_fails_the_check(answer: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        stub({COMPANY: answer}).check()
