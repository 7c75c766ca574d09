"""``tallyhook connections``: how each connection is, and what a person does about it."""

from app.domain import Kind
from app.errors import AuthRejected, VendorForbidden
from app.flows.connections.health import judge, paused
from tests.cli.conftest import Terminal
from tests.fakes import SHOP

EXPIRED = AuthRejected(
    "GET /v2/locations: 401 ACCESS_TOKEN_EXPIRED, the access token expired at 2026-06-01T12:00:00Z"
)


def refuse(terminal: Terminal) -> None:
    terminal.source.down = EXPIRED
    judge(terminal.deps, SHOP, Kind.PRODUCT, EXPIRED)


def test_a_connection_that_never_failed_is_ok(terminal: Terminal) -> None:
    (view,) = terminal.type("connections", "list", "--json").json
    assert (view["connection"], view["state"], view["since"], view["forbidden"]) == (SHOP, "ok", None, [])


def test_a_refused_connection_is_shown_with_the_vendors_words(terminal: Terminal) -> None:
    refuse(terminal)
    out = terminal.type("connections", "list").out
    assert "refused" in out
    assert str(EXPIRED) in out


def test_a_forbidden_kind_is_shown_with_the_vendors_words(terminal: Terminal) -> None:
    judge(terminal.deps, SHOP, Kind.STOCK, VendorForbidden("403: VENDOR_READ"))
    assert "shop forbidden stock" in terminal.type("connections", "list").out
    (view,) = terminal.type("connections", "list", "--json").json
    assert [(one["kind"], one["reason"]) for one in view["forbidden"]] == [("stock", "403: VENDOR_READ")]


def test_the_table_fits_eighty_columns(terminal: Terminal) -> None:
    refuse(terminal)
    table = [line for line in terminal.type("connections", "list").out.splitlines() if line[:1] in "┏┃┡│└"]
    assert table
    assert max(map(len, table)) <= 80


def test_pause_and_resume(terminal: Terminal) -> None:
    assert (
        terminal.type("connections", "pause", SHOP, "--reason", "they migrate us", "--json").json["state"] == "paused"
    )
    assert paused(terminal.deps) == {SHOP}
    assert "they migrate us" in terminal.type("connections", "list").out
    assert terminal.type("connections", "resume", SHOP).code == 0
    assert paused(terminal.deps) == frozenset()


def test_resuming_what_nobody_paused_is_refused_in_one_line(terminal: Terminal) -> None:
    typed = terminal.type("connections", "resume", SHOP)
    assert (typed.code, typed.err.count("\n")) == (4, 1)


def test_an_unknown_connection_is_refused(terminal: Terminal) -> None:
    assert terminal.type("connections", "check", "nowhere").code == 4


def test_check_calls_the_vendor_and_says_what_came_back(terminal: Terminal) -> None:
    typed = terminal.type("connections", "check", SHOP)
    assert (typed.code, typed.out, terminal.source.checks) == (0, f"{SHOP}: the vendor answers\n", 1)


def test_check_of_a_connection_that_refuses_us_is_exit_code_1(terminal: Terminal) -> None:
    terminal.source.down = EXPIRED
    typed = terminal.type("connections", "check", SHOP)
    assert typed.code == 1
    assert str(EXPIRED) in typed.out


def test_what_people_do_is_audited(terminal: Terminal) -> None:
    for action in ("pause", "resume", "check"):
        terminal.type("connections", action, SHOP)
    actions = [entry["action"] for entry in terminal.type("audit", "list", "--json").json["rows"]]
    assert actions == ["connections.check", "connections.resume", "connections.pause"]


def test_status_shows_the_state(terminal: Terminal) -> None:
    refuse(terminal)
    shop = terminal.type("status", "--json").json["connections"][SHOP]
    assert (shop["state"], shop["reason"]) == ("refused", str(EXPIRED))
