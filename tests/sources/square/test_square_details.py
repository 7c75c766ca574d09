"""What an item only names by an id is told by name: categories, images, units, options, modifiers and taxes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain import Kind, Listing, Ref
from tests.sources.square.square_stub import LOCATIONS, RETRIEVE, SEARCH, Refusal, by_ids, item, stub, variation

HOME = {"type": "CATEGORY", "id": "C1", "version": 9, "category_data": {"name": "Home"}}
BATH = {
    "type": "CATEGORY",
    "id": "C2",
    "version": 9,
    "category_data": {
        "name": "Bath",
        "parent_category": {"id": "C1"},
        "path_to_root": [{"category_id": "C1", "category_name": "Home"}],
    },
}
IN_BATH = {"categories": [{"id": "C2"}]}


def fetched(thing: dict[str, Any], *related: Any, **answers: Any) -> Listing:
    """The only listing of an item, among related objects."""
    source = stub({RETRIEVE: {"objects": [thing, *related]}, **answers})
    (record,) = source.fetch([Ref(Kind.PRODUCT, thing["id"])]).records
    assert isinstance(record, Listing)
    return record


def test_a_listing_shows_the_name_of_its_category() -> None:
    assert fetched(item("I1", variation("V1"), data=IN_BATH), BATH).category == "Bath"


def test_a_listing_shows_the_path_to_its_category_from_the_root_down() -> None:
    assert fetched(item("I1", variation("V1"), data=IN_BATH), BATH).category_path == "Home / Bath"


def test_a_category_at_the_top_is_its_own_path() -> None:
    assert fetched(item("I1", variation("V1"), data={"categories": [{"id": "C1"}]}), HOME).category_path == "Home"


def test_of_an_unknown_category_only_the_id_is_shown() -> None:
    row = fetched(item("I1", variation("V1"), data=IN_BATH))
    assert (row.category_id, row.category, row.category_path) == ("C2", None, None)


def test_a_full_read_shows_the_names_of_categories() -> None:
    answers = {SEARCH: {"objects": [item("I1", variation("V1"), data=IN_BATH)]}, RETRIEVE: {"objects": [BATH]}}
    first = next(iter(stub(answers).full(Kind.PRODUCT)))
    assert [record.category for record in first.records] == ["Bath"]  # type: ignore[union-attr]


def test_an_unreadable_category_does_not_harm_the_listing() -> None:
    odd = {
        "type": "CATEGORY",
        "id": "C2",
        "category_data": {"name": 7, "path_to_root": [None, {"category_id": 3}, "x"]},
    }
    row = fetched(item("I1", variation("V1"), data=IN_BATH), odd)
    assert (row.sku, row.category) == ("SKU-V1", None)


def test_a_listing_mentions_its_category_and_those_above() -> None:
    mentions = fetched(item("I1", variation("V1"), data=IN_BATH), BATH).mentions
    assert json.loads(mentions or "[]") == ["C1", "C2"]


def test_an_item_that_mentions_nothing_is_one_call() -> None:
    source = stub({RETRIEVE: {"objects": [item("I1", variation("V1"))]}})
    source.fetch([Ref(Kind.PRODUCT, "I1")])
    assert source.calls() == 1


def test_a_category_that_several_pages_mention_is_asked_for_once() -> None:
    thing = item("I1", variation("V1"), data=IN_BATH)
    answers = {SEARCH: {"objects": [thing]}, RETRIEVE: {"objects": [BATH]}}
    source = stub(answers)
    list(source.full(Kind.PRODUCT))
    assert source.calls() == 2


# images, units, options, modifiers, taxes

UNIT = {"type": "MEASUREMENT_UNIT", "id": "U1", "measurement_unit_data": {"precision": 2}}
POUND = {"measurement_unit": {"weight_unit": "IMPERIAL_POUND", "type": "TYPE_WEIGHT"}, "precision": 2}
SIZE = {
    "type": "ITEM_OPTION",
    "id": "O1",
    "item_option_data": {
        "name": "Size",
        "values": [
            {"type": "ITEM_OPTION_VAL", "id": "OV1", "item_option_value_data": {"name": "Small"}},
            {"type": "ITEM_OPTION_VAL", "id": "OV2", "item_option_value_data": {"name": "Large"}},
        ],
    },
}
MILK = {
    "type": "MODIFIER_LIST",
    "id": "M1",
    "modifier_list_data": {
        "name": "Milk",
        "selection_type": "SINGLE",
        "modifiers": [
            {
                "type": "MODIFIER",
                "id": "MO1",
                "modifier_data": {"name": "Oat", "price_money": {"amount": 50, "currency": "USD"}},
            }
        ],
    },
}
SALES_TAX = {
    "type": "TAX",
    "id": "T1",
    "tax_data": {"name": "Sales tax", "percentage": "8.5", "inclusion_type": "ADDITIVE", "enabled": True},
}


def image(id_: str) -> dict[str, Any]:
    return {"type": "IMAGE", "id": id_, "image_data": {"name": f"Photo {id_}", "url": f"https://x.example/{id_}.jpg"}}


def test_a_listing_shows_its_images_the_variations_own_first() -> None:
    thing = item("I1", variation("V1", data={"image_ids": ["P2"]}), data={"image_ids": ["P1"]})
    images = json.loads(fetched(thing, image("P1"), image("P2")).images or "[]")
    assert [(one["id"], one["url"]) for one in images] == [
        ("P2", "https://x.example/P2.jpg"),
        ("P1", "https://x.example/P1.jpg"),
    ]


def test_a_unit_is_shown_as_people_write_it() -> None:
    thing = item("I1", variation("V1", data={"measurement_unit_id": "U1"}))
    row = fetched(thing, {**UNIT, "measurement_unit_data": POUND})
    assert (row.unit, row.unit_precision) == ("lb", 2)


@pytest.mark.parametrize("said", [{}, {"precision": None}])
def test_a_unit_that_shows_no_precision_has_squares_default(said: dict[str, Any]) -> None:
    thing = item("I1", variation("V1", data={"measurement_unit_id": "U1"}))
    unit = {"measurement_unit": POUND["measurement_unit"], **said}
    assert fetched(thing, {**UNIT, "measurement_unit_data": unit}).unit_precision == 3


def test_what_has_no_unit_has_no_precision() -> None:
    assert fetched(item("I1", variation("V1"))).unit_precision is None


def test_a_unit_of_the_merchants_own_has_its_name() -> None:
    own = {"measurement_unit": {"custom_unit": {"name": "Bundle", "abbreviation": "bdl"}}, "precision": 0}
    thing = item("I1", variation("V1", data={"measurement_unit_id": "U1"}))
    row = fetched(thing, {**UNIT, "measurement_unit_data": own})
    assert (row.unit, row.unit_precision) == ("Bundle", 0)


def test_options_have_the_names_of_option_and_value() -> None:
    chosen = {"item_option_values": [{"item_option_id": "O1", "item_option_value_id": "OV2"}]}
    thing = item("I1", variation("V1", data=chosen), data={"item_options": [{"item_option_id": "O1"}]})
    assert json.loads(fetched(thing, SIZE).options or "[]") == [
        {"id": "O1", "name": "Size", "value_id": "OV2", "value": "Large"}
    ]


def test_modifier_lists_show_what_can_be_chosen_and_what_it_costs() -> None:
    thing = item("I1", variation("V1"), data={"modifier_list_info": [{"modifier_list_id": "M1"}]})
    assert json.loads(fetched(thing, MILK).modifiers or "[]") == [
        {
            "id": "M1",
            "name": "Milk",
            "selection": "SINGLE",
            "modifiers": [{"id": "MO1", "name": "Oat", "price_minor": 50, "currency": "USD"}],
        }
    ]


def test_a_modifier_list_that_is_off_for_the_item_is_not_shown() -> None:
    thing = item("I1", variation("V1"), data={"modifier_list_info": [{"modifier_list_id": "M1", "enabled": False}]})
    assert fetched(thing, MILK).modifiers is None


def test_taxes_have_names_and_percentages() -> None:
    thing = item("I1", variation("V1"), data={"tax_ids": ["T1"]})
    assert json.loads(fetched(thing, SALES_TAX).taxes or "[]") == [
        {"id": "T1", "name": "Sales tax", "percentage": "8.5", "inclusion": "ADDITIVE"}
    ]


def test_what_is_unknown_is_shown_by_its_id() -> None:
    thing = item("I1", variation("V1"), data={"tax_ids": ["T1"]})
    assert json.loads(fetched(thing).taxes or "[]") == [{"id": "T1"}]


def test_ids_of_an_odd_shape_harm_nothing() -> None:
    odd = {"image_ids": "P1", "tax_ids": [7, None], "modifier_list_info": {"a": 1}, "item_options": [3]}
    thing = item("I1", variation("V1", data={"image_ids": [{}], "item_option_values": ["x"]}), data=odd)
    assert fetched(thing).sku == "SKU-V1"


def test_mentions_are_all_that_names_come_from() -> None:
    data = {**IN_BATH, "image_ids": ["P1"], "tax_ids": ["T1"], "modifier_list_info": [{"modifier_list_id": "M1"}]}
    own = {
        "measurement_unit_id": "U1",
        "item_option_values": [{"item_option_id": "O1", "item_option_value_id": "OV2"}],
    }
    row = fetched(item("I1", variation("V1", data=own), data=data), BATH)
    assert json.loads(row.mentions or "[]") == ["C1", "C2", "M1", "O1", "P1", "T1", "U1"]


# where it is sold

TWO_SHOPS = {LOCATIONS: {"locations": [{"id": "L1"}, {"id": "L2"}, {"id": "L9", "status": "INACTIVE"}]}}


def test_an_item_that_is_absent_at_every_open_location_is_inactive() -> None:
    thing = item("I1", variation("V1"), present_at_all_locations=True, absent_at_location_ids=["L1", "L2"])
    assert not fetched(thing, **TWO_SHOPS).active


def test_an_item_that_is_absent_at_one_of_two_locations_is_active() -> None:
    thing = item("I1", variation("V1"), present_at_all_locations=True, absent_at_location_ids=["L1"])
    assert fetched(thing, **TWO_SHOPS).active


def test_a_variation_is_inactive_where_its_item_is_nowhere() -> None:
    thing = item(
        "I1",
        variation("V1", present_at_all_locations=False, present_at_location_ids=["L1"]),
        present_at_all_locations=True,
        absent_at_location_ids=["L1"],
    )
    assert not fetched(thing, **TWO_SHOPS).active


def test_an_item_and_a_variation_at_different_locations_are_sold_nowhere() -> None:
    thing = item(
        "I1",
        variation("V1", present_at_all_locations=False, present_at_location_ids=["L1"]),
        present_at_all_locations=False,
        present_at_location_ids=["L2"],
    )
    assert not fetched(thing).active


def test_an_archived_item_says_so() -> None:
    row = fetched(item("I1", variation("V1"), data={"is_archived": True}))
    assert (row.archived, row.active) == (True, False)


def test_the_locations_where_it_is_sold_out_are_shown() -> None:
    overrides = [
        {"location_id": "L1", "sold_out": True, "sold_out_valid_until": "2026-07-01T00:00:00Z"},
        {"location_id": "L2", "sold_out": False},
        {"location_id": "L3", "sold_out": True},
    ]
    row = fetched(item("I1", variation("V1", data={"location_overrides": overrides})))
    assert json.loads(row.sold_out or "[]") == [
        {"location_id": "L1", "until": "2026-07-01T00:00:00Z"},
        {"location_id": "L3"},
    ]


# who supplies it, in every spelling

OLD_INFOS = [
    {
        "type": "ITEM_VARIATION_VENDOR_INFO",
        "id": "X2",
        "item_variation_vendor_info_data": {"ordinal": 1, "vendor_id": "S2"},
    },
    {
        "type": "ITEM_VARIATION_VENDOR_INFO",
        "id": "X1",
        "item_variation_vendor_info_data": {
            "ordinal": 0,
            "vendor_id": "S1",
            "sku": "s-1",
            "price_money": {"amount": 70, "currency": "USD"},
        },
    },
]


def supplied(**data: Any) -> tuple[str | None, str | None, int | None]:
    row = fetched(item("I1", variation("V1", data=data)))
    return row.supplier_id, row.supplier_sku, row.cost_minor


def test_the_older_spelling_of_vendors_is_read() -> None:
    assert supplied(item_variation_vendor_infos=OLD_INFOS) == ("S1", "s-1", 70)


def test_all_vendors_of_the_older_spelling_are_kept() -> None:
    row = fetched(item("I1", variation("V1", data={"item_variation_vendor_infos": OLD_INFOS})))
    assert [entry["supplier_id"] for entry in json.loads(row.suppliers or "[]")] == ["S1", "S2"]


def test_a_deleted_vendor_of_the_older_spelling_supplies_nothing() -> None:
    infos = [{**OLD_INFOS[1], "is_deleted": True}, OLD_INFOS[0]]
    assert supplied(item_variation_vendor_infos=infos) == ("S2", None, None)


def test_the_newer_spelling_of_vendors_comes_first() -> None:
    new = [{"vendor_id": "S7", "vendor_code": "n-7", "unit_cost_money": {"amount": 7, "currency": "USD"}}]
    assert supplied(vendor_information=new, item_variation_vendor_infos=OLD_INFOS) == ("S7", "n-7", 7)


def test_a_cost_without_any_vendor_is_the_cost() -> None:
    assert supplied(default_unit_cost={"amount": 65, "currency": "USD"}) == (None, None, 65)


def test_a_vendor_without_a_cost_of_its_own_has_the_usual_one() -> None:
    new = [{"vendor_id": "S7"}]
    assert supplied(vendor_information=new, default_unit_cost={"amount": 65, "currency": "USD"}) == ("S7", None, 65)


def test_a_blank_vendor_is_none() -> None:
    new = [{}, {"vendor_id": "S7", "vendor_code": "n-7"}]
    assert supplied(vendor_information=new) == ("S7", "n-7", None)


def test_a_deleted_item_shows_when_it_was_deleted() -> None:
    gone = {"type": "ITEM", "id": "I1", "version": 9, "is_deleted": True, "updated_at": "2026-05-09T08:00:00Z"}
    (scope,) = stub({RETRIEVE: {"objects": [gone]}}).fetch([Ref(Kind.PRODUCT, "I1")]).covers
    assert scope.changed == datetime(2026, 5, 9, 8, tzinfo=UTC)


def test_a_live_item_shows_no_time_of_deletion() -> None:
    (scope,) = stub({RETRIEVE: {"objects": [item("I1", variation("V1"))]}}).fetch([Ref(Kind.PRODUCT, "I1")]).covers
    assert scope.changed is None


def test_objects_are_asked_for_a_thousand_at_a_time() -> None:
    photos = [f"P{number:04d}" for number in range(2500)]
    source = stub({RETRIEVE: {"objects": [item("I1", variation("V1"), data={"image_ids": photos})]}})
    source.fetch([Ref(Kind.PRODUCT, "I1")])
    assert source.calls() == 4


def test_where_the_newer_spelling_of_vendors_is_blank_the_older_one_is_read() -> None:
    older = {"id": "X", "item_variation_vendor_info_data": {"vendor_id": "VB", "sku": "b"}}
    data = {"vendor_information": [{}], "item_variation_vendor_infos": [older]}
    row = fetched(item("I1", variation("V1", data=data)))
    assert (row.supplier_id, row.supplier_sku) == ("VB", "b")


def test_an_entry_without_a_vendor_is_not_the_main_supplier() -> None:
    data = {"vendor_information": [{"vendor_code": "c"}, {"vendor_id": "", "vendor_code": "d"}, {"vendor_id": "VR"}]}
    row = fetched(item("I1", variation("V1", data=data)))
    assert (row.supplier_id, row.supplier_sku) == ("VR", None)


def test_an_empty_code_of_a_vendor_is_none() -> None:
    data = {"vendor_information": [{"vendor_id": "VR", "vendor_code": ""}]}
    assert fetched(item("I1", variation("V1", data=data))).supplier_sku is None


CLOSED = {LOCATIONS: {"locations": [{"id": "L1", "status": "ACTIVE"}, {"id": "L2", "status": "INACTIVE"}]}}


@pytest.mark.parametrize(("at", "is_sold"), [("L1", True), ("L2", False), ("L9", False)])
def test_what_is_present_only_at_a_closed_location_is_sold_nowhere(at: str, is_sold: bool) -> None:
    only: dict[str, Any] = {"present_at_all_locations": False, "present_at_location_ids": [at]}
    assert fetched(item("I1", variation("V1"), **only), **CLOSED).active is is_sold
    assert fetched(item("I1", variation("V1", **only)), **CLOSED).active is is_sold


def test_a_description_that_is_only_shown_beside_its_markup_is_read() -> None:
    data = {"description_html": "<p>Warm</p>", "description_plaintext": "Warm"}
    assert fetched(item("I1", variation("V1"), data=data)).description == "Warm"


def test_a_token_that_may_not_read_locations_reads_products_all_the_same() -> None:
    only: dict[str, Any] = {"present_at_all_locations": False, "present_at_location_ids": ["L1"]}
    refused = {"errors": [{"category": "AUTHENTICATION_ERROR", "code": "INSUFFICIENT_SCOPES", "detail": "No."}]}
    assert fetched(item("I1", variation("V1"), **only), **{LOCATIONS: Refusal(403, refused)}).active


# objects that come apart, and older spellings


def retrieved(thing: dict[str, Any], *related: dict[str, Any]) -> Listing:
    """The same where an answer has only what was asked for."""
    (record,) = stub({RETRIEVE: by_ids(thing, *related)}).fetch([Ref(Kind.PRODUCT, thing["id"])]).records
    assert isinstance(record, Listing)
    return record


LARGE = {
    "type": "ITEM_OPTION_VAL",
    "id": "OV2",
    "item_option_value_data": {"name": "Large", "item_option_id": "O1"},
}
IN_LARGE = {"item_option_values": [{"item_option_id": "O1", "item_option_value_id": "OV2"}]}


@pytest.mark.parametrize("values", [{}, {"values": [{"type": "ITEM_OPTION_VAL", "id": "OV2"}]}])
def test_an_option_value_that_is_an_object_of_its_own_has_its_name(values: dict[str, Any]) -> None:
    size = {"type": "ITEM_OPTION", "id": "O1", "item_option_data": {"name": "Size", **values}}
    row = retrieved(item("I1", variation("V1", data=IN_LARGE)), size, LARGE)
    assert json.loads(row.options or "[]") == [{"id": "O1", "name": "Size", "value_id": "OV2", "value": "Large"}]


def test_values_that_options_give_are_not_asked_for() -> None:
    source = stub({RETRIEVE: by_ids(item("I1", variation("V1", data=IN_LARGE)), SIZE)})
    source.fetch([Ref(Kind.PRODUCT, "I1")])
    assert source.calls() == 2


def test_an_image_of_the_older_spelling_is_shown() -> None:
    thing = item("I1", variation("V1", image_id="P2"), image_id="P1")
    row = retrieved(thing, image("P1"), image("P2"))
    assert [image["url"] for image in json.loads(row.images or "[]")] == [
        "https://x.example/P2.jpg",
        "https://x.example/P1.jpg",
    ]


def test_an_image_in_both_spellings_is_shown_once() -> None:
    row = retrieved(item("I1", variation("V1"), data={"image_ids": ["P1"]}, image_id="P1"), image("P1"))
    assert len(json.loads(row.images or "[]")) == 1


def test_an_image_of_the_older_spelling_is_mentioned() -> None:
    row = retrieved(item("I1", variation("V1"), image_id="P1"), image("P1"))
    assert json.loads(row.mentions or "[]") == ["P1"]
