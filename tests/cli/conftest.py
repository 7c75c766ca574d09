"""A terminal on one fake shop and a real database: commands are typed into it as a person would."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from app import wiring
from app.cli import main
from app.domain import Kind, Options, Strategy
from app.flows.deps import Deps
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.stores.catalog import watermarks
from app.stores.runs import runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.fakes import EPOCH, SHOP, FakeSource, ListQueue, listing


@dataclass
class Typed:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)


@dataclass
class Terminal:
    """Type ``tallyhook`` commands; ``deps`` is the installation they work on."""

    source: FakeSource
    deps: Deps
    type: Callable[..., Typed]

    def run_row(self, run_id: int) -> Run:
        """A run as the database has it."""
        with self.deps.database.read() as conn:
            row = runs.get(conn, run_id)
        assert row is not None
        return row

    def ask(self, strategy: Strategy = Strategy.FULL, **options: Any) -> int:
        """Somebody else's request for a run."""
        return request_run(self.deps, SHOP, strategy, Options(**options), cause="person")

    def when_shown(self, then: Callable[[], object]) -> None:
        """Do something as soon as the command under test watches its run (and asks what budget is left)."""
        once = [then]

        def budget() -> tuple[()]:
            if once:
                once.pop()()
            return ()

        self.source.budget = budget  # type: ignore[method-assign]

    def latest(self) -> int:
        """The id of the newest run."""
        with self.deps.database.read() as conn:
            return int(runs.latest(conn)[0].id)

    def work(self, run_id: int) -> None:
        """What a worker does with a run."""
        run(self.deps, LeaseKeeper(self.deps.database), run_id, patience=0.0)


@pytest.fixture
def terminal(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> Terminal:
    """An installation with one shop of forty listings, ten on a page; it has no queue and no worker."""
    source = FakeSource(page_size=10)
    source.put(*(listing(f"P{n:02}") for n in range(40)))
    with database.begin() as conn:
        watermarks.put(conn, SHOP, Kind.STOCK, "0", EPOCH)  # its stock, of which there is none, has been read before
    monkeypatch.chdir(str(tmp_path))  # no .env
    monkeypatch.setenv("TALLYHOOK_CONNECTIONS__SHOP__SOURCE", "fake")
    monkeypatch.setenv("TALLYHOOK_DATABASE_URL", "sqlite:///the-one-below.db")
    monkeypatch.setattr(wiring, "open_database", lambda url, **_: database)
    monkeypatch.setattr(wiring, "connect", lambda name, context, options: source)

    def type_(*arguments: str) -> Typed:
        monkeypatch.setattr(sys, "argv", ["tallyhook", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        said = capsys.readouterr()
        return Typed(int(exit_.value.code or 0), said.out, said.err)

    return Terminal(source, Deps(database, ListQueue(), {SHOP: source}, {SHOP: source}), type_)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a person in front of the terminal, who answers questions with these words."""

    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    return lambda words: monkeypatch.setattr(sys, "stdin", Keyboard(words))
