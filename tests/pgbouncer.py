"""A real PgBouncer in transaction mode, in front of a PostgreSQL server that listens on a socket."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

SESSIONS = 3
"""Sessions with the server: fewer than the clients of any test that means something, so that they change hands."""

_CONFIGURATION = """
[databases]
* = host={socket_folder} port=5432 user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {sessions}
max_client_conn = 500
server_login_retry = 1
pidfile = {folder}/pgbouncer.pid
logfile = {folder}/pgbouncer.log
{more}
"""


@contextmanager
def running(
    server_url: str, *, mode: str = "transaction", sessions: int = SESSIONS, more: str = "", port: int = 0
) -> Iterator[str]:
    """The address (``127.0.0.1:port``) of a pooler in front of the server, on any port unless one is given; ``more`` are
    further lines for its file."""
    socket_folder = Path(parse_qs(urlsplit(server_url).query)["host"][0])
    owner = pwd.getpwuid(socket_folder.stat().st_uid)
    folder = Path(tempfile.mkdtemp(prefix="tallyhook-pgbouncer-"))
    port = port or _free_port()
    file = folder / "pgbouncer.ini"
    file.write_text(
        _CONFIGURATION.format(
            socket_folder=socket_folder, port=port, mode=mode, sessions=sessions, folder=folder, more=more
        )
    )
    # It refuses to run as root, and the socket is open to the server's user alone.
    options = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    for path in (folder, file):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    process = subprocess.Popen([_binary(), "--quiet", str(file)], **options)  # type: ignore[call-overload]
    try:
        _await(f"postgresql://postgres@127.0.0.1:{port}/postgres", process, folder / "pgbouncer.log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def through(address: str, url: str, parameters: str = "") -> str:
    """A server's database by its URL, but through the pooler at this address."""
    return f"postgresql://postgres@{address}{urlsplit(url).path}" + (f"?{parameters}" if parameters else "")


def _binary() -> str:
    result = shutil.which("pgbouncer", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))
    if result is None:
        raise RuntimeError("pgbouncer is not installed (apt-get install pgbouncer)")
    return result


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await(url: str, process: subprocess.Popen[bytes], log: Path, patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            psycopg.connect(url, prepare_threshold=None).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text()) from None
            threading.Event().wait(0.02)
