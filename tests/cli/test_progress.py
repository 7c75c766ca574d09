"""The line and the bar beneath which a person waits: they say how far, how fast, how long, and at what price."""

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from rich.console import Console

from app.cli.console import open_deps
from app.cli.outcome import sentences
from app.cli.progress import Bar, line, span
from app.domain import Options, Status, Strategy
from app.flows.runs.runs_view import RunView, run_view
from app.rules.runs.checkpoint import Checkpoint
from app.rules.runs.kind_counts import KindCounts
from app.rules.runs.progress import Progress
from app.stores.runs.run_row import Run
from tests.cli.conftest import Terminal

BEGAN = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def view(**changes: Any) -> RunView:
    """A run that has read 1,000 of 5,000 records in 100 s, the last 500 of them in 25 s."""
    at = BEGAN.timestamp()
    marks = [(at + 75, 500), (at + 100, 1000)]
    run = Run(
        id=7,
        connection="shop",
        strategy=Strategy.INVENTORY,
        cause="person",
        status=Status.RUNNING,
        slot=None,
        created_at=BEGAN,
        started_at=BEGAN,
        finished_at=None,
        hinted_at=None,
        token=None,
        lease_until=None,
        kills=0,
        counts={},
        calls=12,
        error=None,
        dry=False,
        options=Options(),
        reason=None,
        progress=Progress(total=5000, processed=1000, batch="Products page 7", marks=marks),
        checkpoint=Checkpoint(),
    )
    return run_view(run._replace(**changes), BEGAN + timedelta(seconds=100))


def test_a_run_at_work_tells_share_amount_speed_time_batch_and_calls() -> None:
    assert line(view(), calls_left=240) == (
        "run 7 inventory of shop · 20 % · 1,000 of 5,000 · 20/s · 3 min to 7 min left · Products page 7 · "
        "12 calls, 240 left now"
    )


ENDED: dict[str, Any] = {"status": Status.COMPLETED, "finished_at": BEGAN + timedelta(seconds=100)}


def test_a_run_says_how_many_items_it_left_to_the_workers() -> None:
    told = sentences(view(**ENDED, progress=Progress(processed=60, owed=47)))
    assert told[1:] == ["47 items were only named: they are owed, and the workers fetch each of them."]


def test_a_dry_run_leaves_nothing_to_the_workers() -> None:
    assert len(sentences(view(**ENDED, dry=True, progress=Progress(processed=60, owed=47)))) == 1


def test_a_smart_run_says_once_what_it_chose() -> None:
    told = sentences(
        view(
            **ENDED,
            strategy=Strategy.SMART,
            checkpoint=Checkpoint(chosen=Strategy.FULL),
            reason="full: no run has read",
        )
    )
    assert told[1:] == ["Why full: no run has read"]


def test_a_dry_run_says_what_the_guard_would_hold() -> None:
    counts = {"product": KindCounts(held="would delete 40 of 60 rows (67%)")}
    told = sentences(view(**ENDED, dry=True, progress=Progress(processed=60, held=40), counts=counts))
    assert told[1:] == ["It would hold of product: would delete 40 of 60 rows (67%)"]


def test_without_a_total_there_is_no_share_and_no_time() -> None:
    assert line(view(progress=Progress(processed=1000))) == "run 7 inventory of shop · 1,000 · 12 calls"


def test_more_than_was_expected_is_no_more_than_everything() -> None:
    assert "· 100 % ·" in line(view(progress=Progress(processed=1001, total=1000)))


def test_an_idle_run_waits_for_a_worker() -> None:
    assert "waits for a worker" in line(view(status=Status.IDLE, started_at=None, progress=Progress()))


def test_what_a_smart_run_chose_is_named() -> None:
    assert "smart: orders of shop" in line(
        view(strategy=Strategy.SMART, checkpoint=Checkpoint(chosen=Strategy.ORDERS))
    )


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (89.4, "89 s"), (90, "2 min"), (5_340, "89 min"), (7_500, "2 h 5 min")]
)
def test_a_span_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_the_bar_is_drawn_on_a_terminal_with_the_whole_line_beneath() -> None:
    screen = io.StringIO()
    with Bar(Console(file=screen, force_terminal=True, no_color=True, width=60)) as bar:
        bar.show(view())
        bar._live.refresh()  # type: ignore[union-attr]
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    above, *beneath = (row.strip() for row in plain.splitlines() if row.strip())
    assert set(above) == {"━"}
    assert " ".join(beneath).startswith(line(view()))


def test_where_there_is_no_terminal_nothing_is_drawn() -> None:
    file = io.StringIO()
    with Bar(Console(file=file)) as bar:
        bar.show(view())
    assert file.getvalue() == ""


def test_logs_do_not_reach_standard_output(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    open_deps()
    structlog.get_logger().warning("something_odd")
    said = capsys.readouterr()
    assert (said.out, "something_odd" in said.err) == ("", True)
