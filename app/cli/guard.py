"""``tallyhook guard``: how well the guard knows disasters from ordinary life, shown to anybody with a seed."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Annotated

import structlog
import typer
from rich.progress import track

from app.cli.console import aside, console
from app.prove.guard.report import tables, worst
from app.prove.guard.trial import MANY_DISASTERS, MANY_LIVES, SIZES, Ground, drawn

app = typer.Typer(help="The guard that holds implausible batches.", no_args_is_help=True)


@app.command("test")
def try_(
    seed: Annotated[int, typer.Option(help="draws the shops, the disasters and the lives")] = 1,
    disasters: Annotated[int, typer.Option(help="disasters, each nightly and polled first", min=0)] = MANY_DISASTERS,
    lives: Annotated[int, typer.Option(help="ordinary lives, each nightly and polled first", min=0)] = MANY_LIVES,
    largest: Annotated[int, typer.Option(help="products of the largest shops", min=10)] = SIZES[-1],
) -> None:
    """Try disasters and ordinary lives on the real flows; exit code 1 when a target is missed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    trials = list(drawn(seed, disasters=disasters, lives=lives, sizes=[size for size in SIZES if size <= largest]))
    with closing(Ground()) as ground:
        outcomes = [ground.attempt(trial) for trial in track(trials, "trying", console=aside)]
    for table in tables(outcomes):
        console.print(table)
    for line in worst(outcomes):
        console.print(line, markup=False)
    let_through = any(not one.is_right for one in outcomes if one.trial.is_disaster)
    held = sum(not one.is_right for one in outcomes if not one.trial.is_disaster)
    raise typer.Exit(1 if let_through or held > 0.01 * 2 * lives else 0)
