"""One record of Square's that cannot be read harms only itself, and what the specification lets be null may be null."""

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest

from app.domain import BadRecord, Kind, Page, Ref, Scope, key_of
from app.errors import AuthRejected, VendorForbidden
from tests.sources.square.square_stub import (
    COUNTS,
    LOCATIONS,
    NOW,
    ORDERS,
    ORDERS_BY_ID,
    RETRIEVE,
    SEARCH,
    SHOP,
    VENDORS,
    VENDORS_BY_ID,
    Refusal,
    count,
    item,
    order,
    stub,
    variation,
)

HUGE = 99_999_999_999_999_999_999
GOOD_ITEM = item("I1", variation("V1"))
CATALOG_TIME = {"latest_time": "2026-05-03T00:00:00Z"}


def ids_and_failures(pages: Iterable[Page]) -> tuple[list[str], list[tuple[str, str]]]:
    """The first key fields of the records, and the failed ones with their items, of some pages."""
    read = list(pages)
    records = [key_of(record)[0] for page in read for record in page.records]
    return records, [(bad.external_id, bad.item_id) for page in read for bad in page.failed]


def failed(pages: Iterable[Page]) -> BadRecord:
    (result,) = (bad for page in pages for bad in page.failed)
    return result


BAD_VARIATIONS = [
    (variation("V2", data={"price_money": {"amount": HUGE}}), f"price_money.amount is {HUGE}"),
    (variation("V2", data={"sku": {"a": 1}}), 'sku is {"a":1}, expected a text'),
    (variation("V2", data={"inventory_alert_threshold": 2**63}), "inventory_alert_threshold is"),
    (variation("V2", version=-1), "version is -1"),
    (variation("V2", updated_at="at noon"), "at noon"),
    (variation("V2", item_variation_data=[1]), "item_variation_data is [1], expected an object"),
]


@pytest.mark.parametrize(("bad", "said"), BAD_VARIATIONS)
def test_a_bad_variation_harms_only_itself_in_a_full_read(bad: Any, said: str) -> None:
    things = [item("I1", variation("V1"), bad, variation("V3")), item("I2", variation("V4", "I2"))]
    pages = list(stub({SEARCH: {"objects": things, **CATALOG_TIME}}).full(Kind.PRODUCT))
    assert ids_and_failures(pages) == (["V1", "V3", "V4"], [("V2", "I1")])
    assert failed(pages).error.startswith("product V2: ")
    assert said in failed(pages).error


@pytest.mark.parametrize(("bad", "said"), BAD_VARIATIONS)
def test_a_bad_variation_harms_only_itself_in_a_fetch(bad: Any, said: str) -> None:
    answer = stub({RETRIEVE: {"objects": [item("I1", variation("V1"), bad)]}}).fetch([Ref(Kind.PRODUCT, "I1")])
    assert [key_of(record)[0] for record in answer.records] == ["V1"]
    assert [(bad.external_id, bad.owner) for bad in answer.failed] == [("V2", "I1")]
    assert list(answer.covers) == [Scope(Kind.PRODUCT, "parent_id", "I1")]


def test_a_number_longer_than_anybody_reads_harms_only_its_item() -> None:
    document = json.dumps({"objects": [item("I2", data={"name": "@"}), GOOD_ITEM]}).replace('"@"', "1" + 5000 * "0")
    assert ids_and_failures(stub({SEARCH: document.encode()}).full(Kind.PRODUCT))[0] == ["V1"]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
@pytest.mark.parametrize("depth", [300, 900, 1_000, 100_000])
def test_what_is_nested_deeper_than_anybody_reads_harms_only_its_item(depth: int, opening: str, closing: str) -> None:
    deep = f"{opening * depth}1{closing * depth}"
    document = json.dumps({"objects": [item("I2", data={"name": "@"}), GOOD_ITEM]}).replace('"@"', deep)
    pages = list(stub({SEARCH: document.encode()}).full(Kind.PRODUCT))
    assert ids_and_failures(pages) == (["V1"], [("I2", "")])
    assert re.search("name is |a field of it is nested", failed(pages).error)


@pytest.mark.parametrize("time", ["at noon", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_is_none_is_reported_by_its_field(time: str) -> None:
    answers = {
        COUNTS: {"counts": [count("V1", calculated_at=time)]},
        LOCATIONS: {"locations": [SHOP]},
        ORDERS: {"orders": [order("O1", updated_at=time)]},
        SEARCH: {"objects": [item("I1", variation("V1", updated_at=time))]},
        VENDORS: {"vendors": [{"id": "S1", "created_at": time}]},
    }
    source = stub(answers)
    fields = {
        Kind.STOCK: "calculated_at",
        Kind.ORDER: "updated_at",
        Kind.PRODUCT: "updated_at",
        Kind.VENDOR: "created_at",
    }
    for kind, field in fields.items():
        assert f': {field} is "{time}", expected ' in failed(source.full(kind)).error


def test_a_full_read_with_a_bad_record_has_its_watermark_and_its_claim() -> None:
    things = [GOOD_ITEM, item("I2", data={"name": 5})]
    last = list(stub({SEARCH: {"objects": things, **CATALOG_TIME}}).full(Kind.PRODUCT))[-1]
    assert (last.watermark, last.complete) == (CATALOG_TIME["latest_time"], Scope(Kind.PRODUCT))


def test_a_bad_item_is_one_failure_under_its_own_id() -> None:
    bad = item("I2", variation("V2", "I2"), variation("V3", "I2"), data={"name": 5})
    pages = list(stub({SEARCH: {"objects": [bad, GOOD_ITEM]}}).full(Kind.PRODUCT))
    assert ids_and_failures(pages) == (["V1"], [("I2", "")])
    assert pages[0].failed[0].error == "product I2: item_data.name is 5, expected a text"


@pytest.mark.parametrize(
    ("bad", "id_"),
    [
        (5, ""),
        (None, ""),
        ("x", ""),
        ([], ""),
        ({"type": "ITEM"}, ""),
        ({"id": "I9"}, "I9"),
        (item("I9", data={"variations": 5}), "I9"),
        (item("I9", version="new"), "I9"),
        (item("I9", is_deleted="perhaps"), "I9"),
        (item("I9", is_deleted=[True]), "I9"),
        (item("I9") | {"item_data": None}, "I9"),
    ],
)
def test_an_object_that_cannot_be_read_harms_no_other(bad: Any, id_: str) -> None:
    assert ids_and_failures(stub({SEARCH: {"objects": [bad, GOOD_ITEM]}}).full(Kind.PRODUCT)) == (["V1"], [(id_, "")])


@pytest.mark.parametrize("spelled", [{"is_deleted": "false"}, {"is_deleted": 0}, {"type": "Item"}, {"type": ""}])
def test_an_item_that_is_spelled_oddly_has_not_vanished(spelled: dict[str, Any]) -> None:
    assert ids_and_failures(
        stub({SEARCH: {"objects": [item("I1", variation("V1")) | spelled]}}).full(Kind.PRODUCT)
    ) == (
        ["V1"],
        [],
    )


def test_an_item_that_says_in_words_that_it_is_deleted_is() -> None:
    answer = stub({RETRIEVE: {"objects": [item("I1", variation("V1"), is_deleted="true")]}}).fetch(
        [Ref(Kind.PRODUCT, "I1")]
    )
    assert (list(answer.records), list(answer.failed)) == ([], [])


@pytest.mark.parametrize("id_", [None, "", 5, []])
def test_a_variation_without_a_readable_id_leaves_in_doubt_what_its_item_has(id_: Any) -> None:
    bad = item("I1", variation("V1"), variation("V2") | {"id": id_})
    objects = [bad, item("I8", is_deleted=True)]
    answer = stub({RETRIEVE: {"objects": objects}}).fetch([Ref(Kind.PRODUCT, "I1"), Ref(Kind.PRODUCT, "I8")])
    assert [scope.value for scope in answer.covers] == ["I8"]


@pytest.mark.parametrize("kind", [Kind.LOCATION, Kind.CATEGORY, Kind.VENDOR, Kind.PRODUCT, Kind.STOCK, Kind.ORDER])
def test_an_empty_id_is_none(kind: Kind) -> None:
    answers = {
        COUNTS: {"counts": [count("")]},
        LOCATIONS: {"locations": [SHOP, {"id": ""}]},
        ORDERS: {"orders": [order("")]},
        SEARCH: {
            "objects": [item("I1", variation(""))] if kind is Kind.PRODUCT else [{"type": "CATEGORY", "id": ""}]
        },
        VENDORS: {"vendors": [{"id": ""}]},
    }
    assert failed(stub(answers).full(kind)).error.endswith('id is "", expected an id')


def test_locations_read_for_one_say_nothing_of_others() -> None:
    answer = stub({LOCATIONS: {"locations": [SHOP]}}).fetch([Ref(Kind.LOCATION, "L2")])
    assert (list(answer.covers), [ref.external_id for ref in answer.gone]) == ([], ["L2"])


def test_without_any_location_none_is_gone() -> None:
    answer = stub({LOCATIONS: {}}).fetch([Ref(Kind.LOCATION, "L1")])
    assert (list(answer.covers), list(answer.gone)) == ([], [])


def test_an_item_whose_rows_cannot_be_told_is_not_covered() -> None:
    objects = [item("I9", data={"variations": 5}), item("I8", is_deleted=True)]
    answer = stub({RETRIEVE: {"objects": objects}}).fetch([Ref(Kind.PRODUCT, "I9"), Ref(Kind.PRODUCT, "I8")])
    assert [scope.value for scope in answer.covers] == ["I8"]
    assert [bad.owner for bad in answer.failed] == ["I9"]


def test_where_an_object_has_no_readable_id_no_other_counts_as_gone() -> None:
    bad = item("I9") | {"id": 9}
    answer = stub({RETRIEVE: {"objects": [bad]}}).fetch([Ref(Kind.PRODUCT, "I9")])
    assert not answer.covers


@pytest.mark.parametrize("objects", [[], [item("I2", variation("V2", "I2"))]])
@pytest.mark.parametrize("ref", [Ref(Kind.PRODUCT, "I1"), Ref(Kind.PRODUCT, "V1"), Ref(Kind.CATEGORY, "C1")])
def test_an_object_that_an_answer_leaves_out_is_not_gone(ref: Ref, objects: list[Any]) -> None:
    answer = stub({RETRIEVE: {"objects": objects}}).fetch([ref])
    assert (list(answer.gone), list(answer.covers), list(answer.not_yet)) == ([], [], [ref])


def test_an_item_of_which_only_a_variation_is_shown_is_not_gone() -> None:
    ref = Ref(Kind.PRODUCT, "V1")
    answer = stub({RETRIEVE: {"objects": [variation("V1")]}}).fetch([ref])
    assert (list(answer.covers), list(answer.failed), list(answer.not_yet)) == ([], [], [ref])


def test_a_variation_that_says_it_is_deleted_is_gone_though_its_item_is_not_shown() -> None:
    answer = stub({RETRIEVE: {"objects": [variation("V1", is_deleted=True)]}}).fetch([Ref(Kind.PRODUCT, "V1")])
    assert [(key_of(one)[0], one.deleted) for one in answer.records] == [("V1", True)]
    assert (list(answer.covers), list(answer.not_yet)) == ([], [])


def test_a_category_that_is_shown_as_something_else_is_gone() -> None:
    ref = Ref(Kind.CATEGORY, "C1")
    assert list(stub({RETRIEVE: {"objects": [item("C1")]}}).fetch([ref]).gone) == [ref]


def test_a_live_variation_without_an_item_is_no_tombstone() -> None:
    bare = {"type": "ITEM_VARIATION", "id": "V1", "item_variation_data": None}
    answer = stub({RETRIEVE: {"objects": [bare]}}).fetch([Ref(Kind.PRODUCT, "V1")])
    assert (list(answer.records), [bad.external_id for bad in answer.failed]) == ([], ["V1"])


NULL: Any = None
ENVELOPE = ("version", "updated_at", "is_deleted", "present_at_all_locations", "present_at_location_ids")
ITEM = ("description", "categories", "reporting_category", "category_id", "is_archived")
VARIATION = ("name", "sku", "upc", "price_money", "location_overrides", "inventory_alert_type", "vendor_information")


@pytest.mark.parametrize(
    "thing",
    [
        *(item("I1", variation("V1"), **{name: None}) for name in ENVELOPE),
        *(item("I1", variation("V1"), data={name: None}) for name in ITEM),
        *(item("I1", variation("V1", **{name: NULL})) for name in ENVELOPE),
        *(item("I1", variation("V1", data={name: None})) for name in VARIATION),
        item("I1", variation("V1", data={"price_money": {"amount": None, "currency": None}})),
        item("I1", variation("V1", data={"location_overrides": [None, {"location_id": None}]})),
        item("I1", variation("V1", data={"vendor_information": [{"unit_cost_money": None}, None]})),
        item("I1", variation("V1"), data={"categories": [None, {"id": None}]}),
        item("I1", variation("V1"), None),
    ],
)
def test_what_may_be_null_harms_no_listing(thing: Any) -> None:
    assert ids_and_failures(stub({SEARCH: {"objects": [thing]}}).full(Kind.PRODUCT)) == (["V1"], [])


def test_a_null_says_what_leaving_it_out_says() -> None:
    def read(**data: Any) -> Any:
        return list(stub({SEARCH: {"objects": [item("I1", variation("V1"), data=data)]}}).full(Kind.PRODUCT))

    assert read(is_archived=None)[0].records == read()[0].records


def test_an_amount_may_come_as_text() -> None:
    thing = item("I1", variation("V1", data={"price_money": {"amount": "150"}}))
    (page, _) = stub({SEARCH: {"objects": [thing]}}).full(Kind.PRODUCT)
    assert page.records[0].price_minor == 150  # type: ignore[union-attr]


def test_a_number_of_any_size_that_nobody_maps_is_kept() -> None:
    thing = item("I1", variation("V1", data={"odd": HUGE}))
    (page, _) = stub({SEARCH: {"objects": [thing]}}).full(Kind.PRODUCT)
    assert json.loads(page.records[0].extra or "")["odd"] == HUGE


@pytest.mark.parametrize("number", [b"1e400", b"NaN", b"-Infinity", b"1.5"])
def test_a_number_that_is_none_harms_only_its_record(number: bytes) -> None:
    body = json.dumps({"objects": [GOOD_ITEM, item("I2", variation("V2", "I2", {"price_money": {"amount": 7}}))]})
    answers = {SEARCH: body.encode().replace(b'"amount": 7', b'"amount": ' + number)}
    assert ids_and_failures(stub(answers).full(Kind.PRODUCT)) == (["V1"], [("V2", "I2")])


@pytest.mark.parametrize("text", [rb"a\u0000b", rb"a\ud83db", b"a\xffb", b"a\x00b", b"a\x01b"])
def test_a_text_that_no_database_holds_arrives_with_a_replacement(text: bytes) -> None:
    body = json.dumps({"objects": [item("I1", variation("V1"), data={"name": "NAME"})]}).encode()
    (page, _) = stub({SEARCH: body.replace(b"NAME", text)}).full(Kind.PRODUCT)
    assert page.records[0].name == "a\N{REPLACEMENT CHARACTER}b"  # type: ignore[union-attr]


def touched(*things: Any) -> list[Page]:
    source = stub({SEARCH: {"objects": list(things), **CATALOG_TIME}})
    return list(source.delta(Kind.PRODUCT, "2026-05-01T00:00:00Z"))


@pytest.mark.parametrize("bad", [{"type": "ITEM", "id": 5}, item("I9", version="new"), None, 7])
def test_a_bad_row_harms_no_other_hint(bad: Any) -> None:
    pages = touched(bad, GOOD_ITEM, variation("V5", "I5"))
    assert [change.external_id for change in pages[0].changes] == ["I1", "I5"]
    assert (len(pages[0].failed), pages[-1].watermark) == (1, CATALOG_TIME["latest_time"])


def test_a_bad_tombstone_harms_no_other() -> None:
    rows = [
        {"type": "ITEM_VARIATION", "id": id_, "is_deleted": True, "updated_at": at}
        for id_, at in (("V1", "at noon"), ("V2", "2026-05-01T00:00:00Z"))
    ]
    assert ids_and_failures(touched(*rows)) == (["V2"], [("V1", "")])


@pytest.mark.parametrize(
    ("since", "until"), [(None, None), (NOW.replace(year=2020), None), (NOW.replace(year=2020), NOW)]
)
def test_a_bad_variation_harms_only_itself_in_a_window(since: Any, until: Any) -> None:
    things = [item("I1", variation("V1"), variation("V2", data={"sku": 5})), {"type": "ITEM", "id": 7}, 8]
    records, bad = ids_and_failures(stub({SEARCH: {"objects": things}}).window(Kind.PRODUCT, since, until))
    assert (records, sorted(bad)) == (["V1"], [("", ""), ("", ""), ("V2", "I1")])


BAD_COUNTS = [
    ({"quantity": None}, "quantity is missing, expected a number"),
    ({"quantity": ""}, 'quantity is "", expected a number of at most 15 digits'),
    ({"quantity": "many"}, 'quantity is "many"'),
    ({"quantity": "1e15"}, "at most 15 digits"),
    ({"quantity": "NaN"}, "quantity is"),
    ({"calculated_at": "now"}, "now"),
    ({"location_id": None}, "location_id is missing, expected an id"),
    ({"state": 5}, "state is 5, expected a text"),
]


@pytest.mark.parametrize(("fields", "said"), BAD_COUNTS)
def test_a_bad_count_harms_only_itself(fields: dict[str, Any], said: str) -> None:
    source = stub({COUNTS: {"counts": [count("V1"), count("V2", **fields), count("V3")]}})
    for pages in (
        source.full(Kind.STOCK),
        source.delta(Kind.STOCK, "2026-04-01T00:00:00Z"),
        source.window(Kind.STOCK, None, None),
        [Page(answer.records, failed=answer.failed) for answer in [source.fetch([Ref(Kind.STOCK, "V2")])]],
    ):
        read = list(pages)
        assert ids_and_failures(read) == (["V1", "V3"], [("V2", "")])
        assert said in failed(read).error


def test_a_count_without_a_quantity_is_a_failure_and_the_watermark_moves() -> None:
    lacking = {name: value for name, value in count("V2").items() if name != "quantity"}
    source = stub({COUNTS: {"counts": [lacking, count("V1", calculated_at="2026-04-30T00:00:00Z")]}})
    assert list(source.delta(Kind.STOCK, "2026-04-01T00:00:00Z"))[-1].watermark == "2026-05-01T00:00:00Z"


def test_a_quantity_may_come_as_a_number() -> None:
    answer = stub({COUNTS: {"counts": [count("V1", quantity=2.5)]}}).fetch([Ref(Kind.STOCK, "V1")])
    assert str(answer.records[0].quantity) == "2.5"  # type: ignore[union-attr]


BAD_ORDERS = [
    (
        {"line_items": [{"uid": "u", "quantity": ""}]},
        'line_items[0].quantity is "", expected a number of at most 15 digits',
    ),
    ({"line_items": [{"uid": "u"}, {"uid": 5}]}, "line_items[1].uid is 5, expected a text"),
    ({"total_money": {"amount": HUGE}}, f"total_money.amount is {HUGE}, expected a whole number that fits 64 bits"),
    ({"created_at": "9999-12-31T23:59:59-10:00"}, "years 1 to 9999"),
    ({"updated_at": "once"}, "once"),
    ({"line_items": {"a": 1}}, 'line_items is {"a":1}, expected a list'),
]


@pytest.mark.parametrize(("fields", "said"), BAD_ORDERS)
def test_a_bad_order_harms_only_itself(fields: dict[str, Any], said: str) -> None:
    rows = {"orders": [order("O1"), order("O2", **fields), order("O3")]}
    source = stub({LOCATIONS: {"locations": [SHOP]}, ORDERS: rows, ORDERS_BY_ID: rows})
    for pages in (
        source.full(Kind.ORDER),
        source.delta(Kind.ORDER, None),
        source.delta(Kind.ORDER, "2026-04-01T00:00:00Z"),
        source.window(Kind.ORDER, None, None),
        [Page(answer.records, failed=answer.failed) for answer in [source.fetch([Ref(Kind.ORDER, "O2")])]],
    ):
        read = list(pages)
        assert ids_and_failures(read) == (["O1", "O3"], [("O2", "")])
        assert said in failed(read).error


def test_an_order_that_cannot_be_read_is_not_one_that_is_not_there_yet() -> None:
    source = stub({ORDERS_BY_ID: {"orders": [order("O2", updated_at="once")]}})
    answer = source.fetch([Ref(Kind.ORDER, "O2"), Ref(Kind.ORDER, "O9")])
    assert list(answer.not_yet) == [Ref(Kind.ORDER, "O9")]


def test_the_watermark_of_orders_moves_past_a_bad_one() -> None:
    rows = {"orders": [order("O2", line_items=5), order("O3", updated_at="once")]}
    source = stub({LOCATIONS: {"locations": [SHOP]}, ORDERS: rows})
    assert list(source.delta(Kind.ORDER, "2026-04-01T00:00:00Z"))[-1].watermark == "2026-05-02T00:00:00Z"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "", None])
def test_an_unknown_time_zone_is_utc_for_orders_and_visible_in_the_location(zone: Any) -> None:
    source = stub({LOCATIONS: {"locations": [SHOP | {"timezone": zone}]}, ORDERS: {"orders": [order("O1")]}})
    orders = [record for page in source.full(Kind.ORDER) for record in page.records]
    places = [record for page in source.full(Kind.LOCATION) for record in page.records]
    assert [(one.ordered_on, place.timezone) for one in orders for place in places] == [  # type: ignore[union-attr]
        ("2026-05-01", zone)
    ]


@pytest.mark.parametrize("bad", [SHOP | {"id": "L2", "name": 5}, SHOP | {"id": "L2", "timezone": ["x"]}])
def test_a_bad_location_harms_only_itself(bad: Any) -> None:
    source = stub({LOCATIONS: {"locations": [bad, SHOP]}, ORDERS: {"orders": [order("O1")]}})
    assert ids_and_failures(source.full(Kind.LOCATION)) == (["L1"], [("L2", "")])
    assert ids_and_failures(source.full(Kind.ORDER)) == (["O1"], [])


@pytest.mark.parametrize("bad", [{"name": "x"}, None, 5, {"id": None}])
def test_a_location_without_an_id_harms_neither_the_others_nor_their_orders(bad: Any) -> None:
    source = stub({LOCATIONS: {"locations": [bad, SHOP]}, ORDERS: {"orders": [order("O1")]}})
    assert ids_and_failures(source.full(Kind.LOCATION)) == (["L1"], [("", "")])
    assert ids_and_failures(source.full(Kind.ORDER)) == (["O1"], [])
    assert [id_ for _, id_ in source.order_ids(NOW.date(), NOW.date())] == []


def test_where_a_location_has_no_readable_id_none_counts_as_gone() -> None:
    answer = stub({LOCATIONS: {"locations": [{"name": "x"}]}}).fetch([Ref(Kind.LOCATION, "L1")])
    assert (list(answer.gone), list(answer.covers)) == ([], [])


def test_an_unknown_status_stays_visible() -> None:
    source = stub({LOCATIONS: {"locations": [SHOP | {"status": "RESTING"}]}})
    (page,) = source.full(Kind.LOCATION)
    assert json.loads(page.records[0].extra or "")["status"] == "RESTING"


SUPPLIER = {"id": "S1", "name": "Acme", "updated_at": "2026-05-01T00:00:00Z"}


@pytest.mark.parametrize(
    "contacts", [None, [None], [{"removed": None, "ordinal": None, "email_address": None, "phone_number": None}]]
)
def test_what_may_be_null_harms_no_vendor(contacts: Any) -> None:
    source = stub({VENDORS: {"vendors": [SUPPLIER | {"contacts": contacts, "status": None, "account_number": None}]}})
    assert ids_and_failures(source.full(Kind.VENDOR)) == (["S1"], [])


def test_a_bad_vendor_harms_only_itself() -> None:
    bad = SUPPLIER | {"id": "S2", "contacts": 5}
    replies = {id_: {"vendor": one} for id_, one in (("S1", SUPPLIER), ("S2", bad))}
    source = stub({VENDORS: {"vendors": [bad, SUPPLIER]}, VENDORS_BY_ID: {"responses": replies}})
    assert ids_and_failures(source.full(Kind.VENDOR)) == (["S1"], [("S2", "")])
    answer = source.fetch([Ref(Kind.VENDOR, "S1"), Ref(Kind.VENDOR, "S2")])
    assert ([record.external_id for record in answer.records], list(answer.gone)) == (["S1"], [])  # type: ignore[union-attr]
    assert answer.failed[0].error == "vendor S2: contacts is 5, expected a list"


@pytest.mark.parametrize(
    ("category", "outcome"),
    [("API_ERROR", ([Ref(Kind.VENDOR, "S2")], [])), ("INVALID_REQUEST_ERROR", ([], ["S2"]))],
)
def test_an_error_of_one_vendor_in_a_batch_concerns_that_one(category: str, outcome: Any) -> None:
    trouble = {"errors": [{"category": category, "code": "ODD"}]}
    source = stub({VENDORS_BY_ID: {"responses": {"S1": {"vendor": SUPPLIER}, "S2": trouble}}})
    answer = source.fetch([Ref(Kind.VENDOR, "S1"), Ref(Kind.VENDOR, "S2")])
    assert (list(answer.not_yet), [bad.external_id for bad in answer.failed]) == outcome
    assert (len(answer.records), list(answer.gone)) == (1, [])


def test_a_vendor_that_the_answer_leaves_out_is_not_gone() -> None:
    answer = stub({VENDORS_BY_ID: {}}).fetch([Ref(Kind.VENDOR, "S1")])
    assert (list(answer.gone), list(answer.not_yet)) == ([], [Ref(Kind.VENDOR, "S1")])


def category(id_: str, **data: Any) -> dict[str, Any]:
    return {"type": "CATEGORY", "id": id_, "version": 1, "category_data": {"name": "Tea", **data}}


def test_a_bad_category_harms_only_itself() -> None:
    rows = {"objects": [category("C1"), category("C2", name=5), category("C3", parent_category=None)]}
    source = stub({SEARCH: rows, RETRIEVE: rows})
    for pages in (
        source.full(Kind.CATEGORY),
        source.delta(Kind.CATEGORY, "2026-04-01T00:00:00Z"),
        [Page(answer.records, failed=answer.failed) for answer in [source.fetch([Ref(Kind.CATEGORY, "C2")])]],
    ):
        assert ids_and_failures(pages) == (["C1", "C3"], [("C2", "")])


SCOPES = {
    "errors": [
        {
            "category": "AUTHENTICATION_ERROR",
            "code": "INSUFFICIENT_SCOPES",
            "detail": "The merchant has not given VENDOR_READ.",
        }
    ]
}


@pytest.mark.parametrize("answer", [Refusal(403, SCOPES), SCOPES])
def test_a_missing_scope_is_forbidden_in_squares_words(answer: Any) -> None:
    with pytest.raises(
        VendorForbidden, match=r"/v2/vendors/search.*INSUFFICIENT_SCOPES: The merchant .* VENDOR_READ"
    ):
        list(stub({VENDORS: answer}).full(Kind.VENDOR))


@pytest.mark.parametrize("code", ["ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_REVOKED", "UNAUTHORIZED"])
def test_a_refused_token_is_reported_in_squares_words(code: str) -> None:
    body = {"errors": [{"category": "AUTHENTICATION_ERROR", "code": code, "detail": "no"}]}
    with pytest.raises(AuthRejected, match=f"{code}: no") as raised:
        stub({LOCATIONS: Refusal(401, body)}).check()
    assert not isinstance(raised.value, VendorForbidden)


@pytest.mark.parametrize("answer", [{"locations": [SHOP]}, Refusal(403, SCOPES), Refusal(429, {})])
def test_an_account_that_answers_passes_the_check(answer: Any) -> None:
    stub({LOCATIONS: answer}).check()


def test_the_account_is_the_merchant_of_its_locations() -> None:
    assert stub({LOCATIONS: {"locations": [None, SHOP]}}).account() == "M1"
