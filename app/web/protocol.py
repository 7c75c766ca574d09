"""The limits of a connection: how many one address may have, the size and time of a request's head, the requests that may
wait on it, and the time that an answer may stay unread."""

import asyncio
from collections import Counter
from typing import ClassVar
from weakref import WeakSet

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.rules.access.networks import network_of

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
"""RFC 6585, section 5."""


class TooManyQueued(Exception):
    """Ends the parsing: uvicorn answers 400 and closes."""


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with these limits. One timer serves all connections: a timer each would cost every delivery more
    than its signature does."""

    MAX_HEAD_BYTES = 32_768
    """Bytes of the request line and all headers together."""

    HEAD_TIMEOUT = 10.0
    """Seconds that a head may take to arrive, from the opening of the connection or its first byte; the same for the rest
    of a body that is answered already."""

    MAX_PER_NETWORK = 500
    """Connections of one address (of IPv6: network) at once, which may be a proxy's: each is a file, and a process often
    has 1,024."""

    MAX_QUEUED = 8
    """Requests that may wait behind the one being answered (RFC 9112, 9.3.2). Each is kept in memory, and one chunk of a
    stranger's bytes may hold thousands."""

    UNREAD_TIMEOUT = 40.0
    """Seconds that an unread answer may stay in our memory; more than any answer may take (``auth.ANSWER_TIMEOUT``)."""

    CHECK_INTERVAL = 2.5
    """Seconds between two looks at the times of all connections."""

    _head = 0
    _reading_head = True
    _since: float | None = None
    _unread_since: float | None = None
    _network = ""
    _checked_loops: ClassVar[WeakSet[asyncio.AbstractEventLoop]] = WeakSet()
    _open: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection was opened; the time for its first head begins."""
        super().connection_made(transport)
        self._network = network_of(self.client[0] if self.client else "")
        self._open[self._network] += 1
        if self._open[self._network] > self.MAX_PER_NETWORK:
            transport.abort()
        self._since = self.loop.time()
        if self.loop not in self._checked_loops:
            self._checked_loops.add(self.loop)
            self.loop.call_later(self.CHECK_INTERVAL, self._check_all)

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection is closed."""
        super().connection_lost(exc)
        self._open[self._network] -= 1
        if not self._open[self._network]:
            del self._open[self._network]

    def data_received(self, data: bytes) -> None:
        """Bytes came; count those of a head."""
        if self._reading_head:
            if self._since is None:
                self._since = self.loop.time()
            self._head += len(data)
            if self._head > self.MAX_HEAD_BYTES and not self._ends_in_time(data):
                self.transport.write(TOO_LARGE)
                self.transport.close()
                return
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The head is complete; drop a request beyond the limit of this connection."""
        if len(self.pipeline) >= self.MAX_QUEUED:
            raise TooManyQueued
        self._reading_head, self._since, self._head = False, None, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete; the next bytes begin another head."""
        super().on_message_complete()
        self._reading_head, self._since = True, None

    def on_response_complete(self) -> None:
        """The answer is sent. If it did not wait for the body, the rest of the body may take as long as a head: uvicorn
        would let it trickle in for ever."""
        super().on_response_complete()
        if not self._reading_head:
            self._since = self.loop.time()

    def _ends_in_time(self, data: bytes) -> bool:
        """Whether the head ends within the limit although more bytes came with it, the beginning of a body."""
        end = data.find(b"\r\n\r\n")
        return end >= 0 and self._head - len(data) + end <= self.MAX_HEAD_BYTES

    def _lies_unread(self, now: float) -> bool:
        """Whether the other side has left our data unread for too long, at each check."""
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
            return False
        self._unread_since = self._unread_since or now
        return now - self._unread_since > self.UNREAD_TIMEOUT

    def _check_all(self) -> None:
        now = self.loop.time()
        for one in list(self.connections):
            if not isinstance(one, LimitedProtocol):
                continue
            if one._lies_unread(now):
                one.transport.abort()
            elif one._since is not None and now - one._since > self.HEAD_TIMEOUT:
                one.transport.close()
        if self.connections:
            self.loop.call_later(self.CHECK_INTERVAL, self._check_all)
        else:
            self._checked_loops.discard(self.loop)
