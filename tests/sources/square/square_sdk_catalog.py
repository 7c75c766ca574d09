"""Calls of Square's SDK that read the catalog."""

from tests.sources.square.square_sdk import dumped, ids
from tests.sources.square.square_sdk_reads import Call, item, names_of, query, thing, types_of, variation

CATALOG = [
    Call("list", lambda sdk, _: sdk.catalog.list(), lambda got, _: types_of(got.items) >= {"ITEM"}),
    Call(
        "list items",
        lambda sdk, _: sdk.catalog.list(types="ITEM"),
        lambda got, shop: len(ids(got.items)) == shop.status()["items"],
    ),
    Call(
        "list small letters",
        lambda sdk, _: sdk.catalog.list(types="tax,image"),
        lambda got, _: types_of(got.items) == {"TAX", "IMAGE"},
    ),
    Call(
        "list modifiers",
        lambda sdk, _: sdk.catalog.list(types="MODIFIER"),
        lambda got, _: types_of(got.items) == {"MODIFIER"},
    ),
    Call("list discounts", lambda sdk, _: sdk.catalog.list(types="DISCOUNT"), lambda got, _: not got.items),
    Call(
        "list the present version",
        lambda sdk, shop: sdk.catalog.list(types="ITEM", catalog_version=shop.world.catalog.latest),
        lambda got, _: bool(got.items),
    ),
    Call("limits", lambda sdk, _: sdk.catalog.info(), lambda got, _: got.limits.search_max_page_limit == 1000),
    Call(
        "an item",
        lambda sdk, shop: sdk.catalog.object.get(item(shop)),
        lambda got, shop: dumped(got.object)["id"] == item(shop),
    ),
    Call(
        "an item and its kin",
        lambda sdk, shop: sdk.catalog.object.get(item(shop), include_related_objects=True),
        lambda got, _: {"CATEGORY", "TAX", "IMAGE"} <= types_of(got.related_objects),
    ),
    Call(
        "a category's path",
        lambda sdk, shop: sdk.catalog.object.get(
            shop.world.catalog.categories[4].id, include_category_path_to_root=True
        ),
        lambda got, _: dumped(got.object)["category_data"]["path_to_root"][0]["category_name"] == "Living",
    ),
    Call(
        "a variation",
        lambda sdk, shop: sdk.catalog.object.get(variation(shop)),
        lambda got, shop: types_of([got.object]) == {"ITEM_VARIATION"},
    ),
    Call(
        "a unit",
        lambda sdk, shop: sdk.catalog.object.get(thing(shop, "MEASUREMENT_UNIT")),
        lambda got, _: dumped(got.object)["measurement_unit_data"]["precision"] == 2,
    ),
    Call(
        "several",
        lambda sdk, shop: sdk.catalog.batch_get(object_ids=[item(shop), variation(shop), "NONE"]),
        lambda got, shop: ids(got.objects) == [item(shop), variation(shop)],
    ),
    Call(
        "several and their kin",
        lambda sdk, shop: sdk.catalog.batch_get(object_ids=[variation(shop)], include_related_objects=True),
        lambda got, shop: shop.world.catalog.item(shop.world.catalog.owner(3)).id in ids(got.related_objects),
    ),
    Call(
        "several, deleted too",
        lambda sdk, shop: sdk.catalog.batch_get(object_ids=[item(shop)], include_deleted_objects=True),
        lambda got, shop: ids(got.objects) == [item(shop)],
    ),
    Call("search all", lambda sdk, _: sdk.catalog.search(), lambda got, _: "IMAGE" not in types_of(got.objects)),
    Call(
        "search a page",
        lambda sdk, _: sdk.catalog.search(object_types=["ITEM"], limit=7),
        lambda got, _: (len(got.objects), bool(got.cursor)) == (7, True),
    ),
    Call(
        "search since",
        lambda sdk, _: sdk.catalog.search(object_types=["ITEM"], begin_time="2099-01-01T00:00:00Z"),
        lambda got, _: not got.objects,
    ),
    Call(
        "search with kin",
        lambda sdk, _: sdk.catalog.search(object_types=["ITEM_VARIATION"], limit=3, include_related_objects=True),
        lambda got, _: "ITEM" in types_of(got.related_objects),
    ),
    Call(
        "search with paths",
        lambda sdk, _: sdk.catalog.search(object_types=["CATEGORY"], include_category_path_to_root=True),
        lambda got, _: (
            sum(
                "path_to_root" in (dumped(one)["category_data"] or {})
                and bool(dumped(one)["category_data"]["path_to_root"])
                for one in got.objects
            )
            == 1
        ),
    ),
    Call(
        "exact",
        lambda sdk, shop: sdk.catalog.search(
            query={"exact_query": {"attribute_name": "sku", "attribute_value": shop.truth("product")[0]["sku"]}},
            object_types=["ITEM_VARIATION"],
        ),
        lambda got, shop: ids(got.objects) == [shop.truth("product")[0]["external_id"]],
    ),
    Call(
        "prefix",
        query(prefix_query={"attribute_name": "name", "attribute_prefix": "Oak"}),
        lambda got, _: all(name.startswith("Oak") for name in names_of(got.objects)),
    ),
    Call(
        "text",
        query(text_query={"keywords": ["bowl"]}),
        lambda got, _: all("Bowl" in name for name in names_of(got.objects)),
    ),
    Call(
        "set",
        lambda sdk, shop: sdk.catalog.search(
            query={
                "set_query": {
                    "attribute_name": "sku",
                    "attribute_values": [row["sku"] for row in shop.truth("product")[:4]],
                }
            },
            object_types=["ITEM_VARIATION"],
        ),
        lambda got, _: len(got.objects) == 4,
    ),
    Call(
        "sorted up",
        query(sorted_attribute_query={"attribute_name": "name"}),
        lambda got, _: names_of(got.objects) == sorted(names_of(got.objects)),
    ),
    Call(
        "sorted down",
        query(sorted_attribute_query={"attribute_name": "name", "sort_order": "DESC"}),
        lambda got, _: names_of(got.objects) == sorted(names_of(got.objects), reverse=True),
    ),
    Call(
        "items of a tax",
        lambda sdk, shop: sdk.catalog.search(query={"items_for_tax_query": {"tax_ids": [thing(shop, "TAX")]}}),
        lambda got, shop: all(thing(shop, "TAX") in dumped(one)["item_data"]["tax_ids"] for one in got.objects),
    ),
    Call(
        "items of a modifier list",
        lambda sdk, shop: sdk.catalog.search(
            query={"items_for_modifier_list_query": {"modifier_list_ids": [thing(shop, "MODIFIER_LIST")]}}
        ),
        lambda got, _: all(dumped(one)["item_data"]["modifier_list_info"] for one in got.objects),
    ),
    Call(
        "items of an option",
        lambda sdk, shop: sdk.catalog.search(
            query={"items_for_item_options_query": {"item_option_ids": [thing(shop, "ITEM_OPTION")]}}
        ),
        lambda got, _: all(len(dumped(one)["item_data"]["variations"]) > 1 for one in got.objects),
    ),
    Call(
        "modifiers of a list within",
        lambda sdk, _: sdk.catalog.search(
            query={"modifiers_for_child_list_query": {"child_modifier_list_ids": ["X"]}}
        ),
        lambda got, _: not got.objects,
    ),
    Call(
        "items",
        lambda sdk, _: sdk.catalog.search_items(archived_state="ARCHIVED_STATE_ALL"),
        lambda got, shop: len(got.items) == len(types_of(got.items)) * shop.status()["items"],
    ),
    Call(
        "items by text",
        lambda sdk, shop: sdk.catalog.search_items(text_filter=shop.truth("product")[0]["sku"]),
        lambda got, shop: got.matched_variation_ids == [shop.truth("product")[0]["external_id"]],
    ),
    Call(
        "items of a category",
        lambda sdk, shop: sdk.catalog.search_items(category_ids=[shop.world.catalog.categories[1].id], limit=50),
        lambda got, shop: (
            {dumped(one)["item_data"]["reporting_category"]["id"] for one in got.items}
            == {shop.world.catalog.categories[1].id}
        ),
    ),
]
