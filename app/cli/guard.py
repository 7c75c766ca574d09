"""``tallyhook guard``: how well the guard tells disasters from ordinary life, repeatable by seed."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import groupby
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.cli.console import AsJson, console, print_json, stderr
from app.prove.crew import Crew
from app.prove.guard import ground
from app.prove.guard.report import line, tables, worst
from app.prove.guard.trial import MANY_DISASTERS, MANY_LIVES, SIZES, Outcome, drawn
from app.prove.real.databases import server

app = typer.Typer(help="The guard that holds implausible batches.", no_args_is_help=True)

INTERRUPTED = 130


@app.command("test")
def try_(
    seed: Annotated[int, typer.Option(help="the seed that draws the shops, the disasters and the lives")] = 1,
    disasters: Annotated[
        int, typer.Option(help="number of disasters, each tried twice: nightly, and polled first", min=0)
    ] = MANY_DISASTERS,
    lives: Annotated[
        int, typer.Option(help="number of ordinary lives, each tried twice: nightly, and polled first", min=0)
    ] = MANY_LIVES,
    largest: Annotated[int, typer.Option(help="products of the largest shops", min=10)] = SIZES[-1],
    hands: Annotated[int, typer.Option(help="trials at a time", min=1, max=64)] = 1,
    database: Annotated[
        str,
        typer.Option(
            help="URL of a PostgreSQL server where databases may be created, or `postgresql` for a server of the"
            " development wheel; default: SQLite files (`sqlite`)"
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Try disasters and ordinary lives on the real flows; exit code 1 when a target is missed."""
    trials = drawn(seed, disasters=disasters, lives=lives, sizes=[size for size in SIZES if size <= largest])
    with server(database) as url, closing(Crew(ground.trials, hands=hands, url=url)) as crew:
        finished, is_whole = _followed(crew.outcomes(trials), len(trials))
    if as_json:
        print_json({"trials": finished, "is_whole": is_whole})
    else:
        _print_outcomes(finished)
    if not is_whole:
        (stderr if as_json else console).print(f"Interrupted after {len(finished):,} of {len(trials):,} trials.")
        raise typer.Exit(INTERRUPTED)
    let_through = any(not one.is_right for one in finished if one.trial.is_disaster)
    held = sum(not one.is_right for one in finished if not one.trial.is_disaster)
    raise typer.Exit(1 if let_through or held > 0.01 * 2 * lives else 0)


def _followed(coming: Iterable[Outcome], many: int) -> tuple[list[Outcome], bool]:
    """The outcomes, and whether all trials were made. A bar moves with each; without a terminal each size of shops is a
    line when the next size begins."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    outcomes: list[Outcome] = []
    bar = Progress(*columns, TimeRemainingColumn(), console=stderr, disable=not stderr.is_terminal)
    try:
        with bar:
            bar.add_task("trying", total=many)
            for size, of_size in groupby(coming, lambda one: one.trial.size):
                before = len(outcomes)
                for outcome in of_size:
                    outcomes.append(outcome)
                    wrong = sum(not one.is_right for one in outcomes)
                    described = f"{size:,} products" + (f", {wrong} wrong" if wrong else "")
                    bar.update(bar.task_ids[0], advance=1, description=described)
                if bar.disable:
                    stderr.print(line(outcomes[before:]), markup=False)
    except KeyboardInterrupt:
        return outcomes, False
    return outcomes, True


def _print_outcomes(outcomes: Sequence[Outcome]) -> None:
    for table in tables(outcomes):
        console.print(table)
    for words in worst(outcomes):
        console.print(words, markup=False)
