"""The terminal: answers go to standard output, everything else (progress, questions, logs) to standard error."""

import getpass
import logging
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import msgspec
import structlog
import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from app import wiring
from app.cli.here import check_database_here, settings_here
from app.domain import JsonObject, Principal, Role
from app.flows.deps import Deps, Queue
from app.rules.terminal import for_terminal, json_for_terminal


class Terminal(Console):
    """A console that prints foreign text as plain text only; colours come from us, never from control characters in it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As ``Console`` does, with every piece of text made safe."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else piece._replace(text=for_terminal(piece.text))

    def render_str(self, text: str, **how: Any) -> Text:
        """As ``Console`` does, with the text made safe before its width is measured."""
        return super().render_str(for_terminal(text), **how)

    def lines(self, *lines: str, style: str | None = None) -> None:
        """Print lines as they are: without markup, and none of them is broken."""
        for line in lines:
            self.print(line, markup=False, soft_wrap=True, style=style)


console = Terminal(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 240)
"""Where commands print answers; wide where it is not a terminal, so that a pipe gets whole lines."""

stderr = Terminal(stderr=True, highlight=False, emoji=False)

LARGEST_ID = 2**63 - 1

AsJson = Annotated[bool, typer.Option("--json", help="answer with one JSON document and nothing else")]
Connection = Annotated[str, typer.Argument(help="slug of the connection")]
RunId = Annotated[int, typer.Argument(help="number of the run", min=1, max=LARGEST_ID)]
Limit = Annotated[int, typer.Option(help="at most this many, newest first", min=1, max=500)]
Before = Annotated[
    int | None, typer.Option(help='continue after this id ("next" of the previous page)', min=1, max=LARGEST_ID)
]


def open_deps(queue: Queue | None = None, *, log_level: int = logging.WARNING) -> Deps:
    """The parts that a command works with; logs go to standard error, because standard output is for the answer."""
    settings = settings_here()
    check_database_here(settings)
    structlog.configure(
        processors=wiring.log_processors(settings),
        wrapper_class=structlog.make_filtering_bound_logger(log_level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # looked up each time: a live bar replaces it
        cache_logger_on_first_use=False,
    )
    return replace(wiring.build(settings, "cli", queue=queue), principal=who_is_there())


def who_is_there() -> Principal:
    """The person at the terminal. Whoever can read the settings can open the database, so they may do everything."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        name = f"uid {os.getuid()}"
    return Principal(f"cli {name}", Role.ADMIN, origin=f"{socket.gethostname()}:{os.getpid()}")


def print_json(value: Any) -> None:
    """One JSON document on standard output; times as ISO 8601, quantities as strings."""
    typer.echo(json_for_terminal(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


def done(said: str | Iterable[str], facts: Any, *, as_json: bool) -> None:
    """Report what was done or found: a sentence or lines for people, the ``facts`` as one JSON document for programs."""
    if as_json:
        print_json(facts)
    else:
        console.lines(*([said] if isinstance(said, str) else said))


def objects(rows: Iterable[Any]) -> list[JsonObject]:
    """Rows (structs or named tuples) for programs: each is an object with its fields."""
    return [row._asdict() if hasattr(row, "_asdict") else msgspec.to_builtins(row) for row in rows]


def page_of(rows: Sequence[Any], limit: int, **about: Any) -> JsonObject:
    """A page of rows for programs, after what there is to say ``about`` all of them: ``next`` is the value for ``--before``,
    ``None`` after the last page."""
    return {**about, "rows": objects(rows), "next": rows[-1].id if len(rows) == limit else None}


def named(facts: Iterable[tuple[str, object]]) -> str:
    """Facts in one line: ``rows 3, share 0.5``."""
    return ", ".join(f"{name} {value}" for name, value in facts)


def moment(value: datetime | str | None) -> str:
    """A moment for people, in UTC to the second; "-" for none."""
    read = datetime.fromisoformat(value) if isinstance(value, str) else value
    return "-" if read is None else f"{read:%F %T}"
