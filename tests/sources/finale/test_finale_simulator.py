"""The simulator is as faithful as we know: its own endpoints, writes, GraphQL, reports and memory."""

import json
from collections.abc import Callable
from operator import ne
from pathlib import Path
from typing import Any

import pytest

from app.domain import Kind
from app.sources import demo, simulator
from app.sources.finale.simulator import create
from app.sources.finale.simulator.api import PATHS
from tests.sources.finale.finale_account import Account, api
from tests.sources.simulated import Servers

Simulate = Callable[..., Account]


def test_the_same_seed_makes_the_same_shop(simulate: Simulate) -> None:
    first, second = simulate(orders=0), simulate(orders=0)
    assert first.truth("product") == second.truth("product")
    assert first.truth("stock") == second.truth("stock")


def test_the_same_seed_lives_the_same_life(simulate: Simulate) -> None:
    first, second = simulate(clock=lambda: 1.75e9), simulate(clock=lambda: 1.75e9)
    assert first.change(50) == second.change(50)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="prodcts"):
        create({"prodcts": 1})


def test_an_unknown_fault_is_refused(simulate: Simulate) -> None:
    assert simulate().control.post("/_sim/faults", json={"products": 3}).status_code == 400


def test_the_vendors_sell_the_same_wares(simulate: Simulate) -> None:
    assert simulate(products=3).truth("product")[0]["sku"].count("-") == 1


def test_a_third_of_the_products_has_a_url_of_its_own(simulate: Simulate) -> None:
    rows = simulate(products=90).truth("product")
    assert len([row for row in rows if row["external_id"] != row["sku"]]) == 30


def test_a_sku_in_a_url_is_not_found_when_the_url_is_another(simulate: Simulate) -> None:
    account = simulate()
    row = next(row for row in account.truth("product") if row["external_id"] != row["sku"])
    assert api(account, "GET", f"api/product/{row['sku']}").status_code == 404


@pytest.mark.parametrize(("path", "status"), [("inventoryitem", 404), ("inventoryitem/", 200), ("product", 200)])
def test_only_inventoryitem_wants_the_slash(simulate: Simulate, path: str, status: int) -> None:
    assert api(simulate(), "GET", f"api/{path}").status_code == status


def test_a_404_is_html(simulate: Simulate) -> None:
    assert "was not found on the server" in api(simulate(), "GET", "api/products").text


def test_offset_is_ignored(simulate: Simulate) -> None:
    account = simulate()
    pages = [api(account, "GET", "api/product/", params={"limit": 3, "offset": n}).json() for n in (0, 50)]
    assert pages[0] == pages[1]


def test_a_column_without_any_value_is_left_out(simulate: Simulate) -> None:
    assert "categoryEnum" not in api(simulate(), "GET", "api/product/").json()


def test_limit_headers_come_with_a_refusal_only(simulate: Simulate) -> None:
    account = simulate(rate_get=1)
    answers = [api(account, "GET", "api/facility/10000") for _ in range(2)]
    assert ["x-ratelimit-reset" in answer.headers for answer in answers] == [False, True]


def test_an_update_merges_and_bumps_the_time(simulate: Simulate) -> None:
    account = simulate()
    before = api(account, "GET", f"api/product/{account.world.products[1].tail}").json()
    after = api(account, "POST", f"api/product/{account.world.products[1].tail}", json={"category": "New"}).json()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"category", "lastUpdatedDate"}


def test_a_list_that_is_sent_replaces_the_list(simulate: Simulate) -> None:
    account = simulate()
    sent = [{"attrName": "user_1", "attrValue": "x"}]
    tail = account.world.products[1].tail
    api(account, "POST", f"api/product/{tail}", json={"userFieldDataList": sent})
    assert api(account, "GET", f"api/product/{tail}").json()["userFieldDataList"] == sent


def test_an_action_that_is_not_possible_is_403(simulate: Simulate) -> None:
    account = simulate()
    tail = account.world.products[1].tail
    statuses = [api(account, "POST", f"api/product/{tail}/deactivate", json={}).status_code for _ in range(2)]
    assert statuses == [200, 403]


def test_an_action_url_is_there_only_when_it_is_possible(simulate: Simulate) -> None:
    account = simulate()
    document = api(account, "GET", f"api/product/{account.world.products[1].tail}").json()
    assert (document["actionUrlActivate"], bool(document["actionUrlDeactivate"])) == (None, True)


def test_an_order_lives_as_finales_do(simulate: Simulate) -> None:
    account = simulate(orders=0)
    line = {"productUrl": f"/demo/api/product/{account.world.products[1].tail}", "quantity": 2, "unitPrice": 1}
    place = {"originFacilityUrl": "/demo/api/facility/10000"}
    sent = {"orderTypeId": "SALES_ORDER", "orderItemList": [line], **place}
    made = api(account, "POST", "api/order/", json=sent).json()
    api(account, "POST", made["actionUrlLock"].removeprefix("/demo/"), json={})
    reserved = [row for row in account.truth("stock") if row["state"] == "reserved"]
    api(account, "POST", f"api/order/{made['orderId']}/complete", json={})
    assert (len(reserved), account.truth("order")[0]["status"]) == (1, "completed")


def test_a_write_can_be_answered_with_200_and_an_error(simulate: Simulate) -> None:
    account = simulate(next_error_body=1)
    answer = api(account, "POST", "api/product/", json={})
    assert (answer.status_code, answer.json()["success"]) == (200, False)


def test_the_cookie_login_is_a_mode(simulate: Simulate) -> None:
    account = simulate(legacy_cookie=True)
    assert api(account, "GET", "api/product/").status_code == 401
    assert account.control.post("/demo/api/auth", json={"username": "u", "password": "p"}).json()["name"] == "test"
    assert account.control.get("/demo/api/product/").status_code == 200


def query(account: Account, arguments: str, fields: str = "productId itemCost stockOnHand leadTime") -> Any:
    edges = f"edges {{ node {{ {fields} }} cursor }} pageInfo {{ endCursor }}"
    text = f"query {{ productViewConnection({arguments}) {{ {edges} }} }}"
    answer = api(account, "POST", "api/graphql", json={"query": text})
    assert answer.status_code == 200
    return answer.json()


def test_graphql_says_display_strings(simulate: Simulate) -> None:
    account = simulate(products=20)
    nodes = [edge["node"] for edge in query(account, "first: 20")["data"]["productViewConnection"]["edges"]]
    assert {type(value) for node in nodes for value in node.values()} == {str}
    assert "--" in [node["stockOnHand"] for node in nodes]


def test_graphql_without_a_formatter_says_values(simulate: Simulate) -> None:
    found = query(simulate(), 'first: 1, formatter: "none"')["data"]["productViewConnection"]["edges"][0]["node"]
    assert isinstance(found["leadTime"], int)


def test_graphql_pages_by_cursor_and_has_a_cap(simulate: Simulate) -> None:
    account = simulate(products=25, graphql_cap=10)
    seen: list[str] = []
    after = ""
    for _ in range(3):
        page = query(account, f"first: 100 {after}")["data"]["productViewConnection"]
        seen += [edge["node"]["productId"] for edge in page["edges"]]
        after = f'after: "{page["pageInfo"]["endCursor"]}"'
    assert sorted(seen) == sorted(row["sku"] for row in account.truth("product"))


def test_one_unknown_graphql_field_fails_the_query_with_200(simulate: Simulate) -> None:
    account = simulate(graphql_removed_field="itemCost")
    assert query(account, "first: 1")["errors"]


def test_a_report_without_credentials_is_a_login_page_with_200(simulate: Simulate) -> None:
    answer = simulate().control.get("/demo/doc/report/pivotTable/1/Report.json?format=jsonObject")
    assert (answer.status_code, "password" in answer.text) == (200, True)


def test_a_report_ends_with_a_total(simulate: Simulate) -> None:
    account = simulate(products=3)
    assert api(account, "GET", "doc/report/pivotTable/1/Report.json").json()[-1]["Product ID"] == "TOTAL:"


def test_changes_can_be_asked_for_by_kind(simulate: Simulate) -> None:
    assert {each["kind"] for each in simulate().change(10, "vendor")} == {"vendor"}


def test_changes_of_an_unknown_kind_are_refused(simulate: Simulate) -> None:
    assert simulate().control.post("/_sim/changes", json={"kinds": ["weather"]}).status_code == 400


def test_a_shop_can_live_by_itself(simulate: Simulate) -> None:
    account = simulate(changes_per_minute=6_000)
    account.wait_for(lambda status: status["changes"] > 5)


def test_a_shop_goes_on_where_it_stopped(servers: Servers, tmp_path: Path) -> None:
    state = {"state_file": str(tmp_path / "shop.state"), "products": "30"}
    before = simulator("finale", state)
    account = before.state.account
    for _ in range(30):
        account.happen()
    account.keeper.save()
    after = simulator("finale", state).state.account
    assert after.world.products == account.world.products
    assert after.world.stock == account.world.stock
    assert after.world.orders == account.world.orders
    assert after.world.shipments == account.world.shipments


def test_a_server_keeps_its_shop_by_itself(servers: Servers, simulate: Simulate, tmp_path: Path) -> None:
    file = tmp_path / "shop.state"
    account = simulate(state_file=str(file), products=30)
    account.change(5)
    servers.wait()
    again = simulator("finale", {"state_file": str(file)}).state.account
    assert (again.world.stock, again.world.orders) == (account.world.stock, account.world.orders)


def test_the_demo_is_a_simulator_and_a_connection_to_it(servers: Servers) -> None:
    simulated, connection = demo("finale", "http://127.0.0.1:1", "http://127.0.0.1:2/webhooks/finale")
    assert create(simulated)
    assert connection["base_url"] == "http://127.0.0.1:1"


def test_a_fetch_of_everything_survives_a_living_shop(simulate: Simulate) -> None:
    account = simulate(changes_per_minute=60_000, products=500)
    pages = list(account.source().full(Kind.PRODUCT))
    assert sum(len(page.records) for page in pages) >= 500


def test_expired_credentials_are_refused(simulate: Simulate) -> None:
    assert api(simulate(expired_token=True), "GET", "api/product/").status_code == 401


@pytest.mark.parametrize("kind", ["product", "stock", "order", "location", "vendor"])
def test_a_kind_that_is_forbidden_is_the_only_one(simulate: Simulate, kind: str) -> None:
    account = simulate(forbidden=kind)
    statuses = {name: api(account, "GET", f"api/{path}/").status_code for name, path in PATHS.items()}
    assert [name for name, status in statuses.items() if status == 403] == [kind]


def test_a_wrong_forbidden_kind_is_refused(simulate: Simulate) -> None:
    assert simulate().control.post("/_sim/faults", json={"forbidden": "weather"}).status_code == 400


def rows_of(account: Account, collection: str) -> list[tuple[Any, ...]]:
    """The rows of a list; text, because a bad cell need not be comparable."""
    document = json.loads(api(account, "GET", f"api/{collection}/").text)
    return [tuple(map(json.dumps, row)) for row in zip(*document.values(), strict=True)]


@pytest.mark.parametrize("collection", ["product", "inventoryitem", "order"])
def test_a_share_of_the_records_is_bad_and_always_the_same(simulate: Simulate, collection: str) -> None:
    account = simulate(products=60, rate_lists=0)
    good = rows_of(account, collection)
    account.faults(bad_records=0.3)
    bad, again = rows_of(account, collection), rows_of(account, collection)
    assert bad == again
    assert 0.1 < sum(one != other for one, other in zip(good, bad, strict=True)) / len(good) < 0.6


def test_one_field_of_a_bad_record_is_wrong(simulate: Simulate) -> None:
    account = simulate(products=60)
    good = rows_of(account, "product")
    account.faults(bad_records=1.0)
    wrong = [sum(map(ne, one, other)) for one, other in zip(good, rows_of(account, "product"), strict=True)]
    assert max(wrong) == 1


def test_an_order_that_was_shown_wrongly_is_saved_again_when_that_ends(simulate: Simulate) -> None:
    account = simulate(products=60)
    before = rows_of(account, "order")
    account.faults(bad_records=1.0)
    account.faults(bad_records=0)
    saved = [one for one, other in zip(before, rows_of(account, "order"), strict=True) if one != other]
    assert len(saved) == len(before)


def test_bad_records_spoil_a_report_row_by_row(simulate: Simulate) -> None:
    account = simulate(products=20)
    path = "doc/report/pivotTable/x/Report.json?format=jsonObject"
    rows = api(account, "GET", path).json()
    account.faults(bad_records=0.3)
    spoiled = api(account, "GET", path).json()
    assert len(spoiled) == len(rows)
    assert 0 < sum(map(ne, rows, spoiled)) < len(rows)


@pytest.mark.parametrize("lacking", ["products", "locations", "vendors"])
def test_a_shop_that_lacks_something_lives_on(simulate: Simulate, lacking: str) -> None:
    account = simulate(**{"products": 5, lacking: 0})
    assert account.change(60)
