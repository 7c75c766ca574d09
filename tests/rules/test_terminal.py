"""Foreign text for a terminal: what it would obey is seen instead."""

import io
import json
import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rich.live import Live
from rich.table import Table
from rich.text import Text

from app.cli.console import Terminal
from app.config import Settings
from app.rules.terminal import for_terminal, json_for_terminal
from app.wiring import log_processors

EVIL = "\x1b]0;owned\x07\x9b2J\x08\u202e"
OBEYED = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066]} - {"\t", "\n"}


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert not OBEYED & set(for_terminal(text))


@given(st.text())
def test_a_printed_json_document_says_the_same(text: str) -> None:
    printed = json_for_terminal(json.dumps(text, ensure_ascii=False))
    assert (json.loads(printed), OBEYED & set(printed)) == (text, set())


@pytest.mark.parametrize("shown", ["a line", "a cell", "a text", "an exception"])
def test_no_command_of_a_foreign_text_comes_out(shown: str) -> None:
    out = io.StringIO()
    terminal = Terminal(file=out, width=80)
    if shown == "a cell":
        table = Table(EVIL)
        table.add_row(EVIL)
        terminal.print(table)
    elif shown == "a text":
        terminal.print(Text(EVIL))
    elif shown == "an exception":
        try:
            raise ValueError(EVIL)
        except ValueError:
            terminal.print_exception()
    else:
        terminal.print(EVIL, markup=False)
    assert not OBEYED & set(out.getvalue())
    assert "owned" in out.getvalue()


def test_a_terminal_still_has_its_own_colours_and_live_lines() -> None:
    out = io.StringIO()
    terminal = Terminal(file=out, force_terminal=True, width=80)
    with Live(Text("working"), console=terminal):
        terminal.print("[red]red[/]")
    assert "\x1b[31mred" in out.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
def test_no_command_of_a_foreign_text_comes_out_in_a_log_line(as_json: bool) -> None:
    event: structlog.typing.EventDict = {"event": EVIL, "item": EVIL}
    line: object = event
    for process in log_processors(Settings(_env_file=None, log_json=as_json)):  # type: ignore[call-arg]
        line = process(logging.getLogger(), "warning", line)  # type: ignore[arg-type]
    assert not OBEYED & set(str(line))
