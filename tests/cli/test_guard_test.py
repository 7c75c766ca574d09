"""``tallyhook guard test``: what it shows while it tries, at its end, and when it is interrupted."""

import signal
import subprocess
import sys

from typer.testing import CliRunner

from app.cli.commands import app

GUARD_TEST = [sys.executable, "-m", "app.cli", "guard", "test"]


def test_a_guard_that_misses_no_target_ends_well_with_both_tables() -> None:
    result = CliRunner().invoke(app, ["guard", "test", "--disasters", "4", "--lives", "4", "--largest", "10"])
    assert result.exit_code == 0, result.output
    assert "let through, a poll first" in result.output
    assert "wrongly held, nightly" in result.output


def test_where_there_is_no_terminal_each_size_of_shops_is_a_line() -> None:
    typed = [*GUARD_TEST, "--disasters", "4", "--lives", "4", "--largest", "50", "--hands", "2"]
    done = subprocess.run(typed, capture_output=True, text=True, check=True)
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["10 products", "50 products"]


def test_an_interrupted_test_prints_its_tables_and_says_how_far_it_came() -> None:
    typed = [*GUARD_TEST, "--disasters", "60", "--lives", "0"]
    with subprocess.Popen(
        typed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_heeds_ctrl_c
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith("10 products: 0 of ")
        process.send_signal(signal.SIGINT)
        out = process.stdout.read()
    assert process.returncode == 130
    assert "let through, nightly" in out
    assert "of 120 trials." in out


def _heeds_ctrl_c() -> None:
    """Where the suite itself runs in the background of a shell, its processes ignore Ctrl-C unless they are told not to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
