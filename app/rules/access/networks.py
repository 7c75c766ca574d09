"""What an address counts as, where callers are counted by where they come from."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network


def network_of(address: str) -> str:
    """An IPv4 address itself, however it is spelled; of an IPv6 address its network, for who has one has 2^64 of them
    (RFC 4291, 2.5.4); "unknown" for what is no address."""
    try:
        read = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(read, IPv4Address):
        return str(read)
    return str(read.ipv4_mapped or ip_network((read, 64), strict=False))
