"""``tallyhook check``: does this installation have everything it needs?"""

import logging
from typing import Annotated

import typer

from app.cli.codes import FAILED, WELL
from app.cli.console import AsJson, console, open_deps, print_json
from app.flows.connections.kind_checks import State
from app.flows.reports.check_all import Finding, check_all

_SIGNS = {State.WELL: "[green]well [/green]", State.NOTE: "note ", State.WRONG: "[red]wrong[/red]"}


def check(
    connection: Annotated[str | None, typer.Argument(help="check only this connection")] = None,
    mail: Annotated[bool, typer.Option("--mail", help="send a test mail to the recipients of alerts")] = False,
    as_json: AsJson = False,
) -> None:
    """Try the database, the queue, every vendor kind by kind, webhooks and mail; exit code 1 when something is wrong."""
    findings = []
    for finding in check_all(open_deps(log_level=logging.ERROR), connection, mail=mail):  # what is wrong is said
        findings.append(finding)
        if not as_json:
            _tell(finding)
    if as_json:
        print_json(findings)
    raise typer.Exit(FAILED if any(one.state is State.WRONG for one in findings) else WELL)


def _tell(finding: Finding) -> None:
    console.print(f"{_SIGNS[finding.state]}  ", end="")
    todo = f"; {finding.todo}" if finding.todo else ""
    console.lines(f"{finding.about}: {finding.said}{todo}")
