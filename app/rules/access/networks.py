"""The network by which callers from an address are counted."""

from ipaddress import IPv4Address, ip_address, ip_network


def network_of(address: str) -> str:
    """An IPv4 address itself, however it is spelled; the /64 network of an IPv6 address, because whoever has one address has
    2^64 of them (RFC 4291, 2.5.4); "unknown" for a text that is not an address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
