"""The pages on a real server: each shows what is there, its forms do what they say, and text stays text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from app.domain import Change, Delivery, Kind, Role
from app.errors import Unmappable
from app.flows.access import accounts
from app.rules.guard.findings import Finding, Trait
from app.stores.guard import held_rows, holds
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Arrival
from app.stores.sql.engine import Database
from app.web.auth import AuthSettings
from tests.fakes import SHOP, World
from tests.letters import all_letters, die
from tests.web.page_roles import PAGES
from tests.web.serving import serving

EVIL = "<script>alert(1)</script>"
PASSWORD = "correct horse battery"


@dataclass
class Browser:
    """Somebody signed in."""

    world: World
    client: httpx.Client

    def get(self, path: str) -> str:
        answer = self.client.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.text

    def post(self, path: str, **form: str) -> httpx.Response:
        """As a form of the page would, with the word that is in it."""
        word = re.search(r'name="csrf" value="([^"]+)"', self.get("/dead-letters"))
        assert word
        return self.client.post(path, data={**form, "csrf": word[1]})


@pytest.fixture
def browser(database: Database) -> Iterator[Browser]:
    world = World(database)
    die(world, "A", Unmappable(f"price: {EVIL}"))
    with database.begin() as conn:
        delivery = Delivery("e1", EVIL, [Change(Kind.PRODUCT, EVIL)])
        inbox.accept(conn, [Arrival(SHOP, delivery, {"x-odd": EVIL}, EVIL.encode(), world.clock())])
        hold = holds.hold(
            conn,
            connection=SHOP,
            kind=Kind.PRODUCT,
            run_id=None,
            reason=EVIL,
            summary={EVIL: EVIL},
            now=world.clock(),
            findings=[Finding(EVIL, EVIL, Trait.ANY, {EVIL: 1})],
            rows=1,
        )
        held_rows.add(conn, hold, [held_rows.NewRow((EVIL,), {EVIL: [EVIL, None]}, None)])
    accounts.add_user(world.deps, "anna", PASSWORD, Role.ADMIN)
    with serving(world.deps, doors=AuthSettings()) as client:
        came = client.post("/login", data={"name": "anna", "password": PASSWORD})
        assert (came.status_code, came.headers["location"]) == (303, "/dead-letters")
        yield Browser(world, client)


def filled(browser: Browser) -> list[str]:
    """Every page that is shown, with numbers of things there are."""
    browser.post(f"/dead-letters/{letter(browser)}/replay")
    replay = 1 if browser.world.database.dialect == "sqlite" else browser.world.queue.replays[0]
    event = re.search(r'href="/inbox/(\d+)"', browser.get("/inbox"))
    assert event
    held = re.search(r'href="/holds/(\d+)"', browser.get("/holds"))
    assert held
    numbers = {"/holds": held[1], "/dead-letters": letter(browser), "/replays": replay, "/inbox": event[1]}
    shown = [path for method, path in PAGES if method == "GET"]
    return [path.replace("{id:int}", str(numbers.get(path.rpartition("/")[0], 0))) for path in shown]


def letter(browser: Browser) -> int:
    return int(all_letters(browser.world.database)[0].id)


def test_every_page_is_shown_and_text_stays_text(browser: Browser) -> None:
    for path in filled(browser):
        assert "<script" not in browser.get(path).lower(), path


def test_every_page_is_sealed(browser: Browser) -> None:
    for path in ("/dead-letters", "/login", "/static/tallyhook.css", "/api/dead-letters"):
        headers = browser.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert headers["x-content-type-options"] == "nosniff", path


def test_every_cell_says_whose_it_is_where_a_narrow_screen_has_no_head(browser: Browser) -> None:
    cells = 0
    for path in filled(browser):
        for table in re.findall(r"<table>.*?</table>", browser.get(path), re.DOTALL):
            head = re.findall(r"<th(?: [^>]*)?>(.*?)</th>", table, re.DOTALL)
            for row in table.split("<tr")[1:] if head else ():
                named = re.findall(r'<td data-label="([^"]+)"', row)
                assert len(named) == row.count("<td"), (path, row)
                assert not named or named == head or (path.endswith("preview") and named[-1] == "Change"), (
                    path,
                    named,
                )
                cells += len(named)
    assert cells > 20


def test_the_list_says_what_there_is(browser: Browser) -> None:
    assert "1 letter, 1 cause, 1 item" in browser.get("/dead-letters")


def test_a_letter_is_replayed_by_its_button(browser: Browser) -> None:
    answer = browser.post(f"/dead-letters/{letter(browser)}/replay")
    assert answer.headers["location"].startswith("/replays/")
    assert all_letters(browser.world.database)[0].state == "queued"


def test_a_replay_of_many_needs_the_incidents_name(browser: Browser) -> None:
    assert browser.post("/dead-letters/replay", filter="", name="", rate="5").status_code == 422
    assert browser.post("/dead-letters/replay", filter="", name="outage", rate="5").status_code == 303


@pytest.mark.parametrize("path", ["/dead-letters/987654", "/replays/987654", "/inbox/987654", "/holds/987654"])
def test_a_page_about_what_is_not_there_is_404(browser: Browser, path: str) -> None:
    assert browser.client.get(path, headers={"accept": "text/html"}).status_code == 404


def test_a_replay_that_is_over_cannot_be_aborted_again(browser: Browser) -> None:
    replay = browser.post(f"/dead-letters/{letter(browser)}/replay").headers["location"]
    assert [browser.post(f"{replay}/abort").status_code for _ in range(2)] == [303, 409]


def test_a_letter_is_discarded_and_restored_by_its_forms(browser: Browser) -> None:
    browser.post(f"/dead-letters/{letter(browser)}/discard", why="sold out")
    assert "sold out" in browser.get(f"/dead-letters/{letter(browser)}")
    browser.post(f"/dead-letters/{letter(browser)}/restore")
    assert all_letters(browser.world.database)[0].state == "dead"


def test_arguments_are_edited_by_a_form(browser: Browser) -> None:
    browser.post(f"/dead-letters/{letter(browser)}/args", args='["shop", "product", "B"]', why="moved")
    assert all_letters(browser.world.database)[0].external_id == "B"


def test_an_event_is_replayed_by_its_button(browser: Browser) -> None:
    event = re.search(r'href="(/inbox/\d+)"', browser.get("/inbox"))
    assert event
    assert browser.post(f"{event[1]}/replay").headers["location"].startswith("/replays/")


def test_a_running_replay_is_aborted_by_its_button(browser: Browser) -> None:
    replay = browser.post(f"/dead-letters/{letter(browser)}/replay").headers["location"]
    browser.post(f"{replay}/abort")
    assert "Aborted: by user anna" in browser.get(replay)


def test_a_wrong_filter_is_told_on_a_page(browser: Browser) -> None:
    answer = browser.client.get("/dead-letters", params={"filter": "itme:A"})
    assert (answer.status_code, "did you mean &#39;item&#39;?" in answer.text) == (400, True)


def test_a_form_without_its_word_changes_nothing(browser: Browser) -> None:
    answer = browser.client.post(f"/dead-letters/{letter(browser)}/replay", data={"csrf": "guessed"})
    assert (answer.status_code, all_letters(browser.world.database)[0].state) == (403, "dead")


def test_signing_out_ends_the_session_for_good(browser: Browser) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    browser.post("/logout")
    again = browser.client.get("/dead-letters", headers={"accept": "text/html", "cookie": cookie})
    assert again.status_code == 303


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", ""])
def test_nobody_is_sent_elsewhere_after_signing_in(browser: Browser, back: str) -> None:
    answer = browser.client.post("/login", data={"name": "anna", "password": PASSWORD, "next": back, "csrf": ""})
    onward = answer.headers.get("location", "/dead-letters")
    assert onward == "/dead-letters"
