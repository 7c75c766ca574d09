"""Held batches over HTTP and on pages: shown with their rows before and after, decided once, and audited."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.domain import Options, Role, Strategy
from app.flows.access import accounts
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.stores.access import audit
from app.stores.sql.engine import Database
from app.web.auth import AuthSettings
from tests.fakes import SHOP, World, listing
from tests.web.serving import serving

API = f"/api/sync-{SHOP}/holds"
PASSWORD = "correct horse battery"


@dataclass
class Held:
    """A shop whose prices were held as they became a hundred times as high, and somebody signed in."""

    world: World
    client: httpx.Client
    id: int

    def get(self, path: str = "") -> Any:
        return self.client.get(API + path).raise_for_status().json()

    def post(self, deed: str, **body: Any) -> httpx.Response:
        return self.client.post(f"{API}/{self.id}/{deed}", json=body, headers={"x-csrf": self.word()})

    def submit(self, deed: str, **form: str) -> httpx.Response:
        return self.client.post(f"/holds/{self.id}/{deed}", data={**form, "csrf": self.word()})

    def word(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.client.get("/holds").text)
        assert found
        return found[1]

    def prices(self) -> set[int]:
        with self.world.database.read() as conn:
            return set(conn.exec_driver_sql("SELECT price_minor FROM listings").scalars())

    def audited(self) -> list[str]:
        with self.world.database.read() as conn:
            rows = audit.entries(conn, limit=50, before_number=None, connections=None)
        return [f"{row.who} {row.action}" for row in rows if row.action.startswith("holds.")]


@pytest.fixture
def held(database: Database) -> Iterator[Held]:
    world = World(database)
    for price in (1_000, 100_000):
        world.source.put(*(listing(f"P{number}", price, price_minor=price) for number in range(6)))
        world.clock.pass_(86_400)
        run_id = request_run(world.deps, SHOP, Strategy.CATALOG, Options(), cause="schedule")
        run(world.deps, LeaseKeeper(database), run_id, patience=0.0)
    accounts.add_user(world.deps, "anna", PASSWORD, Role.OPERATOR)
    with serving(world.deps, doors=AuthSettings()) as client:
        client.post("/login", data={"name": "anna", "password": PASSWORD})
        (hold,) = client.get(API).raise_for_status().json()["holds"]
        yield Held(world, client, hold["id"])


def test_the_list_tells_rule_rows_and_reason(held: Held) -> None:
    (hold,) = held.get()["holds"]
    assert (hold["rows"], hold["findings"][0]["rule"]) == (6, "powers of ten")
    assert "power of ten" in hold["reason"]


def test_a_hold_shows_sample_rows_before_and_after(held: Held) -> None:
    sample = held.get(f"/{held.id}")["sample"]
    assert (len(sample), sample[0]["fields"]["price_minor"]) == (6, [1_000, 100_000])


def test_a_release_writes_its_rows_and_is_audited(held: Held) -> None:
    assert held.post("release").raise_for_status().json()["state"] == "applied"
    assert (held.prices(), held.audited()) == ({100_000}, ["user anna holds.released"])


def test_a_dismissal_keeps_our_rows_and_is_audited(held: Held) -> None:
    assert held.post("dismiss").raise_for_status().json()["state"] == "dismissed"
    assert (held.prices(), held.audited()) == ({1_000}, ["user anna holds.dismissed"])


def test_a_release_may_believe_the_like_until_a_moment(held: Held) -> None:
    until = (held.world.clock() + timedelta(days=3)).isoformat()
    assert held.post("release", believeUntil=until).raise_for_status().json()["believedUntil"] is not None


def test_a_belief_of_a_year_is_422_and_nothing_is_written(held: Held) -> None:
    until = (held.world.clock() + timedelta(days=365)).isoformat()
    assert (held.post("release", believeUntil=until).status_code, held.prices()) == (422, {1_000})


def test_a_hold_that_was_decided_is_decided(held: Held) -> None:
    held.post("dismiss")
    assert held.post("release").status_code == 409


def test_a_hold_of_another_number_is_404(held: Held) -> None:
    assert held.client.get(f"{API}/987654").status_code == 404


def test_the_page_shows_the_rows_before_and_after(held: Held) -> None:
    page = held.client.get(f"/holds/{held.id}").text
    assert "powers of ten" in page
    cells = ("Field", "price_minor"), ("Before", "1000"), ("After", "100000")
    assert "".join(f'<td data-label="{head}">{cell}</td>' for head, cell in cells) in page


def test_the_pages_button_releases(held: Held) -> None:
    assert held.submit("release").status_code == 303
    assert (held.prices(), held.audited()) == ({100_000}, ["user anna holds.released"])


def test_the_pages_button_dismisses(held: Held) -> None:
    assert held.submit("dismiss").status_code == 303
    assert (held.prices(), held.audited()) == ({1_000}, ["user anna holds.dismissed"])


def test_the_page_believes_the_like_until_a_day(held: Held) -> None:
    day = (held.world.clock() + timedelta(days=3)).date().isoformat()
    assert held.submit("meant", until=day).status_code == 303
    assert f"accepted until <time>{day}" in held.client.get(f"/holds/{held.id}").text


def test_a_day_that_is_none_is_refused(held: Held) -> None:
    assert (held.submit("meant", until="soon").status_code, held.prices()) == (422, {1_000})


def test_a_form_without_its_word_decides_nothing(held: Held) -> None:
    assert held.client.post(f"/holds/{held.id}/release").status_code == 403
    assert held.prices() == {1_000}
