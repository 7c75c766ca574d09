"""``tallyhook prove``: checks the promise under faults, repeatable by seed."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.console import AsJson, console, print_json, stderr
from app.errors import BadConfiguration
from app.prove import report
from app.prove.campaign import MOST_FINDINGS, Tally, Trial, simulations, smaller
from app.prove.crew import Crew
from app.prove.faults import Dial
from app.prove.processes import rounds
from app.prove.real import databases
from app.prove.simulate import Outcome

TOLD_EVERY = 50
"""Seeds between two progress lines, where there is no bar."""


def prove(
    runs: Annotated[int, typer.Option(help="seeds to simulate", min=0)] = 1000,
    seed: Annotated[int | None, typer.Option(help="only this seed, exactly as before")] = None,
    first: Annotated[int, typer.Option(help="the first seed")] = 0,
    database: Annotated[
        str,
        typer.Option(
            help="URL of a PostgreSQL server where databases may be created, or `postgresql` for a server of the"
            " development wheel; default: SQLite files (`sqlite`)"
        ),
    ] = "",
    processes: Annotated[int, typer.Option(help="rounds with real processes afterwards", min=0)] = 0,
    faults: Annotated[
        str, typer.Option(help="exactly these faults, comma separated; `none` for none; default: drawn by the seed")
    ] = "",
    hands: Annotated[int, typer.Option(help="simulations at a time", min=1, max=64)] = 1,
    as_json: AsJson = False,
) -> None:
    """Simulate seeds full of faults, then run real processes under faults; exit code 1 when anything is found."""
    dials = _dials(faults)
    seeds = [seed] if seed is not None else list(range(first, first + runs))
    with (
        databases.server(database if seeds else "") as url,
        closing(Crew(simulations, hands=hands, url=url)) as crew,
    ):
        tally = _simulate([Trial(seed, dials, all_on=bool(faults)) for seed in seeds], crew)
        if not as_json:
            _tell_failing(tally, crew, anew=seed is None)
    broken = rounds(processes, (seeds or [first])[0], partial(stderr.print, markup=False), database=database or None)
    if as_json:
        print_json({"runs": tally.runs, "failing": tally.failing, "rounds": processes, "broken": broken})
    else:
        _tell(tally, dials, processes, broken)
    raise typer.Exit(1 if tally.failing or broken else 0)


def _tell_failing(tally: Tally, crew: Crew[Trial, Outcome], *, anew: bool) -> None:
    """The findings of the failing seeds; for the first ones also the fewest faults that reproduce them."""
    for outcome in tally.failing[:MOST_FINDINGS]:
        least = smaller(outcome, crew) if anew else outcome
        console.print("\n".join(report.found(least, smallest=True)), markup=False)
    for outcome in tally.failing[MOST_FINDINGS:]:
        console.print("\n".join(report.found(outcome, smallest=False)), markup=False)


def _dials(faults: str) -> set[Dial]:
    names = [name.strip() for name in faults.split(",") if name.strip()]
    unknown = sorted(set(names) - {*Dial, "none"})
    if unknown:
        raise BadConfiguration(f"no fault {', '.join(unknown)}; use one of: {', '.join(Dial)}")
    return {Dial(name) for name in names if name != "none"} if names else set(Dial)


def _simulate(trials: Sequence[Trial], crew: Crew[Trial, Outcome]) -> Tally:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tally = Tally()
    with Progress(*columns, console=stderr) as progress:
        bar = progress.add_task("simulating", total=len(trials))
        for outcome in crew.outcomes(trials):
            tally.add(outcome)
            failing = len(tally.failing)
            for finding in outcome.findings[:1]:
                stderr.print(f"Seed {outcome.seed}: {finding}", markup=False)
            if not stderr.is_terminal and tally.runs % TOLD_EVERY == 0:  # no bar is seen in a log file
                stderr.print(f"{tally.runs} of {len(trials)} seeds, {failing} failing")
            progress.update(bar, advance=1, description=f"simulating, {failing} failing" if failing else "simulating")
    return tally


def _tell(tally: Tally, dials: set[Dial], rounds: int, broken: list[str]) -> None:
    if tally.runs:
        console.print(report.injected(tally, dials))
        console.print(report.measured(tally))
        console.print("\n".join(report.checked()), markup=False)
    for words in broken:
        console.print(f"  ! {words}", markup=False)
    console.print(report.summary(tally, rounds, broken), markup=False)
