"""Under which address a delivery came in, as far as its headers tell, and whether that is the one we expect."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

LONGEST = 200
"""Characters of an address that a stranger may have us write down."""


def came_to(headers: Mapping[str, str], path: str, scheme: str) -> str:
    """The address that a request was sent to; what a proxy says of it goes before what we see. Header names are lower
    case."""
    seen_scheme = _first(headers.get("x-forwarded-proto", "")) or scheme
    return f"{seen_scheme}://{host_in(headers) or 'nowhere'}{path}"[:LONGEST]


def host_in(headers: Mapping[str, str]) -> str:
    """The host that the sender named, empty where nobody tells."""
    return _first(headers.get("x-forwarded-host", "")) or headers.get("host", "")


def is_elsewhere(host: str, url: str) -> bool:
    """Whether a host is surely not that of a URL; names of this machine or its network tell nothing: a proxy may put
    them there."""
    name = _name_of(host)
    return bool(name) and not _is_local(name) and name != (urlsplit(url).hostname or "")


def differs(one: str, other: str) -> str:
    """In what two URLs differ, in words; empty for equal ones."""
    first, second = urlsplit(one), urlsplit(other)
    parts = {
        "scheme": first.scheme != second.scheme,
        "host": first.hostname != second.hostname,
        "port": first.port != second.port,
        "path": first.path.rstrip("/") != second.path.rstrip("/"),
        "query": first.query != second.query,
    }
    found = [name for name, differs_there in parts.items() if differs_there]
    if not found and one != other:
        return "slash at the end" if one.rstrip("/") == other.rstrip("/") else "spelling"
    return " and ".join(found)


def _first(text: str) -> str:
    return text.split(",")[0].strip()


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_local(name: str) -> bool:
    try:
        return not ip_address(name).is_global
    except ValueError:
        return "." not in name or name.endswith((".local", ".internal", ".localhost"))
