"""Every command of ``tallyhook``, each a few lines around a flow."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import uvicorn
from msgspec import to_builtins
from rich.json import JSON

from app import config, sources, wiring
from app.channels.queue import BULK, LIVE
from app.cli import access, check, connections, database, inbox, letter_actions, questions, runs, schedules, sync
from app.cli import forecast as forecast_commands
from app.cli import guard as guard_commands
from app.cli import holds as holds_commands
from app.cli import items as items_commands
from app.cli import subscribers as subscribers_commands
from app.cli.codes import EXPLAINED
from app.cli.console import AsJson, Connection, console, done, open_deps, print_json
from app.cli.init import init
from app.cli.prove import prove
from app.cli.up import Demo, run_stack
from app.cli.wording import Commands
from app.domain import Options, Strategy
from app.errors import BadConfiguration, NotFound
from app.flows.reports.status import overview, readiness
from app.flows.runs.history import show_run
from app.flows.runs.request_run import request_run
from app.local.embedded import check_free

LOOPBACK = "127.0.0.1"

EXAMPLES = (
    "Examples: `tallyhook demo`; `tallyhook init`; `tallyhook sync <connection> --strategy full --dry-run`; "
    "`tallyhook dead list since:2h`; `tallyhook inbox show 12 --json`; `tallyhook drift <connection> --cause missed`."
)

app = typer.Typer(
    help="Keeps your SQL database a true, fresh, explainable copy of your inventory accounts.",
    epilog=f"{EXAMPLES}\n\n{EXPLAINED}",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(letter_actions.dead, name="dead")
app.add_typer(inbox.app, name="inbox")
app.add_typer(access.tokens, name="tokens")
app.add_typer(access.users, name="users")
app.add_typer(access.audit, name="audit")
app.add_typer(subscribers_commands.app, name="subscribers")
app.add_typer(connections.app, name="connections")
app.add_typer(items_commands.app, name="items")
app.add_typer(holds_commands.app, name="holds")
app.add_typer(guard_commands.app, name="guard")
app.add_typer(forecast_commands.app, name="forecast")
app.add_typer(runs.app, name="runs")
app.add_typer(schedules.app, name="schedule")
app.add_typer(sync.backfill, name="backfill")
for command in (
    init,
    sync.sync,
    runs.history,
    runs.failed,
    questions.validate,
    questions.drift,
    questions.gaps,
    prove,
    database.migrate,
    database.copy_database,
    check.check,
):
    app.command()(command)


@app.command()
def demo(
    data: Annotated[
        Path, typer.Option(help="folder that keeps the demo's database, queue and simulated shops")
    ] = Path("data/demo"),
    changes: Annotated[int, typer.Option(help="shop changes per minute, for each simulated vendor", min=0)] = 60,
    products: Annotated[int, typer.Option(help="products of each simulated vendor at the first start", min=1)] = 300,
) -> None:
    """Start everything with two simulated vendors and a living shop; Ctrl-C stops it, the next start continues."""
    run_stack(config.load(), data_dir=data, demo=Demo(changes, products))


@app.command()
def up() -> None:
    """Start everything for the configured connections: queue, web, workers and clock."""
    settings = config.load()
    if not settings.accounts():
        raise NotFound(
            "no connection is configured: `tallyhook init` connects an account (or set "
            "TALLYHOOK_CONNECTIONS__<SLUG>__<OPTION>, see README.md); `tallyhook demo` needs none"
        )
    run_stack(settings, data_dir=settings.data_dir)


@app.command()
def web() -> None:
    """The web process alone (Procfile)."""
    _become("app.web")


@app.command()
def worker(
    queues: Annotated[str, typer.Option(help="queues to work on, comma separated: live, bulk")] = "live,bulk",
    threads: Annotated[int, typer.Option(help="threads; the default is TALLYHOOK_LIVE_THREADS", min=0)] = 0,
) -> None:
    """One worker process (Procfile)."""
    for queue in queues.split(","):
        if queue not in (LIVE, BULK):
            raise typer.BadParameter(f"no queue {queue!r}; use {LIVE} or {BULK}", param_hint="--queues")
    _become("workers", "worker", "--queues", queues, "--threads", str(threads or config.load().live_threads))


@app.command()
def clock() -> None:
    """The clock alone (Procfile): fires schedules and sweeps; any number may run."""
    _become("workers", "clock")


@app.command()
def status(as_json: AsJson = False) -> None:
    """What is stored and owed, and whether everything is ready, as JSON."""
    deps = open_deps()
    _json({**to_builtins(overview(deps)), "readiness": readiness(deps)}, plain=as_json)


@app.command()
def ready(as_json: AsJson = False) -> None:
    """Exit code 0 when database, queue, migrations, workers and clock are well; else 1, with the findings."""
    report = readiness(open_deps())
    _json(report, plain=as_json)
    raise typer.Exit(0 if report.ready else 1)


@app.command()
def reconcile(connection: Connection, as_json: AsJson = False) -> None:
    """Ask the workers for a full reconciliation of one connection now."""
    deps = open_deps()
    run_id = request_run(deps, connection, Strategy.FULL, Options(), cause="person")
    done(f"Run {run_id} is waiting for a worker.", show_run(deps, run_id), as_json=as_json)


@app.command()
def simulate(
    source: Annotated[str, typer.Argument(help="which vendor to simulate")],
    port: Annotated[int, typer.Option(help="port on 127.0.0.1", min=1, max=65535)],
    option: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE, see the simulator's docs")] = None,
) -> None:
    """Run one vendor's simulator on loopback (also importable: app.sources.<vendor>.simulator)."""
    for pair in option or []:
        if "=" not in pair:
            raise typer.BadParameter(f"{pair!r} has no value; right would be {pair}=VALUE", param_hint="--set")
    options = dict(pair.split("=", 1) for pair in option or [])
    try:
        simulator = sources.simulator(source, options)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None
    check_free(port, LOOPBACK)
    uvicorn.run(simulator, host=LOOPBACK, port=port, log_level="warning")


def _json(value: Any, *, plain: bool) -> None:
    """Print a document: in colour for people, plain for programs."""
    if plain:
        print_json(value)
    else:
        console.print(JSON.from_data(to_builtins(value)))


def _become(module: str, *arguments: str) -> NoReturn:
    """Replace this process, so that the process manager's signals reach the worker itself. A wrong setting is reported
    first."""
    settings = config.load()
    wiring.check(settings)
    if settings.database_url is None and not settings.embedded_database().exists():
        raise BadConfiguration(
            f"there is no database in {settings.data_dir.absolute()}: run `tallyhook migrate` first, or name its "
            "folder with TALLYHOOK_DATA_DIR (`tallyhook up` starts everything at once)"
        )
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606
