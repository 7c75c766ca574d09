"""A load generator for the benchmarks: raw HTTP/1.1 over kept-alive sockets, as cheap as Python can be."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import uvloop


@dataclass(frozen=True)
class Figures:
    """Requests answered per second, latency percentiles in milliseconds, and answers by status."""

    rate: float
    p50: float
    p99: float
    statuses: dict[int, int]


def request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def closed_loop(port: int, requests: Sequence[bytes], in_flight: int) -> Figures:
    """Send every request once, ``in_flight`` at a time, each connection waiting for its answer."""
    return uvloop.run(_closed_loop(port, requests, in_flight))


async def _closed_loop(port: int, requests: Sequence[bytes], in_flight: int) -> Figures:
    loop = asyncio.get_running_loop()
    todo = iter(requests)
    done: list[asyncio.Future[None]] = []
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    connections = []
    for _ in range(in_flight):
        finished: asyncio.Future[None] = loop.create_future()
        done.append(finished)
        client = _Client(todo, finished, latencies, statuses)
        await loop.create_connection(partial(_same, client), "127.0.0.1", port)
        connections.append(client)
    began = time.perf_counter()
    for client in connections:
        client.send_next()
    await asyncio.gather(*done)
    took = time.perf_counter() - began
    latencies.sort()
    return Figures(len(latencies) / took, _at(latencies, 0.50), _at(latencies, 0.99), statuses)


def _at(latencies: Sequence[float], share: float) -> float:
    return latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1000


def _same(client: "_Client") -> "_Client":
    return client


class _Client(asyncio.Protocol):
    def __init__(self, todo, finished, latencies, statuses) -> None:  # type: ignore[no-untyped-def]
        self._todo, self._finished = todo, finished
        self._latencies, self._statuses = latencies, statuses
        self._buffer = b""
        self._began = 0.0

    def connection_made(self, transport) -> None:  # type: ignore[no-untyped-def]
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self._finished.done():
            self._finished.set_exception(error or ConnectionError("the server closed the connection"))

    def send_next(self) -> None:
        wire = next(self._todo, None)
        if wire is None:
            self._finished.set_result(None)
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(wire)

    def data_received(self, data: bytes) -> None:
        if not self._buffer and data[9:12] == b"202" and data.endswith(b"\r\n\r\n"):  # the answer hoped for
            self._answered(202)
            return
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length: ")
        length = int(head[at + 16 :].split(b"\r", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer = b""
        self._answered(int(head[9:12]))

    def _answered(self, status: int) -> None:
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._latencies.append(time.perf_counter() - self._began)
        self.send_next()
