"""Finds mistakes in settings: unknown names, and values of the wrong kind."""

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from app.domain.nearest import nearest

PREFIX = "TALLYHOOK_"

_RIGHT: Mapping[str, str] = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "dict_type": "given by option, as in TALLYHOOK_CONNECTIONS__<SLUG>__<OPTION>",
}
_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_REDIS = ("redis", "rediss", "unix")
_WIDEST = {4: 8, 6: 7}
"""Prefix length of the largest private networks (RFC 1918, RFC 4193)."""


def misspelt(written: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """A message for each name that looks like one of our settings but is none; ``known`` are full names."""
    settings = {name.upper() for name in known}
    for name in sorted(written):
        setting, *path = name.upper().split("__")
        if setting in settings or not _ours(name.upper()):
            continue
        meant = nearest(setting, settings)
        advice = (
            "; see docs/operating.md for all settings"
            if meant is None
            else f"; did you mean {'__'.join([meant, *path])}?"
        )
        yield f"there is no setting {name}{advice}"


def wrong_value(name: str, problem: str, bounds: Mapping[str, object], said: str) -> str:
    """A message that says which values are right; it never shows the wrong one, which may be a secret.

    ``problem`` is the validator's name for the mistake, ``said`` its message, for mistakes that we have no words for.
    """
    right = _RIGHT.get(problem)
    if right is None:
        return f"{name}: {said}"
    return f"{name} must be {right.format(**bounds)}"


def proxies_problem(proxies: str) -> str | None:
    """What is wrong with the addresses of trusted proxies: a caller with such an address can claim any other."""
    named = [proxy.strip() for proxy in proxies.split(",") if proxy.strip()]
    wrong = next((proxy for proxy in named if not _is_literal(proxy) and _network(proxy) is None), None)
    if wrong is not None:
        return f"must be addresses or networks like 10.0.0.1, 10.0.0.0/8, not {wrong!r}"
    everybody = [proxy for proxy in named if _is_everybody(proxy)]
    if not everybody:
        return None
    return (
        f"would let everybody say who they are ({', '.join(everybody)}), past rates and lockouts; "
        "name the addresses of your proxies, such as 172.31.250.1"
    )


def _is_everybody(proxy: str) -> bool:
    network = _network(proxy)
    if network is None:
        return proxy == "*"
    return network.prefixlen < _WIDEST[network.version]


def _is_literal(proxy: str) -> bool:
    """Whether the server compares the value literally, as it does for a socket of this machine or for everybody."""
    return proxy.startswith("unix:") or proxy == "*"


def _network(proxy: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(proxy, strict=False)
    except ValueError:
        return None


def redis_problem(url: str) -> str | None:
    """What is wrong with a queue's URL; never shows a part of it, because it has a password."""
    parts = urlsplit(url)
    if parts.scheme not in _REDIS:
        return "must be like redis://:password@host:6379/0 (or rediss://, unix://)"
    try:
        readable = parts.port is not None or bool(parts.hostname) or parts.scheme == "unix"
    except ValueError:
        readable = False
    if readable and "@" not in parts.path + parts.query + parts.fragment:
        return None
    return "cannot be read; in a password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25"


def _ours(name: str) -> bool:
    """Whether a name is meant as one of our settings: its prefix is ours, or similar."""
    first = name.split("_")[0]
    return name.startswith(PREFIX) or (first != name and nearest(first, ["TALLYHOOK"]) is not None and len(first) > 6)


def slug_problem(slug: str) -> str | None:
    """What is wrong with a connection's name, which is part of settings, URLs and rows."""
    if _SLUG.fullmatch(slug):
        return None
    return f"a connection's name is of small letters, digits and single hyphens, like shop-2, not {slug!r}"


def public_url_problem(url: str) -> str | None:
    """What is wrong with the URL at which others reach us."""
    try:
        parts = urlsplit(url)
        readable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        readable = False
    if readable and "/webhooks/" in parts.path:
        beyond = parts.path[parts.path.index("/webhooks/") :]
        return f"a public URL is how everything of us is reached, without {beyond}"
    if readable and not (parts.query or parts.fragment or re.search(r"\s", url)):
        return None
    return f"a public URL is like https://hooks.example.com, not {url!r}"
