"""Reads a database URL: checks its parameters, and turns them into the driver's."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.errors import BadConfiguration

PREPARE_THRESHOLD = 5
"""After this many runs on a PostgreSQL session the server keeps a statement's plan."""

MAX_LOCK_WAIT = 3600.0
"""The longest time in seconds that SQLite may wait while another program writes."""

_OURS = ("pgbouncer", "prepare_threshold")
_SQLITES = ("timeout",)
_MAY_REPEAT = ("host", "port")
_WHOLE_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_DEFAULTS: Mapping[str, Any] = {
    "application_name": "tallyhook",
    # A server that went away without a word is noticed within 10 s, one that comes back is found within 5 s.
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_YES = frozenset({"true", "1", "yes", "on"})
_NO = frozenset({"false", "0", "no", "off"})

_NAME = re.compile(r"[A-Za-z_]{1,40}")  # anything else may be the rest of a password with "@" and "?" in it
_URL = re.compile(  # split as SQLAlchemy does
    r"(?P<before>[\w+]+://(?:[^:/]*(?::[^@]*)?@)?)(?P<hosts>[^/?]*)(?P<database>/[^?]*)?(?:\?(?P<query>.*))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class DatabaseUrl:
    """The place of a database, and how to connect.

    ``url`` names the driver and has libpq's parameters; ``arguments`` are further ones of the driver's ``connect``.
    ``pooled`` says whether a pooler lends us another session for each transaction; ``None`` if that must be detected.
    After ``prepare_threshold`` runs on a session a statement's plan is kept there; ``None``: never.
    """

    url: URL
    arguments: Mapping[str, Any] = field(repr=False)
    pooled: bool | None = False
    prepare_threshold: int | None = None


def parse(text: str) -> DatabaseUrl:
    """A database URL: ``sqlite:////absolute/path.db``, ``sqlite:///relative.db`` or ``postgresql://...``.

    PostgreSQL takes several hosts (``a:5432,b:5432``), every parameter of libpq, ``pgbouncer=true|false`` and
    ``prepare_threshold=none|0|1|...``; SQLite takes ``timeout`` (seconds). Raises ``BadConfiguration`` for anything
    else, in a sentence that never shows the URL, which may hold a password.
    """
    parts = _URL.fullmatch(text)
    if parts is None:
        raise BadConfiguration("the database URL is not readable")
    url = _located(parts)
    pairs = parse_qsl(parts["query"] or "", keep_blank_values=True)
    if url.get_backend_name() in ("postgresql", "postgres"):
        return _postgresql(url, parts["hosts"], pairs)
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        return _sqlite(url, pairs)
    raise BadConfiguration("the database URL must be sqlite:///a/file.db or postgresql://user@host/name")


def check_folder(text: str) -> None:
    """Raise ``BadConfiguration`` if SQLite's file cannot exist: its folder is missing, or it is a folder itself."""
    url = parse(text).url
    if url.get_backend_name() != "sqlite":
        return
    file = Path(url.database or "").absolute()
    folder = next(one for one in (file.parent, *file.parent.parents) if one.exists())
    if not folder.is_dir():
        raise BadConfiguration(f"the database cannot be {file}: {folder} is not a folder; correct its URL")
    if folder != file.parent:
        raise BadConfiguration(
            f"the database cannot be {file}: there is no folder {file.parent}; make it, or correct its URL"
        )
    if file.is_dir():
        raise BadConfiguration(f"the database cannot be {file}: that is a folder; correct its URL")


def _located(parts: re.Match[str]) -> URL:
    """The URL without parameters; several hosts are left out."""
    hosts = "" if "," in parts["hosts"] else parts["hosts"]
    try:
        return make_url(f"{parts['before']}{hosts}{parts['database'] or ''}")
    except (ArgumentError, ValueError):
        raise BadConfiguration("the database URL is not readable") from None


def _sqlite(url: URL, pairs: list[tuple[str, str]]) -> DatabaseUrl:
    given = _known(pairs, _SQLITES, "SQLite's only parameter is timeout")
    arguments: dict[str, Any] = {
        # We say BEGIN ourselves: the driver's own would come too late to make reads and writes one snapshot.
        "isolation_level": None,
        "check_same_thread": False,
        "cached_statements": 512,
    }
    if "timeout" in given:
        arguments["timeout"] = _lock_wait(given["timeout"][0])
    return DatabaseUrl(url.set(drivername="sqlite+pysqlite"), arguments)


def _lock_wait(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_LOCK_WAIT:
        raise _bad_value("timeout", f"a number of seconds from 0 to {MAX_LOCK_WAIT:.0f}")
    return seconds


def _postgresql(url: URL, hosts: str, pairs: list[tuple[str, str]]) -> DatabaseUrl:
    options = {option.keyword.decode(): option.dispchar for option in pq.Conninfo.get_defaults()}
    shown = ", ".join(sorted(name for name, sort in options.items() if sort == b""))  # without secrets, debugging
    given = _known(pairs, (*_OURS, *options), f"known are {', '.join(_OURS)}, and of libpq {shown}")
    if "," in hosts:
        given["host"] = hosts.split(",")
    parameters = {name: values[0] for name, values in given.items() if name not in (*_OURS, *_MAY_REPEAT)}
    parameters |= _several_hosts(given)
    _check_values(parameters)
    threshold = _threshold(given)
    return DatabaseUrl(
        _with(url, parameters),
        # Nothing is prepared before we know whether there is a pooler.
        {name: value for name, value in _DEFAULTS.items() if name not in parameters} | {"prepare_threshold": None},
        pooled=_pooled(given, threshold),
        prepare_threshold=threshold,
    )


def _known(pairs: list[tuple[str, str]], known: tuple[str, ...], what_is_known: str) -> dict[str, list[str]]:
    """The parameters by name; raises ``BadConfiguration`` for one that is unknown, empty or repeated."""
    times = Counter(name for name, _ in pairs)
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in known:
            is_name = _NAME.fullmatch(name) and "@" not in value
            raise BadConfiguration(
                f"the database URL has an unknown parameter{f' {name}' if is_name else ''}; {what_is_known}"
            )
        if not value:
            raise BadConfiguration(f"the parameter {name} of the database URL has no value")
        if times[name] > 1 and name not in _MAY_REPEAT:
            raise BadConfiguration(f"the parameter {name} stands {times[name]} times in the database URL")
        given.setdefault(name, []).append(value)
    return given


def _pooled(given: Mapping[str, list[str]], threshold: int | None) -> bool | None:
    if "pgbouncer" not in given:
        return True if threshold is None else None
    value = given["pgbouncer"][0].lower()
    if value not in _YES | _NO:
        raise _bad_value("pgbouncer", "true or false")
    return value in _YES


def _threshold(given: Mapping[str, list[str]]) -> int | None:
    if "prepare_threshold" not in given:
        return PREPARE_THRESHOLD
    value = given["prepare_threshold"][0].lower()
    if value == "none":
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise _bad_value("prepare_threshold", "none, 0 or a positive whole number")
    return int(value)


def _several_hosts(given: Mapping[str, list[str]]) -> dict[str, str]:
    """``host`` and ``port`` in libpq's form (lists with commas), from either way of writing several."""
    hosts = [host for value in given.get("host", ()) for host in value.split(",")]
    ports = [port for value in given.get("port", ()) for port in value.split(",")]
    places = list(_places(hosts))
    if any(port for _, port in places):
        if ports:
            raise BadConfiguration("the database URL gives ports both after its hosts and as a parameter")
        hosts, ports = [host for host, _ in places], [port for _, port in places]
    named = {"host": ",".join(hosts), "port": ",".join(ports)}
    if len(hosts) > 1 and "target_session_attrs" not in given:
        named["target_session_attrs"] = "read-write"  # a standby cannot write
    return {name: value for name, value in named.items() if value}


def _places(hosts: list[str]) -> Iterator[tuple[str, str]]:
    """Host and port of each (the port empty if none is given); an IPv6 address has a port only after brackets."""
    for host in hosts:
        bracketed, _, after = host.removeprefix("[").partition("]")
        if host.startswith("["):
            yield bracketed, after.removeprefix(":")
        elif host.count(":") == 1 and not host.startswith("/"):
            name, _, port = host.partition(":")
            yield name, port
        else:
            yield host, ""


def _check_values(parameters: Mapping[str, str]) -> None:
    """Raise ``BadConfiguration`` for a value with which no connection would ever succeed."""
    for name in _WHOLE_NUMBERS:
        if name in parameters and not re.fullmatch(r"-?[0-9]{1,9}", parameters[name]):
            raise _bad_value(name, "a whole number")
    # libpq checks its parameters before it connects; it gets no real host. There must be as many hosts as ports.
    hosts = ",".join("/nowhere" for _ in parameters.get("host", "").split(","))
    checked = {name: value for name, value in parameters.items() if name != "hostaddr"} | {"host": hosts}
    try:
        attempt = pq.PGconn.connect_start(make_conninfo(**checked).encode())
    except psycopg.Error:
        raise BadConfiguration("the parameters of the database URL are not readable") from None
    said = attempt.get_error_message().strip() if attempt.status == pq.ConnStatus.BAD else ""
    attempt.finish()
    if said and "connection to server" not in said:
        raise BadConfiguration(f"the database URL cannot be used: {said}")


def _with(url: URL, parameters: Mapping[str, str]) -> URL:
    """Move user, password and database from the parameters into the URL, where the password is hidden."""
    parts = {"user": "username", "password": "password", "dbname": "database"}
    moved: Any = {part: parameters[name] for name, part in parts.items() if name in parameters}
    rest = {name: value for name, value in parameters.items() if name not in parts}
    return url.set(drivername="postgresql+psycopg", query=rest, **moved)


def _bad_value(name: str, right: str) -> BadConfiguration:
    return BadConfiguration(f"the parameter {name} of the database URL must be {right}")
