"""The address that a delivery was sent to, by its headers, and whether that is the expected one."""

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

MAX_LENGTH = 200
"""Characters of an address that we store: a stranger chooses it."""


def sent_to(headers: Mapping[str, str], path: str, scheme: str) -> str:
    """The address that a request was sent to; a proxy's headers take precedence. Header names are in lower case."""
    sent_scheme = _first(headers.get("x-forwarded-proto", "")) or scheme
    return f"{sent_scheme}://{host_in(headers) or 'nowhere'}{path}"[:MAX_LENGTH]


def host_in(headers: Mapping[str, str]) -> str:
    """The host that the sender named, or an empty text."""
    return _first(headers.get("x-forwarded-host", "")) or headers.get("host", "")


def is_elsewhere(host: str, url: str) -> bool:
    """Whether a host certainly differs from that of a URL. Names of this machine or its network prove nothing: a proxy may
    have set them."""
    name = _name_of(host)
    return bool(name) and not _is_local(name) and name != (urlsplit(url).hostname or "")


def differs(one: str, other: str) -> str:
    """The parts in which two URLs differ, in words; empty for equal ones."""
    first, second = urlsplit(one), urlsplit(other)
    parts = {
        "scheme": first.scheme != second.scheme,
        "host": first.hostname != second.hostname,
        "port": first.port != second.port,
        "path": first.path.rstrip("/") != second.path.rstrip("/"),
        "query": first.query != second.query,
    }
    differing = [name for name, differ in parts.items() if differ]
    if not differing and one != other:
        return "slash at the end" if one.rstrip("/") == other.rstrip("/") else "spelling"
    return " and ".join(differing)


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
