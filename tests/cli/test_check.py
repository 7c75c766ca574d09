"""``tallyhook check``: what an installation needs is tried, and what is wrong is named with what to do."""

from typing import Any

import pytest

from app.domain import Kind
from app.errors import AuthRejected, VendorForbidden
from app.sources.base import Subscription
from tests.cli.conftest import Terminal, Typed
from tests.fakes import SHOP, FakeSource


def finding(typed: Typed, about: str) -> dict[str, Any]:
    return next(one for one in typed.json if one["about"] == about)


class Selling(FakeSource):
    """A vendor that tells where it sends webhooks."""

    found: tuple[Subscription, ...] = ()

    def subscriptions(self) -> tuple[Subscription, ...]:
        return self.found


def subscribed(terminal: Terminal, *found: Subscription) -> Terminal:
    terminal.source.__class__ = Selling
    terminal.source.found = found  # type: ignore[attr-defined]
    return terminal


def test_a_vendor_that_answers_is_well_kind_by_kind(terminal: Terminal) -> None:
    typed = terminal.type("check", SHOP, "--json")
    assert {one["about"]: one["state"] for one in typed.json if "webhooks" not in one["about"]} == {
        SHOP: "well",
        f"{SHOP} product": "well",
        f"{SHOP} stock": "well",
    }
    assert typed.code == 0


def test_a_kind_that_may_not_be_read_is_named_with_the_vendors_words(terminal: Terminal) -> None:
    terminal.source.refuses[Kind.STOCK] = VendorForbidden("GET /stock: 403 INVENTORY_READ is missing")
    typed = terminal.type("check", SHOP, "--json")
    assert (finding(typed, f"{SHOP} stock")["state"], typed.code) == ("wrong", 1)
    assert "INVENTORY_READ" in finding(typed, f"{SHOP} stock")["said"]


def test_a_vendor_that_refuses_us_is_not_asked_kind_by_kind(terminal: Terminal) -> None:
    terminal.source.down = AuthRejected("401 expired")
    typed = terminal.type("check", SHOP, "--json")
    assert [one["about"] for one in typed.json] == [SHOP]
    assert "TALLYHOOK_CONNECTIONS__SHOP__" in typed.json[0]["todo"]


def test_a_vendor_that_refuses_us_is_told_once_and_not_as_a_log_line_too(terminal: Terminal) -> None:
    terminal.source.down = AuthRejected("401 expired")
    typed = terminal.type("check", SHOP)
    assert (typed.err, typed.out.count("401 expired")) == ("", 1)


def test_everything_of_the_installation_is_looked_at(terminal: Terminal) -> None:
    abouts = {one["about"] for one in terminal.type("check", "--json").json}
    assert {"database", "clock", "queue", "processes", "mail"} <= abouts


def test_nothing_that_runs_is_no_fault(terminal: Terminal) -> None:
    assert finding(terminal.type("check", "--json"), "processes")["state"] == "note"


def test_people_read_one_line_each_with_what_to_do(terminal: Terminal) -> None:
    assert "note   processes: no worker or no clock runs; start them: `tallyhook up`" in terminal.type("check").out


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        ((Subscription("ours", "https://x/webhooks/shop", True),), "well", "ours"),
        ((Subscription("ours", "https://x/webhooks/shop", False),), "wrong", "disabled"),
        ((), "wrong", "no subscription"),
    ],
)
def test_whether_the_vendor_sends_webhooks_is_told(
    terminal: Terminal, found: tuple[Subscription, ...], state: str, said: str
) -> None:
    told = finding(subscribed(terminal, *found).type("check", SHOP, "--json"), f"{SHOP} webhooks")
    assert (told["state"], said in told["said"]) == (state, True)


def test_an_unknown_connection_is_refused_with_those_there_are(terminal: Terminal) -> None:
    typed = terminal.type("check", "nope")
    assert (typed.code, SHOP in typed.err) == (4, True)
